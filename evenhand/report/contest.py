"""The contest of paper 003 as a report: its Tables 3 to 5 and Figures 2 and 5, ours beside the published numbers."""

from collections.abc import Iterator, Mapping, Sequence

from evenhand.analysis.contest import EFFORT, TABLE_1, Contest, DataSet, Entrant, Margin, Rates, difficulty, margins
from evenhand.declaration import Mode
from evenhand.records import Session
from evenhand.report import architectures, surfaces
from evenhand.report.architectures import grouped
from evenhand.report.blocks import NARROW, Item, Report, Section, Table, cases, number, table
from evenhand.report.sheet import OUTCOMES, Setup
from evenhand.tasks import convnet, mlp
from evenhand.tasks.shapes import GENERATED

ROLES = {"baseline": "baseline", "hand": "by hand", "auto": "automatic", "limit": "limit"}
SIZE = 128  # pixels of the paper's patches
ONE_LOOK = (
    "Models are scored as tuned: the model of the chosen trial, which learnt from train alone. The eval split is opened after "
    "all have chosen, once for each contestant; what it said is kept, and not asked again."
)


def build(contest: Contest, setup: Setup) -> Report:
    """The whole report."""
    mode, mark = _mark(contest)
    here = [each for each in contest.sets if not each.why]
    sections = (
        Section("errors", "Errors (Table 3)", ONE_LOOK, (_table_3(contest), _rows(contest), _table_1(contest))),
        Section("difficulty", "What it took", items=(_difficulty(contest),)),
        Section("architectures", "Architectures (Tables 4 and 5)", items=tuple(_architectures(contest))),
        *_drawn(here),
        Section("terms", "Terms and machine", items=(_terms(contest, setup), _repeated())),
    )
    return Report(setup.title, mode, mark, _lead(contest), _facts(contest), sections)


def _mark(contest: Contest) -> tuple[Mode, str]:
    sessions = [each.session for found in contest.sets for each in found.entrants if each.session is not None]
    pilots = sorted({each.id for each in sessions if _is_pilot(each)})
    if pilots:
        return "pilot", f"Pilot sessions among the contestants: {', '.join(map(str, pilots))}; they are no part of a study"
    return "live", ""


def _is_pilot(session: Session) -> bool:
    """Whether it is a person's try-out. Methods are what they are in every mode."""
    return session.kind == "participant" and session.mode == "pilot"


def _lead(contest: Contest) -> tuple[str, ...]:
    found = margins(contest)
    both = [each for each in found if each.difference is not None]
    labels: dict[str, list[str]] = {}
    for each in contest.sets:
        if not each.why:
            labels.setdefault(each.label, []).append(f"#{each.number}")
    lead = [_ahead(both)] if both else ["No data set has contestants of both kinds here, so nobody is ahead."]
    lead += [f"Data: {', '.join(names)} {label}." for label, names in labels.items()]
    if contest.scale < 1 and any(each.number in ("08", "09", "10") for each in contest.sets):
        lead.append(
            f"#08 to #10 have {contest.scale:g} of the paper's points; the settings printed for #10, whose epochs "
            "stay as they are, make as much fewer steps."
        )
    alone = [f"#{each.number}" for each, margin in zip(contest.sets, found, strict=True) if not each.why and margin.hand is None]
    if alone:
        lead.append(f"On {', '.join(alone)} nobody tuned by hand here: the paper prints no settings, and no session was given.")
    lead += [f"#{each.number}: {each.why}." for each in contest.sets if each.why]
    return tuple(lead)


def _ahead(both: Sequence[Margin]) -> str:
    told = []
    for each in both:
        assert each.hand is not None
        assert each.auto is not None
        told.append(
            f"#{each.number} {_percent(each.hand.ours)} ({each.hand.name}) against {_percent(each.auto.ours)} ({each.auto.name})"
        )
    first = sum((each.difference or 0) > 0 for each in both)
    whole = "in the paper on all five"
    ahead = f"By hand had the lower error on eval on {first} of {cases(len(both), 'data set').removeprefix('n = ')} ({whole})"
    return f"{ahead}; the best of each: {'; '.join(told)}."


def _percent(rates: Rates | None) -> str:
    return "–" if rates is None else f"{rates.eval:.2f}{NARROW}%"


def _facts(contest: Contest) -> tuple[tuple[str, str], ...]:
    sessions = [each.session for found in contest.sets for each in found.entrants if each.session is not None]
    looks = sum(each.looks for found in contest.sets for each in found.entrants)
    return (
        ("data sets", ", ".join(f"#{each.number}{'' if not each.why else ' (no data)'}" for each in contest.sets)),
        ("autotuner", f"{contest.method}, {contest.trials} trials, seed {contest.seed}"),
        ("scale of #08 to #10", f"{contest.scale:g}"),
        ("sessions", str(len(sessions))),
        ("trials", grouped(sum(len(each.trials) for each in sessions))),
        ("looks at eval", f"{looks}, one a contestant" if _once(contest) else f"{looks}, see “What it took”"),
    )


