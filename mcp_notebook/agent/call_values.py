"""What goes along with a call: values without any slow package behind them, so that the
notebook's state and magics can name them before the first result is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from mcp_notebook.events import Event, ToolCall, ToolResult
from mcp_notebook.veil import NO_VEIL, Veil

if TYPE_CHECKING:
    from mcp_notebook.results import Table
    from mcp_notebook.sessions import Session, ToolInfo

Emit = Callable[[Event], None]


@dataclass(frozen=True)
class Origin:
    """Where a table comes from; it stands in `df.attrs["mcp"]`, so its arguments are
    without secrets.
    """

    server: str
    tool: str
    arguments: Mapping[str, Any]
    call_id: str
    time: str  # ISO, when the call was made
    seconds: float
    # the arguments exactly: two calls that differ in a secret only are two calls
    exact: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    # by table, the columns that SQL made from masked ones; empty where nothing is masked
    masked: tuple[tuple[str, ...], ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Sending:
    """A call on its way: the event that everybody is told, and what the server gets."""

    call: ToolCall
    arguments: dict[str, Any] = field(repr=False)
    session: Session
    tool: ToolInfo


class Keep(Protocol):
    """Puts the tables of a result into the notebook.

    `write` gets their names and describes them; only when it has, they are bound.
    Returns the names, one a table, and what was written.
    """

    def __call__(
        self,
        tables: Sequence[Table],
        origin: Origin,
        write: Callable[[Sequence[str]], str],
    ) -> tuple[tuple[str, ...], str]: ...


@dataclass(frozen=True)
class Shaping:
    """How much of a result goes to the model, and what never does."""

    rows: int = 5
    # a small table is shown with all its rows
    whole: bool = True
    text_bytes: int = 50_000
    mask: tuple[str, ...] = ()
    veil: Veil = NO_VEIL
    # how many rows the budget allows of those wanted
    grant: Callable[[int], int] = lambda wanted: wanted


class CallPath(Protocol):
    """The notebook's way for a call to its server, on which its books are kept."""

    async def send(
        self, sending: Sending, *, shaping: Shaping, timeout: float, emit: Emit
    ) -> ToolResult:
        """Send a call that was announced; never raises but for cancellation."""
        ...


def only_number(result: ToolResult) -> Any:
    """The one value that a count gave; "nothing" where it gave none."""
    tables = result.reading.tables if result.reading is not None else ()
    if result.outcome != "ok" or not tables or not tables[0].data.num_rows:
        return "nothing"

    value = tables[0].data.column(0)[0].as_py()
    return int(value) if str(value).isdigit() else value
