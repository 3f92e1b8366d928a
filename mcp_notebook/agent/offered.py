"""One tool as the Messages API takes it, under the API's own rules for an input schema,
and the model's arguments as the tool's server takes them.

The rules (https://platform.claude.com/docs/en/agents-and-tools/tool-use and the API's
own refusals): an object at the top and nothing combined there, names of arguments of 64
characters of a small alphabet. JSON Schema itself is `json_schema`'s matter.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.json_schema import (
    Schema,
    lift,
    resolve,
    sendable,
    settle_references,
    whole_text,
)

if TYPE_CHECKING:
    from mcp_notebook.sessions import ToolInfo

# characters; a server's whole manual does not belong into every request
MAX_DESCRIPTION = 4000
MAX_ARGUMENT = 64
_FORBIDDEN = re.compile(r"[^a-zA-Z0-9_.-]+")
_ALLOWED = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_COMBINED = ("allOf", "anyOf", "oneOf")
# Schemas that a schema at the top is made of, one through the other: a chain of
# references may be a circle.
_MOST_STEPS = 12
_KEPT = 4096  # tools whose form is remembered


@dataclass(frozen=True)
class OfferedTool:
    """What a request says of a tool, but for its name."""

    description: str
    input_schema: Schema
    # by the names that the model uses, where they are not the server's own
    own_names: Mapping[str, str] = field(default_factory=dict)
    # the arguments that can only be a list or an object: what a text must be read as
    structured: Mapping[str, type] = field(default_factory=dict)

    def take_arguments(
        self, given: Mapping[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """The model's arguments as the server takes them, and the names of those that
        the model wrote as a JSON text and that were read as what the schema wants.
        """
        taken: dict[str, Any] = {}
        read = []
        for name, value in given.items():
            own = self.own_names.get(name, name)
            wanted = self.structured.get(name)
            if wanted is not None and isinstance(value, str):
                found = _read_json(value, wanted)
                if found is not None:
                    value = found
                    read.append(own)

            taken[own] = value

        return taken, tuple(read)


_offered: dict[str, OfferedTool] = {}


def offer(tool: ToolInfo) -> OfferedTool:
    """The tool in the API's form; worked out once for a definition."""
    found = _offered.get(tool.fingerprint)
    if found is None:
        if len(_offered) >= _KEPT:
            _offered.clear()

        found = _offered[tool.fingerprint] = _make(tool)

    return found


def _make(tool: ToolInfo) -> OfferedTool:
    schema = merge_branches(lift(tool.input_schema))
    said = [tool.description.strip() or tool.title.strip() or tool.name]
    choices = schema.pop(_CHOICES, None)
    if choices:
        said.append(choices)

    schema, own_names = _rename(schema)
    # What a reference stood for may have been merged or renamed.
    settle_references(schema, schema)
    properties = schema.get("properties", {})
    structured = {
        name: kind
        for name, part in properties.items()
        if (kind := _structured_kind(part, schema)) is not None
    }
    words = whole_text("\n".join(said)[:MAX_DESCRIPTION])
    return OfferedTool(words, schema, own_names, structured)


# Where `merge_branches` leaves what the branches asked for; no keyword of JSON Schema.
_CHOICES = "x-choices"


def merge_branches(schema: Schema) -> Schema:
    """An object schema with nothing combined at its top: properties of all branches are
    in it, required is what every branch requires, and the rest is said in words.
    """
    parts = _merge_top(schema, schema, _MOST_STEPS)
    parts["type"] = "object"
    return parts


def _merge_top(schema: Any, root: Schema, steps: int) -> Schema:
    if not isinstance(schema, dict) or not steps:
        return {}

    top = {k: v for k, v in schema.items() if k not in (*_COMBINED, "$ref")}
    if "$ref" in schema:
        target = _merge_top(_resolve(root, schema["$ref"]), root, steps - 1)
        top = _join(target, top)

    for branch in schema.get("allOf", ()):
        top = _join(top, _merge_top(branch, root, steps - 1))

    for word in ("anyOf", "oneOf"):
        branches = [_merge_top(b, root, steps - 1) for b in schema.get(word, ())]
        if branches:
            top = _join(top, _unite(branches))

    return top


def _resolve(root: Schema, reference: str) -> Any:
    try:
        return resolve(root, reference)
    except (LookupError, TypeError, ValueError):
        return {}


