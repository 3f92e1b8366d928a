"""A Vega-Lite specification as others write it, checked into what we draw.

What is taken is listed here, so what is new in Vega-Lite is refused until it is looked
at: a specification can load data and pictures from anywhere, run expressions, and make
marks into links. https://vega.github.io/vega-lite/docs/spec.html
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Spec = dict[str, Any]

MARKS = (
    "arc area bar boxplot circle line point rect rule square text tick trail".split()
)
TYPES = ("quantitative", "temporal", "ordinal", "nominal")
POSITIONS = ("x", "y", "x2", "y2", "theta", "theta2", "radius", "radius2")
OFFSETS = ("xOffset", "yOffset")
PANELS = ("row", "column", "facet")
CHANNELS = (
    *POSITIONS,
    *OFFSETS,
    *PANELS,
    *"color fill stroke opacity fillOpacity strokeOpacity strokeWidth strokeDash".split(),
    *"size shape angle text tooltip order detail".split(),
)
AGGREGATES = (
    "count sum mean average median min max distinct valid missing q1 q3 product "
    "stdev stdevp variance variancep".split()
)
CYCLIC_UNITS = "quarter month date day hours minutes seconds monthdate".split()
DATED_UNITS = (
    "year yearquarter yearmonth yearweek yearmonthdate yearmonthdatehours "
    "yearmonthdatehoursminutes yearmonthdatehoursminutesseconds".split()
)
TIME_UNITS = (*DATED_UNITS, *CYCLIC_UNITS)
PREDICATES = ("equal", "lt", "lte", "gt", "gte", "range", "oneOf", "valid")

_UNIT_KEYS = ("mark", "encoding", "transform", "width", "height", "title")
_VIEW_KEYS = (
    *_UNIT_KEYS,
    *"layer facet spec hconcat vconcat concat columns spacing resolve description".split(),
)
_CHANNEL_KEYS = (
    *"field type aggregate bin timeUnit title sort scale axis legend header stack".split(),
    *"value datum format bandPosition band spacing columns align".split(),
)
# Looks that a whole page has, and that our own take the place of.
_LOOKS = ("config", "background", "padding", "autosize", "name")
_ALWAYS_THERE = ("$schema",)
# Anywhere below: what loads, links, runs an expression, or hides something.
_FORBIDDEN = frozenset(
    "url href usermeta data datasets expr signal labelExpr params param selection "
    "lookup projection loader events update test image".split()
)
_SIZES = (20, 1_200)  # pixels
_DEEPEST = 12
_LARGEST = 40_000  # characters, about


class SpecError(ValueError):
    """Why a specification is not taken, in sentences that say what to write instead."""


@dataclass(frozen=True, slots=True)
class CheckedSpec:
    """A specification that can be drawn: `views`, and how they stand together.

    `form`: `unit`, `layer`, `facet` (of layers) or a kind of `concat`. `look` is what
    stands at the top beside them. `left_out` says what was dropped.
    """

    form: str
    views: tuple[Spec, ...]
    look: Mapping[str, Any]
    left_out: tuple[str, ...] = ()


def check_spec(
    spec: object, columns: Sequence[str], masked: Sequence[str]
) -> CheckedSpec:
    """The specification over a table with these columns; raises `SpecError`.

    `masked`: columns of whose values nothing may be seen.
    """
    if not isinstance(spec, Mapping) or not spec:
        raise SpecError(
            "spec is a Vega-Lite object, for example "
            '{"mark": "bar", "encoding": {"x": {"field": "region"}, '
            '"y": {"aggregate": "count"}}}.'
        )

    _check_size(spec)
    # a copy in which no two places are one object
    whole = json.loads(json.dumps(spec, default=str))
    left_out = _drop_looks(whole)
    _drop_named_data(whole)
    _refuse_forbidden(whole)
    made = _arrange(whole, left_out)
    for view in made.views:
        _check_view(view, columns, masked)

    return made


def units_of(view: Spec) -> list[Spec]:
    """The units of a view: itself, or its layers."""
    return view.get("layer", [view])


def channels_of(unit: Spec) -> Iterator[tuple[str, Spec]]:
    """Each channel's definition, those of lists (tooltip, detail, order) one by one."""
    for channel, definition in unit.get("encoding", {}).items():
        if isinstance(definition, list):
            yield from ((channel, one) for one in definition)
        else:
            yield channel, definition


