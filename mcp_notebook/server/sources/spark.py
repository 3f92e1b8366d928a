"""Spark DataFrames, classic and Connect: the statement runs in their own session, over temporary views of ours.

The views carry random names and live for one statement; those of Connect travel with it. A classic job is cancelled by
its job group (tags do not reach `toArrow`, which collects in a thread of the JVM), one of Connect by its tag.
https://spark.apache.org/docs/latest/api/python/reference/pyspark.sql/spark_session.html
"""

import contextlib
import logging
import re
import secrets
import weakref
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError
from mcp_notebook.server.sources.place import Masking, first_sentence, projection

if TYPE_CHECKING:
    import pyarrow as pa

    from mcp_notebook.server.sources.plan import Plan

_CASTABLE = re.compile(r"[\w<>:, ()]+")  # type names without anything that would need quotes
_SETTLED: "weakref.WeakSet[Any]" = weakref.WeakSet()  # frames known to be no streams: asking is a way to the server
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
        """Raises `DataError` for a stream and for a stopped session."""
        if type(value).__module__.startswith("pyspark.pandas"):
            value = value.to_spark()
        session = value.sparkSession
        if stopped(session):
            raise DataError(_STOPPED)
        if value not in _SETTLED and value.isStreaming:
            raise DataError("A streaming DataFrame has no rows to query: share one that reads what it has written.")
        _SETTLED.add(value)
        return cls(value, session)

    @property
    def key(self) -> Hashable:
        return ("spark", id(self.session))

    def schema(self) -> "pa.Schema":
        """From the analysed plan; no job runs."""
        from pyspark.sql.pandas.types import to_arrow_schema

        schema = self.frame.schema
        try:
            return to_arrow_schema(schema, timezone="UTC")
        except TypeError:  # before Spark 4.1 it was always so
            return to_arrow_schema(schema)

    def job(self, plan: "Plan", tables: "Mapping[str, tuple[SparkTable, Masking]]", seconds: float) -> "SparkJob":
        return SparkJob(self.session, plan, tables)

    def explain(self, error: BaseException) -> str:
        if stopped(self.session):
            return _STOPPED
        said = getattr(error, "getMessage", None)
        text = said() if callable(said) else None
        return f"Spark says: {first_sentence(Exception(text or str(error)))}"


@dataclass(eq=False)
class SparkJob:
    """One statement in a session, on a thread of its own."""

    session: Any
    plan: "Plan"
    tables: "Mapping[str, tuple[SparkTable, Masking]]"
    tag: str = field(default_factory=lambda: f"mcp-notebook-{secrets.token_hex(8)}")

    def run(self) -> "pa.Table":
        views = {private: f"_mcp_{secrets.token_hex(8)}" for private in self.tables}
        frames = {view: self.tables[private][0].frame for private, view in views.items()}
        text = self.plan.text({private: self._select(private, view) for private, view in views.items()})
        self._tag()
        if is_connect(self.session):
            return self.session.sql(_with_places(text, frames), **frames).toArrow()
        try:
            for view, frame in frames.items():
                frame.createOrReplaceTempView(view)
            return self.session.sql(text).toArrow()
        finally:
            quiet_drop(self.session, views.values())

    def cancel(self) -> None:
        with contextlib.suppress(Exception):  # boundary: the session may be gone, which the job itself reports
            if is_connect(self.session):
                self.session.interruptTag(self.tag)
            else:
                self.session.sparkContext.cancelJobGroup(self.tag)

    def _tag(self) -> None:
        if is_connect(self.session):
            self.session.addTag(self.tag)  # of this thread, which ends with the job
        else:
            self.session.sparkContext.setJobGroup(self.tag, "a query of the notebook's server", True)

    def _select(self, private: str, view: str) -> str:
        table, masking = self.tables[private]
        masked = set(masking.columns)
        if masked:
            return projection(view, {name: name in masked for name in table.frame.columns}, "spark")
        loose = ", ".join(f"{_looser(f.dataType, f.name)} AS {_quoted(f.name)}" for f in table.frame.schema.fields)
        return f"SELECT {loose} FROM {view}"  # noqa: S608 - names are quoted


def _with_places(text: str, views: "Mapping[str, Any]") -> str:
    """The text for `session.sql(text, **views)`, which formats it: our views in braces, other braces doubled."""
    text = text.replace("{", "{{").replace("}", "}}")
    for view in views:
        text = text.replace(view, f"{{{view}}}")
    return text


def _looser(kind: Any, name: str) -> str:
    """The column; a struct whose fields must not be null is cast to one whose fields may be.

    A null of such a struct cannot be handed over: `toArrow` fails with "Can't view array of type struct<...>".
    """
    words = kind.simpleString()
    strict = "'nullable': False" in str(kind.jsonValue()) and _CASTABLE.fullmatch(words) is not None
    return f"CAST({_quoted(name)} AS {words})" if strict else _quoted(name)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def is_connect(session: Any) -> bool:
    """Whether the session is one of Spark Connect."""
    return ".connect." in type(session).__module__


def stopped(session: Any) -> bool:
    """Whether the session was stopped; a server that died shows when it is asked."""
    if is_connect(session):
        return bool(getattr(session, "is_stopped", False))
    context = getattr(session, "_sc", None)
    return context is None or getattr(context, "_jsc", None) is None


def quiet_drop(session: Any, views: Any) -> None:
    """Drop temporary views; that a session ended meanwhile matters to nobody."""
    for view in views:
        try:
            session.catalog.dropTempView(view)
        except Exception as error:  # boundary: the statement's own outcome is what counts
            logging.getLogger(__name__).debug("a temporary view was not dropped: %s", type(error).__name__)
