"""The contest of paper 003 as a report: its Tables 3 to 5 and Figures 2 and 5, ours beside the published numbers."""

from collections.abc import Iterator, Mapping, Sequence

from evenhand.analysis.anytime import Setup
from evenhand.analysis.contest import EFFORT_NOTE, TABLE_1, Contest, DataSet, Entrant, Margin, Rates, difficulty, margins
from evenhand.model.session import Session
from evenhand.model.study import Mode
from evenhand.model.words import NARROW_SPACE, cases, grouped, number
from evenhand.report.blocks import Item, Report, ReportSection, ReportTable, table
from evenhand.report.contest import architectures, surfaces
from evenhand.report.disclosure import OUTCOME_ORDER
from evenhand.tasks.builtin import convnet, mlp
from evenhand.tasks.builtin.shapes import GENERATED

ROLE_WORDS = {"baseline": "baseline", "hand": "by hand", "auto": "automatic", "limit": "limit"}
PATCH_PIXELS = 128  # pixels of the paper's patches
ONE_LOOK_NOTE = (
    "Models are scored as tuned: the model of the chosen trial, which learnt from train alone. The eval split is opened after "
    "all have chosen, once for each contestant; what it said is kept, and not asked again."
)


def build(contest: Contest, setup: Setup) -> Report:
    """The whole report."""
    mode, mark = _mark(contest)
    here = [data_set for data_set in contest.sets if not data_set.why]
    sections = (
        ReportSection("errors", "Errors (Table 3)", ONE_LOOK_NOTE, (_table_3(contest), _rows(contest), _table_1(contest))),
        ReportSection("difficulty", "What it took", items=(_difficulty(contest),)),
        ReportSection("architectures", "Architectures (Tables 4 and 5)", items=tuple(_architectures(contest))),
        *_drawn(here),
        ReportSection("terms", "Terms and machine", items=(_terms(contest, setup), _repeated())),
    )
    return Report(setup.title, mode, mark, _lead(contest), _facts(contest), sections)


def _mark(contest: Contest) -> tuple[Mode, str]:
    sessions = [entrant.session for data_set in contest.sets for entrant in data_set.entrants if entrant.session is not None]
    pilots = sorted({session.id for session in sessions if _is_pilot(session)})
    if pilots:
        return "pilot", f"Pilot sessions among the contestants: {', '.join(map(str, pilots))}; they are no part of a study"
    return "live", ""


def _is_pilot(session: Session) -> bool:
    """Whether it is a person's try-out. Methods are what they are in every mode."""
    return session.kind == "participant" and session.mode == "pilot"


def _lead(contest: Contest) -> tuple[str, ...]:
    differences = margins(contest)
    both = [margin for margin in differences if margin.difference is not None]
    labels: dict[str, list[str]] = {}
    for entry in contest.sets:
        if not entry.why:
            labels.setdefault(entry.label, []).append(f"#{entry.number}")
    lead = [_ahead(both)] if both else ["No data set has contestants of both kinds here, so nobody is ahead."]
    lead += [f"Data: {', '.join(names)} {label}." for label, names in labels.items()]
    if contest.scale < 1 and any(data_set.number in ("08", "09", "10") for data_set in contest.sets):
        lead.append(
            f"#08 to #10 have {contest.scale:g} of the paper's points; the settings printed for #10, whose epochs "
            "stay as they are, make as much fewer steps."
        )
    alone = [
        f"#{data_set.number}"
        for data_set, margin in zip(contest.sets, differences, strict=True)
        if not data_set.why and margin.hand is None
    ]
    if alone:
        lead.append(f"On {', '.join(alone)} nobody tuned by hand here: the paper prints no settings, and no session was given.")
    lead += [f"#{data_set.number}: {data_set.why}." for data_set in contest.sets if data_set.why]
    return tuple(lead)


def _ahead(both: Sequence[Margin]) -> str:
    duels = []
    for margin in both:
        assert margin.hand is not None
        assert margin.auto is not None
        duels.append(
            f"#{margin.number} {_percent(margin.hand.ours)} ({margin.hand.name}) "
            f"against {_percent(margin.auto.ours)} ({margin.auto.name})"
        )
    first = sum((pair.difference or 0) > 0 for pair in both)
    whole = "in the paper on all five"
    ahead = f"By hand had the lower error on eval on {first} of {cases(len(both), 'data set').removeprefix('n = ')} ({whole})"
    return f"{ahead}; the best of each: {'; '.join(duels)}."