def mark_of(unit: Spec) -> str:
    """The name of a unit's mark."""
    mark = unit["mark"]
    if isinstance(mark, str):
        return mark

    return mark["type"]


def suggest(name: str, known: Iterable[str]) -> str:
    """` Did you mean revenue?`, or which there are."""
    names = list(known)
    lower = {one.lower(): one for one in names}
    near = difflib.get_close_matches(name.lower(), lower, 3, 0.6)
    parts = [one for one in lower if len(one) > 2 and one in name.lower()]
    found = [lower[one] for one in dict.fromkeys([*near, *parts])][:3]
    if found:
        return f" Did you mean {' or '.join(found)}?"

    listed = ", ".join(names[:40])
    if len(names) > 40:
        listed += f" and {len(names) - 40} more"

    return f" There are: {listed}."


def _check_size(spec: object) -> None:
    """A specification is small; what is deep or long is no specification."""
    left = _LARGEST
    waiting: list[tuple[object, int]] = [(spec, 0)]
    while waiting:
        value, depth = waiting.pop()
        left -= 8 + (len(value) if isinstance(value, str) else 0)
        if left < 0 or depth > _DEEPEST:
            raise SpecError(
                "spec is too long or too deep for a chart: describe marks and "
                "encodings only, and put the numbers into the table."
            )

        if isinstance(value, Mapping):
            waiting += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]


def _drop_looks(whole: Spec) -> list[str]:
    for key in _ALWAYS_THERE:
        whole.pop(key, None)

    dropped = [key for key in _LOOKS if whole.pop(key, None) is not None]
    if not dropped:
        return []

    return [f"{', '.join(dropped)} left out: charts have the notebook's own look"]


def _drop_named_data(whole: Spec) -> None:
    """`data: {"name": "sales"}` says again which table is drawn."""
    data = whole.get("data")
    if isinstance(data, Mapping) and set(data) <= {"name"}:
        del whole["data"]


def pairs_in(
    value: object, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Spec, str]]:
    """Every key of every object within: the path to it, the object, the key."""
    inside = value if isinstance(value, list) else []
    for inner in inside:
        yield from pairs_in(inner, path)

    holder = value if isinstance(value, dict) else {}
    for key, inner in holder.items():
        here = (*path, str(key))
        yield here, holder, key
        yield from pairs_in(inner, here)


def _refuse_forbidden(whole: Spec) -> None:
    for path, _, key in pairs_in(whole):
        if key in _FORBIDDEN:
            raise SpecError(f"{'.'.join(path)} is not taken: {_why_forbidden(key)}.")

    refuse_endless(whole)


# Of these Vega makes a thing each: a billion ticks would never end.
_COUNTED = frozenset(
    "tickCount count maxbins steps minsteps maxsteps resolution".split()
)
_MANY = 1_000
_ENDLESS = frozenset("bins sequence keyvals graticule".split())


def refuse_endless(spec: Spec) -> None:
    """Raise `SpecError` for what could keep the engine busy for ever."""
    for path, holder, key in pairs_in(spec):
        if key in _ENDLESS and isinstance(holder[key], dict):
            raise SpecError(f"{'.'.join(path)} is not taken: it has no bound.")

        is_number = isinstance(holder[key], int | float)
        if key in _COUNTED and is_number and not holder[key] <= _MANY:
            raise SpecError(f"{'.'.join(path)} is {_MANY:,} at most.")


