"""Domains: the values that one hyperparameter can have. Numbers from a lowest to a highest, or one of several options."""

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, cast

import numpy as np
from msgspec import Meta

from evenhand.errors import InvalidSpace, repr_of
from evenhand.model.typed_numbers import plainly, why_ambiguous

JsonValue = float | int | bool | str | tuple[Any, ...] | None  # what a record may hold as a value
Value = Any  # a `JsonValue` that a domain holds; whoever reads one knows its hyperparameter, and so its type
# A finite number of a record. A whole one stays an int, so that its JSON, and the hashes of that, stay what they were.
Real = int | Annotated[float, Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
ZERO_SHARE = 0.1  # the part of the unit interval that an `or_zero` domain gives to exactly zero
DRAWN_DIGITS = 4  # significant digits of drawn numbers: as many as a person can read and retype
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1  # what a database's whole numbers hold
EXACT_INTEGER = 2**53  # whole numbers up to here are exact as real numbers, too
LONE_BYTES_PATTERN = re.compile("[\ud800-\udfff]")  # what Python has in a text for bytes that are no characters
GRID_SHARE = 1e-6  # of a step: a number that is so near to one of a grid's is meant to be it


def plain(raw: object) -> Any:
    """A number of NumPy or PyTorch as Python's own, which JSON can hold; anything else as it is."""
    if type(raw) in (float, int, str, bool):
        return raw
    item = getattr(raw, "item", None)
    return item() if callable(item) and getattr(raw, "ndim", None) == 0 else raw


@dataclass(frozen=True)
class Float:
    """Real numbers between two bounds, both included.

    Attributes:
        low: the least of them.
        high: the largest of them.
        log: whether they are spaced by magnitude; `low` is then above 0.
        or_zero: whether exactly 0 is taken besides, where it lies below `low`.
        step: where not None, only `low`, `low + step`, `low + 2 * step`, ... up to `high` are taken.

    Raises:
        InvalidSpace: for bounds that are no finite numbers in order, and for a log scale from 0 or with steps.
    """

    low: float
    high: float
    log: bool = False
    or_zero: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        _check_bounds(self, "finite numbers")

    @property
    def count(self) -> int:
        """How many numbers there are between the bounds, where there are steps."""
        assert self.step is not None
        return math.floor((self.high - self.low) / self.step + GRID_SHARE) + 1

    @property
    def cells(self) -> int | None:
        """How many equal parts of [0, 1] its values have, one each; None where that is not how they lie there."""
        return self.count if self.step is not None and not self.or_zero else None

    @property
    def expected(self) -> str:
        """The domain in words, for an error beside a form field."""
        zero = ", or 0" if self.or_zero else ""
        return f"a number from {show(self.low)} to {show(self.high)}{_steps(self)}{zero}"

    def accept(self, raw: object) -> float:
        """A raw value as one of the domain.

        Args:
            raw: a number, or one as text.

        Returns:
            The number.

        Raises:
            ValueError: it lies outside of the domain, or is a text that says no number.
            TypeError: it is nothing that says a number.
            OverflowError: it is too large.
        """
        value = _real(raw)
        if self.or_zero and value == 0:
            return value
        if self.step is not None:
            index = round((value - self.low) / self.step)
            if not 0 <= index < self.count or abs(value - self.on_grid(index)) > GRID_SHARE * self.step:
                raise ValueError
            return self.on_grid(index)
        if not self.low <= value <= self.high:
            raise ValueError
        return value

    def to_unit(self, value: Any) -> float:
        """Where `value` lies in [0, 1], on the domain's own scale; with steps, in the middle of its cell."""
        if self.or_zero and value == 0:
            return 0.0
        if self.step is not None:
            share = float((value - self.low) / self.step + 0.5) / self.count
        else:
            share = _share(self.low, self.high, self.log, value)
        return ZERO_SHARE + (1 - ZERO_SHARE) * share if self.or_zero else share

    def from_unit(self, unit: float) -> float:
        """The value at `unit` in [0, 1], to the digits that tell numbers of this range apart: the inverse of `to_unit`."""
        if self.or_zero:
            if unit < ZERO_SHARE:
                return 0.0
            unit = (unit - ZERO_SHARE) / (1 - ZERO_SHARE)
        if self.step is not None:
            return self.on_grid(min(int(unit * self.count), self.count - 1))
        value = _at(self.low, self.high, self.log, unit)
        return min(max(_rounded(value, self), float(self.low)), float(self.high))

    def on_grid(self, index: int) -> float:
        """The number after so many steps, in decimal arithmetic: 0.3 and not 0.30000000000000004."""
        return float(Decimal(repr(self.low)) + index * Decimal(repr(self.step)))


@dataclass(frozen=True)
class Integer:
    """Whole numbers between two bounds, both included.

    Attributes:
        low: the least of them, at least -2^63.
        high: the largest of them, at most 2^63 - 1.
        log: whether they are spaced by magnitude; `low` is then above 0.
        step: only `low`, `low + step`, `low + 2 * step`, ... up to `high` are taken.

    Raises:
        InvalidSpace: for bounds that are no such numbers in order, and for a log scale from 0 or with steps.
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        _check_bounds(self, "whole numbers from -2^63 to 2^63 - 1")

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return (self.high - self.low) // self.step + 1

    @property
    def expected(self) -> str:
        """The domain in words, for an error beside a form field."""
        return f"a whole number from {self.low} to {self.high}{_steps(self)}"

    def accept(self, raw: object) -> int:
        """A raw value as one of the domain.

        Args:
            raw: a number, or one as text.

        Returns:
            The number.

        Raises:
            ValueError: it lies outside of the domain, or is a text that says no number.
            TypeError: it is nothing that says a number.
            OverflowError: it is too large.
        """
        value = _whole(raw)
        if not self.low <= value <= self.high or (value - self.low) % self.step:
            raise ValueError
        return value

    def to_unit(self, value: Any) -> float:
        """Where `value` lies in [0, 1]: the middle of its cell, so that each integer has the same share of a linear scale."""
        if (cells := self.cells) is not None:
            return float((value - self.low) / self.step + 0.5) / cells
        return _share(self.low - 0.5, self.high + 0.5, self.log, value)

    def from_unit(self, unit: float) -> int:
        """The value at `unit` in [0, 1]."""
        if (cells := self.cells) is not None:
            return self.low + min(int(unit * cells), cells - 1) * self.step
        value = round(_at(self.low - 0.5, self.high + 0.5, self.log, unit))
        return min(max(value, self.low), self.high)

    @property
    def cells(self) -> int | None:
        """As for `Float`: with steps, and where the numbers are too large to be told apart as real ones."""
        large = max(abs(self.low), abs(self.high)) >= EXACT_INTEGER
        return self.count if self.step > 1 or (large and not (self.log and self.high > 2 * self.low)) else None


@dataclass(frozen=True, eq=False)
class Choice:
    """One of several options: text, numbers, True, False, None, or tuples of these. `True`, `1`, `1.0` and `"1"` are four.

    Attributes:
        options: a list or tuple of them. A list that is an option is kept as a tuple, since values never change.
        labels: what people read, one for each option; the options themselves where there are none.
        ordered: whether each lies between its neighbours, as sizes do.

    Raises:
        InvalidSpace: for no options, the same one twice, something that is none of these, or labels that do not fit.
    """

    options: tuple[Any, ...]
    labels: tuple[str, ...] = ()
    ordered: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.options, str) or not _is_listed(self.options):
            raise InvalidSpace(f"choice {self.options!r}: expected a list or tuple of options")
        if isinstance(self.labels, str) or not _is_listed(self.labels):
            raise InvalidSpace(f"choice {self.options!r}: its labels are {self.labels!r}, expected a list or tuple of texts")
        try:
            options = tuple(frozen(option) for option in self.options)
        except (TypeError, ValueError) as error:
            raise InvalidSpace(f"choice {tuple(self.options)!r}: {error}") from None
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "labels", tuple(self.labels) or _spelled(options))
        index = {identity(option): at for at, option in enumerate(options)}
        if not options or len(index) != len(options) or len(self.labels) != len(options):
            raise InvalidSpace(f"choice {options}: expected at least one option, all distinct, and a label for each or none")
        if not all(is_text(label) for label in self.labels):
            raise InvalidSpace(f"choice {options}: its labels are {self.labels}, expected texts")
        object.__setattr__(self, "_index", index)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Choice) and self._parts == other._parts

    def __hash__(self) -> int:
        return hash(self._parts)

    @property
    def _parts(self) -> tuple[object, ...]:
        return tuple(self._indices), self.labels, self.ordered

    @property
    def _indices(self) -> dict[object, int]:
        return cast(dict[object, int], self.__dict__["_index"])

    @property
    def texts(self) -> tuple[str, ...]:
        """Each option as text, all distinct, as forms and files hold it; `of_text` takes it back. All text: as it is."""
        if all(isinstance(option, str) for option in self.options):
            return self.options
        return tuple(json.dumps(option, ensure_ascii=False) for option in self.options)

    @property
    def expected(self) -> str:
        """The domain in words, for an error beside a form field."""
        return f"one of {', '.join(self.labels)}"

    @property
    def cells(self) -> int:
        """As for `Float`."""
        return len(self.options)

    def holds(self, value: object) -> bool:
        """Whether it is one of the options, and of the same type."""
        try:
            return identity(value) in self._indices
        except TypeError:
            return False

    def index(self, value: object) -> int:
        """Which of the options it is; KeyError where it is none."""
        return self._indices[identity(value)]

    def accept(self, raw: object) -> Any:
        """A raw value as one of the options.

        Args:
            raw: an option. Where no option is just that, a number is taken for the option that equals it, and text for the option
                that `texts` or `labels` write so.

        Returns:
            The option, of its own type.

        Raises:
            ValueError: it is none of the options.
            TypeError: it is nothing that an option can be.
        """
        value = frozen(raw)
        if (index := self._indices.get(identity(value))) is not None:
            return self.options[index]
        if isinstance(value, str):
            return self.of_text(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            equal = [option for option in self.options if _is_number(option) and option == value]
            if len(equal) == 1:
                return equal[0]
        raise ValueError

    def of_text(self, text: str) -> Any:
        """The option that is written so, as `texts` or else `labels` write it; ValueError where there is none."""
        for written in (self.texts, self.labels if self.texts is not self.options else ()):
            if text in written:
                return self.options[written.index(text)]
        raise ValueError

    def to_unit(self, value: object) -> float:
        """The middle of the option's cell in [0, 1]."""
        return (self.index(value) + 0.5) / len(self.options)

    def from_unit(self, unit: float) -> Any:
        """The option whose cell of [0, 1] holds `unit`."""
        return self.options[min(int(unit * len(self.options)), len(self.options) - 1)]


Domain = Float | Integer | Choice


def is_finite(domain: Domain) -> bool:
    """Whether its values can be listed."""
    return not isinstance(domain, Float) or domain.step is not None


def values_of(domain: Domain) -> Sequence[Value]:
    """All values of a domain that `is_finite`, in order."""
    if isinstance(domain, Choice):
        return domain.options
    if isinstance(domain, Integer):
        return range(domain.low, domain.high + 1, domain.step)
    zero = [0.0] if domain.or_zero and domain.low > 0 else []
    return [*zero, *(domain.on_grid(index) for index in range(domain.count))]


def frozen(value: object) -> Any:
    """A value that never changes: numbers as Python's own, lists as tuples.

    Args:
        value: text, a finite number, True, False, None, or a list of these.

    Returns:
        The same value, which can be a key.

    Raises:
        TypeError: it is none of these; the text says what was expected.
        ValueError: a number in it is not finite, or what is to be text holds what is no character.
    """
    value = plain(value)
    if isinstance(value, str) and not is_text(value):
        raise ValueError(f"got {value!r}, which holds bytes that are no characters; expected text")
    if type(value) in (str, int, bool) or value is None:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"got {value}, expected finite numbers")
        return float(value)
    if isinstance(value, str | int):  # of a class of their own, as members of an enumeration are
        return str.__str__(value) if isinstance(value, str) else int(value)
    if isinstance(value, list | tuple):
        return tuple(frozen(part) for part in value)
    raise TypeError(f"got {repr_of(value)}, expected text, numbers, True, False, None, or lists of these")


