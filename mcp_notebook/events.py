"""What happens in one `%%claude` cell, as plain values.

`agent.run` yields them in order; the view, the ledger and the tests take the same stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from mcp_notebook.results import Reading
    from mcp_notebook.results.content import Resource

Outcome = Literal["ok", "error", "denied", "cancelled"]


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of Claude's answer, markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class Working:
    """Something goes on that gives nothing to read yet: for the state line, never kept.

    `subject`: the model that is asked, or the tool whose call is being written.
    """

    what: Literal["starting", "asking", "thinking", "writing"]
    subject: str = ""


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of what the model says of its thinking, where it says anything; shown
    while it thinks, and kept folded with `MCPNotebook.thinking`.
    """

    text: str


@dataclass(frozen=True, slots=True)
class TextDiscarded:
    """The text of the current turn is void (its stream was cut): what was shown of it goes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Approval:
    """What the person is asked before a call.

    `arguments` are those that will be sent, secrets included: for the person's eyes
    while the question is open, never for a log, a recording or a notebook. A `Reply`
    chooses `once`, `always` (this tool), `server` (the tools in `reading`) or `deny`.
    """

    arguments: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    # arguments that stand masked in the call's event, with their lengths
    hidden: tuple[str, ...] = ()
    history: str = ""  # whether the tool was allowed before, and what changed since
    reading: tuple[str, ...] = ()  # tools of the server that say that they only read
    lasting: bool = True  # whether an answer may be remembered


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person answered to a question.

    `choice` is one of those offered, or `deny`, or `cancel`: nobody answered. `reason`:
    why it was denied, in the person's words, or why nobody answered, in ours. `values`
    are what was filled in.
    """

    choice: str
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Claude asks for a tool call. `needs_approval`: it waits for the person's answer."""

    id: str
    server: str
    tool: str
    arguments: dict[str, Any]
    needs_approval: bool = False
    claims: str = ""  # what the tool says of itself, e.g. "says it only reads"
    approval: Approval | None = None  # what the person is asked
    # arguments that the model wrote as a JSON text, and that were read as their schema has it
    read: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """The call was allowed and is running now."""

    id: str


@dataclass(frozen=True, slots=True)
class ToolProgress:
    """A server's progress notice: `fraction` in 0..1, or None when the server gave no total."""

    id: str
    fraction: float | None
    message: str = ""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The end of a call. `shown` is the text that Claude gets; rows stay in `reading`."""

    id: str
    outcome: Outcome
    shown: str
    seconds: float
    received_bytes: int = 0
    # names under which the tables are in the notebook, one per table of `reading`
    names: tuple[str, ...] = ()
    reading: Reading | None = None
    images: tuple[tuple[str, str], ...] = ()  # (mime type, base64)
    # what came or was linked besides, and is no table
    files: tuple[Resource, ...] = ()
    value: Any = None  # what the tool returned by its output schema, unwrapped
    has_value: bool = False  # it returned one; it may be None
    # all of it, for a recording alone: nobody keeps it
    answer: ToolAnswer | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What a server answered to a call, read; of a recording it comes from there.

    `masked`: by table, its columns that SQL made from masked ones; None where that is
    still to be found out. `is_told`: whether the text may be told. `failure`: why there
    is no answer.
    """

    reading: Reading | None
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    files: tuple[Resource, ...] = ()
    structured: Any = None
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    received_bytes: int = 0
    masked: tuple[tuple[str, ...], ...] | None = None
    is_told: bool = True
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model turn. `input` is what was not cached."""

    model: str
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    dollars: float | None = None  # None: no price is known for this model
    request_id: str = ""
    seconds: float = 0.0
    # what the model's service looked up itself; a search is paid for by the piece
    web_searches: int = 0
    web_pages: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """One line for the person: a retry, drift of a replay, a limit that came near."""

    text: str
    level: Literal["info", "warning"] = "info"


@dataclass(frozen=True, slots=True)
class Stop:
    """The end of the cell's turn and why."""

    reason: Literal["done", "limit", "interrupted", "refused", "error"]
    message: str = ""


@dataclass(frozen=True, slots=True)
class Footer:
    """The line below the answer: what answered, and what it took."""

    # e.g. "claude-sonnet-5-5 · live", "replayed (recorded 2026-11-23, qwen…)"
    backend: str
    calls: int = 0
    turns: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    dollars: float | None = None
    seconds: float = 0.0
    kept_bytes: int = 0  # bytes of tool results that did not go to the model
    notes: tuple[str, ...] = field(default=())
    web_searches: int = 0
    web_pages: int = 0


Event = (
    Working
    | ThinkingDelta
    | TextDelta
    | TextDiscarded
    | ToolCall
    | ToolStarted
    | ToolProgress
    | ToolResult
    | Usage
    | Note
    | Stop
    | Footer
)