_REASONS = {
    **dict.fromkeys(
        ("data", "datasets", "url", "lookup"),
        "the data is the table, given by its name; a chart loads nothing",
    ),
    **dict.fromkeys(("href", "image"), "marks are no links and no pictures"),
    **dict.fromkeys(
        ("params", "param", "selection", "events", "update"),
        "charts are drawn as they stand, without interaction",
    ),
    "projection": "there are no maps; draw longitude as x and latitude as y",
    "usermeta": "it holds what is no chart",
}


def _why_forbidden(key: str) -> str:
    expression = (
        "expressions do not run; compute a column with query and chart that table"
    )
    return _REASONS.get(key, expression)


def _arrange(whole: Spec, left_out: list[str]) -> CheckedSpec:
    """The views of a specification, every shared encoding brought down to its units."""
    _known_keys(whole, _VIEW_KEYS, "spec")
    forms = [
        form
        for form in ("mark", "layer", "facet", "hconcat", "vconcat", "concat")
        if form in whole
    ]
    if len(forms) != 1:
        raise SpecError(
            "spec has one of mark, layer, facet (with spec), hconcat, vconcat or "
            f"concat; here: {', '.join(forms) or 'none'}."
        )

    form = forms[0]
    look = {
        key: whole[key]
        for key in ("title", "description", "columns", "spacing", "resolve")
        if key in whole
    }
    notes = tuple(left_out)
    if form == "mark":
        return CheckedSpec("unit", (whole,), {}, notes)
    if form == "layer":
        return _arrange_layers(whole, look, notes)
    if form == "facet":
        return _arrange_facet(whole, look, notes)

    views = whole[form]
    if not isinstance(views, list) or not 0 < len(views) <= 9:
        raise SpecError(f"{form} is a list of one to nine charts.")

    arranged = []
    for view in views:
        if not isinstance(view, Mapping) or not {"mark", "layer"} & set(view):
            raise SpecError(f"Each chart of {form} has a mark or a layer.")

        inner = _arrange(dict(view), [])
        if inner.form == "facet":
            raise SpecError(f"Charts of {form} have no row, column or facet of layers.")

        arranged.append(inner.views[0])

    return CheckedSpec(form, tuple(arranged), look, notes)


def _arrange_layers(whole: Spec, look: Spec, notes: tuple[str, ...]) -> CheckedSpec:
    layers = whole["layer"]
    if not isinstance(layers, list) or not 0 < len(layers) <= 8:
        raise SpecError("layer is a list of one to eight charts, each with a mark.")

    shared = _as_object(whole.get("encoding", {}), "encoding")
    panels = {key: shared.pop(key) for key in PANELS if key in shared}
    filters = whole.get("transform", [])
    made = []
    for layer in layers:
        unit = dict(_as_object(layer, "layer"))
        if "mark" not in unit:
            raise SpecError("Each layer has a mark; layers in layers are not taken.")

        own = _as_object(unit.get("encoding", {}), "encoding")
        unit["encoding"] = {**copy.deepcopy(shared), **own}
        unit["transform"] = [*_as_list(filters), *_as_list(unit.get("transform", []))]
        made.append(unit)

    view = {
        "layer": made,
        **{key: whole[key] for key in ("title", "width", "height") if key in whole},
    }
    if "resolve" in whole:
        view["resolve"] = whole["resolve"]

    if panels:
        return CheckedSpec("facet", (view,), {"facet": _panel_fields(panels)}, notes)

    return CheckedSpec("layer", (view,), {}, notes)


def _arrange_facet(whole: Spec, look: Spec, notes: tuple[str, ...]) -> CheckedSpec:
    """`facet` with a `spec`: of one mark it is an encoding, of layers it stays."""
    facet = _as_object(whole["facet"], "facet")
    if "field" in facet:
        panels = {"facet": dict(facet)}
    else:
        panels = {key: dict(facet[key]) for key in ("row", "column") if key in facet}

    inner = dict(_as_object(whole.get("spec"), "spec"))
    if not panels or not {"mark", "layer"} & set(inner):
        raise SpecError(
            "facet has a field, or row and column with fields, and a spec with a mark "
            "or a layer."
        )

    if "columns" in whole and "facet" in panels:
        panels["facet"].setdefault("columns", whole["columns"])

    if "title" in whole:
        inner.setdefault("title", whole["title"])

    inner["transform"] = [
        *_as_list(whole.get("transform", [])),
        *_as_list(inner.get("transform", [])),
    ]
    own = _as_object(inner.get("encoding", {}), "encoding")
    inner["encoding"] = {**own, **panels}
    return _arrange(inner, list(notes))


