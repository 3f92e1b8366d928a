"""Spark DataFrames, classic and Connect: the statement runs in their own session, over
names of ours for the frames.

A classic job is cancelled by its job group (tags do not reach `toArrow`, which collects
in a thread of the JVM), one of Connect by its tag.
https://spark.apache.org/docs/latest/api/python/reference/pyspark.sql/spark_session.html
"""

import contextlib
import secrets
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.sharing.sources import spark_frames
from mcp_notebook.sharing.sources.engine import Masking, first_sentence, projection

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
    def of(cls, value: Any) -> "SparkTable":
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
            spark_frames.known(value)
        except DataError:
            raise
        except Exception as error:  # boundary: Connect looks at a frame's plan only now
            raise DataError(table.explain(error)) from error

        return table

    @property
    def key(self) -> Hashable:
        return ("spark", id(self.session))

    def schema(self) -> "pa.Schema":
        """From the analysed plan; no job runs."""
        return spark_frames.known(self.frame).columns

    def view(self) -> str:
        kept = spark_frames.known(self.frame)
        if kept.plain:
            return kept.name
        return ""

    def job(
        self,
        plan: "Plan",
        tables: "Mapping[str, tuple[SparkTable, Masking]]",
        seconds: float,
    ) -> "SparkJob":
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
    plan: "Plan"
    tables: "Mapping[str, tuple[SparkTable, Masking]]"
    tag: str = field(default_factory=lambda: f"mcp-notebook-{secrets.token_hex(8)}")

    def run(self) -> "pa.Table":
        sources = {
            private: self._select(private)
            for private in self.tables
            if private != self._name(private)
        }
        text = self.plan.text(sources)
        frames = {
            spark_frames.known(table.frame).name: table.frame
            for table, _ in self.tables.values()
        }
        with self._cancellable():
            if is_connect(self.session):
                return _connect_rows(self.session, text, frames)

            with contextlib.ExitStack() as held:
                for frame in frames.values():
                    held.enter_context(spark_frames.known(frame).view(frame))

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
        return _quote_name(spark_frames.known(self.tables[private][0].frame).name)

    def _select(self, private: str) -> str:
        table, masking = self.tables[private]
        masked = set(masking.columns)
        if masked:
            return projection(
                self._name(private),
                {name: name in masked for name in table.frame.columns},
                "spark",
            )

        fields = spark_frames.known(table.frame).fields
        loose = ", ".join(
            f"{_looser(f.dataType, f.name)} AS {_quote_name(f.name)}" for f in fields
        )
        return f"SELECT {loose} FROM {self._name(private)}"  # noqa: S608 - names are quoted


def _looser(kind: Any, name: str) -> str:
    """The column; a strict struct is cast to one whose fields may be null."""
    if spark_frames.strict(kind):
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


def _connect_rows(session: Any, text: str, frames: Mapping[str, Any]) -> "pa.Table":
    """The statement's rows; in the text the frames stand by these names, in backticks."""
    statement = _unsent_frame(session, text, frames)
    if statement is None:
        return session.sql(_with_places(text, frames), **frames).toArrow()
    table, schema = statement._to_table()
    return table.cast(spark_frames.arrow(schema))


def _unsent_frame(session: Any, text: str, frames: Mapping[str, Any]) -> Any:
    """A DataFrame of the statement that the server has not heard of; None where PySpark
    has other insides than these.

    `session.sql` sends it at once, since the text might be a command; ours is a checked SELECT.
    """
    try:
        from pyspark.sql.connect.dataframe import DataFrame
        from pyspark.sql.connect.plan import SQL, SubqueryAlias

        views = [SubqueryAlias(frame._plan, name) for name, frame in frames.items()]
        statement = DataFrame(SQL(text, [], {}, views), session)
    except (ImportError, AttributeError, TypeError):
        return None

    if hasattr(DataFrame, "_to_table"):
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
