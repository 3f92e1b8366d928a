"""A computed chart as pictures and words: Vega-Lite for a live page, SVG and PNG for a
saved one, a text for who does not see it.

vl-convert (the extra `charts`) draws without a browser and without the network. It is
loaded with the first chart.
"""

from __future__ import annotations

import base64
import importlib
import importlib.util
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from mcp_notebook.charts.compute import Chart, Points
from mcp_notebook.charts.specification import Spec, SpecError, channels_of, mark_of

# What JupyterLab 4 shows live; the version is Vega-Lite's.
MIME = "application/vnd.vegalite.v5+json"
SCHEMA = "https://vega.github.io/schema/vega-lite/v5.json"
# A drawing on its way from the notebook's own server into the notebook.
CARRIED = "application/vnd.mcp-notebook.chart+json"
NEEDED = 'Charts need the extra: pip install "mcp-notebook[charts]".'
_VERSION = "5.21"
_SVG_AT_MOST = 60_000  # characters
_SCALE = 2.0  # of the PNG, for screens with small pixels

# An image knows no theme, so its colours are middle ones that read on white and on black.
COLOURS = (
    "#3b86cc",
    "#e0783a",
    "#4c9f5e",
    "#b35fa2",
    "#b8931f",
    "#7a7fd6",
    "#c0504d",
    "#5f9ea0",
)
_INK, _LINE = "#7a7a7a", "#80808055"
_AXIS = {
    "labelColor": _INK,
    "titleColor": _INK,
    "titleFontWeight": "normal",
    "gridColor": _LINE,
    "domainColor": _LINE,
    "tickColor": _LINE,
    "labelLimit": 160,
    "labelSeparation": 8,
}
CONFIG: Mapping[str, Any] = {
    "background": None,
    "axis": _AXIS,
    "legend": {"labelColor": _INK, "titleColor": _INK, "titleFontWeight": "normal"},
    "header": {"labelColor": _INK, "titleColor": _INK, "titleFontWeight": "normal"},
    "title": {"color": _INK, "fontWeight": "normal", "fontSize": 13},
    "text": {"color": _INK},
    "rule": {"color": _INK},
    "view": {"stroke": None},
    "range": {"category": list(COLOURS), "heatmap": {"scheme": "blues"}},
    "mark": {"color": COLOURS[0]},
}