def _panel_fields(panels: Spec) -> Spec:
    for key, definition in panels.items():
        panels[key] = dict(_as_object(definition, key))

    return panels


def _as_object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{name} is an object.")

    return dict(value)


def _as_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise SpecError("transform is a list of filters.")

    return value


def _known_keys(value: Mapping[str, Any], known: Sequence[str], name: str) -> None:
    for key in value:
        _require(key, known, f"{name} has {key!r}, which is not taken.")


def _require(value: object, known: Sequence[str], otherwise: str) -> None:
    """Raise `SpecError`, with what is near, unless it is one of those known."""
    if value not in known:
        raise SpecError(otherwise + suggest(str(value), known))


def _check_view(view: Spec, columns: Sequence[str], masked: Sequence[str]) -> None:
    for side in ("width", "height"):
        size = view.get(side)
        if size is not None and not _is_size(size):
            del view[side]

    layered = "layer" in view
    for unit in units_of(view):
        _check_unit(unit, columns, masked)
        if layered and set(PANELS) & set(unit["encoding"]):
            raise SpecError(
                "row, column and facet stand in the encoding beside layer, not in a layer."
            )


def _is_size(size: object) -> bool:
    if isinstance(size, Mapping):
        size = size.get("step")

    if isinstance(size, bool) or not isinstance(size, int | float):
        return False  # "container": a saved picture has none

    return 1 <= size <= _SIZES[1]


def _check_unit(unit: Spec, columns: Sequence[str], masked: Sequence[str]) -> None:
    _known_keys(unit, _UNIT_KEYS, "a chart")
    mark = unit["mark"]
    name = mark.get("type") if isinstance(mark, Mapping) else mark
    _require(name, MARKS, f"There is no mark {name!r}.")

    encoding = _as_object(unit.get("encoding", {}), "encoding")
    unit["encoding"] = encoding
    if not encoding:
        raise SpecError("encoding is missing: which column is x, which is y?")

    for channel, definition in encoding.items():
        _require(channel, CHANNELS, f"There is no channel {channel!r}.")
        listed = isinstance(definition, list)
        if listed and channel not in ("tooltip", "detail", "order"):
            raise SpecError(f"{channel} is one object, not a list.")

        for one in definition if listed else [definition]:
            _check_channel(channel, one, columns, masked)

    for step in _as_list(unit.get("transform", [])):
        if not isinstance(step, Mapping) or set(step) != {"filter"}:
            raise SpecError(
                "transform takes filters only: put aggregate, bin and timeUnit into the "
                "encoding, and compute anything else with query, then chart that table."
            )

        check_filter(step["filter"], columns, masked)


def _check_channel(
    channel: str, definition: Any, columns: Sequence[str], masked: Sequence[str]
) -> None:
    if not isinstance(definition, dict):
        raise SpecError(
            f'{channel} is an object such as {{"field": "{columns[0] if columns else "a"}"}}.'
        )

    _known_keys(definition, _CHANNEL_KEYS, channel)
    if "value" in definition or "datum" in definition:
        return

    _drop_nulls(definition)
    aggregate = definition.get("aggregate", "count")
    _require(aggregate, AGGREGATES, f"{channel}: there is no aggregate {aggregate!r}.")
    kind = definition.get("type", "nominal")
    _require(kind, TYPES, f"{channel}: there is no type {kind!r}.")
    if "field" in definition:
        check_column(definition["field"], columns, masked)
    elif definition.get("aggregate") != "count":
        raise SpecError(f"{channel} has no field: name a column.")

    _check_unit_of_time(channel, definition)
    _check_bin(channel, definition)
    sort = definition.get("sort")
    if isinstance(sort, Mapping) and "field" in sort:
        check_column(sort["field"], columns, masked)
        op = sort.get("op", "sum")
        _require(op, AGGREGATES, f"{channel}: sort has no op {op!r}.")