def _once(contest: Contest) -> bool:
    return all(each.looks <= 1 for found in contest.sets for each in found.entrants)


# Table 3 and Table 1


def table_3(contest: Contest) -> Table:
    """The paper's Table 3 with ours and its numbers side by side, in percent."""
    rows = []
    for found in contest.sets:
        for each in found.entrants:
            told = each.why or each.note or "–"
            data = "generated" if found.generated else found.label
            rows.append(
                (f"#{found.number}", each.name, ROLES[each.role], *_three(each.ours), *_three(each.published), data, told)
            )
    splits = ("train", "dev", "eval")
    columns = ("data set", "system", "kind", *splits, *(f"paper: {each}" for each in splits), "data", "note")
    return table(columns, rows, range(3, 9))


def _three(rates: Rates | None) -> tuple[str, str, str]:
    return ("–", "–", "–") if rates is None else (f"{rates.train:.2f}", f"{rates.dev:.2f}", f"{rates.eval:.2f}")


def _table_3(contest: Contest) -> Item:
    found = table_3(contest)
    scored = sum(row[5] != "–" for row in found.rows)
    unsure = [e.uncertainty for d in contest.sets for e in d.entrants if e.uncertainty is not None]
    true = f"; the true BER of generated data is integrated, its uncertainty at most {max(unsure):.2g} points" if unsure else ""
    how = (
        "error rates in percent on each split; BER estimated as in the paper is optimistic, since both of its models remember "
        f"the points that they are scored on{true}; –: not published, or not here, as the last column says"
    )
    return Item("table-3", "Error rates, ours beside the paper's", cases(scored, "row") + " scored here", how, table=found)


def _rows(contest: Contest) -> Item:
    rows = [(f"#{found.number}", each.name, each.how) for found in contest.sets for each in found.entrants if each.how]
    how = "of those that were scored here"
    return Item(
        "rows", "What each row is", cases(len(rows), "row"), how, table=table(("data set", "system", "what"), rows), folded=True
    )


def _table_1(contest: Contest) -> Item:
    rows = []
    for each in contest.sets:
        words, classes, sizes = TABLE_1[each.number]
        ours = " / ".join(map(grouped, each.sizes)) if each.sizes else "–"
        rows.append((f"#{each.number}", words, str(classes), " / ".join(map(grouped, sizes)), ours, each.label))
    columns = ("data set", "what", "classes", "paper: train / dev / eval", "here", "data here")
    how = "examples of each split; the paper's sets belong to a course and, for #11 and #12, to Temple University"
    return Item("table-1", "Data sets (Table 1)", cases(len(rows), "data set"), how, table=table(columns, rows, [2, 3, 4]))


# What it took


def _difficulty(contest: Contest) -> Item:
    rows = []
    for found in contest.sets:
        for each in found.entrants:
            if each.session is None:
                continue
            took = difficulty(each.session)
            rows.append(
                (
                    f"#{found.number}",
                    each.name,
                    ROLES[each.role],
                    str(each.session.id),
                    str(took.trials),
                    *(str(took.outcomes.get(outcome, 0)) for outcome in OUTCOMES),
                    number(round(took.training, 1)),
                    "–" if took.until_best is None else number(round(took.until_best, 1)),
                    "–" if each.weights is None else grouped(each.weights),
                    str(each.looks),
                )
            )
    columns = (
        "data set",
        "system",
        "kind",
        "session",
        "trials",
        *OUTCOMES,
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
        table=table(columns, rows, range(3, 14)), paper=EFFORT,
    )  # fmt: skip


# Architectures


def _architectures(contest: Contest) -> Iterator[Item]:
    for found in contest.sets:
        columns = _networks(found)
        if not columns:
            continue
        which = {"10": "Table 4", "11": "Table 5"}.get(found.number, "")
        how = "layer by layer, as chosen" + (
            f"; the paper's are from its {which}" if which else "; the paper prints none for this data set"
        )
        if found.number == "11":
            how += "; its autotuned padding is not printed, and taken to keep the size, without which the layers do not fit"
        yield Item(
            f"architectures-{found.number}",
            f"Data set #{found.number}" + (f" ({which})" if which else ""),
            cases(len(columns), "network"),
            how,
            table=table(("layout", *columns), architectures.layout(columns)),
        )


def _networks(found: DataSet) -> dict[str, dict[str, str]]:
    columns = {
        each.name: {**architectures.rows(each.configuration, found.classes), "weights": grouped(each.weights)}
        for each in found.entrants
        if each.configuration is not None and each.weights is not None
    }
    return columns | {f"{name}, paper": rows for name, rows in _printed(found.number).items()}


