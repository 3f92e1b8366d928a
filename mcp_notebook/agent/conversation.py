"""The conversation as the Messages API takes it, valid after every kind of stop.

The rules (https://platform.claude.com/docs/en/api/messages): messages alternate, every
`tool_use` is answered by a `tool_result` in the very next user message, text blocks
hold more than white space.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mcp_notebook.agent.pictures import picture_block
from mcp_notebook.events import ToolResult

Block = dict[str, Any]

INTERRUPTED = "[interrupted by the user]"


@dataclass
class CellTurns:
    """The latest run of a cell: which cell it went on from, and all that was said then.

    A cell may hold several questions; they are one run of it.
    """

    parent: str  # an id; empty: the beginning
    after: list[dict[str, Any]]
    question: str
    # the questions with their options, to be asked again; None: one that code asked
    options: tuple[Any, ...]
    stale: bool = False
    execution: str = ""  # of the cell
    # the marks of the tables that it used or made, by their variables
    tables: Mapping[str, Any] = field(default_factory=dict)
    was_told: bool = False  # that tables have changed


@dataclass
class Conversation:
    """What was said so far. Lives from cell to cell until `--new`."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    # a line for each call's result, by the call's id
    summaries: dict[str, str] = field(default_factory=dict)
    # the tools that were called, `server.tool`, by the names that the model uses
    tool_names: dict[str, str] = field(default_factory=dict)
    model: str = ""  # what answered last
    tokens: int = 0  # of the last request and its reply
    # what to go back to when the service refuses these messages once more
    fallback: list[dict[str, Any]] | None = None
    # the latest run of each cell that asked, by the cell's id, in the order of the first
    runs: dict[str, CellTurns] = field(default_factory=dict)
    last_cell: str = ""  # whose run the next new cell goes on from
    parent: str = ""  # which the cell that runs goes on from
    # one question at a time
    busy: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False, compare=False)

    def ask(self, blocks: Iterable[Block]) -> None:
        """Add what the person says; after an interrupted tool call it joins the message
        with the results.
        """
        self._extend("user", blocks)

    def reply(self, blocks: Iterable[Block]) -> None:
        """Add what Claude said, as received. An empty reply is recorded as such, the
        API takes no empty message.
        """
        kept = [
            b
            for b in blocks
            if not (b.get("type") == "text" and not b.get("text", "").strip())
        ]
        self._extend("assistant", kept or [_text("(no answer)")])

    def answer(self, results: Iterable[Block]) -> None:
        """Add the results of the last reply's tool calls, in its order."""
        self._extend("user", results)

    def answer_all(self, uses: Iterable[Block], text: str) -> None:
        """Answer calls that were not run, each with the same words."""
        results = [tool_result(use["id"], text, error=True) for use in uses]
        if results:
            self.answer(results)

    def calls(self) -> list[Block]:
        """All tool calls so far."""
        return [b for m in self.messages for b in tool_uses(m["content"])]

    def open_calls(self) -> list[Block]:
        """The tool calls at the end that have no result."""
        if not self.messages or self.messages[-1]["role"] != "assistant":
            return []
        return tool_uses(self.messages[-1]["content"])

    def interrupt(self, partial: str) -> None:
        """End a reply that the person stopped: finished text stays, half a tool call never does."""
        self.reply([_text(f"{partial.rstrip()} {INTERRUPTED}".strip())])

    def snapshot(self) -> list[dict[str, Any]]:
        """A deep copy to put back with `restore`."""
        return copy.deepcopy(self.messages)

    def restore(self, messages: list[dict[str, Any]]) -> None:
        """Go back to a snapshot."""
        self.messages = messages

    def fork(self) -> Conversation:
        """A conversation that starts where this one is."""
        return Conversation(
            self.snapshot(),
            dict(self.summaries),
            dict(self.tool_names),
            self.model,
            self.tokens,
            runs={name: replace(run) for name, run in self.runs.items()},
            last_cell=self.last_cell,
        )

    def start_anew(self) -> None:
        """Begin with nothing said. The runs of earlier cells stay: one of them that
        runs again goes on from what it went on from.
        """
        self.messages, self.summaries, self.model, self.tokens = [], {}, "", 0
        self.tool_names, self.fallback = {}, None
        self.last_cell = ""

    def begin_cell(
        self, cell: str, *, execution: str = "", new: bool = False
    ) -> list[dict[str, Any]]:
        """Go back to what a cell went on from when it ran before: its turns are replaced.

        A new cell goes on from here, a further question of the same execution from the
        one before it. Returns the messages to go back to when nothing comes of it.
        """
        known, before = self.runs.get(cell), self.messages
        goes_on = known is not None and execution and known.execution == execution
        if new:
            self.start_anew()
            self.parent, before = "", []
        elif known is None:
            self.parent = self.last_cell
        elif goes_on:
            self.parent = known.parent
            self.messages = copy.deepcopy(known.after)
        else:
            self.parent = known.parent
            parent = self.runs.get(known.parent)
            self.messages = copy.deepcopy(parent.after) if parent else []

        return before

    def end_cell(
        self, cell: str, question: str, options: Any, *, execution: str = ""
    ) -> list[str]:
        """Keep the turns of a cell; returns the ids of the cells that went on from an
        older run of it, which are stale now. Of several questions of one execution the
        first one has them.
        """
        known, parent = self.runs.get(cell), self.parent
        above = self.runs.get(parent)
        run = CellTurns(
            parent,
            _share_beginning(self.messages, above.after if above else []),
            question,
            (options,),
            stale=above is not None and above.stale,
            execution=execution,
        )
        goes_on = False
        if known is not None and execution and known.execution == execution:
            goes_on = True
            run.question = f"{known.question}; {question}"
            run.options = (*known.options, options)
            run.tables = known.tables

        self.runs[cell] = run
        self.last_cell = cell
        if known is None:
            return []

        stale = self._cells_after(cell)
        for other in stale:
            self.runs[other].stale = True

        return [] if goes_on else stale

    def _cells_after(self, cell: str) -> list[str]:
        """The cells that went on from it, also by way of others, in their order."""
        found = {cell: None}
        # a cell that went on from another ran first after that one
        for name, run in self.runs.items():
            if run.parent in found:
                found[name] = None

        return [name for name in found if name != cell]

    def stale_cells(self) -> list[str]:
        """The cells whose answers belong to another run of a cell before them."""
        return [name for name, run in self.runs.items() if run.stale]

    def _extend(self, role: str, blocks: Iterable[Block]) -> None:
        added = list(blocks)
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"].extend(added)
        else:
            self.messages.append({"role": role, "content": added})