def _drop_nulls(definition: Spec) -> None:
    """A null says that nothing was chosen."""
    for key in ("aggregate", "type", "field", "timeUnit", "bin"):
        if definition.get(key, key) is None:
            del definition[key]


def _check_unit_of_time(channel: str, definition: Spec) -> None:
    unit = definition.get("timeUnit")
    if isinstance(unit, Mapping) and set(unit) == {"unit"}:
        unit = unit["unit"]

    if unit is None:
        return

    bare = str(unit).removeprefix("utc")
    _require(bare, TIME_UNITS, f"{channel}: there is no timeUnit {unit!r}.")
    definition["timeUnit"] = bare


def _check_bin(channel: str, definition: Mapping[str, Any]) -> None:
    binned = definition.get("bin")
    if binned in (None, False, True):
        return

    steps = binned if isinstance(binned, Mapping) else {}
    numbers = [steps.get(name) for name in ("maxbins", "step") if name in steps]
    plain = all(isinstance(n, int | float) and n > 0 for n in numbers)
    if not plain or not set(steps) or not set(steps) <= {"maxbins", "step", "nice"}:
        raise SpecError(f'{channel}: bin is true, {{"maxbins": 20}} or {{"step": 5}}.')


def check_column(name: object, columns: Sequence[str], masked: Sequence[str]) -> None:
    """Raise `SpecError` unless it is a column that may be seen."""
    if not isinstance(name, str):
        raise SpecError("field is the name of a column.")
    if name in masked:
        raise SpecError(
            f"{name} is masked: no chart shows its values. Chart other columns; count "
            "without a field counts its rows, too."
        )

    if name not in columns:
        shown = [one for one in columns if one not in masked]
        raise SpecError(f"The table has no column {name!r}.{suggest(name, shown)}")


def check_filter(
    condition: object, columns: Sequence[str], masked: Sequence[str]
) -> None:
    """Raise `SpecError` unless it is a predicate over columns, or and/or/not of such."""
    if not isinstance(condition, Mapping):
        raise SpecError(
            'filter is an object such as {"field": "year", "gte": 2020}, not an '
            "expression; and, or and not take such objects."
        )

    for word in ("and", "or"):
        if set(condition) == {word}:
            for inner in _as_list(condition[word]):
                check_filter(inner, columns, masked)

            return

    if set(condition) == {"not"}:
        check_filter(condition["not"], columns, masked)
        return

    tests = set(condition) - {"field"}
    if len(tests) != 1 or not tests <= set(PREDICATES):
        raise SpecError(
            f"A filter has a field and one of {', '.join(PREDICATES)}, for example "
            '{"field": "year", "gte": 2020}.'
        )

    check_column(condition.get("field"), columns, masked)
    _check_operand(next(iter(tests)), next(iter(condition[t] for t in tests)))


def _check_operand(test: str, value: object) -> None:
    plain = (str, int, float, bool)
    if test in ("range", "oneOf"):
        fits = isinstance(value, list) and all(
            isinstance(one, (*plain, type(None))) for one in value
        )
        fits = fits and (test == "oneOf" or len(value) == 2)  # type: ignore[arg-type]
    elif test == "valid":
        fits = isinstance(value, bool)
    else:
        fits = isinstance(value, plain)

    if not fits:
        raise SpecError(
            f"filter {test}: give "
            + {"range": "[lowest, highest]", "oneOf": "a list of values"}.get(
                test, "one value"
            )
            + "; dates as texts such as 2026-01-31."
        )
