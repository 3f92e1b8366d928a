"""Tools are pinned when first seen; what a server later changes is shown as a diff, and
policy asks again.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mcp_notebook.sessions.values import ToolInfo


@dataclass(frozen=True)
class ToolChange:
    """A tool that is not what it was when the session first saw it; `after` is None
    when it went away.
    """

    name: str
    before: ToolInfo | None
    after: ToolInfo | None

    def diff(self) -> str:
        """Unified diff of the two definitions as indented JSON."""
        before, after = _lines(self.before), _lines(self.after)
        return "\n".join(
            difflib.unified_diff(
                before, after, "as approved", "as it is now", lineterm="", n=2
            )
        )


def changes(
    pinned: Mapping[str, ToolInfo], tools: Iterable[ToolInfo]
) -> tuple[ToolChange, ...]:
    """The tools whose definition differs from the pinned one; a tool never seen before
    is no change.
    """
    return tuple(
        ToolChange(tool.name, pinned[tool.name], tool)
        for tool in tools
        if tool.name in pinned and pinned[tool.name].fingerprint != tool.fingerprint
    )


def _lines(tool: ToolInfo | None) -> list[str]:
    return (
        json.dumps(tool.definition, indent=2, sort_keys=True).splitlines()
        if tool
        else []
    )
