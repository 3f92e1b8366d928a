"""The fields of a form that a server asks to be filled in, from its schema; and what
was typed, checked against it.

The schema is MCP's subset of JSON Schema: one flat object of texts, numbers, yes/no and choices.
https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from mcp_notebook.secrets import NameLevel, is_secret_name

Kind = Literal["text", "integer", "number", "boolean", "choice", "choices"]
MOST = 50  # fields of one form
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
        _field(str(name), told, name in required) for name, told in properties.items()
    )


def _field(name: str, told: Any, required: bool) -> Field:
    if not isinstance(told, Mapping):
        raise ValueError(f"the field {name!r} is not described")
    kind, choices = _kind(name, told)
    limits = {
        key: told[key]
        for key in (
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
            "maxItems",
        )
        if isinstance(told.get(key), int | float)
    }
    title, description = (
        str(told.get("title") or name),
        str(told.get("description") or ""),
    )
    default, form = told.get("default"), str(told.get("format") or "")
    return Field(
        name, title, kind, description, required, default, form, choices, limits
    )


def _kind(
    name: str, told: Mapping[str, Any]
) -> tuple[Kind, tuple[tuple[str, str], ...]]:
    kind = told.get("type", "string" if "enum" in told or "oneOf" in told else None)
    if kind == "array" and isinstance(told.get("items"), Mapping):
        return "choices", _choices(told["items"])
    if kind == "string" and (choices := _choices(told)):
        return "choice", choices
    known: dict[Any, Kind] = {
        "string": "text",
        "integer": "integer",
        "number": "number",
        "boolean": "boolean",
    }
    if kind not in known:
        raise ValueError(f"the field {name!r} is of a kind that no form has")
    return known[kind], ()


def _choices(told: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """From `enum` with or without `enumNames`, or from titled constants in `oneOf` or `anyOf`."""
    titled = told.get("oneOf") or told.get("anyOf")
    if isinstance(titled, list):
        return tuple(
            (str(t["const"]), str(t.get("title") or t["const"]))
            for t in titled
            if "const" in t
        )
    values = [str(v) for v in told.get("enum") or ()]
    names = [str(n) for n in told.get("enumNames") or ()]
    return tuple(
        zip(values, names if len(names) == len(values) else values, strict=True)
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
        return _yes(raw)
    if one.kind in ("integer", "number"):
        return _number(one, raw)
    known = [value for value, _ in one.choices]
    if one.kind == "choice":
        if str(raw) not in known:
            raise ValueError("Choose one of the list.")
        return str(raw)
    if one.kind == "choices":
        return _several(one, raw, known)
    return _text(one, str(raw))


def _yes(raw: Any) -> bool:
    if isinstance(raw, bool) or raw is None:
        return bool(raw)
    said = str(raw).strip().lower()
    if said in ("y", "yes", "true", "1"):
        return True
    if said in ("n", "no", "false", "0", ""):
        return False
    raise ValueError("Yes or no.")


def _number(one: Field, raw: Any) -> int | float:
    text = str(raw).strip()
    try:
        value = int(text) if one.kind == "integer" else float(text)
    except ValueError:
        raise ValueError(
            "A whole number." if one.kind == "integer" else "A number."
        ) from None
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("A number.")
    if value < one.limits.get("minimum", value):
        raise ValueError(f"At least {one.limits['minimum']:g}.")
    if value > one.limits.get("maximum", value):
        raise ValueError(f"At most {one.limits['maximum']:g}.")
    return value


def _several(one: Field, raw: Any, known: list[str]) -> list[str]:
    chosen = [
        str(v).strip() for v in (raw if isinstance(raw, list) else str(raw).split(","))
    ]
    if any(value not in known for value in chosen):
        raise ValueError("Choose from the list.")
    if len(chosen) < one.limits.get("minItems", 0):
        raise ValueError(f"Choose at least {one.limits['minItems']:g}.")
    if len(chosen) > one.limits.get("maxItems", len(chosen)):
        raise ValueError(f"Choose at most {one.limits['maxItems']:g}.")
    return chosen


def _text(one: Field, text: str) -> str:
    if len(text) < one.limits.get("minLength", 0):
        raise ValueError(f"At least {one.limits['minLength']:g} characters.")
    if len(text) > one.limits.get("maxLength", len(text)):
        raise ValueError(f"At most {one.limits['maxLength']:g} characters.")
    if not _FORMATS.get(one.format, lambda _: True)(text):
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
