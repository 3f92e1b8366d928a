"""A chart that a server sent as Vega-Lite with its rows: the rows become a table like
any others, and the chart is drawn where it loads nothing.

Unlike a model's specification it may compute: Vega's expressions reach nothing but the
rows. What is refused is what loads or links. https://vega.github.io/vega/docs/expressions/
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp_notebook.charts.drawing import CONFIG, SCHEMA, Drawing, draw, is_available
from mcp_notebook.charts.specification import Spec, SpecError, pairs_in, refuse_endless
from mcp_notebook.secrets import seal

SCHEMA_ADDRESS = "vega.github.io/schema/vega-lite/"
_ROWS_AT_MOST = 20_000
_BINS_AT_MOST = 1_000
_DEEPEST = 4  # objects around a specification
_LOADS = frozenset(["url", "href", "usermeta", "loader"])


@dataclass(frozen=True, eq=False)
class TheirChart:
    """A specification without its data, and the rows of each of its data sets by name."""

    spec: Spec
    rows: Mapping[str, list[Any]] = field(repr=False)


def find_chart(value: object) -> TheirChart | None:
    """The chart that a text or a JSON value is, or holds alone; None for anything else."""
    if isinstance(value, str):
        if SCHEMA_ADDRESS not in value or not value.lstrip().startswith("{"):
            return None

        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None

    spec = _find_spec(value, 0)
    if spec is None:
        return None

    return _take_rows(spec)


def draw_theirs(chart: TheirChart, table: str) -> Drawing:
    """The drawing; `table` is the variable of its rows, "" where there is none. Raises
    `SpecError`.
    """
    _refuse_loading(chart.spec)
    refuse_endless(chart.spec)
    _refuse_small_bins(chart)
    chart = TheirChart(seal(chart.spec), seal(dict(chart.rows)))
    rows = sum(map(len, chart.rows.values()))
    if rows > _ROWS_AT_MOST:
        raise SpecError(f"it holds {rows:,} rows; {_ROWS_AT_MOST:,} can be drawn")

    config = {**CONFIG, **_as_config(chart.spec.get("config"))}
    live = {**chart.spec, "$schema": SCHEMA, "datasets": dict(chart.rows)}
    live["config"] = config
    words = _describe(chart.spec)
    live.setdefault("description", words)
    if is_available():
        svg, width, height = draw(live, config)
    else:
        svg, width, height = "", 0, 0  # a live page draws it itself

    return Drawing(
        _title(chart.spec) or words, words, words, _code(chart, table),
        live, svg, width, height,
    )  # fmt: skip


def _as_config(config: object) -> dict[str, Any]:
    if isinstance(config, Mapping):
        return dict(config)

    return {}


def _find_spec(value: object, depth: int) -> Spec | None:
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return None

    schema = value.get("$schema")
    if isinstance(schema, str) and SCHEMA_ADDRESS in schema:
        return copy.deepcopy(dict(value))

    # `{"spec": {…}}`, `{"result": {…}}`: a wrapping that says little else
    if len(value) > 4:
        return None

    for inner in value.values():
        found = _find_spec(inner, depth + 1)
        if found is not None:
            return found

    return None


def _take_rows(spec: Spec) -> TheirChart:
    """Every data set of its own by name; those that are written where they are used get one."""
    rows: dict[str, list[Any]] = {}
    sets = spec.pop("datasets", None)
    if isinstance(sets, Mapping):
        rows |= {str(k): v for k, v in sets.items() if isinstance(v, list)}

    holders = [holder for _, holder, key in pairs_in(spec) if key == "data"]
    for holder in holders:
        values = _as_config(holder["data"]).get("values")
        if isinstance(values, list):
            name = f"data_{len(rows) + 1}"
            rows[name] = values
            holder["data"] = {"name": name}

    return TheirChart(spec, rows)


def _refuse_loading(spec: Spec) -> None:
    for _, holder, key in pairs_in(spec):
        if key in _LOADS:
            raise SpecError(
                f"it has {key}, and a chart here loads nothing and links to nothing"
            )
        if holder[key] == "image" and key in ("mark", "type"):
            raise SpecError("it draws pictures from elsewhere")


def _refuse_small_bins(chart: TheirChart) -> None:
    """A step that is tiny beside its values means a bin, and a tick, for each."""
    for _, holder, key in pairs_in(chart.spec):
        step = _as_config(holder[key]).get("step") if key == "bin" else None
        if not isinstance(step, int | float):
            continue

        rows = [row for rows in chart.rows.values() for row in rows]
        values = [_as_config(row).get(str(holder.get("field"))) for row in rows]
        numbers = [value for value in values if isinstance(value, int | float)]
        span = max(numbers, default=0) - min(numbers, default=0)
        if not step > 0 or span / step > _BINS_AT_MOST:
            raise SpecError(f"its bins of {step} are more than {_BINS_AT_MOST:,}")


def _title(spec: Spec) -> str:
    title = spec.get("title")
    if isinstance(title, Mapping):
        title = title.get("text")

    return title if isinstance(title, str) else ""


def _describe(spec: Spec) -> str:
    """Its title, its marks, and what its channels show."""
    said = [_title(spec)] if _title(spec) else []
    units = [holder for _, holder, key in pairs_in(spec) if key == "mark"]
    for unit in units:
        mark = unit["mark"]
        kind = mark.get("type") if isinstance(mark, Mapping) else mark
        channels = [
            f"{channel}: {_channel_words(definition)}"
            for channel, definition in _as_config(unit.get("encoding")).items()
            if isinstance(definition, Mapping)
            and {"field", "aggregate"} & set(definition)
        ]
        said.append(" · ".join([f"{kind} chart", *channels]))

    return "; ".join(dict.fromkeys(said)) or "A chart"


def _channel_words(definition: Mapping[str, Any]) -> str:
    title = definition.get("title")
    if isinstance(title, str):
        return title

    words = [
        definition.get("aggregate"),
        definition.get("timeUnit"),
        definition.get("field"),
    ]
    return " of ".join(str(word) for word in words if isinstance(word, str))


def _code(chart: TheirChart, table: str) -> str:
    """Altair code over the table of its rows; "" where they are several tables."""
    if len(chart.rows) != 1 or not table:
        return ""

    bare = json.loads(json.dumps(chart.spec))
    name = next(iter(chart.rows))
    lines = [
        "import altair as alt",
        "",
        f"chart = alt.Chart.from_dict({bare!r})",
        f"chart.datasets = {{{name!r}: {table}.to_dict('records')}}",
        "chart",
    ]
    return "\n".join(lines)