def _percent(rates: Rates | None) -> str:
    return "–" if rates is None else f"{rates.eval:.2f}{NARROW_SPACE}%"


def _facts(contest: Contest) -> tuple[tuple[str, str], ...]:
    sessions = [entrant.session for data_set in contest.sets for entrant in data_set.entrants if entrant.session is not None]
    looks = sum(entrant.looks for data_set in contest.sets for entrant in data_set.entrants)
    return (
        ("data sets", ", ".join(f"#{data_set.number}{'' if not data_set.why else ' (no data)'}" for data_set in contest.sets)),
        ("autotuner", f"{contest.method}, {contest.trials} trials, seed {contest.seed}"),
        ("scale of #08 to #10", f"{contest.scale:g}"),
        ("sessions", str(len(sessions))),
        ("trials", grouped(sum(len(session.trials) for session in sessions))),
        ("looks at eval", f"{looks}, one a contestant" if _once(contest) else f"{looks}, see “What it took”"),
    )


def _once(contest: Contest) -> bool:
    return all(entrant.looks <= 1 for data_set in contest.sets for entrant in data_set.entrants)


# Table 3 and Table 1


def table_3(contest: Contest) -> ReportTable:
    """The paper's Table 3 with ours and its numbers side by side, in percent."""
    rows = []
    for data_set in contest.sets:
        for entrant in data_set.entrants:
            note = entrant.why or entrant.note or "–"
            data = "generated" if data_set.generated else data_set.label
            rows.append(
                (
                    f"#{data_set.number}",
                    entrant.name,
                    ROLE_WORDS[entrant.role],
                    *_three(entrant.ours),
                    *_three(entrant.published),
                    data,
                    note,
                )
            )
    splits = ("train", "dev", "eval")
    columns = ("data set", "system", "kind", *splits, *(f"paper: {split}" for split in splits), "data", "note")
    return table(columns, rows, range(3, 9))


def _three(rates: Rates | None) -> tuple[str, str, str]:
    return ("–", "–", "–") if rates is None else (f"{rates.train:.2f}", f"{rates.dev:.2f}", f"{rates.eval:.2f}")


def _table_3(contest: Contest) -> Item:
    shown = table_3(contest)
    scored = sum(row[5] != "–" for row in shown.rows)
    unsure = [e.uncertainty for d in contest.sets for e in d.entrants if e.uncertainty is not None]
    true = f"; the true BER of generated data is integrated, its uncertainty at most {max(unsure):.2g} points" if unsure else ""
    how = (
        "error rates in percent on each split; BER estimated as in the paper is optimistic, since both of its models remember "
        f"the points that they are scored on{true}; –: not published, or not here, as the last column says"
    )
    return Item("table-3", "Error rates, ours beside the paper's", cases(scored, "row") + " scored here", how, table=shown)


def _rows(contest: Contest) -> Item:
    rows = [
        (f"#{data_set.number}", entrant.name, entrant.how)
        for data_set in contest.sets
        for entrant in data_set.entrants
        if entrant.how
    ]
    how = "of those that were scored here"
    return Item(
        "rows", "What each row is", cases(len(rows), "row"), how, table=table(("data set", "system", "what"), rows), folded=True
    )


def _table_1(contest: Contest) -> Item:
    rows = []
    for data_set in contest.sets:
        words, classes, sizes = TABLE_1[data_set.number]
        ours = " / ".join(map(grouped, data_set.sizes)) if data_set.sizes else "–"
        rows.append((f"#{data_set.number}", words, str(classes), " / ".join(map(grouped, sizes)), ours, data_set.label))
    columns = ("data set", "what", "classes", "paper: train / dev / eval", "here", "data here")
    how = "examples of each split; the paper's sets belong to a course and, for #11 and #12, to Temple University"
    return Item("table-1", "Data sets (Table 1)", cases(len(rows), "data set"), how, table=table(columns, rows, [2, 3, 4]))


# What it took


