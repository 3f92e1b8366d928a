"""What every engine with shared tables offers: what it is called, a table's columns,
how a statement runs there.
"""

from __future__ import annotations

import base64
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from mcp_notebook.sharing.sources.plan import Plan


@dataclass(frozen=True)
class Masking:
    """The columns whose values a statement must not see: it sees 'masked' where there is one."""

    columns: tuple[str, ...] = ()


class Job(Protocol):
    """One statement on an engine. `run` blocks; `cancel` may be called from another
    thread, also more than once.
    """

    def run(self) -> pa.Table:
        """The rows; raises whatever the engine raises."""
        ...

    def cancel(self) -> None:
        """Ask the engine to end the statement."""
        ...


class RemoteTable(Protocol):
    """A table on its engine.

    `name` is what people call the engine, `dialect` sqlglot's word for its SQL. Tables
    of an equal `key` can stand in one statement.
    """

    @property
    def name(self) -> str: ...

    @property
    def dialect(self) -> str: ...

    @property
    def key(self) -> Hashable: ...

    def schema(self) -> pa.Schema:
        """Columns and types, without running anything that looks at rows."""
        ...

    def view(self) -> str:
        """The name under which the engine itself knows the table for us, "" where each
        statement has to say it.
        """
        ...

    def job(self, plan: Plan, tables: Any, seconds: float) -> Job:
        """The plan as a job; `tables` gives for each of its private names the place and
        the masked columns.

        What is a view stands in the plan by the view's name.
        """
        ...

    def explain(self, error: BaseException) -> str:
        """One sentence that says what the engine found wrong, or that it is gone."""
        ...


def projection(source: str, columns: Mapping[str, bool], dialect: str) -> str:
    """`SELECT` of the columns from the source; of a masked one (True) only whether
    there is a value.
    """
    # sqlglot is slow to load, and there by then: it checked the statement
    from sqlglot import exp

    def quote_name(name: str) -> str:
        return exp.to_identifier(name, quoted=True).sql(dialect=dialect)

    parts = [
        f"CASE WHEN {quote_name(n)} IS NULL THEN NULL ELSE 'masked' END AS {quote_name(n)}"
        if masked
        else quote_name(n)
        for n, masked in columns.items()
    ]
    return f"SELECT {', '.join(parts)} FROM {source}"  # noqa: S608 - names are quoted


def first_sentence(error: BaseException, limit: int = 300) -> str:
    """An engine's message without stack, plan and picture."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [
        type(error).__name__
    ]
    kept = [lines[0]]
    for line in lines[1:3]:
        if line.startswith(("'", "+-", "at ", "==", "JVM", "LINE", "^", ";")):
            break

        kept.append(line)

    return " ".join(kept)[:limit]


def pack_schema(schema: pa.Schema) -> str:
    """Names and types of columns, for a line of JSON."""
    return base64.b64encode(schema.serialize()).decode("ascii")


def unpack_schema(text: str) -> pa.Schema:
    """What `pack_schema` packed."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))
