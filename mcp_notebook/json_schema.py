"""A tool's schema as valid JSON Schema 2020-12, whatever draft or dialect its server writes.

Servers write draft 4 to 7, OpenAPI, or what looks like either; the Messages API refuses
a whole request for one keyword that its draft does not know. A valid schema comes back
as it is, letter for letter, so that what was allowed or recorded for it still holds.

Grammar: https://json-schema.org/draft/2020-12/json-schema-core and -validation; what
changed since draft 4: https://json-schema.org/understanding-json-schema/reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from mcp_notebook.untrusted_text import sendable

Schema = dict[str, Any]

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
# What other languages and dialects call them. `any` says nothing, so it is left out.
_TYPE_WORDS = {
    **{word: word for word in TYPES},
    "str": "string",
    "text": "string",
    "date": "string",
    "datetime": "string",
    "int": "integer",
    "long": "integer",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "bool": "boolean",
    "dict": "object",
    "map": "object",
    "list": "array",
    "tuple": "array",
    "none": "null",
    "nil": "null",
}
# Levels that are read; below, a schema allows anything. The API and Python's own
# parsers give up on deeper ones.
DEEPEST = 100
LONGEST_PATTERN = 2_000  # characters: compiling it takes time
# https://www.rfc-editor.org/rfc/rfc3986: what a reference holds, and what but a `#`.
_IN_URI = r"(?:[^\x00-\x20<>\"{}|\\^`%\x80-\U0010ffff]|%[0-9A-Fa-f]{2})*"
_BEFORE_HASH = _IN_URI.replace("`%", "`%#")
# Bigger whole numbers are not read alike everywhere.
_MOST = 2**63
_OLD = re.compile(r"draft-0[3-6]|schema\.org/schema")
_LEFT_OUT: Any = object()


def lift(schema: Mapping[str, Any]) -> Schema:
    """The schema as valid JSON Schema 2020-12.

    What an old draft says is said in the new one; what no draft knows is left out, a
    reference to nowhere and an unreadable pattern with a word in the description.
    """
    lifted = _lift(schema, 0)
    if not isinstance(lifted, dict):
        return {}

    settle_references(lifted, lifted)
    return sendable(lifted)


def resolve(root: Any, reference: str) -> Any:
    """What `#/$defs/name` stands for; raises LookupError, TypeError or ValueError for
    what is not in `root`.
    """
    path, anchor = _split_reference(reference)
    if anchor:
        return _find_anchor(root, anchor)

    place = root
    for step in path:
        place = place[int(step) if isinstance(place, list) else step]

    return place


def _lift(value: Any, depth: int) -> Any:
    """One schema: an object or a boolean, whatever stands there."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        # `{"q": "string"}`, or the words that describe it.
        found = _type_of(value)
        return {"description": value} if found is _LEFT_OUT else {"type": found}
    if not isinstance(value, Mapping) or depth > DEEPEST:
        return {}

    lifted: Schema = {}
    for key, part in _say_newly(value).items():
        mended = _mend(key, part, depth)
        if mended is not _LEFT_OUT:
            lifted[key] = mended
        elif key == "pattern" and isinstance(part, str):
            _add_words(lifted, f"Pattern: {part[:200]}")

    return lifted


def _mend(key: str, value: Any, depth: int) -> Any:
    if key in _SUBSCHEMAS:
        return _lift(value, depth + 1)
    if key in _LISTS_OF_SCHEMAS:
        return _lift_list(value, depth)
    if key in _MAPS_OF_SCHEMAS:
        return _lift_map(value, depth)

    mender = _MENDERS.get(key)
    if mender is None:
        return value

    return mender(value)


def _lift_list(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list) or not value:
        return _LEFT_OUT

    return [_lift(part, depth + 1) for part in value]


def _lift_map(value: Any, depth: int) -> Any:
    if not isinstance(value, Mapping):
        return _LEFT_OUT
    return {str(name): _lift(part, depth + 1) for name, part in value.items()}


def _say_newly(schema: Mapping[str, Any]) -> Schema:
    """A shallow copy in which what older drafts say is said as 2020-12 has it."""
    new = dict(schema)
    for limit in ("Minimum", "Maximum"):
        _lift_exclusive(new, f"exclusive{limit}", limit.lower())

    _lift_tuple(new)
    _lift_union(new)
    _lift_properties(new)
    _lift_dependencies(new)
    if _OLD.search(str(new.get("$schema"))):
        del new["$schema"]

    patterns = new.get("patternProperties")
    if isinstance(patterns, Mapping):
        new["patternProperties"] = {
            name: part
            for name, part in patterns.items()
            if _pattern(name) is not _LEFT_OUT
        }

    return new


