"""Splits by group: all examples of one slide, one patient or one recording go into the same split, and classes are balanced.

Otherwise a network could know a test example by what it shares with its neighbours in training (the stain, the scalp).
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from evenhand.errors import DataError
from evenhand.model.rules import derive_seed
from evenhand.tasks.builtin.images import SPLITS, shuffled

DRAWS = 100  # seeded orders of the groups that are tried; the one that comes nearest to the wanted sizes is taken
Example = TypeVar("Example", bound=Hashable)


@dataclass(frozen=True)
class GroupedExample(Generic[Example]):
    """One example: the group it must not be separated from, its class, and the split that its source gives it, if any."""

    example: Example
    group: str
    label: str
    split: str | None = None


def divide(
    members: Sequence[GroupedExample[Example]], sizes: Mapping[str, int], seed: int, what: str
) -> dict[str, list[GroupedExample[Example]]]:
    """Train, validation and test, each with as many examples of every class, no group in two of them.

    Splits that the source gives are kept; otherwise groups are dealt out in the proportion of `sizes`. From each split then
    size / classes examples of each class are drawn, or fewer: as many as its rarest class has. The outcome depends on `seed`
    and the members only. what: how a group is called, for errors ("slide", "patient").

    Raises:
        DataError: a group lies in two given splits, only some examples have one, or a split has none of some class.
    """
    labels = sorted({member.label for member in members})
    if len(labels) < 2:
        raise DataError(f"the data has the classes {labels}, expected at least two")
    given = _given(members, what)
    place = given or _dealt(members, labels, sizes, seed, what)
    chosen: dict[str, list[GroupedExample[Example]]] = {}
    for split in SPLITS:
        there = {
            label: [member for member in members if member.label == label and place[member.group] == split] for label in labels
        }
        most = sizes[split] // len(labels)
        each_class = min(most, *(len(examples) for examples in there.values()))
        if each_class == 0:
            raise DataError(_too_few(split, there, most, what, given=bool(given)))
        drawn = {label: shuffled(examples, derive_seed(seed, "draw", split, label)) for label, examples in there.items()}
        kept = {id(example) for examples in drawn.values() for example in examples[:each_class]}
        chosen[split] = [member for member in members if id(member) in kept]
    return chosen


def _given(members: Sequence[GroupedExample[Example]], what: str) -> dict[str, str]:
    """The split of each group as the source gives it; empty where it gives none."""
    place: dict[str, str] = {}
    without = [example for example in members if example.split is None]
    if len(without) == len(members):
        return place
    if without:
        raise DataError(
            f"{len(without)} of {len(members)} examples have no split, such as {without[0].example}; give one for all or for none"
        )
    for member in members:
        assert member.split is not None
        before = place.setdefault(member.group, member.split)
        if before != member.split:
            raise DataError(
                f"{what} {member.group!r} is in two splits, {before} and {member.split} ({member.example}); "
                f"put all that belongs to one {what} into one split, or give no splits and have them drawn"
            )
    return place


def _dealt(
    members: Sequence[GroupedExample[Example]], labels: Sequence[str], sizes: Mapping[str, int], seed: int, what: str
) -> dict[str, str]:
    counts: dict[str, dict[str, int]] = {}
    for member in members:
        own = counts.setdefault(member.group, dict.fromkeys(labels, 0))
        own[member.label] += 1
    if len(counts) < len(SPLITS):
        raise DataError(
            f"the data has {len(counts)} of what is called a {what} ({', '.join(sorted(counts))}), expected three or more"
        )
    draws = [deal(counts, labels, sizes, shuffled(sorted(counts), derive_seed(seed, "groups", draw))) for draw in range(DRAWS)]
    return max(draws, key=lambda place: _reached(place, counts, labels, sizes))  # the first of the best


def deal(
    counts: Mapping[str, Mapping[str, int]], labels: Sequence[str], sizes: Mapping[str, int], order: Sequence[str]
) -> dict[str, str]:
    """Each group in turn to the split that still lacks most of what the group has, measured in parts of what it should get.

    counts: examples of each class in each group. Equal wants go to the larger split.
    """
    total = {label: sum(own[label] for own in counts.values()) for label in labels}
    parts = {split: sizes[split] / sum(sizes[name] for name in SPLITS) for split in SPLITS}
    missing = {split: dict.fromkeys(labels, 1.0) for split in SPLITS}  # of each class, as part of what the split should get
    place = {}
    for group in order:
        share = {label: counts[group][label] / total[label] for label in labels}
        wants = {split: sum(share[label] * missing[split][label] for label in labels) for split in SPLITS}
        split = max(SPLITS, key=lambda name: (wants[name], parts[name]))
        place[group] = split
        for label in labels:
            missing[split][label] -= share[label] / parts[split]
    return place


def _reached(
    place: Mapping[str, str], counts: Mapping[str, Mapping[str, int]], labels: Sequence[str], sizes: Mapping[str, int]
) -> float:
    """The part of its wanted size that the worst split reaches when its classes are balanced; more than all counts as all."""
    parts = []
    for split in SPLITS:
        rarest = min(sum(own[label] for group, own in counts.items() if place[group] == split) for label in labels)
        parts.append(min(1.0, rarest * len(labels) / sizes[split]))
    return min(parts)


def _too_few(split: str, there: Mapping[str, Sequence[object]], most: int, what: str, *, given: bool) -> str:
    if most == 0:
        return f"the {split} split is to hold fewer examples than there are classes ({len(there)}); give a larger size"
    empty = ", ".join(label for label, examples in there.items() if not examples)
    advice = f"put a {what} of it there" if given else f"bring more: each class needs at least three, one {what} for each split"
    return f"no {what} of the class {empty} came into the {split} split; {advice}"
