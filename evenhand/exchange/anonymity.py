"""Quasi-identifiers made coarse until at least k people share each combination of them.

By global recoding and suppression, as Sweeney's Datafly (1998, "Datafly: a system for providing anonymity in medical data"): the
attribute with the most different values is made coarser, again and again, until few enough people are in cells below k; these
lose their answers.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.model.domain import show
from evenhand.model.study import Grouping, Option, Question, Text

MOST_SUPPRESSED_SHARE = 0.05  # of the people, whose answers may be left out instead of coarser ones for all
PARTS = (8, 4, 2)  # classes of a number, ever coarser
LEFT_OUT = "left out"
LANGUAGE = "language"  # the one quasi-identifier that is no answer

Answers = Mapping[int, Any]  # of one question, by participant


@dataclass(frozen=True)
class Level:
    """How coarse an attribute may be made. words: what becomes of it. of: the class of an answer; None: it is left out.

    options: of one choice, those that there are at this level.
    """

    words: str
    of: Callable[[Any], str | None]
    options: tuple[Option, ...] = ()


@dataclass
class Attribute:
    """A quasi-identifier with its answers, and its levels from exact to left out."""

    name: str
    answers: Answers
    levels: Sequence[Level]
    kept: bool = False
    at: int = 0

    @property
    def level(self) -> Level:
        """The level that it is at."""
        return self.levels[self.at]

    def of(self, person: int) -> str | None:
        """The class of somebody's answer; None where there is none."""
        answer = self.answers.get(person)
        return None if answer is None else self.level.of(answer)

    def classes(self, people: Sequence[int]) -> int:
        """How many different ones these people have, no answer among them."""
        return len({self.of(person) for person in people})


@dataclass(frozen=True)
class Anonymous:
    """Answers that may be published. values: by attribute and participant. suppressed: whose answers are left out."""

    values: Mapping[str, Answers]
    options: Mapping[str, tuple[Option, ...]]
    coarsened: Mapping[str, str]
    suppressed: frozenset[int]
    smallest: int
    cells: int


@dataclass
class _Cells:
    """People by their combination of classes."""

    people: dict[tuple[str | None, ...], list[int]] = field(default_factory=lambda: defaultdict(list))

    def below(self, k: int) -> list[int]:
        return [person for members in self.people.values() if len(members) < k for person in members]


def attribute(name: str, question: Question | None, answers: Answers, grouping: Grouping) -> Attribute:
    """A question's answers with the levels that suit its kind. Groups of the study are a level of their own question."""
    exact, nothing = Level("exact", json.dumps), Level(LEFT_OUT, lambda _: None)
    if question is not None and question.kind in ("number", "likert"):
        if name == grouping.by and grouping.groups:
            names = ", ".join(group.name for group in grouping.groups)
            words = f"one number for each of the study's groups ({names}): the median of its members"
            return Attribute(name, answers, (exact, Level(words, _in_group(grouping)), nothing), kept=True)
        return Attribute(name, answers, (exact, *_parts(answers), nothing))
    if question is not None and question.kind == "single":
        merged, pairs = _pairs(question.options)
        words = f"neighbouring options put together: {', '.join(str(option.label) for option in pairs)}"
        level = Level(words, lambda answer: merged.get(str(answer)), pairs)
        return Attribute(name, answers, (exact, level, nothing), kept=name == grouping.by)
    return Attribute(name, answers, (exact, nothing))


def _in_group(grouping: Grouping) -> Callable[[Any], str | None]:
    return lambda answer: next((group.name for group in grouping.groups if group.holds(answer)), "between groups")