def _lift_exclusive(new: Schema, key: str, limit: str) -> None:
    """Draft 4: `exclusiveMinimum: true` beside `minimum: 0` is `exclusiveMinimum: 0`."""
    exclusive = new.get(key)
    if isinstance(exclusive, bool):
        del new[key]
        if exclusive and limit in new:
            new[key] = new.pop(limit)


def _lift_tuple(new: Schema) -> None:
    """To draft 7: a list of `items` is a tuple, and `additionalItems` what follows it."""
    if not isinstance(new.get("items"), list):
        return

    first = new.pop("items")
    rest = new.pop("additionalItems", None)
    if first:
        new["prefixItems"] = first
    if rest is not None:
        new["items"] = rest


def _lift_union(new: Schema) -> None:
    """Draft 3: schemas among the types."""
    kinds = _as_list(new.get("type"))
    if any(isinstance(kind, Mapping) for kind in kinds) and "anyOf" not in new:
        del new["type"]
        new["anyOf"] = kinds


def _lift_properties(new: Schema) -> None:
    """Properties that are a list of objects with names; and what is required, said in a
    property (draft 3) or listed among them.
    """
    found = new.get("properties")
    if isinstance(found, list):
        found = {
            part["name"]: {key: v for key, v in part.items() if key != "name"}
            for part in found
            if isinstance(part, Mapping) and isinstance(part.get("name"), str)
        }

    if not isinstance(found, Mapping):
        return

    properties = dict(found)
    required = _required_of(properties)
    if required:
        own = _names(new.get("required"))
        listed = own if isinstance(own, list) else []
        new["required"] = list(dict.fromkeys([*listed, *required]))

    new["properties"] = properties


def _required_of(properties: Schema) -> list[str]:
    required = []
    listed = properties.get("required")
    if isinstance(listed, list):
        del properties["required"]
        required = [name for name in listed if isinstance(name, str)]

    own = [
        name
        for name, part in properties.items()
        if isinstance(part, Mapping) and part.get("required") is True
    ]
    return required + own


def _lift_dependencies(new: Schema) -> None:
    """To draft 7: one word for names and for schemas that a property asks for."""
    found = new.pop("dependencies", None)
    if not isinstance(found, Mapping):
        return

    for name, needed in found.items():
        are_names = isinstance(needed, str | list)
        kind = "dependentRequired" if are_names else "dependentSchemas"
        place = new.get(kind)
        new[kind] = {**(place if isinstance(place, Mapping) else {}), name: needed}


def _type_of(value: Any) -> Any:
    if isinstance(value, str):
        return _TYPE_WORDS.get(value.strip().lower(), _LEFT_OUT)
    if not isinstance(value, list):
        return _LEFT_OUT

    words = [_type_of(word) for word in value if isinstance(word, str)]
    if len(words) < len(value) or _LEFT_OUT in words:
        return _LEFT_OUT

    return list(dict.fromkeys(words)) or _LEFT_OUT


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)

    return _LEFT_OUT


def _pattern(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > LONGEST_PATTERN:
        return _LEFT_OUT

    # The draft asks for ECMA 262; what Python's dialect refuses, validators in Python
    # refuse the whole schema for.
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError):
        return _LEFT_OUT

    return value


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return _LEFT_OUT

        value = int(value) if value.is_integer() else value

    if isinstance(value, bool) or not isinstance(value, int | float):
        return _LEFT_OUT
    if not abs(value) <= _MOST:  # NaN is no more and no less
        return _LEFT_OUT

    return value


def _step(value: Any) -> Any:
    number = _number(value)
    return number if number is not _LEFT_OUT and number > 0 else _LEFT_OUT


def _count(value: Any) -> Any:
    number = _number(value)
    if number is _LEFT_OUT or number < 0 or number != int(number):
        return _LEFT_OUT

    return value if isinstance(value, int) else int(number)


