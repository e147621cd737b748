"""Places in a study: who takes one up, how conditions are balanced by them, and when the door closes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.model.words import plural

LATELY_SECONDS = (
    1800.0  # seconds for which somebody who is not heard of is still expected to go on: questions take a while to read
)


@dataclass(frozen=True, slots=True)
class Place:
    """Somebody's in a study, who neither withdrew nor was excluded. condition: None before one is assigned.

    seen_at: when they did something last, or had a page open that says so. finished: there is a final choice of a configuration.
    """

    condition: str | None
    seen_at: float
    finished: bool

    def counts(self, now: float) -> bool:
        """Whether they completed their session, or were seen lately; whoever joined and vanished takes up no place."""
        return self.finished or now - self.seen_at < LATELY_SECONDS


@dataclass(frozen=True, slots=True)
class Occupancy:
    """How many people finished, how many are under way, and how many are wanted (None: any number)."""

    finished: int
    under_way: int
    target: int | None

    @property
    def is_full(self) -> bool:
        """Whether nobody else can join."""
        return self.target is not None and self.finished + self.under_way >= self.target

    @property
    def why_full(self) -> str | None:
        """In words for whoever would like to join; None where they can."""
        if self.target is None or not self.is_full:
            return None
        if self.finished >= self.target:
            return (
                f"this study has found the {plural(self.target, 'participant')} that it looked for; thank you for your interest"
            )
        return (
            f"all {plural(self.target, 'place')} of this study are taken at present. If somebody gives up, their place is free "
            f"within {LATELY_SECONDS / 60:.0f} minutes, and this invitation works again"
        )


def occupancy(places: Sequence[Place], target: int | None, now: float) -> Occupancy:
    """How full a study is."""
    finished = sum(place.finished for place in places)
    return Occupancy(finished, sum(place.counts(now) for place in places) - finished, target)


def in_conditions(places: Sequence[Place], now: float) -> Mapping[str, int]:
    """How many places each condition has that count, for `rules.assign`."""
    return Counter(place.condition for place in places if place.condition is not None and place.counts(now))