def is_text(value: object) -> bool:
    """Whether it is text of characters alone, as files and databases take: names of files may hold other bytes."""
    return isinstance(value, str) and (value.isascii() or not LONE_BYTES_PATTERN.search(value))


def identity(value: object) -> object:
    """What tells one option from another: equal for the same value of the same type only, as True, 1 and 1.0 are three."""
    if type(value) is str:
        return value
    if isinstance(value, list | tuple):
        return ("tuple", *(identity(part) for part in value))
    return (type(value), value)


def is_same(one: Value, other: Value) -> bool:
    """Whether two values of one hyperparameter are the same: numbers by what they are worth, but True is not 1."""
    if isinstance(one, bool) or isinstance(other, bool) or isinstance(one, tuple):
        return identity(one) == identity(other)
    return bool(one == other)


def range_words(domain: Domain) -> str:
    """A domain in few words: 0.001 to 0.1, or 0; only 0.01; 0 to 1 in steps of 0.25; SGD, Adam."""
    if isinstance(domain, Choice):
        return f"only {domain.labels[0]}" if len(domain.labels) == 1 else ", ".join(domain.labels)
    zero = isinstance(domain, Float) and domain.or_zero
    if domain.low == domain.high and not zero:
        return f"only {show(domain.low)}"
    return f"{show(domain.low)} to {show(domain.high)}{_steps(domain)}{', or 0' if zero else ''}"