def _difficulty(contest: Contest) -> Item:
    rows = []
    for data_set in contest.sets:
        for entrant in data_set.entrants:
            if entrant.session is None:
                continue
            took = difficulty(entrant.session)
            rows.append(
                (
                    f"#{data_set.number}",
                    entrant.name,
                    ROLE_WORDS[entrant.role],
                    str(entrant.session.id),
                    str(took.trials),
                    *(str(took.outcomes.get(outcome, 0)) for outcome in OUTCOME_ORDER),
                    number(round(took.training, 1)),
                    "–" if took.until_best is None else number(round(took.until_best, 1)),
                    "–" if entrant.weights is None else grouped(entrant.weights),
                    str(entrant.looks),
                )
            )
    columns = (
        "data set",
        "system",
        "kind",
        "session",
        "trials",
        *OUTCOME_ORDER,
        "training, s",
        "until its choice, s",
        "weights",
        "looks",
    )
    how = (
        "trials are explorations; invalid ones could not be built or computed, diverged ones did not stay finite: none stops a "
        "search; failed ones are the infrastructure's fault, cost nothing and were made up for; until its choice: from the "
        "session's start to the end of the chosen trial, times when it was interrupted included; weights: of the chosen network, "
        "biases included; looks: how often eval was opened for it (one that was cut off before its score was kept is repeated)"
    )
    return Item(
        "difficulty", "Explorations, time, size, and what went wrong", cases(len(rows), "session"), how,
        table=table(columns, rows, range(3, 14)), paper=EFFORT_NOTE,
    )  # fmt: skip


# Architectures


def _architectures(contest: Contest) -> Iterator[Item]:
    for data_set in contest.sets:
        columns = _networks(data_set)
        if not columns:
            continue
        which = {"10": "Table 4", "11": "Table 5"}.get(data_set.number, "")
        how = "layer by layer, as chosen" + (
            f"; the paper's are from its {which}" if which else "; the paper prints none for this data set"
        )
        if data_set.number == "11":
            how += "; its autotuned padding is not printed, and taken to keep the size, without which the layers do not fit"
        yield Item(
            f"architectures-{data_set.number}",
            f"Data set #{data_set.number}" + (f" ({which})" if which else ""),
            cases(len(columns), "network"),
            how,
            table=table(("layout", *columns), architectures.layout(columns)),
        )


def _networks(data_set: DataSet) -> dict[str, dict[str, str]]:
    columns = {
        entrant.name: {**architectures.rows(entrant.configuration, data_set.classes), "weights": grouped(entrant.weights)}
        for entrant in data_set.entrants
        if entrant.configuration is not None and entrant.weights is not None
    }
    return columns | {f"{name}, paper": rows for name, rows in _printed(data_set.number).items()}


def _printed(number: str) -> Mapping[str, dict[str, str]]:
    """The architectures that the paper prints, with the weights that follow from them."""
    if number == "10":
        return {
            name: {**architectures.rows(published.values, 2), "weights": grouped(mlp.weights(published.values))}
            for name, published in mlp.PUBLISHED.items()
        }
    if number == "11":
        names = {"manual": "Manual", "auto": "Auto"}
        return {
            names[name]: {
                **architectures.rows(values, 2),
                "weights": grouped(convnet.weights_of(convnet.shapes(values, PATCH_PIXELS))),
            }
            for name, values in convnet.PUBLISHED.items()
        }
    return {}


# Drawings


def _drawn(sets: Sequence[DataSet]) -> tuple[ReportSection, ...]:
    scatter = tuple(item for data_set in sets if (item := _scatter(data_set)) is not None)
    shown = tuple(
        _surface(data_set, entrant) for data_set in sets for entrant in data_set.entrants if entrant.surface is not None
    )
    if not shown:
        return ()
    intro = (
        "The class that each model names at every place, and points of each split over it: where point and region differ in "
        "colour, the model is wrong."
    )
    return (
        ReportSection("splits", "The splits (Fig. 2)", "A thinned part of each split, as everyone was given it.", scatter),
        ReportSection("surfaces", "Decision surfaces (Fig. 5)", intro, shown),
    )


