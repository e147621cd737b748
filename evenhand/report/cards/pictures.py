"""What a card's picture shows, as numbers: one drawer a key makes it of the card's data; pages, notebooks and reports draw it.

An explanation from elsewhere that has no drawer here shows its table.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenhand.explain import Card
from evenhand.model.words import is_share, metric_name, percent, rounded, show_score

Look = Literal["main", "second", "quiet"]  # what it is about; what it is compared with; the rest
MOST_MARKS, MOST_OTHERS = 12, 4  # of one picture: the first ones; the table has all


@dataclass(frozen=True)
class Mark:
    """One row of a picture: a value, where it may lie, and where it would lie by chance.

    Attributes:
        label: of the row.
        value: where the point is.
        low: of its interval; None without one.
        high: likewise.
        chance_low: of the band in which it cannot be told from nothing; None without one.
        chance_high: likewise.
        look: how it looks.
        said: it in words.
    """

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    chance_low: float | None = None
    chance_high: float | None = None
    look: Look = "main"
    said: str = ""


@dataclass(frozen=True)
class Picture:
    """Points with intervals, a row each, on one axis.

    Attributes:
        axis: what it says, with its unit.
        percent: whether its numbers are shares, read in percent.
        marks: in order, from the top.
        alt: the picture in words, for those who do not see it.
        band: of the whole axis, such as what cannot be told from the best; None without one.
        band_words: what the band is.
    """

    axis: str
    percent: bool
    marks: tuple[Mark, ...]
    alt: str
    band: tuple[float, float] | None = None
    band_words: str = ""

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number that it shows."""
        numbers = [
            number
            for mark in self.marks
            for number in (mark.value, mark.low, mark.high, mark.chance_low, mark.chance_high)
            if number is not None
        ]
        return min([*numbers, *(self.band or ())]), max([*numbers, *(self.band or ())])


@dataclass(frozen=True)
class Panel:
    """A curve along one hyperparameter.

    Attributes:
        name: of the hyperparameter.
        places: where the curve's points lie, on the unit scale, in order.
        labels: of each place.
        mean: the curve.
        low: of its band, as long.
        high: likewise.
        single: further curves behind it, each as long.
        is_stepped: whether the places are options, which lie apart.
    """

    name: str
    places: tuple[float, ...]
    labels: tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    single: tuple[tuple[float, ...], ...]
    is_stepped: bool


@dataclass(frozen=True)
class Curves:
    """Panels beside each other, on one scale of values.

    Attributes:
        axis: what the values are.
        percent: whether they are shares, read in percent.
        panels: in order.
        alt: the picture in words.
    """

    axis: str
    percent: bool
    panels: tuple[Panel, ...]
    alt: str

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number that it shows."""
        numbers = [
            number for panel in self.panels for row in (panel.mean, panel.low, panel.high, *panel.single) for number in row
        ]
        return min(numbers), max(numbers)


def picture(card: Card) -> Picture | Curves | None:
    """What a card's picture shows; None where it has none, or nothing was said."""
    drawer = DRAWERS.get(card.key)
    return drawer(card.data) if drawer is not None and card.says else None


# One drawer a key


def noise(data: Mapping[str, Any]) -> Picture | None:
    """The best configurations with their intervals, and the best without its luck; the band holds what may be the best."""
    spread, metric = data.get("spread"), data["metric"]
    if spread is None:
        return None
    top = data["set"][:MOST_MARKS]
    marks = [_training(entry, spread["value"], metric, "main" if at == 0 else "second") for at, entry in enumerate(top)]
    marks += [_training(entry, spread["value"], metric, "quiet") for entry in data["others"][:MOST_OTHERS]]
    if (shrunk := data["corrected"]) is not None:
        words = f"the best without the luck of being picked: {show_score(shrunk['value'], metric)}"
        marks.insert(1, Mark("best, corrected", shrunk["value"], shrunk["low"], shrunk["high"], said=words))
    ends = [entry["value"] for entry in data["set"]]
    hidden = data["count"] - len(top)
    alike = f"{data['count']} of {data['configurations']} configurations cannot be told from the best"
    return Picture(
        axis=f"{metric_name(metric)} on validation",
        percent=is_share(metric),
        marks=tuple(marks),
        alt=f"the best trials with the spread over seeds; {alike}{f', {hidden} of them not drawn' if hidden else ''}",
        band=(min(ends), max(ends)),
        band_words="cannot be told from the best",
    )