def _printed(number: str) -> Mapping[str, dict[str, str]]:
    """The architectures that the paper prints, with the weights that follow from them."""
    if number == "10":
        return {
            name: {**architectures.rows(each.values, 2), "weights": grouped(mlp.weights(each.values))}
            for name, each in mlp.PUBLISHED.items()
        }
    if number == "11":
        names = {"manual": "Manual", "auto": "Auto"}
        return {
            names[name]: {
                **architectures.rows(values, 2),
                "weights": grouped(convnet.weights_of(convnet.shapes(values, SIZE))),
            }
            for name, values in convnet.PUBLISHED.items()
        }
    return {}


# Drawings


def _drawn(sets: Sequence[DataSet]) -> tuple[Section, ...]:
    scatter = tuple(item for each in sets if (item := _scatter(each)) is not None)
    shown = tuple(_surface(each, entrant) for each in sets for entrant in each.entrants if entrant.surface is not None)
    if not shown:
        return ()
    intro = (
        "The class that each model names at every place, and points of each split over it: where point and region differ in "
        "colour, the model is wrong."
    )
    return (
        Section("splits", "The splits (Fig. 2)", "A thinned part of each split, as everyone was given it.", scatter),
        Section("surfaces", "Decision surfaces (Fig. 5)", intro, shown),
    )


def _scatter(found: DataSet) -> Item | None:
    surface = next((each.surface for each in found.entrants if each.surface is not None), None)
    if surface is None:
        return None
    rows = [(name, grouped(shown.of), grouped(len(shown.points))) for name, shown in surface.shown.items()]
    if found.sizes:
        rows = [(row[0], grouped(size), row[2]) for row, size in zip(rows, found.sizes, strict=True)]
    across, up = (f"{axis[0]:.3g} to {axis[-1]:.3g}" for axis in (surface.x, surface.y))
    return Item(
        key=f"splits-{found.number}",
        title=f"Data set #{found.number}",
        n=cases(sum(len(each.points) for each in surface.shown.values()), "point"),
        how=f"evenly spaced points of each split; first feature across, {across}, second upwards, {up}. Data: {found.label}",
        svg=surfaces.drawing(surface, _classes(found), regions=False, mark=_generated(found)),
        table=table(("split", "points", "shown"), rows, [1, 2]),
        alt=f"Scatter plots of train, dev and eval of data set #{found.number}, {found.classes} classes",
    )


def _surface(found: DataSet, entrant: Entrant) -> Item:
    assert entrant.surface is not None
    assert entrant.ours is not None
    surface, rates = entrant.surface, entrant.ours
    errors = {"train": rates.train, "dev": rates.dev, "eval": rates.eval}
    shares = ", ".join(f"class {number} {100 * share:.0f}{NARROW}%" for number, share in surface.shares.items())
    rows = [(name, f"{errors[name]:.2f}", grouped(len(shown.points))) for name, shown in surface.shown.items()]
    published = entrant.published
    return Item(
        key=f"surface-{found.number}-{entrant.name.lower().replace(' ', '-')}",
        title=f"{entrant.name} on data set #{found.number}",
        n=cases(sum(len(each.points) for each in surface.shown.values()), "point"),
        how=f"{entrant.how}; {len(surface.x)} x {len(surface.y)} cells, of whose area {shares}. Data: {found.label}",
        svg=surfaces.drawing(surface, _classes(found), mark=_generated(found, entrant), errors=errors),
        table=table(("split", "error, %", "points shown"), rows, [1, 2]),
        paper=f"{' / '.join(_three(published))}{NARROW}% on train / dev / eval" if published else "",
        alt=f"Errors {' / '.join(_three(rates))}{NARROW}% on train / dev / eval",
    )


def _generated(found: DataSet, entrant: Entrant | None = None) -> str:
    """What is said on a drawing of generated data, and of a person's try-out."""
    pilot = entrant is not None and entrant.session is not None and _is_pilot(entrant.session)
    return ", ".join(["pilot session"] * pilot + ["generated data"] * found.generated)


def _classes(found: DataSet) -> tuple[str, ...]:
    return tuple(map(str, range(found.classes)))


# Terms


def _terms(contest: Contest, setup: Setup) -> Item:
    rows = [
        ("command", setup.command),
        ("autotuner", f"{contest.method}, {contest.trials} trials a data set, seed {contest.seed}"),
        ("machine", setup.machine),
        *((name, version) for name, version in setup.packages.items()),
    ]
    for found in contest.sets:
        settings = ", ".join(f"{name}={value}" for name, value in found.settings.items() if value is not None)
        rows.append((f"#{found.number}", settings or found.why))
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
