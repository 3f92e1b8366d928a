"""OpenTelemetry spans by the gen_ai conventions, children of what is current; nothing
where no provider is set.

The SDKs of the model and of MCP make their own spans for a request; these hold them
together. Contents are never recorded.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import trace

from mcp_notebook.events import ToolResult
from mcp_notebook.secrets import hide

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

# An exception's words may hold what a server or the model was given.
_QUIET = {"record_exception": False, "set_status_on_exception": False}


@contextmanager
def agent_span(conversation: str, model: str) -> Iterator[Any]:
    """The span of one cell."""
    attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": "mcp-notebook",
        "gen_ai.conversation.id": conversation,
        "gen_ai.request.model": model,
    }
    with (
        _tracer().start_as_current_span(
            "invoke_agent mcp-notebook", attributes=attributes, **_QUIET
        ) as span,
        _note_failure(span),
    ):
        yield span


@contextmanager
def tool_span(session: Session, tool: ToolInfo, call_id: str) -> Iterator[Any]:
    """The span of one tool call, the wait for the person included."""
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": tool.name,
        "gen_ai.tool.type": "extension",
        "gen_ai.tool.call.id": call_id,
        "mcp.server.name": session.name,
    }
    with (
        _tracer().start_as_current_span(
            f"execute_tool {tool.name}", attributes=hide(attributes), **_QUIET
        ) as span,
        _note_failure(span),
    ):
        yield span


def record_outcome(span: Any, result: ToolResult) -> None:
    """Put the outcome of a call on its span."""
    span.set_attribute("mcp_notebook.outcome", result.outcome)
    span.set_attribute("mcp_notebook.received_bytes", result.received_bytes)
    if result.outcome == "error":
        span.set_attribute("error.type", "tool_error")


@contextmanager
def _note_failure(span: Any) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_attribute("exception.message", hide(str(error)))
        raise


def _tracer() -> Any:
    return trace.get_tracer("mcp_notebook")
