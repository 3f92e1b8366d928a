"""A small picture of a table: lines over time, or bars of categories.

`choose_chart` decides from the columns' types whether there is something to see. The
same shapes become elements of a live card and an SVG image that stays in the saved
notebook.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# A drawing as a list of shapes, and the same as an SVG image that needs nothing around
# it.
#
# An image knows no theme, so its colours are middle ones that read on white and on
# black; a live card gives the shapes the theme's own by their class.


COLOURS = ("#3b86cc", "#e0783a", "#4c9f5e", "#b35fa2", "#b8931f", "#7a7fd6")
INK = "#7a7a7a"
FONT = 11  # pixels


@dataclass(frozen=True, slots=True)
class Shape:
    """One element. `look` names its colours: `grid`, `ink`, `line0` or `fill0` and up.
    `tip` is said at the mouse.
    """

    tag: Literal["path", "rect", "circle", "text"]
    at: dict[str, Any]
    look: str
    text: str = ""
    tip: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Shapes on a canvas of `width` × `height` pixels. `alt` says in words what is to be seen."""

    title: str
    alt: str
    width: int
    height: int
    shapes: tuple[Shape, ...]
    code: str


def svg(drawing: Drawing) -> str:
    """The drawing as a `data:` URL of an SVG image; nothing in it runs or loads."""
    wide, tall = drawing.width, drawing.height
    size = f'width="{wide}" height="{tall}" viewBox="0 0 {wide} {tall}"'
    font = f'font-family="system-ui,sans-serif" font-size="{FONT}"'
    inner = "".join(map(_element, drawing.shapes))
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>{inner}</svg>'
    return "data:image/svg+xml;base64," + base64.b64encode(whole.encode()).decode()


def _element(shape: Shape) -> str:
    at = "".join(
        f' {name}="{html.escape(str(value))}"' for name, value in shape.at.items()
    )
    return (
        f"<{shape.tag}{at}{_look(shape.look)}>{html.escape(shape.text)}</{shape.tag}>"
    )


def _look(look: str) -> str:
    if look == "grid":
        return f' fill="none" stroke="{INK}" stroke-opacity=".3"'
    if look == "ink":
        return f' fill="{INK}"'

    colour = COLOURS[int(look[-1])]
    if look.startswith("line"):
        return (
            f' fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"'
        )

    return f' fill="{colour}"'


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
Scale = Callable[[float], float]

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


def _ticks(panel: Panel, tall: int) -> list[float]:
    values = _panel_values(panel) or [0.0]
    low, high = min(values), max(values)
    if 0 < low < 0.6 * high:  # near enough to nothing: say how far
        low = 0.0
    return round_marks(low, high, 5 if tall == TALL else 3)


def _panel_head(panel: Panel, y: float, *, several: bool) -> tuple[list[Shape], float]:
    """What stands above a panel: its title among several, a legend for several lines."""
    if len(panel.series) > 1:
        return _legend(panel, y)
    if not several:
        return [], y
    return [_text(0, y + 12, panel.title, "start")], y + HEAD


def _legend(panel: Panel, y: float) -> tuple[list[Shape], float]:
    shapes: list[Shape] = []
    x = 0.0
    for number, one in enumerate(panel.series):
        size = _text_width(one.name) + 28
        if x and x + size > WIDTH:
            x, y = 0.0, y + HEAD

        box = {"x": round(x), "y": round(y + 4), "width": 9, "height": 9, "rx": 2}
        shapes.append(Shape("rect", box, f"fill{number}"))
        shapes.append(_text(x + 14, y + 12, one.name, "start"))
        x += size

    return shapes, y + HEAD


def _path(points: Points) -> str:
    pieces, gap = [], True
    for x, y in _thin_out(points):
        if y is not None:
            pieces.append(f"{'M' if gap else 'L'}{x:.1f},{y:.1f}")
        gap = y is None
    return "".join(pieces)