def _share_beginning(
    messages: list[dict[str, Any]], before: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """A copy of the messages that shares with another copy what is the same at their
    beginning: a notebook of many cells holds each message once, not once a cell.
    """
    pairs = zip(messages, before, strict=False)
    same = list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    return [*before[: len(same)], *copy.deepcopy(messages[len(same) :])]


def _text(text: str) -> Block:
    return {"type": "text", "text": text}


def tool_uses(blocks: Iterable[Block]) -> list[Block]:
    """The tool calls among a reply's blocks."""
    return [b for b in blocks if b.get("type") == "tool_use"]


def tool_result(
    call_id: str,
    text: str,
    *,
    error: bool = False,
    images: Iterable[tuple[str, str]] = (),
) -> Block:
    """A `tool_result` block with text and images of (mime type, base64)."""
    content: list[Block] = [_text(text if text.strip() else "(empty result)")]
    content += [picture_block(kind, data) for kind, data in images]
    block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    if error:
        block["is_error"] = True

    return block


def transcript(
    messages: Iterable[dict[str, Any]], tool_names: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The conversation as pieces {turn, role, kind, text} for `%claude_history`; a turn
    may have several. `tool_names`: what the person calls the tools.
    """
    names = tool_names or {}
    return [
        {
            "turn": turn,
            "role": message["role"],
            "kind": block["type"],
            "text": _readable(block, names),
        }
        for turn, message in enumerate(messages, 1)
        for block in message["content"]
        if block["type"] not in ("thinking", "redacted_thinking")
    ]


def _readable(block: Block, names: Mapping[str, str]) -> str:
    if block["type"] == "text":
        return block["text"]

    if block["type"] == "tool_use":
        arguments = ", ".join(f"{k}={v!r}" for k, v in block["input"].items())
        name = block["name"]
        return f"{names.get(name, name.replace('__', '.', 1))}({arguments})"

    if block["type"] == "tool_result":
        return "\n".join(
            part.get("text", f"[{part['type']}]") for part in block["content"]
        )

    return f"[{block['type']}]"


# The conversation within the model's window: old results trimmed to a line, a warning
# before it is full.


WORTH_IT = 4_000  # bytes: below, a trimmed result saves less than the cache it breaks
FULL = 0.8  # of the window: from here on the person is warned
_KEPT = 200  # bytes of a result that need no trimming
FOREIGN = frozenset({"thinking", "redacted_thinking", "server_tool_use"})


def summarize_result(server: str, tool: str, result: ToolResult) -> str:
    """What stands in the place of a trimmed result."""
    if server:
        call = f"{server}.{tool}"
    else:
        call = tool

    if result.reading is not None:
        tables = result.reading.tables
    else:
        tables = ()

    if result.outcome != "ok" or not result.names:
        size = len(result.shown.encode("utf-8", "replace"))
        return (
            f"[{call}: an old result of {size:,} bytes was taken out; "
            "call again if it is needed]"
        )

    shapes = []
    for name, table in zip(result.names, tables, strict=False):
        rows, columns = table.data.num_rows, table.data.num_columns
        shapes.append(f"`{name}` ({rows:,} rows × {columns} columns)")

    return (
        f"[{call}: an old result was taken out; its table stays in the notebook: "
        f"{', '.join(shapes)}]"
    )


def trim_results(conversation: Conversation, *, keep: int) -> int:
    """Put summaries in the place of results before the last `keep` messages; returns
    the bytes saved, 0 if few.
    """
    old = conversation.messages[: max(0, len(conversation.messages) - keep)]
    summaries = conversation.summaries
    blocks: list[Block] = []
    for message in old:
        blocks += [block for block in message["content"] if _is_long(block, summaries)]

    saved = sum(_size(block) - len(summaries[block["tool_use_id"]]) for block in blocks)
    if saved < WORTH_IT:
        return 0

    for block in blocks:
        summary = summaries[block["tool_use_id"]]
        block["content"] = [{"type": "text", "text": summary}]

    return saved


def trim_if_long(conversation: Conversation, threshold: int) -> int:
    """Trim the results of earlier cells when the last request was longer than
    `threshold` tokens (0: never).

    Called before a cell only: each trimming breaks the cached prefix once.
    """
    if not threshold or conversation.tokens <= threshold:
        return 0

    saved = trim_results(conversation, keep=0)
    if saved:
        conversation.tokens = 0

    return saved


def window_warning(conversation: Conversation, window: int | None) -> str:
    """A line for the person when the window is nearly full, or an empty string."""
    if not window or conversation.tokens < FULL * window:
        return ""

    share = 100 * conversation.tokens // window
    return (
        f"The conversation fills {share} % of the model's window ({window:,} tokens); "
        "%%claude --new starts afresh."
    )


def prepare_conversation(
    conversation: Conversation, threshold: int, window: int | None
) -> list[str]:
    """What is done and said of the conversation's length before a cell."""
    lines = []
    saved = trim_if_long(conversation, threshold)
    if saved:
        lines.append(
            f"Old results were taken out of the conversation ({saved:,} bytes); their "
            "tables stay."
        )

    full = window_warning(conversation, window)
    if full:
        lines.append(full)

    return lines


def without_foreign(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages without what only the model that wrote them can read: thinking, and
    its own server's tools.
    """
    kept = []
    for message in messages:
        blocks = [without_citations(b) for b in message["content"] if not is_foreign(b)]
        kept.append(
            {**message, "content": blocks or [{"type": "text", "text": "(no answer)"}]}
        )

    return kept


def is_foreign(block: Block) -> bool:
    """Whether only the service that wrote a block can read it."""
    kind = block.get("type", "")
    return kind in FOREIGN or (kind.endswith("_tool_result") and kind != "tool_result")


def without_citations(block: Block) -> Block:
    """A text, or a document that could be cited, without what only its service reads."""
    if "citations" not in block:
        return block

    return {name: value for name, value in block.items() if name != "citations"}


def _is_long(block: Block, summaries: dict[str, str]) -> bool:
    known = block.get("type") == "tool_result" and block["tool_use_id"] in summaries
    return known and _size(block) > max(_KEPT, len(summaries[block["tool_use_id"]]))


def _size(block: Block) -> int:
    return sum(
        len(part.get("text") or part.get("source", {}).get("data", ""))
        for part in block["content"]
    )
