"""A report item: how many configurations each participant tried."""

from evenhand import Item, ReportContext, ReportTable, report_item


@report_item("further")
def effort(frame: ReportContext) -> Item:
    """Numbers first, then words, drawing and table of them."""
    counts = [(member.pseudonym, len(member.session.trials)) for member in frame.people.members]
    bars = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 400,
        "height": 230,
        "data": {"values": [{"who": who, "trials": count} for who, count in counts]},
        "mark": "bar",
        "encoding": {"x": {"field": "who", "type": "nominal"}, "y": {"field": "trials", "type": "quantitative"}},
    }
    return Item(
        key="effort",
        title="Configurations that each participant tried",
        n=f"n = {len(counts)} participants",
        how="trials of every outcome",
        spec=bars if counts else None,
        table=ReportTable(("participant", "trials"), tuple((who, str(count)) for who, count in counts), frozenset({1})),
        why="" if counts else "nobody is in the statistics",
        alt="; ".join(f"{who}: {count}" for who, count in counts),
    )