def _join(first: Schema, second: Schema) -> Schema:
    """What both say: where both define a property, it has to be both."""
    joined = {**second, **first}
    properties = dict(first.get("properties", {}))
    for name, part in second.get("properties", {}).items():
        both = properties.get(name, part)
        properties[name] = part if both == part else {"allOf": [both, part]}

    if properties:
        joined["properties"] = properties

    required = [*first.get("required", ()), *second.get("required", ())]
    if required:
        joined["required"] = list(dict.fromkeys(required))

    definitions = {**second.get("$defs", {}), **first.get("$defs", {})}
    if definitions:
        joined["$defs"] = definitions

    said = [part[_CHOICES] for part in (first, second) if _CHOICES in part]
    if said:
        joined[_CHOICES] = "\n".join(said)

    return joined


def _unite(branches: list[Schema]) -> Schema:
    """What at least one of them allows."""
    forms: dict[str, list[Any]] = {}
    for branch in branches:
        for name, part in branch.get("properties", {}).items():
            known = forms.setdefault(name, [])
            if part not in known:
                known.append(part)

    properties = {
        name: parts[0] if len(parts) == 1 else {"anyOf": parts}
        for name, parts in forms.items()
    }
    needed = [list(branch.get("required", ())) for branch in branches]
    always = [name for name in needed[0] if all(name in names for names in needed)]
    united: Schema = {}
    if properties:
        united["properties"] = properties
    if always:
        united["required"] = always

    sets = [f"({', '.join(names)})" for names in needed if names and names != always]
    if sets:
        united[_CHOICES] = f"Give the arguments of one of: {' or '.join(sets)}."

    return united


def _rename(schema: Schema) -> tuple[Schema, dict[str, str]]:
    """The schema with names that the API takes, and {the API's name: the server's}."""
    properties = schema.get("properties", {})
    if all(_is_allowed(name) for name in properties):
        return schema, {}

    new_names = {name: name for name in properties if _is_allowed(name)}
    for name in properties:
        if name not in new_names:
            new_names[name] = allowed_name(name, new_names.values())

    renamed = dict(schema)
    renamed["properties"] = {
        new_names[name]: part if new_names[name] == name else _say_name(part, name)
        for name, part in properties.items()
    }
    if "required" in schema:
        renamed["required"] = [new_names.get(n, n) for n in schema["required"]]

    # They speak of names, and of the old ones; what they ask for, the server checks.
    for key in ("dependentRequired", "dependentSchemas", "propertyNames"):
        renamed.pop(key, None)

    own_names = {new: name for name, new in new_names.items() if new != name}
    return renamed, own_names


def _is_allowed(name: str) -> bool:
    return _ALLOWED.fullmatch(name) is not None


def allowed_name(name: str, taken: Iterable[str]) -> str:
    """A name of an argument in the API's alphabet, readable and free."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    letters = "".join(c for c in plain if not unicodedata.combining(c))
    base = _FORBIDDEN.sub("_", letters).strip("_")[:MAX_ARGUMENT] or "argument"
    found, number = base, 2
    used = set(taken)
    while found in used:
        ending = f"_{number}"
        found, number = base[: MAX_ARGUMENT - len(ending)] + ending, number + 1

    return found


def _say_name(part: Any, name: str) -> Any:
    if not isinstance(part, dict):
        return part

    said = part.get("description")
    words = f"Called {whole_text(name)[:200]!r} by the server."
    return {**part, "description": f"{said} {words}" if said else words}


def _structured_kind(part: Any, root: Schema) -> type | None:
    """`list` or `dict` when the schema of an argument allows nothing else but null."""
    kinds = _kinds(part, root, _MOST_STEPS) - {"null"}
    if kinds == {"array"}:
        return list
    if kinds == {"object"}:
        return dict

    return None


def _kinds(part: Any, root: Schema, steps: int) -> frozenset[str]:
    """The JSON types that a schema allows as far as that is plain; empty when not."""
    if not isinstance(part, dict) or not steps:
        return frozenset()

    kind = part.get("type")
    if isinstance(kind, str):
        return frozenset({kind})
    if isinstance(kind, list):
        return frozenset(kind)
    if "$ref" in part:
        return _kinds(_resolve(root, part["$ref"]), root, steps - 1)

    for word in ("anyOf", "oneOf"):
        branches = [_kinds(b, root, steps - 1) for b in part.get(word, ())]
        if branches and all(branches):
            return frozenset().union(*branches)

    return frozenset()


def _read_json(text: str, wanted: type) -> Any:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None

    return sendable(found) if isinstance(found, wanted) else None