@dataclass(frozen=True, eq=False)
class Drawing:
    """A chart that was drawn. `live` is Vega-Lite with its data, `alt` sentences for
    the picture, `words` all that is told of it, `code` Altair code that draws it again.
    """

    title: str
    alt: str
    words: str
    code: str
    live: Spec
    svg: str
    width: int
    height: int
    chart: Chart | None = None

    @property
    def url(self) -> str:
        """The picture as an address that needs nothing else: of many marks as PNG."""
        if len(self.svg) > _SVG_AT_MOST:
            return f"data:image/png;base64,{self.png()}"

        data = base64.b64encode(self.svg.encode()).decode()
        return f"data:image/svg+xml;base64,{data}"

    def png(self) -> str:
        """The picture as base64."""
        made = _engine().svg_to_png(self.svg, scale=_SCALE)
        return base64.b64encode(made).decode()

    def bundle(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The chart as an output of its own, and its metadata: Vega-Lite where a page is
        live, a PNG elsewhere, words for who sees neither.
        """
        # its editor would send the rows to a page elsewhere
        actions = {"export": True, "source": True, "compiled": False, "editor": False}
        data: dict[str, Any] = {MIME: self.live, "text/plain": self.words}
        about: dict[str, Any] = {MIME: {"embed_options": {"actions": actions}}}
        if self.svg:
            data["image/png"] = self.png()
            size = {"width": self.width, "height": self.height}
            about["image/png"] = {**size, "alt": self.alt}

        return data, about


def is_available() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("vl_convert") is not None


def draw(live: Spec, config: Mapping[str, Any] = CONFIG) -> tuple[str, int, int]:
    """The SVG of a specification with its data, and its size in pixels; raises
    `SpecError` when Vega-Lite cannot make anything of it.
    """
    try:
        # no address is allowed, so nothing is loaded from anywhere
        svg = _engine().vegalite_to_svg(
            {**live, "config": {**config, "aria": False}},
            vl_version=_VERSION,
            allowed_base_urls=[],
        )
    except ValueError as error:
        said = str(error).strip().splitlines() or ["without a reason"]
        reason = next((line for line in said if "rror:" in line), said[0])
        raise SpecError(
            f"Vega-Lite cannot draw this: {reason.strip()[:300]}"
        ) from error

    size = re.search(r'<svg[^>]*? width="([\d.]+)" height="([\d.]+)"', svg)
    if size is None:
        raise SpecError("Vega-Lite drew nothing of this.")

    return svg, math.ceil(float(size[1])), math.ceil(float(size[2]))


_ALT = 500  # characters: a screen reader reads all of it in one go


def alt_text(words: str) -> str:
    """The description as sentences for who cannot see the picture: as many of its lines
    as fit, the first in any case.
    """
    first, *others = [line.removeprefix("- ") for line in words.splitlines()]
    text = first[:_ALT]
    for line in others:
        if len(text) + len(line) > _ALT:
            break

        text += f". {line.rstrip('.')}"

    return text


def draw_chart(chart: Chart, code: str) -> Drawing:
    """The drawing of a computed chart; raises `SpecError`."""
    datasets = {
        f"points_{number}": list(points.rows)
        for number, points in enumerate(chart.points, start=1)
    }
    words = describe_chart(chart)
    alt = alt_text(words)
    live = {"$schema": SCHEMA, "description": alt, **chart.spec, "datasets": datasets}
    live["config"] = dict(CONFIG)
    svg, width, height = draw(live)
    title = title_of(chart)
    return Drawing(title, alt, words, code, live, svg, width, height, chart)


def carry(drawing: Drawing) -> str:
    """The drawing of a computed chart as a text."""
    fields = {
        name: getattr(drawing, name)
        for name in ("title", "alt", "words", "code", "live", "svg", "width", "height")
    }
    assert drawing.chart is not None
    return json.dumps({**fields, "chart": asdict(drawing.chart)}, ensure_ascii=False)


def take_carried(text: str) -> Drawing:
    """The drawing that `carry` wrote."""
    held = json.loads(text)
    chart = held.pop("chart")
    points = tuple(
        Points(**{**one, "columns": tuple(one["columns"]), "rows": tuple(one["rows"])})
        for one in chart.pop("points")
    )
    notes = tuple(chart.pop("notes"))
    return Drawing(**held, chart=Chart(**chart, points=points, notes=notes))


def write_live(drawing: Drawing) -> str:
    """Vega-Lite with its data, for any client that shows it."""
    return json.dumps(drawing.live, ensure_ascii=False)


@lru_cache(maxsize=1)
def rasterize_svg(svg: str) -> bytes:
    """The PNG of a drawing that was made harmless; empty where the extra `charts` is
    not there, or its engine cannot draw it.
    """
    if not is_available():
        return b""

    try:
        return bytes(_engine().svg_to_png(svg, scale=1.0))
    except Exception:
        # boundary: the engine is in Rust and says each refusal in another way; a
        # drawing that it does not take is told to the model in words
        return b""


def _engine() -> Any:
    if not is_available():
        raise SpecError(NEEDED)

    # a V8 and its libraries: 100 MB that only a chart needs
    return importlib.import_module("vl_convert")


_WORDS = {
    "arc": "Pie",
    "area": "Areas",
    "bar": "Bars",
    "boxplot": "Boxplots",
    "circle": "Points",
    "line": "Lines",
    "point": "Points",
    "rect": "Grid",
    "rule": "Rules",
    "square": "Points",
    "text": "Texts",
    "tick": "Ticks",
    "trail": "Trails",
}
_NAMES = {
    "x": "x",
    "y": "y",
    "theta": "angle",
    "xOffset": "beside",
    "yOffset": "beside",
}
_SILENT = {"x2", "y2", "theta2", "radius2", "order", "detail", "tooltip"}
_LABELS = 6


def title_of(chart: Chart) -> str:
    """The chart's own title, or its measure by its categories."""
    given = chart.spec.get("title")
    if isinstance(given, Mapping):
        given = given.get("text")
    if isinstance(given, str) and given:
        return given

    unit, _ = next(units_with_points(chart))
    measure = _measure_of(unit) or {}
    titles = [title for _, title in _titles_of(unit)]
    first = str(measure.get("title") or measure.get("field") or titles[0])
    others = [title for title in titles if title != first]
    return " by ".join([first, *others[:1]])


def describe_chart(chart: Chart) -> str:
    """What is drawn, of which rows; each axis with its range; what stands out."""
    lines = []
    for unit, points in units_with_points(chart):
        kind = _WORDS[mark_of(unit)]
        said = " · ".join(f"{name}: {title}" for name, title in _titles_of(unit))
        lines.append(f"{kind} of {chart.table} ({chart.rows:,} rows) · {said}")
        lines += [f"- {line}" for line in _axis_lines(unit, points)]
        lines += [f"- {line}" for line in _extreme_lines(unit, points)]

    lines += [f"Note: {note}" for note in chart.notes]
    return "\n".join(dict.fromkeys(lines))


def units_with_points(
    chart: Chart,
) -> Iterator[tuple[Spec, Sequence[Mapping[str, Any]]]]:
    """Every unit that is drawn, with its rows."""
    yield from _units_in(chart.spec, chart.points)


def _units_in(
    spec: Spec, points: Sequence[Points], outer: str = ""
) -> Iterator[tuple[Spec, Sequence[Mapping[str, Any]]]]:
    name = spec.get("data", {}).get("name", outer)
    for form in ("hconcat", "vconcat", "concat", "layer"):
        for inner in spec.get(form, ()):
            yield from _units_in(inner, points, name)

    if "spec" in spec:
        yield from _units_in(spec["spec"], points, name)

    if "mark" not in spec:
        return

    rows = points[int(name.rpartition("_")[2]) - 1].rows
    for step in spec.get("transform", ()):
        layer = step["filter"]["equal"]
        rows = tuple(row for row in rows if row["layer"] == layer)

    yield spec, rows


def _titles_of(unit: Spec) -> list[tuple[str, str]]:
    """Channel and title of what is to be seen, positions first."""
    found = {}
    for channel, definition in _visible_channels(unit):
        title = definition.get("title") or definition["field"]
        found.setdefault(str(title), _NAMES.get(channel, channel))

    order = ["x", "y", "angle"]
    pairs = [(channel, title) for title, channel in found.items()]
    return sorted(
        pairs, key=lambda pair: order.index(pair[0]) if pair[0] in order else 9
    )


def _axis_lines(unit: Spec, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for _, definition in _visible_channels(unit):
        values = [row.get(definition["field"]) for row in rows]
        seen = [value for value in values if value is not None]
        name = definition.get("title") or definition["field"]
        if not seen:
            yield f"{name}: no value"
        elif definition.get("type") == "quantitative":
            yield f"{name}: {short_number(min(seen))} to {short_number(max(seen))}"
        elif definition.get("type") == "temporal":
            yield f"{name}: {_moment(min(seen), definition)} to {_moment(max(seen), definition)}"
        else:
            different = list(dict.fromkeys(_moment(v, definition) for v in values))
            shown = ", ".join(different[:_LABELS])
            more = ", …" if len(different) > _LABELS else ""
            yield f"{name}: {len(different):,} ({shown}{more})"


def _extreme_lines(unit: Spec, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Where the measure is highest and lowest, and of a line where it ends."""
    measure = _measure_of(unit)
    if measure is None or mark_of(unit) == "boxplot":
        return

    field, name = measure["field"], measure.get("title") or measure["field"]
    held = [row for row in rows if isinstance(row.get(field), int | float)]
    if len(held) < 2:
        return

    places = [
        definition
        for _, definition in _visible_channels(unit)
        if definition["field"] != field
    ]

    def name_place(row: Mapping[str, Any]) -> str:
        words = [_moment(row.get(one["field"]), one) for one in places]
        return ", ".join(dict.fromkeys(words)) or "there"

    highest = max(held, key=lambda row: row[field])
    lowest = min(held, key=lambda row: row[field])
    yield (
        f"{name}: highest {short_number(highest[field])} at {name_place(highest)}; lowest "
        f"{short_number(lowest[field])} at {name_place(lowest)}"
    )
    yield from _course(unit, held, field, name)


def _course(
    unit: Spec, held: Sequence[Mapping[str, Any]], field: str, name: str
) -> Iterator[str]:
    """From where to where the only line of a chart goes."""
    x = unit["encoding"].get("x", {}).get("field")
    is_line = mark_of(unit) in ("line", "area", "trail")
    if not is_line or "color" in unit["encoding"] or x in (None, field):
        return

    ordered = sorted(held, key=lambda row: str(row.get(x)))
    first, last = (short_number(row[field]) for row in (ordered[0], ordered[-1]))
    yield f"{name}: from {first} at the first to {last} at the last"


def _visible_channels(unit: Spec) -> Iterator[tuple[str, Spec]]:
    """The channels that show a column and are seen."""
    for channel, definition in channels_of(unit):
        if channel not in _SILENT and "field" in definition:
            yield channel, definition


def _measure_of(unit: Spec) -> Spec | None:
    encoding = unit["encoding"]
    for channel in ("y", "x", "theta", "color", "size"):
        definition = encoding.get(channel)
        is_measure = (
            isinstance(definition, Mapping)
            and definition.get("type") == "quantitative"
            and "field" in definition
            and not definition.get("bin")
        )
        if is_measure:
            return dict(definition)

    return None


_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_DAYS = "Sun Mon Tue Wed Thu Fri Sat".split()
# What a time unit tells of `2012-03-04T05:06:07`.
_PARTS = {
    "year": slice(0, 4),
    "yearmonth": slice(0, 7),
    "monthdate": slice(5, 10),
    "date": slice(8, 10),
    "hours": slice(11, 13),
    "minutes": slice(14, 16),
    "seconds": slice(17, 19),
}


def _moment(value: Any, definition: Mapping[str, Any]) -> str:
    """A value in words; of a time what its unit tells of it."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return _time_words(value, definition)
    if definition.get("type") != "quantitative":
        return str(value)

    bins = definition.get("bin")
    if not isinstance(bins, Mapping):
        return short_number(value)

    half = bins["step"] / 2
    return f"{short_number(value - half)} to {short_number(value + half)}"


def _time_words(text: str, definition: Mapping[str, Any]) -> str:
    unit = definition.get("timeUnit", "")
    if unit == "month":
        return _MONTHS[int(text[5:7]) - 1]
    if unit == "day":
        return _DAYS[int(text[8:10]) - 1]
    if unit == "quarter":
        return f"Q{(int(text[5:7]) + 2) // 3}"
    if unit in _PARTS:
        return text[_PARTS[unit]]

    is_time = bool(unit) or definition.get("type") == "temporal"
    return text.removesuffix("T00:00:00") if is_time else text


_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


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
