"""Lines and bars: what a chart shows as plain values, and the same as shapes on a small
canvas, a few kilobytes whatever the table holds.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from mcp_notebook.display.chart.shapes import Drawing, Shape

WIDTH = 480

LETTER = 6.5  # pixels of an average one

TALL, LOW = 190, 96  # of the only panel, of one among several

HEAD = 18  # a title or a row of a legend

FOOT = 20  # the axis below

BAR = 22

POINTS = 60  # of a panel; more have no marks

MOST = 240  # points of a line; of more, each step keeps its lowest and highest

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

Points = list[tuple[float, float | None]]

Values = tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """One line or one row of bars; None is a gap."""

    name: str
    values: Values


@dataclass(frozen=True, slots=True)
class Panel:
    """Lines that share a scale; a quantity of its own has a panel of its own."""

    title: str
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """`at` are the places of `labels` along the axis, in order. `code` draws the same
    with pandas.
    """

    kind: Literal["line", "bar"]
    title: str
    axis: str
    at: tuple[float, ...]
    labels: tuple[str, ...]
    panels: tuple[Panel, ...]
    code: str


def draw(chart: Chart) -> Drawing:
    """The drawing of a chart."""
    shapes, height = (_lines if chart.kind == "line" else _bars)(chart)
    return Drawing(
        chart.title, _alt(chart), WIDTH, round(height), tuple(shapes), chart.code
    )


def _alt(chart: Chart) -> str:
    what = "Lines" if chart.kind == "line" else "Bars"
    ends = f", {chart.labels[0]} to {chart.labels[-1]}" if chart.kind == "line" else ""
    values = [
        value
        for panel in chart.panels
        for one in panel.series
        for value in one.values
        if value is not None
    ]
    return f"{what}: {chart.title}{ends}; values from {short(min(values))} to {short(max(values))}"


def _lines(chart: Chart) -> tuple[list[Shape], float]:
    tall = TALL if len(chart.panels) == 1 else LOW
    left = (
        max(
            _wide(_mark(tick)) for panel in chart.panels for tick in _ticks(panel, tall)
        )
        + 8
    )
    place = span(chart.at[0], chart.at[-1], left + 6, WIDTH - 8)
    shapes, y = [], 0.0
    for panel in chart.panels:
        head, y = _head(panel, y, several=len(chart.panels) > 1)
        shapes += head
        ticks = _ticks(panel, tall)
        height = span(ticks[0], ticks[-1], y + tall - 4, y + 8)
        for tick in ticks:
            shapes.append(
                Shape("path", {"d": f"M{left:.0f},{height(tick):.1f}H{WIDTH}"}, "grid")
            )
            shapes.append(_text(left - 5, height(tick) + 4, _mark(tick), "end"))
        for number, one in enumerate(panel.series):
            points = [
                (place(at), None if value is None else height(value))
                for at, value in zip(chart.at, one.values, strict=True)
            ]
            shapes.append(Shape("path", {"d": _path(points)}, f"line{number}"))
            if len(points) * len(panel.series) <= POINTS:
                named = f", {one.name}" if len(panel.series) > 1 else ""
                tips = [
                    f"{label}{named}: {value or 0:,.10g}"
                    for label, value in zip(chart.labels, one.values, strict=True)
                ]
                shapes += _marks(points, tips, f"fill{number}")
        y += tall
    return [*shapes, *_axis(chart, place, y, left)], y + FOOT


def _ticks(panel: Panel, tall: int) -> list[float]:
    values = [
        value for one in panel.series for value in one.values if value is not None
    ] or [0.0]
    low, high = min(values), max(values)
    if low > 0 and low < 0.6 * high:  # near enough to nothing: say how far
        low = 0.0
    return nice(low, high, 5 if tall == TALL else 3)


def _mark(tick: float) -> str:
    return short(tick, whole=10_000)


def _head(panel: Panel, y: float, *, several: bool) -> tuple[list[Shape], float]:
    """What stands above a panel: its title among several, a legend for several lines."""
    if len(panel.series) == 1:
        return (
            ([_text(0, y + 12, panel.title, "start")], y + HEAD) if several else ([], y)
        )
    shapes, x = [], 0.0
    for number, one in enumerate(panel.series):
        size = _wide(one.name) + 28
        if x and x + size > WIDTH:
            x, y = 0.0, y + HEAD
        shapes.append(
            Shape(
                "rect",
                {"x": round(x), "y": round(y + 4), "width": 9, "height": 9, "rx": 2},
                f"fill{number}",
            )
        )
        shapes.append(_text(x + 14, y + 12, one.name, "start"))
        x += size
    return shapes, y + HEAD


def _path(points: Points) -> str:
    pieces, gap = [], True
    for x, y in _thinned(points):
        if y is not None:
            pieces.append(f"{'M' if gap else 'L'}{x:.1f},{y:.1f}")
        gap = y is None
    return "".join(pieces)


def _marks(points: Points, tips: Sequence[str], look: str) -> Iterator[Shape]:
    for (x, y), tip in zip(points, tips, strict=True):
        if y is not None:
            yield Shape(
                "circle",
                {"cx": round(x, 1), "cy": round(y, 1), "r": 2.2},
                look,
                tip=tip,
            )


def _thinned(points: Points) -> Points:
    if len(points) <= MOST:
        return points
    step, kept = -(-2 * len(points) // MOST), []
    for start in range(0, len(points), step):
        some = [point for point in points[start : start + step] if point[1] is not None]
        ends = (
            {min(some, key=lambda p: p[1] or 0.0), max(some, key=lambda p: p[1] or 0.0)}
            if some
            else set()
        )
        kept += sorted(ends) or [points[start]]
    return kept


def _axis(
    chart: Chart, place: Callable[[float], float], y: float, left: float
) -> Iterator[Shape]:
    """Labels from the first on in even steps, as many as have room."""
    widest = max(map(_wide, chart.labels))
    room = max(2, int((WIDTH - left) // (widest + 18)))
    end = -99.0
    for index in range(0, len(chart.at), _step(len(chart.at) - 1, room - 1)):
        size = _wide(chart.labels[index])
        x = min(max(place(chart.at[index]), left + size / 2 - 4), WIDTH - size / 2 - 1)
        if x - size / 2 >= end:
            yield _text(x, y + 14, chart.labels[index], "middle")
            end = x + size / 2 + 6


def _step(steps: int, most: int) -> int:
    """The least step of which at most `most` are taken; one that ends on the last place
    when it is near.
    """
    least = max(1, -(-steps // most))
    return next((step for step in range(least, 2 * least) if steps % step == 0), least)


def _bars(chart: Chart) -> tuple[list[Shape], float]:
    left = max(map(_wide, chart.labels)) + 8
    several = len(chart.panels) > 1
    top = HEAD if several else 0
    wide = (WIDTH - left) / len(chart.panels)
    shapes = [
        _text(left - 6, top + BAR * row + 15, label, "end")
        for row, label in enumerate(chart.labels)
    ]
    for number, panel in enumerate(chart.panels):
        x = left + number * wide
        if several:
            shapes.append(_text(x, 12, panel.title, "start"))
        shapes += _column(panel.series[0], chart.labels, x, wide, top)
    return shapes, top + BAR * len(chart.labels) + 4


def _column(
    one: Series, labels: Sequence[str], x: float, wide: float, top: float
) -> Iterator[Shape]:
    values = [value for value in one.values if value is not None]
    room = max(_wide(short(value)) for value in values) + 14
    # a number stands at the end of its bar, on either side
    before = room if min(values) < 0 else 0.0
    width = span(min(0.0, *values), max(0.0, *values), x + before, x + wide - room)
    zero = width(0.0)
    for row, (label, value) in enumerate(zip(labels, one.values, strict=True)):
        if value is None:
            yield _text(zero + 4, top + BAR * row + 15, "NULL", "start")
            continue
        end, y = width(value), top + BAR * row + 3
        size = max(1.0, abs(end - zero))
        box = {
            "x": round(min(zero, end), 1),
            "y": y,
            "width": round(size, 1),
            "height": BAR - 6,
            "rx": 2,
        }
        yield Shape("rect", box, "fill0", tip=f"{label}: {value:,.10g}")
        yield _text(
            end + (5 if value >= 0 else -5),
            y + 12,
            short(value),
            "start" if value >= 0 else "end",
        )


def _text(x: float, y: float, text: str, anchor: str) -> Shape:
    return Shape(
        "text", {"x": round(x, 1), "y": round(y, 1), "text-anchor": anchor}, "ink", text
    )


def _wide(text: str) -> float:
    return LETTER * sum(1.8 if ord(sign) > 0x2E80 else 1 for sign in text)


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
