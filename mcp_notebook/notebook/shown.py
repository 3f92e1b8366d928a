"""Tables of the notebook as the card that a call's result has: what a cell's value shows,
and `%mcp_show`; and a view of one for the next question.

This loads pandas, pyarrow and DuckDB: `Notebook.table_cards` is its door.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from mcp_notebook import loop
from mcp_notebook.display.call_view import CallView
from mcp_notebook.display.card import render_call
from mcp_notebook.display.outputs import choose_mode, load_widgets
from mcp_notebook.display.tables import Whole, view_tables
from mcp_notebook.display.view import keep_card
from mcp_notebook.errors import ConfigError, DataError, NotebookError
from mcp_notebook.kinds import IN_MEMORY, is_table, kind_of
from mcp_notebook.naming import OWN_SERVER
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.results import Table
from mcp_notebook.sharing.arrow import snapshot, to_arrow
from mcp_notebook.sharing.local_sql import local_answer
from mcp_notebook.sql_words import written_name

if TYPE_CHECKING:
    from pandas import DataFrame

    from mcp_notebook.display.explorer import Explorer, TableLook

# of a table that is on an engine of its own, or in files
MOST_BROUGHT = 10_000  # rows


class ShownTable:
    """A table as it is looked at. Shown by a notebook it is the card; `sql` is the
    statement of what the card shows now, `pandas` the same as code, and `frame` its
    rows as a DataFrame.
    """

    def __init__(self, notebook: Notebook, name: str, table: Table) -> None:
        self._notebook, self._name, self._table = notebook, name, table
        self._whole = Whole(table.data, table.types)

    @property
    def sql(self) -> str:
        """The SELECT of what is looked at."""
        return self._code()["sql"]

    @property
    def pandas(self) -> str:
        """Lines of pandas that leave in `view` what is looked at."""
        return self._code()["pandas"]

    @property
    def frame(self) -> DataFrame:
        """The rows that are looked at, in their order."""
        explorer = self._whole.explorer
        return explorer.table(explorer.look_now).to_pandas()

    def _code(self) -> dict[str, Any]:
        explorer = self._whole.explorer
        return explorer.code(explorer.look_now, self._name)

    def __repr__(self) -> str:
        rows, columns = self._table.data.shape
        return f"<{self._name or 'table'}: {rows:,} rows × {columns:,} columns>"

    def _repr_mimebundle_(self, **options: Any) -> dict[str, str]:
        record = CallView(OWN_SERVER, self._name or "table", status="ok", seconds=0.0)
        return bundle_of(self._notebook, record, self._table, self._name, self._whole)


def show_named(notebook: Notebook, words: str) -> ShownTable:
    """What `%mcp_show` gives for a variable, a shared table or an expression; raises
    ConfigError and DataError.
    """
    if not words:
        raise ConfigError("Name a table: %mcp_show FRAME, a variable or an expression.")

    space = notebook.shell.user_ns
    if words in space:
        value, name = space[words], words
    elif notebook.catalog.find(words) is not None:
        value, name = notebook.catalog.resolve(words), words
    else:
        value, name = notebook.shell.ev(words), ""

    if isinstance(value, ShownTable):
        return value
    if not is_table(value):
        raise DataError(
            f"{words} is a {type(value).__name__}, no table: %mcp_show takes DataFrames, "
            "Arrow and Polars tables, and what %mcp_share shared."
        )

    if kind_of(value) in IN_MEMORY:
        return ShownTable(notebook, name, _table_of(value))
    if notebook.catalog.find(name) is None:
        raise DataError(
            f"{words} is not in memory: %mcp_share it, and %mcp_show asks its engine."
        )

    return ShownTable(notebook, name, _fetch_rows(notebook, name))


def _table_of(value: Any) -> Table:
    data, notes = to_arrow(snapshot(value))
    return Table(data, notes=tuple(notes))


def _fetch_rows(notebook: Notebook, name: str) -> Table:
    """The first rows of a table that is elsewhere, by its own engine."""
    sql = f"SELECT * FROM {written_name(name)} LIMIT {MOST_BROUGHT + 1}"  # noqa: S608
    answer = loop.run(local_answer(notebook.catalog, sql))
    notes = answer.notes
    if answer.data.num_rows > MOST_BROUGHT:
        notes += (f"the first {MOST_BROUGHT:,} rows of {name} are here",)

    return Table(answer.data.slice(0, MOST_BROUGHT), notes=tuple(notes))


def frame_bundle(notebook: Notebook, frame: Any) -> dict[str, str] | None:
    """What a notebook shows of a DataFrame that a call gave: the card of its result as it
    is now, changed by the person perhaps; None for any other frame, and where no cards
    are shown.
    """
    made_by = notebook.trail.of_frame(frame)
    if made_by is None or _mode(notebook) == "text":
        return None

    try:
        table = _table_of(frame)
    except NotebookError:  # pandas shows what we cannot
        return None

    record = CallView(made_by.server, made_by.tool, status="ok", seconds=0.0)
    bundle = bundle_of(notebook, record, table, _name_of(notebook, frame))
    # as text it is what it is: a DataFrame
    return {"text/html": bundle["text/html"]}


def bundle_of(
    notebook: Notebook, record: CallView, table: Table, name: str, whole: Any = None
) -> dict[str, str]:
    """The mime bundle of a table as a card; live where somebody is at the notebook."""
    held = whole or Whole(table.data, table.types)
    (view,) = view_tables((table,), (name,))
    return show_finished(notebook, record.with_table(view, held))


def show_finished(notebook: Notebook, record: CallView) -> dict[str, str]:
    """The mime bundle of a result that is shown by itself, outside of any run: static
    output, and where somebody is at the notebook a live card that wakes it on the page.
    """
    counted = record.with_counts()
    if _mode(notebook) != "widget":
        return render_call(counted, expanded=True)

    card = load_widgets().Card(
        counted,
        lambda reply: None,
        buttons=False,
        expanded=True,
        tell=partial(tell_claude, notebook),
    )
    card.update(counted)
    keep_card(card)
    return render_call(counted, expanded=True, place=card.place)


def _mode(notebook: Notebook) -> Any:
    return choose_mode(notebook.settings.cards, notebook.shell)


def _name_of(notebook: Notebook, value: Any) -> str:
    """The variable that holds a table, "" for none of the person's own."""
    for name, held in list(notebook.shell.user_ns.items()):
        if held is value and not name.startswith("_"):
            return name
    return ""


def tell_claude(
    notebook: Notebook, explorer: Explorer, look: TableLook, name: str
) -> str:
    """Give what is looked at a name that the next question mentions; returns what the
    person is told.

    Columns that were made from masked ones stay masked, and what Claude may not query
    it may not query in part.
    """
    entry = notebook.catalog.find(name) if name else None
    held = notebook.shell.user_ns.get(name) if name else None
    if entry is None and held is not None and notebook.trail.of_frame(held) is not None:
        return f"Claude may not query {name}: %mcp_share {name} lets it."

    base = name or "table"
    if look.is_plain and name:
        told = name
    else:
        told = notebook.free_name(f"{base}_view")
        notebook.shell.user_ns[told] = explorer.table(look).to_pandas()

    masked = entry.masked if entry is not None else ()
    notebook.catalog.add(told, variable=told, origin="named", masked=masked)
    if told not in notebook.pointed:
        notebook.pointed.append(told)
    return f"Your next question tells Claude of @{told}."
