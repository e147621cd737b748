"""What was known of the test data before a session's trials were proposed: who has seen a test score may steer by it.

A choice that was steered by test scores has a test score that is too good on the average (Dwork et al., Science 349, 2015), by
how much nobody can say afterwards; so it is told beside the score, and nothing is corrected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.model.words import plural


@dataclass(frozen=True, slots=True)
class SeenBefore:
    """Looks at scores on a session's test data before its last trial was proposed, whatever session they were in.

    Attributes:
        trials: how many trials were proposed after the first of these looks.
        of: how many trials there are.
        looks: how many looks there were.
        people: how many people or programs looked.
        first_at: when the first of them was.
    """

    trials: int
    of: int
    looks: int
    people: int
    first_at: float

    def concerns(self, proposed_at: float) -> bool:
        """Whether a trial that was proposed at a moment was proposed after the first of the looks."""
        return proposed_at >= self.first_at

    @property
    def words(self) -> str:
        """The finding as a sentence."""
        which = plural(self.of, "trial") if self.trials == self.of else f"{self.trials} of {plural(self.of, 'trial')}"
        seen = f"Scores on this test data were seen before {which} ({plural(self.looks, 'look')})"
        return f"{seen}; a test score of this run is no longer an unbiased estimate."


def seen_before(looks: Sequence[tuple[str, float]], proposed: Sequence[float]) -> SeenBefore | None:
    """What was seen of a session's test data before its trials.

    Args:
        looks: who looked at a score on the same test data, and when.
        proposed: when each of the session's trials was.

    Returns:
        The looks; None where the last trial was proposed before the first of them, or there is no trial.
    """
    last_at = max(proposed, default=None)
    before = [(who, at) for who, at in looks if last_at is not None and at <= last_at]
    if not before:
        return None
    first_at = min(at for _, at in before)
    after = sum(at >= first_at for at in proposed)
    return SeenBefore(after, len(proposed), len(before), len({who for who, _ in before}), first_at)
