"""Spark DataFrames, classic and Connect: the statement runs in their own session, over
names of ours for the frames.

A classic job is cancelled by its job group (tags do not reach `toArrow`, which collects
in a thread of the JVM), one of Connect by its tag.
https://spark.apache.org/docs/latest/api/python/reference/pyspark.sql/spark_session.html
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import threading
import weakref
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.sharing.sources.engine import Masking, first_sentence

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.sharing.sources.plan import Plan


_STOPPED = "The Spark session is stopped: start it again, make the DataFrame anew and share it."


@dataclass(frozen=True, eq=False)
class SparkTable:
    """A DataFrame in its session."""

    frame: Any
    session: Any
    name: str = "Spark"
    dialect: str = "spark"

    @classmethod
    def of(cls, value: Any) -> SparkTable:
        """Raises `DataError` for a stream, a stopped session, and a frame that Spark
        cannot make sense of any more.
        """
        if type(value).__module__.startswith("pyspark.pandas"):
            value = value.to_spark()

        session = value.sparkSession
        if is_stopped(session):
            raise DataError(_STOPPED)

        table = cls(value, session)
        try:
            known(value)
        except DataError:
            raise
        except Exception as error:  # boundary: Connect looks at a frame's plan only now
            raise DataError(table.explain(error)) from error

        return table

    @property
    def key(self) -> Hashable:
        return ("spark", id(self.session))

    def schema(self) -> pa.Schema:
        """From the analysed plan; no job runs."""
        return known(self.frame).columns

    def view(self) -> str:
        kept = known(self.frame)
        if kept.plain:
            return kept.name
        return ""

    def job(
        self,
        plan: Plan,
        tables: Mapping[str, tuple[SparkTable, Masking]],
        seconds: float,
    ) -> SparkJob:
        return SparkJob(self.session, plan, tables)

    def explain(self, error: BaseException) -> str:
        if is_stopped(self.session):
            return _STOPPED

        said = getattr(error, "getMessage", None)
        if callable(said):
            text = said()
        else:
            text = None

        return f"Spark says: {first_sentence(Exception(text or str(error)))}"


@dataclass(eq=False)
class SparkJob:
    """One statement in a session, on a thread of its own."""

    session: Any
    plan: Plan
    tables: Mapping[str, tuple[SparkTable, Masking]]
    tag: str = field(default_factory=lambda: f"mcp-notebook-{secrets.token_hex(8)}")

    def run(self) -> pa.Table:
        sources = {
            private: self._select(private)
            for private in self.tables
            if private != self._name(private)
        }
        text = self.plan.text(sources)
        frames = {
            known(table.frame).name: table.frame for table, _ in self.tables.values()
        }
        with self._cancellable():
            if is_connect(self.session):
                return _connect_rows(self.session, text, frames)

            with contextlib.ExitStack() as held:
                for frame in frames.values():
                    held.enter_context(known(frame).view(frame))

                return self.session.sql(text).toArrow()

    def cancel(self) -> None:
        # boundary: the session may be gone, which the job itself reports
        with contextlib.suppress(Exception):
            if is_connect(self.session):
                self.session.interruptTag(self.tag)
            else:
                self.session.sparkContext.cancelJobGroup(self.tag)

    @contextlib.contextmanager
    def _cancellable(self) -> Iterator[None]:
        """Group and tag are this thread's."""
        if not is_connect(self.session):
            self.session.sparkContext.setJobGroup(
                self.tag, "a query of the notebook's server", True
            )
            yield
            return

        self.session.addTag(self.tag)
        try:
            yield
        finally:
            self.session.removeTag(self.tag)

    def _name(self, private: str) -> str:
        return _quote_name(known(self.tables[private][0].frame).name)

    def _select(self, private: str) -> str:
        table, masking = self.tables[private]
        masked = set(masking.columns)
        if masked:
            return self.plan.projection(
                self._name(private),
                {name: name in masked for name in table.frame.columns},
                "spark",
            )

        fields = known(table.frame).fields
        loose = ", ".join(
            f"{_looser(f.dataType, f.name)} AS {_quote_name(f.name)}" for f in fields
        )
        return f"SELECT {loose} FROM {self._name(private)}"  # noqa: S608 - names are quoted


def _looser(kind: Any, name: str) -> str:
    """The column; a strict struct is cast to one whose fields may be null."""
    if strict(kind):
        return f"CAST({_quote_name(name)} AS {kind.simpleString()})"
    return _quote_name(name)


def _quote_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def is_connect(session: Any) -> bool:
    """Whether the session is one of Spark Connect."""
    return ".connect." in type(session).__module__


def is_stopped(session: Any) -> bool:
    """Whether the session was stopped; a server that died shows when it is asked."""
    if is_connect(session):
        return bool(getattr(session, "is_stopped", False))
    context = getattr(session, "_sc", None)
    return context is None or getattr(context, "_jsc", None) is None


# ---- Spark Connect: the statement as one request, its text with the plans of its frames

# `session.sql(text, **frames).toArrow()` makes three, one that has the text looked at,
# one for the columns and one for the rows, and for each of them the server analyses the
# frames' plans anew: it lists their files and reads a footer.


