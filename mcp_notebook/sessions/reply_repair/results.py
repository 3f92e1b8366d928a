"""Replies with one bad part keep their good parts: the bad part is left out, or read as
what it must mean, and named.

The SDK refuses such a reply as a whole, and the rows in it would be lost.
"""

import json
from collections.abc import Mapping, MutableMapping
from typing import Any

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


def repair_reply(
    method: str,
    result: dict[str, Any],
    refused: MutableMapping[str, str],
    warnings: list[str],
) -> None:
    """Mend a reply in place before the SDK sees it.

    `refused` gets the tools of a listing that are not usable and why, `warnings` one
    line on each other thing that was mended.
    """
    _drop_misfits(result, {"_meta": dict})
    if method.endswith("/list"):
        _repair_cursor(result)

    if method == "tools/list" and isinstance(result.get("tools"), list):
        result["tools"] = [
            tool for tool in result["tools"] if _is_usable_tool(tool, refused)
        ]
    elif method == "tools/call" and isinstance(result.get("content"), list):
        result["content"] = [
            _repair_block(block, warnings) for block in result["content"]
        ]
        _repair_structured(result, warnings)


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

    reason = _why_unusable(tool.get("inputSchema"))
    if reason:
        refused[name] = reason
        return False

    _drop_misfits(tool, OPTIONAL_OF_TOOL)
    return True


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

    for key in BLOCKS[kind]:
        if not isinstance(block.get(key), needed_kind):
            return key

    return ""


def _is_empty_resource(resource: Mapping[str, Any]) -> bool:
    return not any(isinstance(resource.get(key), str) for key in ("text", "blob"))


def _leave_out(why: str, warnings: list[str]) -> dict[str, Any]:
    warnings.append(f"{why}, which is not shown")
    return {"type": "text", "text": f"[{why}]"}
