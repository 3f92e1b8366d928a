"""Replies with one bad part keep their good parts: the bad part is left out and named."""

from collections.abc import MutableMapping
from typing import Any

BLOCKS = {"text", "image", "audio", "resource", "resource_link"}


def repair_reply(method: str, result: dict[str, Any], refused: MutableMapping[str, str], warnings: list[str]) -> None:
    """Mend a reply in place before the SDK, which refuses it as a whole, sees it."""
    if method == "tools/list" and isinstance(result.get("tools"), list):
        result["tools"] = [tool for tool in result["tools"] if _usable(tool, refused)]
    elif method == "tools/call" and isinstance(result.get("content"), list):
        result["content"] = [_known(block, warnings) for block in result["content"]]


def _usable(tool: Any, refused: MutableMapping[str, str]) -> bool:
    if not isinstance(tool, dict) or not isinstance(tool.get("name"), str) or not tool["name"]:
        refused["(unnamed)"] = "a tool of the listing has no name"
        return False
    reason = _unusable_schema(tool.get("inputSchema"))
    if reason:
        refused[tool["name"]] = reason
        return False
    if "outputSchema" in tool and not isinstance(tool["outputSchema"], dict):
        tool.pop("outputSchema")
    return True


def _unusable_schema(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "its input schema is missing or is not an object"
    if schema.get("type") != "object":
        return 'its input schema does not have "type": "object"'
    if "properties" in schema and not isinstance(schema["properties"], dict):
        return 'the "properties" of its input schema are not an object'
    return ""


def _known(block: Any, warnings: list[str]) -> Any:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str) or kind in BLOCKS:
        return block
    warnings.append(f"the reply holds a part of the unknown type {kind!r}, which is not shown")
    return {"type": "text", "text": f"[a part of the unknown type {kind!r} is not shown]"}
