"""Domains of what was tried, where a source declares no space: values that come as text, or as they are, by hyperparameter."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evenhand.exchange.formats.base import Losses
from evenhand.model.domain import LEAST_INTEGER, MOST_INTEGER, Choice, Domain, Float, Integer, Value, frozen, identity, plain
from evenhand.model.words import free_name

LOG_RATIO = 1000  # between the largest and the least number tried, from which they are taken to be spaced by magnitude
TRUTHS = {"true": True, "false": False}
BLANKS = frozenset(("", "nan", "null"))  # texts of a table's cell that stand for no value
JOINT = "."  # between the names of nested values

Row = dict[str, Value]


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values by one name each: {"net": {"units": 3}} as "net.units"."""
    flat: dict[str, Any] = {}

    def add(before: str, inner: Mapping[str, Any]) -> None:
        for key, value in inner.items():
            name = f"{before}{key}"
            if isinstance(value, Mapping) and value:
                add(f"{name}{JOINT}", value)
            else:
                flat[free_name(name, flat)] = value

    add("", values)
    return flat


def typed_texts(texts: Sequence[str | None]) -> list[Value]:
    """A column of texts as numbers or truths where all that are there are such; None where there is no value."""
    cells = [None if text is None or text.strip().lower() in BLANKS else text.strip() for text in texts]
    filled = [cell for cell in cells if cell is not None]
    if filled and all(cell.lower() in TRUTHS for cell in filled):
        return [None if cell is None else TRUTHS[cell.lower()] for cell in cells]
    for kind in (int, float):
        try:
            return [None if cell is None else _number(kind, cell) for cell in cells]
        except ValueError:
            continue
    return list(cells)


def _number(kind: type[int] | type[float], text: str) -> int | float:
    if "_" in text:  # which Python takes, and no file means
        raise ValueError
    return kind(text)


def tried(
    rows: Sequence[Mapping[str, Any]], losses: Losses, declared: Mapping[str, Domain] | None = None
) -> tuple[dict[str, Domain], list[Row]]:
    """The domain of each name, and the rows with values that it holds; a name is left out of a row where it has none there.

    declared: domains that are known; what lies outside of one is of a domain of what was tried.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    domains: dict[str, Domain] = {}
    placed: list[Row] = [{} for _ in rows]
    for name in names:
        there = [(place, plain(row[name])) for place, row in enumerate(rows) if name in row]
        domain, values = _column(name, there, losses, (declared or {}).get(name))
        if domain is not None:
            domains[name] = domain
            for place, value in values:
                placed[place][name] = value
    return domains, placed


def _column(
    name: str, there: Sequence[tuple[int, Any]], losses: Losses, declared: Domain | None
) -> tuple[Domain | None, list[tuple[int, Value]]]:
    if declared is not None and (accepted := _accepted(declared, there)) is not None:
        return declared, accepted
    numbers = [(place, value) for place, value in there if isinstance(value, int | float) and not isinstance(value, bool)]
    nothing = sum(value is None for _, value in there)
    if numbers and len(numbers) + nothing == len(there):
        finite = [(place, value) for place, value in numbers if math.isfinite(value)]
        for _, value in numbers:
            if not math.isfinite(value):
                losses.note(f"{name}: {{count}} values that are no finite numbers count as none", value)
        if not finite:
            return None, []
        if all(isinstance(value, int) or value.is_integer() for _, value in finite) and any(
            isinstance(value, int) for _, value in finite
        ):
            if all(LEAST_INTEGER <= value <= MOST_INTEGER for _, value in finite):
                return _whole([int(value) for _, value in finite]), [(place, int(value)) for place, value in finite]
            losses.note(f"{name}: {{count}} whole numbers, some beyond 64 bits, became text", finite[0][1], len(finite))
            return _options([(place, str(value)) for place, value in finite])
        return _real([float(value) for _, value in finite]), [(place, float(value)) for place, value in finite]
    return _options([(place, _option(name, value, losses)) for place, value in there])


def _accepted(domain: Domain, there: Sequence[tuple[int, Any]]) -> list[tuple[int, Value]] | None:
    try:
        return [(place, domain.accept(value)) for place, value in there if value is not None or _holds_nothing(domain)]
    except (ValueError, TypeError, OverflowError):
        return None


def _holds_nothing(domain: Domain) -> bool:
    return isinstance(domain, Choice) and domain.holds(None)


def _whole(values: Sequence[int]) -> Integer:
    low, high = min(values), max(values)
    return Integer(low, high, log=low > 0 and high / low >= LOG_RATIO)


def _real(values: Sequence[float]) -> Domain:
    low, high = min(values), max(values)
    if not math.isfinite(high - low):
        return Choice(tuple(dict.fromkeys(values)))
    return Float(low, high, log=low > 0 and high / low >= LOG_RATIO)


def _options(values: Sequence[tuple[int, Value]]) -> tuple[Choice, list[tuple[int, Value]]]:
    options = {identity(value): value for _, value in values}
    return Choice(tuple(options.values())), list(values)


def _option(name: str, value: Any, losses: Losses) -> Value:
    """A value as an option; as text where nothing else can hold it."""
    try:
        return frozen(value)
    except (TypeError, ValueError):
        text = str(value).encode("utf-8", "replace").decode()
        losses.note(f"{name}: {{count}} values that no choice holds became text", text)
        return text