def _thin_out(points: Points) -> Points:
    """Of too many points, of each step the lowest and the highest."""
    if len(points) <= MOST:
        return points

    step = -(-2 * len(points) // MOST)
    kept: Points = []
    for start in range(0, len(points), step):
        some = [(y, x) for x, y in points[start : start + step] if y is not None]
        if not some:
            kept.append(points[start])
            continue

        # of equal ones the first, as they stand in order
        low = min(some, key=lambda point: point[0])
        high = max(some, key=lambda point: point[0])
        kept += sorted({(x, y) for y, x in (low, high)})

    return kept


def _axis_labels(chart: Chart, place: Scale, y: float, left: float) -> Iterator[Shape]:
    """Labels from the first on in even steps, as many as have room."""
    widest = max(map(_text_width, chart.labels))
    room = max(2, int((WIDTH - left) // (widest + 18)))
    end = -99.0
    for index in range(0, len(chart.at), _even_step(len(chart.at) - 1, room - 1)):
        size = _text_width(chart.labels[index])
        x = min(max(place(chart.at[index]), left + size / 2 - 4), WIDTH - size / 2 - 1)
        if x - size / 2 >= end:
            yield _text(x, y + 14, chart.labels[index], "middle")
            end = x + size / 2 + 6


def _even_step(steps: int, most: int) -> int:
    """The least step of which at most `most` are taken; one that ends on the last place
    when it is near.
    """
    least = max(1, -(-steps // most))
    return next((step for step in range(least, 2 * least) if steps % step == 0), least)


def _draw_bars(chart: Chart) -> tuple[list[Shape], float]:
    left = max(map(_text_width, chart.labels)) + 8
    several = len(chart.panels) > 1
    if several:
        top = HEAD
    else:
        top = 0

    wide = (WIDTH - left) / len(chart.panels)
    shapes = [
        _text(left - 6, top + BAR * row + 15, label, "end")
        for row, label in enumerate(chart.labels)
    ]

    for number, panel in enumerate(chart.panels):
        x = left + number * wide
        if several:
            shapes.append(_text(x, 12, panel.title, "start"))

        shapes += _bars_of(panel.series[0], chart.labels, x, wide, top)

    return shapes, top + BAR * len(chart.labels) + 4


def _bars_of(
    one: Series, labels: Sequence[str], x: float, wide: float, top: float
) -> Iterator[Shape]:
    values = [value for value in one.values if value is not None]
    room = max(_text_width(short_number(value)) for value in values) + 14
    # a number stands at the end of its bar, on either side
    if min(values) < 0:
        before = room
    else:
        before = 0.0

    low, high = min(0.0, *values), max(0.0, *values)
    place = linear(low, high, x + before, x + wide - room)
    zero = place(0.0)
    for row, (label, value) in enumerate(zip(labels, one.values, strict=True)):
        y = top + BAR * row
        if value is None:
            yield _text(zero + 4, y + 15, "NULL", "start")
            continue

        end = place(value)
        box = {
            "x": round(min(zero, end), 1),
            "y": y + 3,
            "width": round(max(1.0, abs(end - zero)), 1),
            "height": BAR - 6,
            "rx": 2,
        }
        yield Shape("rect", box, "fill0", tip=f"{label}: {value:,.10g}")
        beside, anchor = (5, "start") if value >= 0 else (-5, "end")
        yield _text(end + beside, y + 15, short_number(value), anchor)


def _text(x: float, y: float, text: str, anchor: str) -> Shape:
    place = {"x": round(x, 1), "y": round(y, 1), "text-anchor": anchor}
    return Shape("text", place, "ink", text)


def _text_width(text: str) -> float:
    """Pixels; signs of East Asia take nearly two letters."""
    wide = sum(ord(sign) > 0x2E80 for sign in text)
    return LETTER * (len(text) - wide + 1.8 * wide)


def _mark_text(tick: float) -> str:
    return short_number(tick, whole=10_000)


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """The line from `low` at `start` to `high` at `end`; a single value stands in the middle."""
    if high == low:
        return lambda value: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def round_marks(low: float, high: float, count: int) -> list[float]:
    """About `count` round marks around everything between; at least two."""
    if high == low:
        low, high = (low - abs(low) / 2, high + abs(high) / 2) if low else (0.0, 1.0)

    rough = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [power * digit for digit in (1, 2, 2.5, 5, 10)]
    step = next(one for one in steps if one >= rough * 0.9)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * number for number in range(first, last + 1)]


def short_number(value: float, whole: float = 100_000) -> str:
    """`11,305`, `57.4k`, `1.2M`, `0.31`; numbers below `whole` are written out."""
    size = abs(value)
    if size >= 1e15 or 0 < size < 1e-3:
        return f"{value:.2g}"

    if size >= whole:
        divisor, unit = next(one for one in _UNITS if size >= 0.9995 * one[0])
        return f"{value / divisor:.3g}{unit}"

    if size >= 1_000 or value == int(value):
        return f"{value:,.0f}"

    return f"{value:.3g}"


def draw_chart(chart: Chart) -> Drawing:
    """The drawing of a chart."""
    if chart.kind == "line":
        draw = _draw_lines
    else:
        draw = _draw_bars

    shapes, height = draw(chart)
    return Drawing(
        chart.title,
        _describe(chart),
        WIDTH,
        round(height),
        tuple(shapes),
        chart.code,
    )


def _describe(chart: Chart) -> str:
    """The chart in words, for who does not see it."""
    values: list[float] = []
    for panel in chart.panels:
        values += _panel_values(panel)

    low, high = short_number(min(values)), short_number(max(values))
    if chart.kind == "bar":
        return f"Bars: {chart.title}; values from {low} to {high}"

    ends = f"{chart.labels[0]} to {chart.labels[-1]}"
    return f"Lines: {chart.title}, {ends}; values from {low} to {high}"


def _panel_values(panel: Panel) -> list[float]:
    return [value for one in panel.series for value in one.values if value is not None]


def _draw_lines(chart: Chart) -> tuple[list[Shape], float]:
    several = len(chart.panels) > 1
    if several:
        tall = LOW
    else:
        tall = TALL

    marks = [tick for panel in chart.panels for tick in _ticks(panel, tall)]
    left = max(_text_width(_mark_text(tick)) for tick in marks) + 8
    place = linear(chart.at[0], chart.at[-1], left + 6, WIDTH - 8)
    shapes: list[Shape] = []
    y = 0.0
    for panel in chart.panels:
        head, y = _panel_head(panel, y, several=several)
        ticks = _ticks(panel, tall)
        height = linear(ticks[0], ticks[-1], y + tall - 4, y + 8)
        shapes += head
        shapes += _grid(ticks, height, left)
        for number in range(len(panel.series)):
            shapes += _line(chart, panel, number, place, height)

        y += tall

    return [*shapes, *_axis_labels(chart, place, y, left)], y + FOOT


def _grid(ticks: Sequence[float], height: Scale, left: float) -> Iterator[Shape]:
    for tick in ticks:
        path = f"M{left:.0f},{height(tick):.1f}H{WIDTH}"
        yield Shape("path", {"d": path}, "grid")
        yield _text(left - 5, height(tick) + 4, _mark_text(tick), "end")


def _line(
    chart: Chart, panel: Panel, number: int, place: Scale, height: Scale
) -> Iterator[Shape]:
    """A line, and a mark with its words at each point where there are few."""
    one = panel.series[number]
    points: Points = [
        (place(at), None if value is None else height(value))
        for at, value in zip(chart.at, one.values, strict=True)
    ]

    yield Shape("path", {"d": _path(points)}, f"line{number}")
    if len(points) * len(panel.series) > POINTS:
        return

    if len(panel.series) > 1:
        named = f", {one.name}"
    else:
        named = ""

    marked = zip(points, chart.labels, one.values, strict=True)
    for (x, y), label, value in marked:
        if y is not None:
            centre = {"cx": round(x, 1), "cy": round(y, 1), "r": 2.2}
            tip = f"{label}{named}: {value or 0:,.10g}"
            yield Shape("circle", centre, f"fill{number}", tip=tip)
