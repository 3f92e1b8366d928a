"""A query's answer as an Arrow table, and its rows for JSON."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_notebook.server.answer import Answer, Column, big_integer_notice, within

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class TableAnswer:
    """A query's answer: the rows up to the limits, DuckDB's type of each column, why it
    was cut ("" when whole).
    """

    data: "pa.Table"
    types: tuple[str, ...]
    truncated: str = ""
    notes: tuple[str, ...] = ()


def as_answer(answer: TableAnswer, *, rows: int, max_bytes: int) -> Answer:
    """The answer as rows of plain values under DuckDB's types, within both caps."""
    columns = tuple(
        Column(name, kind, declared=True)
        for name, kind in zip(answer.data.column_names, answer.types, strict=True)
    )
    # pyarrow is loaded by then, by whoever made the answer
    from mcp_notebook.values import column_values

    values = zip(*map(column_values, answer.data.columns), strict=True)
    kept, cut = within(values, rows, max_bytes)
    truncated = cut or answer.truncated
    notices = [truncated, *answer.notes, big_integer_notice(columns, kept)]
    return Answer(
        columns,
        kept,
        truncated=bool(truncated),
        notice="; ".join(filter(None, notices)),
    )
