"""The fields of a form that a server asks to be filled in, from its schema; and what
was typed, checked against it.

The schema is MCP's subset of JSON Schema: one flat object of texts, numbers, yes/no and choices.
https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from mcp_notebook.secrets import NameLevel, is_secret_name

Kind = Literal["text", "integer", "number", "boolean", "choice", "choices"]
MOST = 50  # fields of one form
_LIMITS = ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems")
_KINDS: Mapping[Any, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "boolean",
}
_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")


@dataclass(frozen=True)
class Field:
    """One field. `choices` are (value, label); `limits` are the schema's own minimum,
    maxLength and so on.
    """

    name: str
    title: str
    kind: Kind
    description: str = ""
    required: bool = False
    default: Any = None
    format: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_secret(self) -> bool:
        """Whether it seems to ask for a password, a key or a token, which the protocol
        keeps out of forms.
        """
        if self.kind != "text":
            return False

        return (
            self.format == "password"
            or is_secret_name(self.name, NameLevel.FORM)
            or is_secret_name(self.title, NameLevel.FORM)
        )


def fields_of(schema: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of a requested schema; raises ValueError for one that no form can show."""
    properties = schema.get("properties")
    if not isinstance(properties, Mapping) or len(properties) > MOST:
        raise ValueError("the schema is no flat object, or has too many fields")

    required = set(schema.get("required") or ())
    return tuple(
        _read_field(str(name), schema, name in required)
        for name, schema in properties.items()
    )


def check_fields(
    fields: tuple[Field, ...], typed: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    """What was typed as the schema's values, and a sentence for each field that is not
    right yet.
    """
    values: dict[str, Any] = {}
    wrong: dict[str, str] = {}
    for one in fields:
        raw = typed.get(one.name)
        if raw in (None, "", []) and one.kind != "boolean":
            if one.required:
                wrong[one.name] = "Needed."

            continue

        try:
            values[one.name] = value_of(one, raw)
        except ValueError as error:
            wrong[one.name] = str(error)

    return values, wrong


def value_of(one: Field, raw: Any) -> Any:
    """One value; raises ValueError with a short sentence for the person."""
    if one.kind == "boolean":
        return _read_yes_or_no(raw)
    if one.kind in ("integer", "number"):
        return _read_number(one, raw)

    known = [value for value, _ in one.choices]
    if one.kind == "choices":
        return _read_several(one, raw, known)

    text = str(raw)
    if one.kind == "text":
        return _check_text(one, text)
    if text not in known:
        raise ValueError("Choose one of the list.")

    return text


def _read_yes_or_no(raw: Any) -> bool:
    if isinstance(raw, bool) or raw is None:
        return bool(raw)

    said = str(raw).strip().lower()
    if said in ("y", "yes", "true", "1"):
        return True
    if said in ("n", "no", "false", "0", ""):
        return False

    raise ValueError("Yes or no.")


def _read_number(one: Field, raw: Any) -> int | float:
    text = str(raw).strip()
    try:
        if one.kind == "integer":
            value = int(text)
        else:
            value = float(text)
    except ValueError:
        if one.kind == "integer":
            what = "A whole number."
        else:
            what = "A number."

        raise ValueError(what) from None

    # no number in JSON; an int may be larger than any float, so it is not asked
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("A number.")
    if value < one.limits.get("minimum", value):
        raise ValueError(f"At least {one.limits['minimum']:g}.")
    if value > one.limits.get("maximum", value):
        raise ValueError(f"At most {one.limits['maximum']:g}.")

    return value


def _read_several(one: Field, raw: Any, known: list[str]) -> list[str]:
    if isinstance(raw, list):
        pieces = raw
    else:
        pieces = str(raw).split(",")

    chosen = [str(piece).strip() for piece in pieces]
    if not set(chosen) <= set(known):
        raise ValueError("Choose from the list.")
    if len(chosen) < one.limits.get("minItems", 0):
        raise ValueError(f"Choose at least {one.limits['minItems']:g}.")
    if len(chosen) > one.limits.get("maxItems", len(chosen)):
        raise ValueError(f"Choose at most {one.limits['maxItems']:g}.")

    return chosen


def _check_text(one: Field, text: str) -> str:
    if len(text) < one.limits.get("minLength", 0):
        raise ValueError(f"At least {one.limits['minLength']:g} characters.")
    if len(text) > one.limits.get("maxLength", len(text)):
        raise ValueError(f"At most {one.limits['maxLength']:g} characters.")
    if one.format in _FORMATS and not _FORMATS[one.format](text):
        raise ValueError(_WRONG_FORMAT[one.format])

    return text


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) > 10


_FORMATS = {
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "uri": lambda text: bool(urlsplit(text).scheme and text.partition(":")[2]),
    "date": _is_date,
    "date-time": _is_time,
}
_WRONG_FORMAT = {
    "email": "An e-mail address.",
    "uri": "An address such as https://example.org.",
    "date": "A date such as 2026-11-23.",
    "date-time": "A time such as 2026-11-23T09:30:00Z.",
}


def _read_field(name: str, schema: Any, required: bool) -> Field:
    if not isinstance(schema, Mapping):
        raise ValueError(f"the field {name!r} is not described")

    kind, choices = _read_kind(name, schema)
    limits = {
        key: schema[key] for key in _LIMITS if isinstance(schema.get(key), int | float)
    }

    return Field(
        name,
        title=str(schema.get("title") or name),
        kind=kind,
        description=str(schema.get("description") or ""),
        required=required,
        default=schema.get("default"),
        format=str(schema.get("format") or ""),
        choices=choices,
        limits=limits,
    )


def _read_kind(
    name: str, schema: Mapping[str, Any]
) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    """The kind of a field, and its (value, label) where it is a choice."""
    is_choice = "enum" in schema or "oneOf" in schema
    kind = schema.get("type", "string" if is_choice else None)
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        return "choices", _read_choices(schema["items"])

    if kind == "string":
        choices = _read_choices(schema)
    else:
        choices = ()

    if choices:
        return "choice", choices
    if kind not in _KINDS:
        raise ValueError(f"the field {name!r} is of a kind that no form has")

    return _KINDS[kind], ()


def _read_choices(schema: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """From `enum` with or without `enumNames`, or from titled constants in `oneOf` or `anyOf`."""
    titled = schema.get("oneOf") or schema.get("anyOf")
    if isinstance(titled, list):
        constants = [one for one in titled if "const" in one]
        return tuple(
            (str(one["const"]), str(one.get("title") or one["const"]))
            for one in constants
        )

    values = [str(value) for value in schema.get("enum") or ()]
    names = [str(name) for name in schema.get("enumNames") or ()]
    if len(names) == len(values):
        labels = names
    else:
        labels = values

    return tuple(zip(values, labels, strict=True))
