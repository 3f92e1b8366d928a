"""What the agent needs of whoever asks the person; the notebook has it in notebook/asker.py."""

from typing import Protocol

from mcp_notebook.events import Reply, ToolCall


class Approvals(Protocol):
    """The open questions about the calls of one cell; used on the background loop."""

    def open(self, call: ToolCall) -> None:
        """Open the question before it is shown, so that no answer can come too early."""

    def is_open(self, call_id: str) -> bool:
        """Whether the question was opened, and neither waited for nor withdrawn since."""
        ...

    def withdraw(self, call_id: str) -> None:
        """Take a question back: it need not be answered any more."""

    def answer(self, call_id: str, reply: Reply) -> None:
        """Answer a question; a second answer to the same question does nothing."""

    async def wait(self, call_id: str) -> Reply:
        """The person's answer: `once`, `always`, `server`, or `deny`, perhaps with a reason."""
        ...
