"""What `benchmarks.paired` compares: for each case the sides, the goal, and what is counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Side:
    """A script of `benchmarks/sides` and its options. environment: of a peer, by its name in `benchmarks.peers`; None: ours.

    packages: the peer's, whose versions the record gives where it has no environment of its own.
    """

    script: str
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None
    packages: tuple[str, ...] = ("torch", "numpy")

    def with_option(self, name: str, value: Any) -> "Side":
        """The side with another value for an option."""
        return replace(self, options={**self.options, name: value})


@dataclass(frozen=True)
class Case:
    """What is compared, in which unit. goal: of the ratio of what is counted, at least, or `at_most`; None: there is none.

    theirs: None where ours is held against something that it prints itself. given: whether both sides are given the same data and
    configurations in a folder.
    """

    what: str
    peer: str
    goal: float | None
    ours: Side
    theirs: Side | None
    unit: str = "seconds"
    at_most: bool = False
    given: bool = False

    def with_side(self, old: Side, new: Side) -> "Case":
        """The case with another side in the place of one of its sides."""
        return replace(self, ours=new) if old is self.ours else replace(self, theirs=new)


def _seeds(batch: int, goal: float) -> Case:
    return Case(
        f"the ten-seed evaluation of MLP-M1's network (2-64-32-16-2, Adam) on #10, 110,000 points, batch {batch}, 10 epochs",
        "ten trainings in PyTorch, step by step on sliced tensors",
        goal,
        Side("seeds_ours.py", {"batch": batch}),
        Side("seeds_eager.py", {"batch": batch}),
    )


CASES: Mapping[str, Case] = {"ten-seeds-16": _seeds(16, 20), "ten-seeds-512": _seeds(512, 5)}