def _parts(answers: Answers) -> list[Level]:
    """Classes of about as many people each; equal answers stay together."""
    known = sorted(answer for answer in answers.values() if answer is not None)
    levels = []
    for parts in PARTS:
        limits = sorted({known[len(known) * place // parts - 1] for place in range(1, parts) if len(known) * place // parts})
        if len(limits) + 1 < len(set(known)):
            words = f"one number for each of {len(limits) + 1} classes of about as many people: the median of its members"
            levels.append(Level(words, _below(limits)))
    return levels


def _below(limits: Sequence[float]) -> Callable[[Any], str]:
    return lambda answer: str(sum(answer > limit for limit in limits))


def _pairs(options: Sequence[Option]) -> tuple[dict[str, str], tuple[Option, ...]]:
    """Each option's merged one, and the merged ones: two neighbours each."""
    pairs: list[Option] = []
    merged: dict[str, str] = {}
    for place in range(0, len(options), 2):
        both = options[place : place + 2]
        value = " or ".join(option.value for option in both)
        pairs.append(Option(value, Text(" or ".join(str(option.label) for option in both))))
        merged |= {option.value: value for option in both}
    return merged, tuple(pairs)


def anonymous(attributes: Sequence[Attribute], people: Sequence[int], k: int) -> Anonymous:
    """The answers of these people made coarse until k share each combination.

    Args:
        attributes: the quasi-identifiers; they are moved to the levels that they end at.
        people: everybody who gave answers.
        k: how many have to share each combination, from 2.

    Returns:
        The answers that may be published, and what was done to them.

    Raises:
        InvalidSettings: there are fewer people than k.
    """
    if k < 2:
        raise InvalidSettings(f"k = {k}: expected 2 or more; with 1 everybody may be alone with their answers")
    if 0 < len(people) < k:
        raise InvalidSettings(f"k = {k}, but only {len(people)} people gave answers; choose a smaller k, or do not publish")
    allowed = int(MOST_SUPPRESSED_SHARE * len(people))
    while len(_cells(attributes, people).below(k)) > allowed and (coarsest := _next(attributes, people)) is not None:
        coarsest.at += 1
    cells = _cells(attributes, people)
    suppressed = set(cells.below(k))
    rest = sorted((members for members in cells.people.values() if len(members) >= k), key=len)
    while 0 < len(suppressed) < k and rest:  # who has no answers is a cell, too
        suppressed |= set(rest.pop(0))
    published = [person for person in people if person not in suppressed]
    sizes = [len(members) for members in _cells(attributes, published).people.values()] + [len(suppressed)] * bool(suppressed)
    return Anonymous(
        values={attribute.name: _published(attribute, published) for attribute in attributes},
        options={attribute.name: attribute.level.options for attribute in attributes if attribute.level.options},
        coarsened={attribute.name: attribute.level.words for attribute in attributes if attribute.at},
        suppressed=frozenset(suppressed),
        smallest=min(sizes, default=0),
        cells=len(sizes),
    )


def _cells(attributes: Sequence[Attribute], people: Sequence[int]) -> _Cells:
    cells = _Cells()
    for person in people:
        cells.people[tuple(attribute.of(person) for attribute in attributes)].append(person)
    return cells


def _next(attributes: Sequence[Attribute], people: Sequence[int]) -> Attribute | None:
    """Which is made coarser next: the one with the most classes; the groups' own question is left out last of all."""
    able = [one for one in attributes if one.at + 1 < len(one.levels) and one.classes(people) > 1]
    rest = [attribute for attribute in able if not (attribute.kept and attribute.at + 2 == len(attribute.levels))]
    return max(rest or able, key=lambda attribute: attribute.classes(people), default=None)


def _published(attribute: Attribute, people: Sequence[int]) -> dict[int, Any]:
    """What stands for each answer: itself, the merged option, or the lower median of the numbers of its class."""
    mine = {person: attribute.answers[person] for person in people if attribute.of(person) is not None}
    if attribute.at == 0:
        return mine
    if attribute.level.options:
        return {person: attribute.of(person) for person in mine}
    classes: dict[str | None, list[Any]] = defaultdict(list)
    for person, answer in mine.items():
        classes[attribute.of(person)].append(answer)
    return {person: sorted(members)[(len(members) - 1) // 2] for person in mine for members in [classes[attribute.of(person)]]}


def smallest_cell(values: Mapping[str, Answers], people: Sequence[int]) -> int:
    """How many people share the rarest combination of published values: the check of what was written."""
    counts = Counter(tuple(_told(answers.get(person)) for answers in values.values()) for person in people)
    return min(counts.values(), default=0)


def _told(answer: Any) -> str:
    return show(answer) if isinstance(answer, int | float | str) else json.dumps(answer, sort_keys=True)
