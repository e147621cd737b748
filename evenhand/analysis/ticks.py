"""Round numbers for the ticks of an axis."""

STEPS = (1.0, 2.0, 2.5, 5.0)
MOST_TICKS = 12


def round_numbers(first: float, last: float, about: int = 5) -> list[float]:
    """About so many round numbers between the ends.

    Args:
        first: where the axis begins.
        last: where it ends, above `first`.
        about: how many are wanted.

    Returns:
        Multiples of 1, 2, 2.5 or 5 times a power of ten, in order.
    """
    rough = (last - first) / about
    power = 10.0 ** int(f"{rough:e}".partition("e")[2])
    step = next((factor * power for factor in STEPS if factor * power >= rough), 10 * power)
    start = int(first / step)
    return [count * step for count in range(start, start + MOST_TICKS) if first <= count * step <= last]
