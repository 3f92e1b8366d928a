"""Does a result meet the output schema that its tool declares? A mismatch is a warning;
the data is kept.
"""

import asyncio
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mcp_notebook.sessions.tools import ToolInfo

if TYPE_CHECKING:
    from mcp.types import CallToolResult

SMALL = 100_000  # bytes checked on the loop itself; more is checked in a thread
# bytes not checked at all: checking costs five times what reading does
LARGE = 20_000_000


def import_in_background() -> None:
    """Import jsonschema in a thread: in an environment with JupyterLab that takes seconds."""
    threading.Thread(target=_import, name="mcp-notebook-warm", daemon=True).start()


async def schema_warning(
    tool: ToolInfo | None, result: "CallToolResult", size: int
) -> str:
    """One sentence on what does not fit, or an empty one."""
    if tool is None or tool.output_schema is None or result.is_error:
        return ""
    if result.structured_content is None:
        return "the tool declares an output schema but sent no structured content"
    if size > LARGE:
        return ""
    if size > SMALL or not _is_warm():
        return await asyncio.to_thread(_check, _Schema(tool), result.structured_content)

    return _check(_Schema(tool), result.structured_content)


class _Schema:
    """A tool's output schema, hashable by the tool's fingerprint so that its validator
    is made once.
    """

    def __init__(self, tool: ToolInfo) -> None:
        self.schema, self.fingerprint = tool.output_schema or {}, tool.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Schema) and other.fingerprint == self.fingerprint


def _is_warm() -> bool:
    return hasattr(sys.modules.get("jsonschema"), "validators")


def _check(schema: _Schema, content: Any) -> str:
    try:
        error = next(_validator(schema).iter_errors(content), None)
    except Exception as failure:
        # boundary: a server's schema may be wrong in any way; its data is still data
        return f"the tool's output schema is not usable ({type(failure).__name__})"

    if error is None:
        return ""

    place = "/".join(str(part) for part in error.absolute_path) or "the top"
    return (
        "the structured content does not fit the tool's output "
        f"schema at {place} ({error.validator})"
    )


@lru_cache(maxsize=256)
def _validator(schema: _Schema) -> Any:
    # Slow to import: see import_in_background().
    _import()
    from jsonschema.validators import extend, validator_for
    from referencing import Registry

    base = validator_for(schema.schema)
    base.check_schema(schema.schema)
    # Patterns come from the server and a regular expression can run for ever while holding the GIL.
    without_patterns = dict.fromkeys(
        ("pattern", "patternProperties", "unevaluatedProperties"), _pass
    )
    cls = extend(base, {**without_patterns, "additionalProperties": _additional(base)})
    # An empty registry: a $ref to the network is never fetched.
    return cls(schema.schema, registry=Registry())


def _import() -> None:
    # The package before its modules: two threads that begin at different ends would get
    # a half-made one.
    import_module("jsonschema")


def _pass(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[Any]:
    return iter(())


def _additional(base: Any) -> Any:
    original = base.VALIDATORS.get("additionalProperties", _pass)

    def check(
        validator: Any, value: Any, instance: Any, schema: Mapping[str, Any]
    ) -> Iterator[Any]:
        if "patternProperties" in schema:
            return iter(())
        return original(validator, value, instance, schema) or iter(())

    return check
