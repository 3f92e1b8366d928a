"""Which cells' answers no longer stand: those that went on from an older run of a cell,
and those whose tables have changed since.

A table is marked when its cell ends, by a shallow copy: pandas copies on write, so that
copy keeps the values of then at no cost. It is let go with the table itself; of a small
one a fingerprint stays, so that the same rows under the same name count as the same.
What changes inside an object of a cell (a list that is appended to) is not seen.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError, NotebookError
from mcp_notebook.freeze.select_calls import tables_named
from mcp_notebook.kinds import IN_MEMORY, kind_of
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.freeze_cells import tables_read

if TYPE_CHECKING:
    from mcp_notebook.agent.conversation import Conversation
    from mcp_notebook.notebook.state import Notebook
    from mcp_notebook.sharing.arrow import Snapshot

SMALL = 50_000  # cells up to which a fingerprint is kept: 20 ms
OLDER_RUN = "it went on from an older run of a cell before it"
# What a table of another library's may say of itself.
_UNREADABLE = (
    NotebookError,
    TypeError,
    ValueError,
    AttributeError,
    NotImplementedError,
)


@dataclass(eq=False)
class TableMark:
    """A table as it was when a cell had used or made it."""

    is_same: Callable[[Any], bool]  # whether a value is the very object
    held: Snapshot | None = None
    fingerprint: str = ""
    files: Hashable = None  # of a table that is files: their names, sizes and times

    def describe_change(self, value: Any) -> str:
        """What became of the table whose variable holds `value` now; "" when nothing."""
        if kind_of(value) is None:
            return "is no table any more"
        if self.files is not None:
            return "" if _state_of(value) == self.files else "has changed"
        if self.held is None and not self.fingerprint:
            return "" if self.is_same(value) else "is another table now"

        # loads pyarrow, which came with the table
        now = _take_snapshot(value)
        if now is None:
            return "is another table now"

        if self.held is not None:
            is_equal = _holds_the_same(self.held, now)
        else:
            is_equal = _fingerprint_of(now) == self.fingerprint

        if is_equal:
            return ""

        return "has changed" if self.is_same(value) else "is another table now"


def mark_table(value: Any) -> TableMark | None:
    """The mark of a variable's table; None where it holds none."""
    kind = kind_of(value)
    if kind is None:
        return None
    if kind == "file":
        return TableMark(lambda other: other == value, files=_state_of(value))

    try:
        reference: Callable[[], Any] = weakref.ref(value)
    except TypeError:
        return TableMark(lambda other: other is value)

    mark = TableMark(lambda other: other is reference())
    if kind in IN_MEMORY:
        mark.held = _take_snapshot(value)
        mark.fingerprint = _fingerprint_of(mark.held) if mark.held else ""
        # `del orders` frees the rows here, too
        weakref.finalize(value, _let_go, weakref.ref(mark)).atexit = False

    return mark


def _let_go(reference: weakref.ref[TableMark]) -> None:
    mark = reference()
    if mark is not None:
        mark.held = None


def _take_snapshot(value: Any) -> Snapshot | None:
    arrow = importlib.import_module("mcp_notebook.sharing.arrow")
    try:
        return arrow.snapshot(value)
    except _UNREADABLE:
        return None


def _state_of(value: Any) -> Hashable:
    local_tables = importlib.import_module("mcp_notebook.sharing.sources.local_tables")
    try:
        return local_tables.file_table(value).state()
    except DataError as error:
        return error.message


def _fingerprint_of(held: Snapshot) -> str:
    """A small table in a short text, whatever the order of its rows; "" for another."""
    if held.rows * len(held.names) > SMALL:
        return ""

    arrow = importlib.import_module("mcp_notebook.sharing.arrow")
    pandas = importlib.import_module("pandas")
    fingerprints = importlib.import_module("mcp_notebook.freeze.fingerprint")
    try:
        table, _ = arrow.to_arrow(held)
        frame = table.to_pandas(types_mapper=pandas.ArrowDtype)
        return f"{list(frame.columns)} {fingerprints.fingerprint(frame)}"
    except _UNREADABLE:
        return ""


def _holds_the_same(held: Snapshot, now: Snapshot) -> bool:
    """Whether two tables have the same columns and values. Where they lie in memory
    says so at once; pandas moves columns also where nothing changes.
    """
    if held.names != now.names or held.rows != now.rows:
        return False
    if held.same_as(now) and not held.loose:
        return True

    before, after = _columns_of(held), _columns_of(now)
    return all(one.equals(other) for one, other in zip(before, after, strict=True))


def _columns_of(held: Snapshot) -> list[Any]:
    frame = getattr(held.data, "frame", None)
    if frame is None:
        return list(held.data.columns)  # type: ignore[union-attr]

    return [frame.iloc[:, at] for at in range(frame.shape[1])]


def mark_tables(
    notebook: Notebook, cell: str, names: Iterable[str]
) -> dict[str, TableMark]:
    """The marks of the tables that a cell's calls read or were given, and of those
    `names` that it made or that its question named; by their variables.
    """
    space = notebook.shell.user_ns
    variables = dict.fromkeys([*names, *_tables_of_calls(notebook, cell)])
    marks = {name: mark_table(space.get(name)) for name in variables}
    return {name: mark for name, mark in marks.items() if mark is not None}


def _tables_of_calls(notebook: Notebook, cell: str) -> list[str]:
    """The variables of the tables that the calls of a cell read."""
    variables = {entry.name: entry.variable for entry in notebook.catalog.entries()}
    found: list[str] = []
    for call in notebook.trail:
        if call.cell != cell or call.outcome != "ok":
            continue

        if call.server != OWN_SERVER or call.kind != "tool":
            # those that were arguments
            found += call.sources
            continue

        named = tables_named(call, list(variables), tables_read)
        named.add(str(call.arguments.get("table", "")))
        found += [variables[name] for name in sorted(named & variables.keys())]

    return found


def stale_cells(notebook: Notebook, conversation: Conversation) -> dict[str, str]:
    """The cells whose answers no longer stand, in their order, and why."""
    found = {}
    for cell, run in conversation.runs.items():
        why = OLDER_RUN if run.stale else _changes(notebook, run.tables)
        if why:
            found[cell] = why

    return found


def _changes(notebook: Notebook, marks: Mapping[str, TableMark]) -> str:
    """`orders has changed, top is another table now`; "" when nothing has."""
    space = notebook.shell.user_ns
    said = []
    for name, mark in marks.items():
        # a table that was deleted has no other values
        change = mark.describe_change(space[name]) if name in space else ""
        if change:
            said.append(f"{name} {change}")

    return ", ".join(said)


def tell_changed(notebook: Notebook, conversation: Conversation) -> str:
    """A line on the cells whose tables have changed since the last answer; "" when there
    is none.
    """
    said = []
    found = stale_cells(notebook, conversation)
    for cell, run in conversation.runs.items():
        if run.stale:
            continue

        if cell in found and not run.was_told:
            said.append(f"{run.question} ({found[cell]})")

        run.was_told = cell in found

    if not said:
        return ""

    return (
        f"Stale now, for their tables are no longer what they were: {'; '.join(said)}. "
        "%claude_rerun asks them again."
    )