def _training(entry: Mapping[str, Any], spread: float, metric: str, look: Look) -> Mark:
    half, value = 1.96 * spread / entry["trainings"] ** 0.5, entry["value"]
    least, most = (0.0, 1.0) if is_share(metric) and 0 <= value <= 1 else (-math.inf, math.inf)
    return Mark(
        entry["called"],
        value,
        max(least, value - half),
        min(most, value + half),
        look=look,
        said=f"{entry['called']}: {show_score(entry['value'], metric)}",
    )


def overfitting(data: Mapping[str, Any]) -> Picture | None:
    """Each evaluated trial on validation and on test, with the test's interval."""
    metric = data["metric"]
    marks = []
    for entry in data["trials"][: MOST_MARKS // 2]:
        name = entry["called"]
        value, test = show_score(entry["validation"], metric), show_score(entry["test"], metric)
        marks.append(Mark(f"{name}, validation", entry["validation"], look="second", said=f"{name} on validation: {value}"))
        said = f"{name} on test: {test}, the mean of {entry['seeds']} seeds"
        marks.append(Mark(f"{name}, test", entry["test"], entry["low"], entry["high"], said=said))
    return Picture(
        axis=metric_name(metric),
        percent=is_share(metric),
        marks=tuple(marks),
        alt=f"{len(data['trials'])} evaluated trials on validation and on test",
    )


def who(data: Mapping[str, Any]) -> Picture | None:
    """Each proposer's share of the gain, before what chance would have them bring."""
    marks = [
        Mark(
            entry["proposer"],
            entry["share"],
            chance_low=entry["low"],
            chance_high=entry["high"],
            look="main" if entry["told"] else "quiet",
            said=f"{entry['proposer']}: {percent(entry['share'], 0)} of the gain, by chance {percent(entry['low'], 0)} to "
            f"{percent(entry['high'], 0)}",
        )
        for entry in data["proposers"][:MOST_MARKS]
    ]
    return Picture(
        axis="share of the gain",
        percent=True,
        marks=tuple(marks),
        alt="; ".join(mark.said for mark in marks[:3]),
    )


def importance(data: Mapping[str, Any]) -> Picture | None:
    """How much each hyperparameter mattered, with its interval; what cannot be told from nothing is hollow."""
    marks = [
        Mark(
            entry["hyperparameter"],
            entry["importance"],
            entry["low"],
            entry["high"],
            look="main" if entry["matters"] else "quiet",
            said=f"{entry['hyperparameter']}: {percent(entry['importance'], 0 if entry['importance'] >= 0.01 else 1)}"
            + ("" if entry["matters"] else ", cannot be told from nothing"),
        )
        for entry in _ranked(data["hyperparameters"])[:MOST_MARKS]
    ]
    named = [mark.said for mark in marks if mark.look == "main"]
    alt = "; ".join(named) if named else "no hyperparameter can be told from nothing"
    return Picture(axis="share of the variance", percent=True, marks=tuple(marks), alt=alt) if marks else None


def _ranked(entries: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those that matter by how much, where each has its interval; what cannot be told from nothing after them, in no rank."""
    named = [entry for entry in entries if entry["matters"]]
    if all(entry["low"] is not None for entry in named):
        named.sort(key=lambda entry: -float(entry["importance"]))
    return [*named, *(entry for entry in entries if not entry["matters"])]


def effects(data: Mapping[str, Any]) -> Curves | None:
    """What is expected along each hyperparameter, with the band of the trees, and single configurations behind it."""
    panels = tuple(
        Panel(
            curve["hyperparameter"],
            tuple(curve["at"]),
            tuple(map(_cell, curve["values"])),
            tuple(curve["mean"]),
            tuple(curve["low"]),
            tuple(curve["high"]),
            tuple(map(tuple, curve["single"])),
            any(isinstance(value, str | bool | list | tuple) or value is None for value in curve["values"]),
        )
        for curve in data["hyperparameters"]
        if len(curve["values"]) > 1
    )
    metric = data["metric"]
    ranges = [f"{panel.name} {show_score(min(panel.mean), metric)} to {show_score(max(panel.mean), metric)}" for panel in panels]
    alt = f"the expected {metric_name(metric)} along each hyperparameter: {'; '.join(ranges)}"
    return Curves(f"expected {metric_name(metric)}", is_share(metric), panels, alt) if panels else None


def ablation(data: Mapping[str, Any]) -> Picture | None:
    """The way from the default to the best: what is expected after each change, with a line from what was before."""
    metric, before = data["metric"], data["start"]
    marks = [Mark("the default", before, look="second", said=f"the default: {show_score(before, metric)} is expected")]
    for step in data["steps"][:MOST_MARKS]:
        expected, name = step["expected"], step["hyperparameter"]
        said = f"with the best one's {name}, too: {show_score(expected, metric)} is expected"
        marks.append(Mark(f"+ {name}", expected, min(before, expected), max(before, expected), said=said))
        before = expected
    hidden = len(data["steps"]) - len(marks) + 1
    alt = f"from {marks[0].said} to {show_score(data['steps'][-1]['expected'], metric)}" if data["steps"] else marks[0].said
    axis = f"expected {metric_name(metric)}" + (f"; {hidden} later changes are in the table" if hidden > 0 else "")
    return Picture(axis, is_share(metric), tuple(marks), alt)


def tunability(data: Mapping[str, Any]) -> Picture | None:
    """What tuning each hyperparameter is expected to bring, the most first: of the model, so that nothing is named by it."""
    ranked = sorted(data["hyperparameters"], key=lambda entry: -float(entry["tunability"]))[:MOST_MARKS]
    marks = [
        Mark(
            entry["hyperparameter"],
            entry["tunability"],
            min(0.0, entry["tunability"]),
            max(0.0, entry["tunability"]),
            look="second",
            said=f"{entry['hyperparameter']}: {rounded(entry['tunability'])} of the gain",
        )
        for entry in ranked
    ]
    metric = data["metric"]
    axis = f"expected gain in {metric_name(metric)} over the default"
    return Picture(axis, False, tuple(marks), "; ".join(mark.said for mark in marks[:3])) if marks else None


def among_best(data: Mapping[str, Any]) -> Picture | None:
    """How far the best trials lie from where all do, in the space's order: a description, which ranks nothing."""
    marks = [
        Mark(entry["hyperparameter"], entry["divergence"], 0.0, entry["divergence"], look="quiet")
        for entry in data["hyperparameters"]
    ]
    alt = f"the divergence of the best {data['best']} trials along {len(marks)} hyperparameters; the table has the numbers"
    return Picture("Pearson divergence, 0 where they lie alike", False, tuple(marks), alt) if marks else None


DRAWERS: Mapping[str, Callable[[Mapping[str, Any]], Picture | Curves | None]] = {
    "importance": importance,
    "effects": effects,
    "ablation": ablation,
    "tunability": tunability,
    "among-best": among_best,
    "noise": noise,
    "overfitting": overfitting,
    "who": who,
}


def lines(card: Card) -> tuple[tuple[str, str], ...]:
    """What a card of several findings says beside its first ones: each with how sure it is."""
    checks = card.data.get("checks", ())
    return tuple((check["finding"], check["sure"]) for check in checks if check["finding"] not in card.finding)


MOST_LINKS = 12


def trial_numbers(card: Card) -> tuple[int, ...]:
    """The numbers of the trials that a card speaks of, the first ones, for links: of a history of one session."""
    numbers: dict[int, None] = {}

    def walk(part: Any) -> None:
        if isinstance(part, Mapping):
            named = [part.get("trial"), *(part["trials"] if isinstance(part.get("trials"), list | tuple) else ())]
            numbers.update((number, None) for number in named if isinstance(number, int))
            for inner in part.values():
                walk(inner)
        elif isinstance(part, list | tuple):
            for inner in part:
                walk(inner)

    walk(card.data)
    return tuple(numbers)[:MOST_LINKS]


# Tables

SHOWN_COLUMNS = 8  # of a table that no drawer arranged
TABLE_ROWS = 200


@dataclass(frozen=True)
class CardTable:
    """A card's numbers as text. numbers: the places of columns that are set to the right."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: frozenset[int]


def table(card: Card) -> CardTable | None:
    """A card's numbers: of its list of entries a row each, else each number by its name; None where there is nothing."""
    lists = [value for value in card.data.values() if _is_entries(value)]
    if lists:
        return _of_entries(max(lists, key=len), str(card.data.get("metric", "")))
    pairs = [(str(key), _cell(value)) for key, value in card.data.items() if not isinstance(value, Mapping | list | tuple)]
    return CardTable(("what", "number"), tuple(pairs), frozenset({1})) if pairs else None


def _is_entries(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and bool(value)
        and all(isinstance(one, Mapping) for one in value)
    )


def _of_entries(entries: Sequence[Mapping[str, Any]], metric: str) -> CardTable:
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    plain = [name for name in names if all(_is_plain(entry.get(name)) for entry in entries) and name not in ("id", "key")]
    columns = plain[:SHOWN_COLUMNS]
    rows = [tuple(_cell(entry.get(name)) for name in columns) for entry in entries[:TABLE_ROWS]]
    numeric = [at for at, name in enumerate(columns) if all(_is_number(entry.get(name)) for entry in entries)]
    return CardTable(tuple(name.replace("_", " ") for name in columns), tuple(rows), frozenset(numeric))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return rounded(value) if isinstance(value, float) else str(value)
