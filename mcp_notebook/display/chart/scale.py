"""Numbers on an axis: where they stand, which are marked, and how they are written in
little room.
"""

import math
from collections.abc import Callable

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def span(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    """The line from `low` at `start` to `high` at `end`; a single value stands in the middle."""
    if high == low:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def nice(low: float, high: float, count: int) -> list[float]:
    """About `count` round marks around everything between; at least two."""
    if high == low:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)
    rough = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(
        power * digit for digit in (1, 2, 2.5, 5, 10) if power * digit >= rough * 0.9
    )
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, last + 1)]


def short(value: float, whole: float = 100_000) -> str:
    """`11,305`, `57.4k`, `1.2M`, `0.31`; numbers below `whole` are written out."""
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-3:
        return f"{value:.2g}"
    if size < whole:
        return (
            f"{value:,.0f}" if size >= 1_000 or value == int(value) else f"{value:.3g}"
        )
    divisor, unit = next(one for one in _UNITS if size >= 0.9995 * one[0])
    return f"{value / divisor:.3g}{unit}"
