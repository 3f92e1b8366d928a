"""Replies with one bad part keep their good parts: the bad part is left out, or read as
what it must mean, and named.

The SDK refuses such a reply as a whole, and the rows in it would be lost.
"""

import json
from collections.abc import MutableMapping
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


def repair_reply(
    method: str,
    result: dict[str, Any],
    refused: MutableMapping[str, str],
    warnings: list[str],
) -> None:
    """Mend a reply in place before the SDK sees it."""
    if "_meta" in result and not isinstance(result["_meta"], dict):
        result.pop("_meta")
    if method.endswith("/list") and not isinstance(
        result.get("nextCursor"), str | None
    ):
        # A number is written as text; what is no cursor at all would lose the page that
        # came with it.
        cursor = result.pop("nextCursor")
        if isinstance(cursor, int) and not isinstance(cursor, bool):
            result["nextCursor"] = str(cursor)
    if method == "tools/list" and isinstance(result.get("tools"), list):
        result["tools"] = [tool for tool in result["tools"] if _usable(tool, refused)]
    elif method == "tools/call" and isinstance(result.get("content"), list):
        result["content"] = [_block(block, warnings) for block in result["content"]]
        _structured(result, warnings)


def _structured(result: dict[str, Any], warnings: list[str]) -> None:
    content = result.get("structuredContent")
    if content is not None and not isinstance(content, dict):
        # As the specification wraps what is no object.
        result["structuredContent"] = {"result": content}
        warnings.append(
            "the structured content is no object; it is kept under 'result'"
        )


def _usable(tool: Any, refused: MutableMapping[str, str]) -> bool:
    if (
        not isinstance(tool, dict)
        or not isinstance(tool.get("name"), str)
        or not tool["name"]
    ):
        refused["(unnamed)"] = "a tool of the listing has no name"
        return False
    reason = _unusable_schema(tool.get("inputSchema"))
    if reason:
        refused[tool["name"]] = reason
        return False
    for key, kind in (
        ("outputSchema", dict),
        ("annotations", dict),
        ("_meta", dict),
        ("icons", list),
    ):
        if key in tool and not isinstance(tool[key], kind):
            tool.pop(key)
    for key in ("title", "description"):
        if key in tool and not isinstance(tool[key], str):
            tool.pop(key)
    return True


def _unusable_schema(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "its input schema is missing or is not an object"
    if schema.get("type") != "object":
        return 'its input schema does not have "type": "object"'
    if "properties" in schema and not isinstance(schema["properties"], dict):
        return 'the "properties" of its input schema are not an object'
    size = len(json.dumps(schema))
    return (
        f"its input schema has {size:,} bytes, more than {LARGEST:,}"
        if size > LARGEST
        else ""
    )


def _block(block: Any, warnings: list[str]) -> Any:
    if isinstance(block, str):
        warnings.append("a part of the reply is bare text, which is kept")
        return {"type": "text", "text": block}
    if not isinstance(block, dict):
        return _left_out("a part of the reply is no object", warnings)
    kind = (
        block.setdefault("type", "text")
        if isinstance(block.get("text"), str)
        else block.get("type")
    )
    if not isinstance(kind, str) or kind not in BLOCKS:
        return _left_out(
            f"the reply holds a part of the unknown type {str(kind)[:40]!r}", warnings
        )
    for key in ("annotations", "_meta"):
        if key in block and not isinstance(block[key], dict):
            block.pop(key)
    if (
        kind == "text"
        and isinstance(block.get("text"), int | float)
        and not isinstance(block["text"], bool)
    ):
        block["text"] = str(block["text"])
    missing = [
        key
        for key in BLOCKS[kind]
        if not isinstance(block.get(key), dict if key == "resource" else str)
    ]
    if missing:
        return _left_out(
            f"a part of the reply of the type {kind!r} has no {missing[0]}", warnings
        )
    held = block.get("resource") if kind == "resource" else None
    if isinstance(held, dict) and not any(
        isinstance(held.get(key), str) for key in ("text", "blob")
    ):
        return _left_out("an embedded resource of the reply is empty", warnings)
    return block


def _left_out(why: str, warnings: list[str]) -> dict[str, Any]:
    warnings.append(f"{why}, which is not shown")
    return {"type": "text", "text": f"[{why}]"}