def _connect_rows(session: Any, text: str, frames: Mapping[str, Any]) -> pa.Table:
    """The statement's rows; in the text the frames stand by these names, in backticks."""
    statement = _unsent_frame(session, text, frames)
    if statement is None:
        return session.sql(_with_places(text, frames), **frames).toArrow()
    table, schema = statement._to_table()
    return table.cast(arrow(schema))


def _unsent_frame(session: Any, text: str, frames: Mapping[str, Any]) -> Any:
    """A DataFrame of the statement that the server has not heard of; None where PySpark
    has other insides than these.

    `session.sql` sends it at once, since the text might be a command; ours is a checked SELECT.
    """
    try:
        # an optional package; whoever has such a frame has loaded it
        from pyspark.sql.connect import dataframe, plan

        views = [
            plan.SubqueryAlias(frame._plan, name) for name, frame in frames.items()
        ]
        statement = dataframe.DataFrame(plan.SQL(text, [], {}, views), session)
    except (ImportError, AttributeError, TypeError):
        return None

    if hasattr(dataframe.DataFrame, "_to_table"):
        return statement

    return None


def _with_places(text: str, frames: Mapping[str, Any]) -> str:
    """The text for `session.sql(text, **frames)`, which formats it: our names in
    braces, other braces doubled.
    """
    text = text.replace("{", "{{").replace("}", "}}")
    for name in frames:
        text = text.replace(f"`{name}`", f"{{{name}}}")

    return text


# What is kept of a Spark frame for as long as it lives: its columns, and on a classic
# session a private view of it.
#
# A classic frame's plan is settled when it is made, so a view of it gives what the
# frame gives, and one view for many statements spares each of them two ways to the JVM.
# It goes with the frame, and after a minute in which no statement used it. Connect may
# settle a frame anew for any of its actions: there each statement carries the frame's
# plan.


IDLE_SECONDS = 60.0
_CASTABLE = re.compile(
    r"[\w<>:, ()]+"
)  # type names without anything that would need quotes
_KNOWN: weakref.WeakKeyDictionary[Any, Frame] = weakref.WeakKeyDictionary()


class Frame:
    """What was asked of one frame once. A frame's columns never change."""

    def __init__(self, frame: Any) -> None:
        """Raises `DataError` for a stream."""
        if frame.isStreaming:
            raise DataError(
                "A streaming DataFrame has no rows to query: share one that reads "
                "what it has written."
            )

        self.fields = frame.schema.fields
        self.columns = arrow(frame.schema)
        self.name = f"_mcp_{secrets.token_hex(8)}"
        self._session = frame.sparkSession
        self._users = 0
        self._made = False
        self._turn = threading.Lock()
        self._idle: threading.Timer | None = None

    @property
    def plain(self) -> bool:
        """Whether the columns can be handed over as they are."""
        return not any(strict(field.dataType) for field in self.fields)

    @contextlib.contextmanager
    def view(self, frame: Any) -> Iterator[str]:
        """The name of a temporary view of the frame, which stays while it is used."""
        with self._turn:
            if self._idle is not None:
                self._idle.cancel()

            if not self._made:
                frame.createOrReplaceTempView(self.name)
                weakref.finalize(frame, self._later, 0).atexit = False
                self._made = True

            self._users += 1

        try:
            yield self.name
        finally:
            with self._turn:
                self._users -= 1
                self._later(IDLE_SECONDS)

    def let_go(self) -> None:
        """Drop the view unless a statement uses it; the next one makes it again."""
        with self._turn:
            if self._made and not self._users:
                self._made = False
                _drop(self._session, self.name)

    def _later(self, seconds: float) -> None:
        # On a thread of its own: whoever drops the last reference of a frame is not to
        # wait for the JVM.
        self._idle = threading.Timer(seconds, self.let_go)
        self._idle.daemon = True
        self._idle.start()


def known(frame: Any) -> Frame:
    """What is kept of the frame; raises `DataError` for a stream."""
    found = _KNOWN.get(frame)
    if found is None:
        found = _KNOWN.setdefault(frame, Frame(frame))
    return found


def let_go() -> None:
    """Drop all views that no statement uses now."""
    for frame in list(_KNOWN.values()):
        frame.let_go()


def strict(kind: Any) -> bool:
    """Whether it is a struct whose fields must not be null, which Spark cannot hand
    over where the struct is null.

    `toArrow` fails with "Can't view array of type struct<...>".
    """
    return (
        "'nullable': False" in str(kind.jsonValue())
        and _CASTABLE.fullmatch(kind.simpleString()) is not None
    )


def arrow(schema: Any) -> pa.Schema:
    """Spark's columns as Arrow's."""
    from pyspark.sql.pandas.types import to_arrow_schema  # loaded with the frame

    try:
        return to_arrow_schema(schema, timezone="UTC")
    except TypeError:  # before Spark 4.1 it was always so
        return to_arrow_schema(schema)


def _drop(session: Any, name: str) -> None:
    """Not by `catalog.dropTempView`, which takes a frame out of the cache into which
    the person put it.
    """
    try:
        session._jsparkSession.sessionState().catalog().dropTempView(name)
    except Exception as error:
        # boundary: the session may have ended, and the view with it
        logging.getLogger(__name__).debug(
            "a temporary view was not dropped: %s", type(error).__name__
        )
