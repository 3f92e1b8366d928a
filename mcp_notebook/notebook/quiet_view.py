"""A view that shows nothing but the calls that a person must answer for and, when it
takes long, that it goes on.
"""

from typing import TYPE_CHECKING

from mcp_notebook.events import (
    Event,
    Footer,
    ThinkingDelta,
    ToolCall,
    ToolProgress,
    ToolResult,
    ToolStarted,
    Working,
)

if TYPE_CHECKING:
    from mcp_notebook.display import View


class Questions:
    """Passes on a view's events of calls that ask; of the rest of a run only its state
    line, and what it took.
    """

    def __init__(self, view: "View") -> None:
        self._view = view
        self._asked: set[str] = set()

    def show(self, event: Event) -> None:
        """Show an event that belongs to a question."""
        if isinstance(event, ToolCall) and event.needs_approval:
            self._asked.add(event.id)

        if (
            isinstance(event, ToolCall | ToolStarted | ToolProgress | ToolResult)
            and event.id in self._asked
        ):
            self._view.show(event)
        elif isinstance(event, Working | ThinkingDelta) or (
            isinstance(event, Footer) and self._view.has_waited
        ):
            self._view.show(event)  # the footer stands where the line was

    def flush(self) -> None:
        """Draw what is due."""
        self._view.flush()

    def close(self) -> None:
        """End the view."""
        self._view.close()