def apart(domain: Domain, first: Value, second: Value) -> float:
    """How far two values lie apart on the domain's own scale, from 0 to 1; any two options without an order are 1 apart."""
    if isinstance(domain, Choice) and not domain.ordered:
        return float(identity(first) != identity(second))
    return abs(domain.to_unit(first) - domain.to_unit(second))


def nearest(domain: Domain, value: Value) -> Value:
    """The value of a domain that lies nearest to one that may be outside of it; an option that is not there: the first."""
    if isinstance(domain, Choice):
        return value if domain.holds(value) else domain.options[0]
    number = cast(float, value)
    if isinstance(domain, Float):
        if domain.or_zero and number == 0:
            return 0.0
        within = min(max(domain.low, float(number)), domain.high)
        return domain.from_unit(min(max(domain.to_unit(within), 0.0), 1.0)) if domain.step is not None else within
    within = min(max(domain.low, int(number)), domain.high)
    return domain.low + (within - domain.low) // domain.step * domain.step


def show(value: Value) -> str:
    """A value as people read and type it, without loss: 0.001 rather than 1e-03, 1e-5 rather than 1e-05, 64 not 64.0."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, tuple):
        return f"({', '.join(map(show, value))}{',' * (len(value) == 1)})"
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return str(int(value))
    mantissa, _, exponent = repr(float(value)).partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _spelled(options: Sequence[Any]) -> tuple[str, ...]:
    """The options as people read them, all distinct: where 1 and "1", or 1 and 1.0, are both there, as Python writes them."""
    shown = tuple(map(show, options))
    return shown if len(set(shown)) == len(shown) else tuple(map(repr, options))


def _is_listed(values: object) -> bool:
    return isinstance(values, Sequence | np.ndarray)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _steps(domain: Float | Integer) -> str:
    is_plain = domain.step is None or (isinstance(domain, Integer) and domain.step == 1)
    return "" if is_plain else f" in steps of {show(domain.step)}"


def _check_bounds(domain: Float | Integer, kind: str) -> None:
    """Numbers as Python's own, and InvalidSpace where they make no domain."""
    name = type(domain).__name__
    for field in ("low", "high", "step"):
        number = plain(getattr(domain, field))
        if isinstance(domain, Integer) and isinstance(number, float) and number.is_integer():
            number = int(number)
        object.__setattr__(domain, field, number)
        if number is None and field == "step":
            continue
        if not _is_number(number) or not math.isfinite(number) or (isinstance(domain, Integer) and not _is_stored(number)):
            raise InvalidSpace(f"{name} with {field} {number!r}: expected {kind}")
    low, high, step = domain.low, domain.high, domain.step
    if low > high:
        raise InvalidSpace(f"{name} from {low} to {high}: expected the lower bound first")
    if not math.isfinite(high - low):
        raise InvalidSpace(f"{name} from {low} to {high}: expected bounds whose difference is a finite number")
    if step is not None and step <= 0:
        raise InvalidSpace(f"{name} from {low} to {high}: got step {step}, expected a step above 0")
    if domain.log and low <= 0:
        raise InvalidSpace(f"{name} from {low} to {high}: a log scale needs a lower bound above 0")
    if domain.log and step not in (None, 1):
        raise InvalidSpace(f"{name} from {low} to {high}: got step {step} and a log scale, expected one of them")