def _scatter(data_set: DataSet) -> Item | None:
    surface = next((entrant.surface for entrant in data_set.entrants if entrant.surface is not None), None)
    if surface is None:
        return None
    rows = [(name, grouped(shown.of), grouped(len(shown.points))) for name, shown in surface.shown.items()]
    if data_set.sizes:
        rows = [(row[0], grouped(size), row[2]) for row, size in zip(rows, data_set.sizes, strict=True)]
    across, up = (f"{axis[0]:.3g} to {axis[-1]:.3g}" for axis in (surface.x, surface.y))
    return Item(
        key=f"splits-{data_set.number}",
        title=f"Data set #{data_set.number}",
        n=cases(sum(len(shown.points) for shown in surface.shown.values()), "point"),
        how=f"evenly spaced points of each split; first feature across, {across}, second upwards, {up}. Data: {data_set.label}",
        svg=surfaces.drawing(surface, _classes(data_set), regions=False, mark=_generated(data_set)),
        table=table(("split", "points", "shown"), rows, [1, 2]),
        alt=f"Scatter plots of train, dev and eval of data set #{data_set.number}, {data_set.classes} classes",
    )


def _surface(data_set: DataSet, entrant: Entrant) -> Item:
    assert entrant.surface is not None
    assert entrant.ours is not None
    surface, rates = entrant.surface, entrant.ours
    errors = {"train": rates.train, "dev": rates.dev, "eval": rates.eval}
    shares = ", ".join(f"class {number} {100 * share:.0f}{NARROW_SPACE}%" for number, share in surface.shares.items())
    rows = [(name, f"{errors[name]:.2f}", grouped(len(shown.points))) for name, shown in surface.shown.items()]
    published = entrant.published
    return Item(
        key=f"surface-{data_set.number}-{entrant.name.lower().replace(' ', '-')}",
        title=f"{entrant.name} on data set #{data_set.number}",
        n=cases(sum(len(shown.points) for shown in surface.shown.values()), "point"),
        how=f"{entrant.how}; {len(surface.x)} x {len(surface.y)} cells, of whose area {shares}. Data: {data_set.label}",
        svg=surfaces.drawing(surface, _classes(data_set), mark=_generated(data_set, entrant), errors=errors),
        table=table(("split", "error, %", "points shown"), rows, [1, 2]),
        paper=f"{' / '.join(_three(published))}{NARROW_SPACE}% on train / dev / eval" if published else "",
        alt=f"Errors {' / '.join(_three(rates))}{NARROW_SPACE}% on train / dev / eval",
    )


def _generated(data_set: DataSet, entrant: Entrant | None = None) -> str:
    """What is said on a drawing of generated data, and of a person's try-out."""
    pilot = entrant is not None and entrant.session is not None and _is_pilot(entrant.session)
    return ", ".join(["pilot session"] * pilot + ["generated data"] * data_set.generated)


def _classes(data_set: DataSet) -> tuple[str, ...]:
    return tuple(map(str, range(data_set.classes)))


# Terms


def _terms(contest: Contest, setup: Setup) -> Item:
    rows = [
        ("command", setup.command),
        ("autotuner", f"{contest.method}, {contest.trials} trials a data set, seed {contest.seed}"),
        ("machine", setup.machine),
        *((name, version) for name, version in setup.packages.items()),
    ]
    for data_set in contest.sets:
        settings = ", ".join(f"{name}={value}" for name, value in data_set.settings.items() if value is not None)
        rows.append((f"#{data_set.number}", settings or data_set.why))
    return Item("setup", "Where and how it ran", "", "as it was run", table=table(("what", "value"), rows))


def _repeated() -> Item:
    rows = [
        ("data", "#08 to #10: " + GENERATED + ", unless a folder of CSV files is given; #11, #12: only where they are given"),
        ("by hand, #10 and #11", "the settings that the paper prints, trained once each; nothing is tuned"),
        ("by hand, #08, #09, #12", "the paper prints no settings: a person's stored session, or “not published”"),
        ("automatic", "the paper's dimensions and its ranges where it prints them, in PyTorch instead of Keras Tuner"),
        ("dropout", "on #10 without (1) and with (2); on #08 and #09 with, as in the paper's list of dimensions"),
        ("invalid settings", "end their trial, and the search goes on; the paper's autotuner halted at them"),
        ("seed", "root of all draws; the same number draws other configurations than Keras Tuner's"),
    ]
    return Item(
        "repeated", "What is repeated, what differs", "", "docs/contest.md says more", table=table(("what", "here"), rows)
    )