def _flag(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"

    return value if isinstance(value, bool) else _LEFT_OUT


def _choices(value: Any) -> Any:
    """A list of them; of a mapping its keys."""
    return _as_list(list(value) if isinstance(value, Mapping) else value) or _LEFT_OUT


def _as_list(value: Any) -> list[Any]:
    """What stands alone where a list is meant is a list of one."""
    return value if isinstance(value, list) else [value]


def _names(value: Any) -> Any:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return _LEFT_OUT

    return list(dict.fromkeys(name for name in value if isinstance(name, str)))


def _names_by_name(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return _LEFT_OUT

    found = {str(key): _names(names) for key, names in value.items()}
    return {key: names for key, names in found.items() if names is not _LEFT_OUT}


def _fit_pattern(pattern: str) -> Callable[[Any], Any]:
    """A mender that takes a text only when all of it fits the pattern."""
    fits = re.compile(pattern).fullmatch
    return lambda value: value if isinstance(value, str) and fits(value) else _LEFT_OUT


_uri = _fit_pattern(_IN_URI)
_absolute_uri = _fit_pattern("[A-Za-z][-A-Za-z0-9+.]*:" + _IN_URI)
# An `$id` may end in `#`, but name no part of itself.
_own_uri = _fit_pattern(_BEFORE_HASH + "#?")
_anchor = _fit_pattern("[A-Za-z_][-A-Za-z0-9._]*")


def _reference(value: Any) -> Any:
    """Names from generic types (`#/$defs/List[int]`) stand in references as they are."""
    if isinstance(value, str) and value.startswith("#"):
        value = "#" + quote(value[1:], safe="/%~!$&'()*+,;=:@?-._")

    return _uri(value)


def _flags_by_uri(value: Any) -> Any:
    fits = isinstance(value, Mapping) and all(
        _absolute_uri(key) is not _LEFT_OUT and isinstance(flag, bool)
        for key, flag in value.items()
    )
    return value if fits else _LEFT_OUT


_SUBSCHEMAS = frozenset(
    {
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
_LISTS_OF_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
_MAPS_OF_SCHEMAS = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
_MENDERS: dict[str, Callable[[Any], Any]] = {
    "type": _type_of,
    "pattern": _pattern,
    "multipleOf": _step,
    "required": _names,
    "dependentRequired": _names_by_name,
    "enum": _choices,
    "examples": _as_list,
    "$schema": _absolute_uri,
    "$id": _own_uri,
    "$ref": _reference,
    "$dynamicRef": _reference,
    "$recursiveRef": _reference,
    "$anchor": _anchor,
    "$dynamicAnchor": _anchor,
    "$recursiveAnchor": _anchor,
    "$vocabulary": _flags_by_uri,
    **dict.fromkeys(
        ("$comment", "contentEncoding", "contentMediaType", "description"), _text
    ),
    **dict.fromkeys(("format", "title"), _text),
    **dict.fromkeys(
        ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum"), _number
    ),
    **dict.fromkeys(("maxContains", "maxItems", "maxLength", "maxProperties"), _count),
    **dict.fromkeys(("minContains", "minItems", "minLength", "minProperties"), _count),
    **dict.fromkeys(("deprecated", "readOnly", "uniqueItems", "writeOnly"), _flag),
}


def subschemas(schema: Schema) -> Iterator[Any]:
    """The schemas that stand directly in a lifted one."""
    for key, value in schema.items():
        if key in _SUBSCHEMAS:
            yield value
        elif key in _LISTS_OF_SCHEMAS:
            yield from value
        elif key in _MAPS_OF_SCHEMAS:
            yield from value.values()


def settle_references(root: Schema, schema: Any) -> None:
    """Leave out each reference that leads out of the schema, or nowhere: nobody fetches
    it, and a validator that meets it gives up.
    """
    for part in _walk(schema):
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if key in part and not _leads_somewhere(root, part[key]):
                words = f"(as defined in {part.pop(key)[:200]}, which was not sent)"
                _add_words(part, words)


def _leads_somewhere(root: Schema, reference: str) -> bool:
    try:
        return isinstance(resolve(root, reference), dict | bool)
    except (LookupError, TypeError, ValueError):
        return False


def _split_reference(reference: str) -> tuple[list[str], str]:
    """The steps of a JSON pointer (RFC 6901), or an anchor."""
    outside, mark, inside = reference.partition("#")
    if outside or not mark:
        raise LookupError(reference)

    anchor, slash, path = inside.partition("/")
    if anchor or not slash:
        return [], inside

    steps = unquote(path).split("/")
    return [step.replace("~1", "/").replace("~0", "~") for step in steps], ""


def _walk(schema: Any) -> Iterator[Any]:
    """A lifted schema and all that stand in it."""
    if isinstance(schema, dict):
        yield schema
        for part in subschemas(schema):
            yield from _walk(part)


def _find_anchor(root: Any, anchor: str) -> Any:
    for schema in _walk(root):
        if anchor in (schema.get("$anchor"), schema.get("$dynamicAnchor")):
            return schema

    raise LookupError(anchor)


def _add_words(schema: Schema, words: str) -> None:
    said = schema.get("description")
    schema["description"] = f"{said} {words}" if said else words