def _is_stored(number: object) -> bool:
    return isinstance(number, int) and LEAST_INTEGER <= number <= MOST_INTEGER


def _real(raw: object) -> float:
    """A finite number, which may be text with a decimal point or comma; 10,000 is refused, since it may be either of two."""
    if type(raw) is float:  # as most are: each draw of each method comes here
        value = raw
    else:
        raw = plain(raw)
        if isinstance(raw, bool) or not isinstance(raw, int | float | str):
            raise TypeError
        value = _typed(raw) if isinstance(raw, str) else float(raw)
    if not math.isfinite(value):
        raise ValueError
    return value


def _typed(text: str) -> float:
    if why_ambiguous(text):
        raise ValueError
    return float(plainly(text).replace(",", "."))


def _whole(raw: object) -> int:
    """A whole number, exact however large; it may be text: without a comma, and not 10.000, which may be ten thousand."""
    raw = plain(raw)
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError
    if isinstance(raw, int):
        return raw
    if isinstance(raw, float):
        if not raw.is_integer():  # so are not infinity and nan
            raise ValueError
        return int(raw)
    if why_ambiguous(raw, whole=True):
        raise ValueError
    try:
        number = Decimal(plainly(raw))
    except InvalidOperation:
        raise ValueError from None
    if not number.is_finite() or abs(number.adjusted()) > MOST_INTEGER.bit_length() or number != number.to_integral_value():
        raise ValueError
    return int(number)


def _rounded(value: float, domain: Float) -> float:
    """To four significant digits, and to more where the range is so narrow that these would not tell its numbers apart."""
    around = value * math.log(domain.high / domain.low) if domain.log else domain.high - domain.low
    size = min(abs(value) or math.inf, abs(around) or math.inf)  # of what is not zero
    return round(value, DRAWN_DIGITS - 1 - math.floor(math.log10(size))) if size < math.inf else value


def _share(low: float, high: float, log: bool, value: float) -> float:
    """Where a value lies between the bounds, from 0 to 1."""
    if low == high:  # frozen
        return 0.5
    if log and value <= 0:  # of a wider domain that had an exact zero: no scale of magnitudes says how far below
        return 0.0
    if log and math.isinf(high / low):
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _at(low: float, high: float, log: bool, unit: float) -> float:
    """The inverse of `_share`."""
    if not log:
        return low + (high - low) * unit
    ratio = high / low
    return float(low * ratio**unit) if math.isfinite(ratio) else math.exp(math.log(low) * (1 - unit) + math.log(high) * unit)
