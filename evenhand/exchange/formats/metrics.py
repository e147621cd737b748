"""Which number of a source was tuned, and which way is better: as a person says, else by a well-known name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from evenhand.errors import InvalidSettings
from evenhand.exchange.formats.base import Wanted
from evenhand.model.direction import known_direction
from evenhand.model.task import Metric

DIRECTIONS = ("maximize", "minimize")
OF_VALIDATION = re.compile(r"(^|[^a-z])(val|valid|validation|dev|eval)([^a-z]|$)")


def chosen(
    source: str,
    names: Iterable[str],
    wanted: Wanted,
    said: str | None = None,
    directions: Mapping[str, str] | None = None,
) -> tuple[Metric, str]:
    """The metric, and in words where it and its direction are known from.

    source: in words, for errors. names: of the numbers that there are. said: which one the source itself says. directions: as far
    as the source itself says them, by name.

    Raises:
        InvalidSettings: there is none, or it has to be said which one is meant or which way is better.
    """
    there = list(dict.fromkeys(names))
    if not there:
        raise InvalidSettings(
            f"{source}: holds no number that could be the metric; expected at least one in a trial that has ended"
        )
    if wanted.metric is not None:
        if wanted.metric not in there:
            raise InvalidSettings(f"{source}: has no metric {wanted.metric!r}; expected one of {', '.join(there)}")
        name, whence = wanted.metric, "as --metric says"
    elif said is not None and said in there:
        name, whence = said, "as the source says"
    else:
        name = _well_known(source, there)
        whence = "as the only number" if len(there) == 1 else "by its name"
    return _with_direction(source, name, whence, wanted, (directions or {}).get(name))


def _well_known(source: str, there: Sequence[str]) -> str:
    if len(there) == 1:
        return there[0]
    known = [name for name in there if known_direction(name) is not None]
    of_validation = [name for name in known if OF_VALIDATION.search(name.lower())]
    for some in (of_validation, known):
        if len(some) == 1:
            return some[0]
    raise InvalidSettings(
        f"{source}: it is not said which number was tuned; say it with --metric NAME, one of {', '.join(there)}"
    )


def _with_direction(source: str, name: str, whence: str, wanted: Wanted, said: str | None) -> tuple[Metric, str]:
    if wanted.direction is not None:
        return Metric(name, direction_of(wanted.direction)), f"{whence}, its direction as --direction says"
    if said is not None:
        return Metric(name, direction_of(said)), f"{whence}, its direction as the source says"
    direction = known_direction(name)
    if direction is None:
        raise InvalidSettings(
            f"{source}: it is not known whether {name!r} is better when it is larger or smaller; "
            "say --direction maximize or --direction minimize"
        )
    return Metric(name, direction), f"{whence}, its direction by its name"


def direction_of(text: str) -> Literal["maximize", "minimize"]:
    """What `--direction` says; InvalidSettings for any other word."""
    if text == "maximize":
        return "maximize"
    if text == "minimize":
        return "minimize"
    raise InvalidSettings(f"--direction {text!r}: expected one of {', '.join(DIRECTIONS)}")
