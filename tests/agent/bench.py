"""One conversation against a scripted model and toy sessions."""

import asyncio
from contextlib import aclosing

from mcp_notebook.agent import backends
from mcp_notebook.agent.caller import Caller
from mcp_notebook.agent.calls import call_tool
from mcp_notebook.agent.conversation import Conversation
from mcp_notebook.agent.request import Request, admit
from mcp_notebook.agent.run import run
from mcp_notebook.agent.toolset import Toolset
from mcp_notebook.events import Reply as Answer
from mcp_notebook.notebook.asker import Asker, CallApprovals
from mcp_notebook.policy import Budget, Limits
from tests.fake_messages import text
from tests.message_rules import refusal
from tests.toy import ToySession

ROWS = '[{"month": "2026-01", "n": 3}, {"month": "2026-02", "n": 5}]'
GUARD = 20  # seconds; nothing here takes a second


class Bench:
    """One conversation against a scripted model and toy sessions."""

    def __init__(self, api, *sessions, limits=None, client=None, **caller):
        limits = limits or Limits()
        self.api = api
        self.conversation = Conversation()
        self.tables = {}
        caller.setdefault("budget", Budget(limits))
        self.approvals = CallApprovals(Asker())
        self.caller = Caller(Toolset.of(sessions), self, self.approvals, **caller)
        self.request = self.request_for(client or api.client(max_retries=0))

    @staticmethod
    def request_for(client):
        return Request(
            backends.Backend(client, "live", "claude-x", "claude-x", "fake"),
            "Be brief.",
        )

    def answer(self, call_id, choice, reason=""):
        """The person's answer to the question about a call."""
        self.approvals.answer(call_id, Answer(choice, reason))

    async def send(self, sending, **how):
        """The way of a call without a notebook."""
        return await call_tool(sending, keep=self.keep, **how)

    def keep(self, tables, origin, write):
        first = len(self.tables) + 1
        names = tuple(f"t{first + index}" for index in range(len(tables)))
        written = write(names)
        self.tables.update(zip(names, tables, strict=True))
        return names, written

    def stream(self, prompt="How many?"):
        blocks = [{"type": "text", "text": prompt}]
        return run(self.conversation, blocks, request=self.request, caller=self.caller)

    async def events(self, prompt="How many?"):
        async with asyncio.timeout(GUARD), aclosing(self.stream(prompt)) as stream:
            return [event async for event in stream]

    def is_valid(self):
        messages = list(self.conversation.messages)
        if not messages or messages[-1]["role"] == "assistant":
            messages.append({"role": "user", "content": [text("next")]})
        body = {
            "model": "m",
            "max_tokens": 1,
            "system": [],
            "messages": messages,
            "tools": self.caller.toolset.definitions(),
        }
        return refusal(admit(body)) is None


def shop(**tools):
    return ToySession("shop", {"query": lambda sql="": ROWS, **tools})
