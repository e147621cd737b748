"""What training costs: seconds of it at declared rates, in money and in energy, and how much of it a run may spend.

A run's cost is that of its trials, added up: two trials that train side by side for an hour cost two hours. What cannot be used
costs nothing where it is the infrastructure's fault, as everywhere.
"""

import math
import re
from dataclasses import dataclass

from evenhand.errors import InvalidSettings
from evenhand.model import numbers
from evenhand.model.domain import Real, show

HOUR_SECONDS = 3600.0
KWH_JOULES = 3.6e6
KWH = "kWh"
UNIT_SECONDS = {"s": 1.0, "min": 60.0, "h": HOUR_SECONDS, "d": 24 * HOUR_SECONDS}  # of training
AMOUNT = re.compile(r"([0-9.eE+-]+)\s*([^\s0-9/]+)")
PRICE = re.compile(r"([0-9.eE+-]+)\s*([^\s0-9/]+)\s*/\s*h")
TEXT = re.compile(r"(?:(?P<price>\S+ [^/]+)/h)?;(?: (?P<watts>\S+) W)?;(?: at most (?P<most>\S+) s)?")


@dataclass(frozen=True, slots=True)
class Cost:
    """Declared rates of training, and how much of it a run may spend.

    Attributes:
        price_per_hour: of training; None where it was not declared.
        currency: of the price, as it was typed, such as EUR; "" without a price.
        watts: what a training draws on the average; None where it was not declared.
        most_seconds: of training, added up over trials; None where nothing caps it.
    """

    price_per_hour: Real | None = None
    currency: str = ""
    watts: Real | None = None
    most_seconds: Real | None = None

    def price(self, seconds: float) -> float | None:
        """What so many seconds of training cost, in the currency; None where no price was declared."""
        return None if self.price_per_hour is None else self.price_per_hour * seconds / HOUR_SECONDS

    def kwh(self, seconds: float) -> float | None:
        """The energy of so many seconds of training, in kWh; None where no power was declared."""
        return None if self.watts is None else self.watts * seconds / KWH_JOULES

    def words(self, seconds: float) -> str:
        """What so many seconds of training cost, as people say it: 0.42 EUR and 0.023 kWh; nothing without rates."""
        price, kwh = self.price(seconds), self.kwh(seconds)
        parts = [] if price is None else [f"{_short(price)} {self.currency}"]
        return " and ".join([*parts, *([] if kwh is None else [f"{_short(kwh)} {KWH}"])])

    @property
    def rate_words(self) -> str:
        """The rates, as people say them: 1.2 EUR an hour, 65 W."""
        parts = [] if self.price_per_hour is None else [f"{show(self.price_per_hour)} {self.currency} an hour"]
        return ", ".join([*parts, *([] if self.watts is None else [f"{show(self.watts)} W"])])

    def __str__(self) -> str:
        price = "" if self.price_per_hour is None else f"{self.price_per_hour!r} {self.currency}/h"
        watts = "" if self.watts is None else f" {self.watts!r} W"
        most = "" if self.most_seconds is None else f" at most {self.most_seconds!r} s"
        return f"{price};{watts};{most}"


def parse_cost(price: object, watts: object, most: object) -> Cost | None:
    """What was declared of a run's cost.

    Args:
        price: of an hour of training, as "1.2 EUR/h".
        watts: what a training draws on the average.
        most: what all trainings together may cost, in the price's currency ("5 EUR"), in energy ("0.3 kWh") or in time of
            training ("2 h", "90 min").

    Returns:
        The rates and the cap; None where nothing was given.

    Raises:
        InvalidSettings: one cannot be read, or the cap is in what no rate was declared for.
    """
    if price is None and watts is None and most is None:
        return None
    rate, currency = _price(price)
    power = None if watts is None else numbers.above_zero("cost: watts", watts)
    rates = Cost(rate, currency, power)
    return rates if most is None else Cost(rate, currency, power, _seconds(most, rates))


def cost_of_text(text: str) -> Cost:
    """The cost that `str` wrote; InvalidSettings for another text."""
    read = TEXT.fullmatch(text)
    if read is None:
        raise InvalidSettings(f"cost is {text!r}, expected rates and a cap, such as '1.2 EUR/h; 65.0 W; at most 7200.0 s'")
    rate, currency = _price(None if read["price"] is None else f"{read['price']}/h")
    watts = None if read["watts"] is None else numbers.above_zero("cost: watts", _number(read["watts"], text))
    most = None if read["most"] is None else numbers.above_zero("cost: seconds", _number(read["most"], text))
    return Cost(rate, currency, watts, most)


def _price(given: object) -> tuple[float | None, str]:
    if given is None:
        return None, ""
    read = PRICE.fullmatch(given.strip()) if isinstance(given, str) else None
    if read is None or not read[2].isprintable() or read[2].lower() in (KWH.lower(), *UNIT_SECONDS):
        raise InvalidSettings(f"cost: price is {given!r}, expected an amount, a currency and /h, such as '1.2 EUR/h'")
    return numbers.above_zero("cost: price", _number(read[1], given)), read[2]


def _seconds(given: object, rates: Cost) -> float:
    """The seconds of training that a cap comes to."""
    read = AMOUNT.fullmatch(given.strip()) if isinstance(given, str) else None
    if read is None:
        raise InvalidSettings(f"cost: the most is {given!r}, expected an amount with its unit: '5 EUR', '0.3 kWh', '2 h'")
    amount, unit = numbers.above_zero("cost: the most", _number(read[1], given)), read[2]
    if unit in UNIT_SECONDS:
        seconds = amount * UNIT_SECONDS[unit]
    elif unit == KWH and rates.watts is not None:
        seconds = amount * KWH_JOULES / rates.watts
    elif unit == rates.currency and rates.price_per_hour is not None:
        seconds = amount * HOUR_SECONDS / rates.price_per_hour
    else:
        known = [*([rates.currency] if rates.currency else []), *([KWH] if rates.watts is not None else []), *UNIT_SECONDS]
        raise InvalidSettings(
            f"cost: the most is {given!r}, in {unit!r}, expected one of {', '.join(known)}; for money declare a price, for {KWH} "
            "the watts"
        )
    if not 0 < seconds < math.inf:
        raise InvalidSettings(f"cost: the most is {given!r}, which is {seconds:g} seconds of training; expected a number above 0")
    return seconds


def _number(text: str, given: object) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidSettings(f"cost: {given!r} holds {text!r}, expected a number such as 1.2") from None


def _short(amount: float) -> str:
    """Two digits behind the point, or two that say something."""
    return f"{amount:.2f}" if amount >= 0.995 else f"{amount:.2g}"
