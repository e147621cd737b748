"""A card: one finding as a sentence, how sure it is, its numbers, and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

StepKind = Literal["widen", "freeze", "narrow", "rerun", "add", "try"]


@dataclass(frozen=True, slots=True)
class NextStep:
    """What one could do about a finding, one click away.

    Attributes:
        words: what the button says: "Run the top five over three more seeds".
        kind: what it does: widen, freeze or narrow hyperparameters; rerun trials with other seeds; add trials; try one
            configuration.
        changes: for widen, freeze and narrow, a change for each hyperparameter, as `model.space.changed` takes them.
        values: for try, the configuration's values by name.
        trials: for rerun, the numbers of the trials; for add, how many, as the only one.
    """

    words: str
    kind: StepKind
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    trials: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One explanation of a history.

    Attributes:
        key: its name in links and files: small letters, digits and single hyphens.
        title: the question that it answers: "What mattered?"
        finding: the answer as one or two sentences. Where nothing can be said it says why, and what would change that.
        sure: how sure that is, in words: an interval, a quality, or that nobody can know.
        n: trials that it was computed from.
        how: how it was computed, in words, with its source.
        data: the numbers, as JSON holds them: what pages and reports draw, and `--json` prints.
        says: whether it found anything that can be said.
        trials: ids of the trials that it speaks of, for links.
        next: what to do about it.
    """

    key: str
    title: str
    finding: str
    sure: str
    n: int
    how: str
    data: Mapping[str, Any] = field(default_factory=dict)
    says: bool = True
    trials: tuple[int, ...] = ()
    next: tuple[NextStep, ...] = ()


def nothing_said(key: str, title: str, why: str, n: int, how: str, **data: Any) -> Card:
    """The card of an explanation that has nothing to say. why: the reason, and what would change it."""
    return Card(key, title, why, "", n, how, data, says=False)
