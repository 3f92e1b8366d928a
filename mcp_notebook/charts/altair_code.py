"""A chart as Altair code over the named table: the same rows, the same words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_notebook.charts.compute import Chart, Points
    from mcp_notebook.charts.specification import Spec

_WIDTH = 88
_CONCATS = ("hconcat", "vconcat", "concat")
_SIMPLE = re.compile(r"[^\W\d]\w*")
_LETTER = {"quantitative": "Q", "temporal": "T", "ordinal": "O", "nominal": "N"}
_PROPERTIES = ("width", "height", "title")


def altair_code(chart: Chart, variable: str = "", name: str = "") -> str:
    """Statements that draw the chart with Altair.

    `variable`: the Python variable of the table, by default the table's own name;
    `name`: what the chart is called, "" where it is the value of the last line.
    """
    variable = variable or chart.table
    lines = ["import altair as alt"]
    points = {}
    computed = [not one.whole for one in chart.points]
    if any(computed):
        lines += ["import mcp_notebook", ""]
    else:
        lines.append("")

    for number, one in enumerate(chart.points, start=1):
        held = f"points_{number}"
        points[held] = _source(one, variable)
        if not one.whole:
            points[held] = "points" if len(chart.points) == 1 else held
            lines.append(_statement(points[held], one.sql, chart.table, variable))

    made = _chart(chart.spec, points)
    if name:
        lines += [f"{name} = {made}", name]
    else:
        lines.append(made)

    return "\n".join(lines)


def _source(points: Points, variable: str) -> str:
    """The columns of the table that are drawn; Altair would send all of them."""
    return f"{variable}[{list(points.columns)!r}]"


def _statement(name: str, sql: str, table: str, variable: str) -> str:
    given = (
        f"{table}={variable}"
        if _SIMPLE.fullmatch(table)
        else f"**{{{table!r}: {variable}}}"
    )
    written = sql.replace("\n", "\n    ")
    if '"""' in sql or "\\" in sql:
        return f"{name} = mcp_notebook.sql({sql!r}, {given})"

    return (
        f'{name} = mcp_notebook.sql(\n    """\n    {written}\n    """,\n    {given},\n)'
    )


def _chart(spec: Spec, points: Mapping[str, str], inherited: bool = False) -> str:
    """The expression of a view; `inherited`: its data stands around it."""
    for form in _CONCATS:
        if form in spec:
            parts = [_chart(inner, points) for inner in spec[form]]
            extra = (
                [f"columns={spec['columns']!r}"]
                if form == "concat" and "columns" in spec
                else []
            )
            made = f"alt.{form}({_arguments([*parts, *extra])})"
            return made + _trailing_lines(spec, ("title", "spacing"))

    if "facet" in spec and "spec" in spec:
        return _facet(spec, points)

    if "layer" in spec:
        given = []
        if "data" in spec:
            given = [f"data={points[spec['data']['name']]}"]

        parts = [_chart(inner, points, "data" not in inner) for inner in spec["layer"]]
        return f"alt.layer({_arguments([*parts, *given])})" + _trailing_lines(
            spec, _PROPERTIES
        )

    return _unit(spec, points)


def _facet(spec: Spec, points: Mapping[str, str]) -> str:
    inner = {**spec["spec"], "data": spec["data"]}
    panels = spec["facet"]
    if "field" in panels:
        given = [f"facet={_channel('facet', panels)}"]
    else:
        given = [f"{name}={_channel(name, one)}" for name, one in panels.items()]

    if "columns" in spec:
        given.append(f"columns={spec['columns']!r}")

    return (
        _chart(inner, points)
        + f".facet({_arguments(given)})"
        + _trailing_lines(spec, ("title",))
    )


def _unit(spec: Spec, points: Mapping[str, str]) -> str:
    data = points[spec["data"]["name"]] if "data" in spec else ""
    mark = spec["mark"]
    options = {} if isinstance(mark, str) else dict(mark)
    kind = options.pop("type", mark)
    given = ", ".join(f"{key}={value!r}" for key, value in options.items())
    made = f"alt.Chart({data}).mark_{kind}({given})"
    for step in spec.get("transform", ()):
        layer = step["filter"]
        test = f"field={layer['field']!r}, equal={layer['equal']}"
        made += f".transform_filter(alt.FieldEqualPredicate({test}))"

    encodings = []
    for channel, definition in spec["encoding"].items():
        if isinstance(definition, list):
            inner = ", ".join(_channel(channel, one) for one in definition)
            encodings.append(f"{channel}=[{inner}]")
        else:
            encodings.append(f"{channel}={_channel(channel, definition)}")

    return f"{made}.encode({_arguments(encodings)})" + _trailing_lines(
        spec, _PROPERTIES
    )


def _channel(channel: str, definition: Mapping[str, Any]) -> str:
    """`alt.Y('sum(revenue):Q', title='revenue')`."""
    upper = channel[0].upper() + channel[1:]
    for fixed in ("value", "datum"):
        if fixed in definition:
            rest = {k: v for k, v in definition.items() if k != fixed}
            suffix = fixed.capitalize()
            return f"alt.{upper}{suffix}({_pairs([repr(definition[fixed])], rest)})"

    rest = dict(definition)
    field, kind = rest.pop("field"), rest.pop("type", None)
    short = field
    if "aggregate" in rest and "bin" not in rest:
        short = f"{rest.pop('aggregate')}({field})"
    elif rest.get("timeUnit") and "bin" not in rest:
        short = f"{rest.pop('timeUnit')}({field})"

    if kind is None:
        letter = ""
    else:
        letter = f":{_LETTER[kind]}"

    return f"alt.{upper}({_pairs([repr(short + letter)], rest)})"


def _pairs(first: list[str], rest: Mapping[str, Any]) -> str:
    return ", ".join([*first, *(f"{key}={value!r}" for key, value in rest.items())])


def _trailing_lines(spec: Spec, names: tuple[str, ...]) -> str:
    given = {name: spec[name] for name in names if name in spec}
    made = ""
    if given:
        made = f".properties({_pairs([], given)})"

    if "resolve" in spec:
        for kind, channels in spec["resolve"].items():
            made += f".resolve_{kind}({_pairs([], channels)})"

    return made


def _arguments(parts: list[str]) -> str:
    """Arguments on one line where they fit, else a line each."""
    line = ", ".join(parts)
    if len(line) <= _WIDTH - 20 and "\n" not in line:
        return line

    inner = ",\n".join(parts)
    return "\n    " + inner.replace("\n", "\n    ") + ",\n"
