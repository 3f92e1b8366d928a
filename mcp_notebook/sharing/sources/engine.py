"""What every engine with shared tables offers: what it is called, a table's columns,
how a statement runs there.
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
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


@dataclass(frozen=True, eq=False)
class SelectTable(ABC):
    """A table that is a SELECT on the person's connection: it stands in a WITH before
    each statement.
    """

    connection: Any
    select: str
    columns: pa.Schema
    name: str = ""
    dialect: str = ""
    # what the engine is told after AS, so that filters reach into the SELECT
    hint: str = ""

    @abstractmethod
    def make_job(self, text: str, seconds: float) -> Job:
        """The statement as a job."""

    @property
    def key(self) -> Hashable:
        return (type(self).__name__, id(self.connection))

    def schema(self) -> pa.Schema:
        return self.columns

    def view(self) -> str:
        return ""

    def job(
        self,
        plan: Plan,
        tables: Mapping[str, tuple[SelectTable, Masking]],
        seconds: float,
    ) -> Job:
        sources = {
            private: table.source(plan, masking)
            for private, (table, masking) in tables.items()
        }
        text = plan.text(sources, hint=self.hint)
        return self.make_job(text, seconds)

    def source(self, plan: Plan, masking: Masking) -> str:
        """The SELECT as a statement may see it."""
        masked = set(masking.columns)
        if not masked:
            return self.select

        # On lines of its own: it may end in a comment.
        columns = {name: name in masked for name in self.columns.names}
        return plan.projection(f"(\n{self.select}\n) t", columns, self.dialect)


@dataclass(eq=False)
class SelectJob(ABC):
    """A statement over such tables. Its `run` sets `running` to what `stop` can end."""

    connection: Any
    text: str
    seconds: float
    running: Any = None

    @abstractmethod
    def stop(self, running: Any) -> None:
        """Ask the engine to end what runs; it may have ended meanwhile."""

    def cancel(self) -> None:
        # `run` is on another thread, and may set it to None after the look at it.
        running = self.running
        if running is not None:
            self.stop(running)


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
