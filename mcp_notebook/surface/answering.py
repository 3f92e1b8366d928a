"""What surrounds the run of a `%%claude` cell: its form, its length, a dry run, the
value that it gives.
"""

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.events import Event, Note, Stop, TextDelta

if TYPE_CHECKING:
    from mcp_notebook.agent.backends import Backend
    from mcp_notebook.agent.conversation import Block, Conversation
    from mcp_notebook.agent.request import Request
    from mcp_notebook.agent.toolset import Toolset
    from mcp_notebook.agent.typed import Form
    from mcp_notebook.surface.notebook import Notebook


def form_of(notebook: "Notebook", kind: Any) -> "Form | None":
    """The form of `--as`: a type, or an expression in terms of the person's own names;
    raises ConfigError.
    """
    from mcp_notebook.agent import typed  # loads pydantic

    return None if kind in ("", None) else typed.form_of(kind, notebook.shell.user_ns)


def length_notes(
    notebook: "Notebook", conversation: "Conversation", backend: "Backend"
) -> list[Note]:
    """Trims a long conversation before a cell and says so; warns when the model's
    window is nearly full.
    """
    from mcp_notebook.agent import context, prices  # the prices are slow to load

    settings = notebook.settings
    if not conversation.tokens:
        return []
    window = settings.context_window or (
        None if backend.free else prices.window_of(backend.model)
    )
    return [
        Note(line, "warning")
        for line in context.prepare(conversation, settings.trim_tokens, window)
    ]


async def dry_run(
    conversation: "Conversation",
    request: "Request",
    prompt: "list[Block]",
    toolset: "Toolset",
) -> AsyncGenerator[Event, None]:
    """The events of a cell that asks no model for words."""
    from mcp_notebook.agent import dryrun

    text = await dryrun.describe(request, conversation, prompt, toolset.definitions())
    fence = "`" * 4
    yield TextDelta(f"{fence}text\n{text}\n{fence}\n")
    yield Stop("done")


def value_of(conversation: "Conversation", form: "Form") -> Any:
    """The value of the last answer; raises DataError."""
    blocks = conversation.messages[-1]["content"]
    text = "".join(block.get("text", "") for block in blocks)
    try:
        return form.value(text)
    except ValueError as error:
        words = " ".join(str(error).split())[:300]
        raise DataError(f"The answer is not of the type asked for ({words}).") from None
