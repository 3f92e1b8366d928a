"""Replies with one bad part keep their good parts: the bad part is left out, or read as
what it must mean, and named.

The SDK refuses such a reply as a whole, and the rows in it would be lost.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

from mcp_types import methods
from mcp_types.version import KNOWN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from mcp_notebook.json_schema import lift

# bytes of a schema: it goes to the model with every turn, and is paid for
LARGEST = 100_000
# What a block of each type cannot be without
BLOCKS = {
    "text": ("text",),
    "image": ("data", "mimeType"),
    "audio": ("data", "mimeType"),
    "resource": ("resource",),
    "resource_link": ("uri", "name"),
}
# What the SDK's models expect of a field that a tool or a block may also be without
OPTIONAL_OF_TOOL: Mapping[str, type] = {
    "outputSchema": dict,
    "annotations": dict,
    "_meta": dict,
    "icons": list,
    "title": str,
    "description": str,
}
OPTIONAL_OF_BLOCK: Mapping[str, type] = {"annotations": dict, "_meta": dict}
# Where the items of a listing stand
LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
# The protocol of a connection that was not negotiated, as mcp.client.session has it
FALLBACK_VERSION = "2025-11-25"
MOST_ROUNDS = 50  # fields of one item that are left out before the item is


def repair_reply(
    request: tuple[str, str],
    result: dict[str, Any],
    refused: MutableMapping[str, str],
    warnings: list[str],
) -> None:
    """Mend a reply in place before the SDK sees it.

    `request` is the method and the version of the protocol. `refused` gets the tools of
    a listing that are not usable and why, `warnings` one line on each other thing that
    was mended.
    """
    method, version = request
    if version not in KNOWN_PROTOCOL_VERSIONS:
        version = FALLBACK_VERSION

    _drop_misfits(result, {"_meta": dict})
    if method.endswith("/list"):
        _repair_cursor(result)

    if method == "tools/list" and isinstance(result.get("tools"), list):
        result["tools"] = [
            tool for tool in result["tools"] if _is_usable_tool(tool, refused)
        ]

    if method in LISTS:
        _repair_listing(method, version, result, refused)
    elif method == "tools/call":
        _repair_content(result)
        result["content"] = [
            _repair_block(block, warnings) for block in result["content"]
        ]
        _repair_structured(result, warnings)


def _repair_listing(
    method: str,
    version: str,
    result: dict[str, Any],
    refused: MutableMapping[str, str],
) -> None:
    """Leave out of each item what the SDK would refuse the whole listing for."""
    place = LISTS[method]
    items = result.get(place)
    if not isinstance(items, list) or _find_misfits(method, version, result) is None:
        return

    kept = []
    for item in items:
        why = _repair_item(method, version, place, item)
        if not why:
            kept.append(item)
        elif place == "tools":
            refused[str(item.get("name"))] = why

    result[place] = kept


def _repair_item(method: str, version: str, place: str, item: Any) -> str:
    """Leave out of an item the fields that do not fit; why it cannot be kept, else an
    empty string.
    """
    if not isinstance(item, dict):
        return "it is no object"

    misfits: list[Sequence[int | str]] | None = []
    for _ in range(MOST_ROUNDS):
        misfits = _find_misfits(method, version, {place: [item]})
        if misfits is None:
            return ""

        # The place of the item in the listing stands before that of the field.
        removed = [_remove(item, path[2:]) for path in misfits]
        if not any(removed):
            break

    where = ".".join(str(step) for step in (misfits or [[]])[0][2:])
    return f"its definition does not fit the protocol ({where or 'as a whole'})"


def _find_misfits(
    method: str, version: str, result: dict[str, Any]
) -> list[Sequence[int | str]] | None:
    """The places that the SDK finds wrong, None when it takes the result as it is."""
    try:
        # the method may be one that this version does not have
        with contextlib.suppress(KeyError):
            methods.validate_server_result(method, version, result)

        model: Any = methods.MONOLITH_RESULTS[method]
        model.model_validate(result, by_name=False)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [problem["loc"] for problem in found]

    return None


def _remove(item: Any, path: Sequence[Any]) -> bool:
    """Remove what a path leads to, as far as there is a way; whether anything went."""
    holder: Any = None
    last: Any = None
    place: Any = item
    for step in path:
        if isinstance(place, list):
            inside = isinstance(step, int) and step < len(place)
        else:
            inside = isinstance(place, dict) and step in place

        if not inside:
            continue  # the name of a form that the SDK tried

        holder, last = place, step
        place = place[step]

    if holder is None:
        return False

    del holder[last]
    return True


def _repair_content(result: dict[str, Any]) -> None:
    """A result without parts, or with one part that stands alone; and its small fields."""
    content = result.get("content")
    if content is None:
        content = []
    elif not isinstance(content, list):
        content = [content]

    result["content"] = content
    failed = result.get("isError")
    if "isError" in result and not isinstance(failed, bool):
        result["isError"] = str(failed).lower() in ("true", "1")


def _drop_misfits(part: dict[str, Any], kinds: Mapping[str, type]) -> None:
    """Leave out optional fields that are not of their kind (null among them)."""
    for key, kind in kinds.items():
        if key in part and not isinstance(part[key], kind):
            part.pop(key)


def _repair_cursor(result: dict[str, Any]) -> None:
    if isinstance(result.get("nextCursor"), str | None):
        return

    # A number is written as text; what is no cursor at all would lose the page that
    # came with it.
    cursor = result.pop("nextCursor")
    if isinstance(cursor, int) and not isinstance(cursor, bool):
        result["nextCursor"] = str(cursor)


def _repair_structured(result: dict[str, Any], warnings: list[str]) -> None:
    content = result.get("structuredContent")
    if content is None or isinstance(content, dict):
        return
    # As the specification wraps what is no object.
    result["structuredContent"] = {"result": content}
    warnings.append("the structured content is no object; it is kept under 'result'")


def _is_usable_tool(tool: Any, refused: MutableMapping[str, str]) -> bool:
    if isinstance(tool, dict):
        name = tool.get("name")
    else:
        name = None

    if not isinstance(name, str) or not name:
        refused["(unnamed)"] = "a tool of the listing has no name"
        return False

    schema = tool.get("inputSchema")
    if isinstance(schema, dict) and len(json.dumps(schema, default=str)) <= LARGEST:
        tool["inputSchema"] = schema = _object_schema(lift(schema))

    reason = _why_unusable(schema)
    if reason:
        refused[name] = reason
        return False

    _drop_misfits(tool, OPTIONAL_OF_TOOL)
    return True


def _object_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """With the type that says what its properties say already."""
    kinds = schema.get("type")
    said = "object" in kinds if isinstance(kinds, list) else kinds is None
    if said and isinstance(schema.get("properties"), dict):
        return {**schema, "type": "object"}

    return schema


def _why_unusable(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "its input schema is missing or is not an object"
    if schema.get("type") != "object":
        # Claude's API refuses the whole request for one such tool.
        return 'its input schema does not have "type": "object"'
    if "properties" in schema and not isinstance(schema["properties"], dict):
        return 'the "properties" of its input schema are not an object'

    size = len(json.dumps(schema))
    if size > LARGEST:
        return f"its input schema has {size:,} bytes, more than {LARGEST:,}"

    return ""


def _repair_block(block: Any, warnings: list[str]) -> Any:
    if isinstance(block, str):
        warnings.append("a part of the reply is bare text, which is kept")
        return {"type": "text", "text": block}

    if not isinstance(block, dict):
        return _leave_out("a part of the reply is no object", warnings)

    if isinstance(block.get("text"), str):
        block.setdefault("type", "text")

    kind = block.get("type")
    if not isinstance(kind, str) or kind not in BLOCKS:
        shown = str(kind)[:40]
        why = f"the reply holds a part of the unknown type {shown!r}"
        return _leave_out(why, warnings)

    _drop_misfits(block, OPTIONAL_OF_BLOCK)
    if kind == "text":
        _repair_text(block)

    missing = _find_missing(block, kind)
    if missing:
        why = f"a part of the reply of the type {kind!r} has no {missing}"
        return _leave_out(why, warnings)

    if kind == "resource" and _is_empty_resource(block["resource"]):
        return _leave_out("an embedded resource of the reply is empty", warnings)

    return block


def _repair_text(block: dict[str, Any]) -> None:
    """Servers whose tools give a number send it bare."""
    text = block.get("text")
    if isinstance(text, int | float) and not isinstance(text, bool):
        block["text"] = str(text)


def _find_missing(block: Mapping[str, Any], kind: str) -> str:
    """The first field that this kind of block needs and has not, else an empty string."""
    if kind == "resource":
        needed_kind = dict
    else:
        needed_kind = str

    return next(
        (key for key in BLOCKS[kind] if not isinstance(block.get(key), needed_kind)), ""
    )


def _is_empty_resource(resource: Mapping[str, Any]) -> bool:
    return not any(isinstance(resource.get(key), str) for key in ("text", "blob"))


def _leave_out(why: str, warnings: list[str]) -> dict[str, Any]:
    warnings.append(f"{why}, which is not shown")
    return {"type": "text", "text": f"[{why}]"}
