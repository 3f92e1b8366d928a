"""What is kept of a Spark frame for as long as it lives: its columns, and on a classic
session a private view of it.

A classic frame's plan is settled when it is made, so a view of it gives what the frame
gives, and one view for many statements spares each of them two ways to the JVM. It goes
with the frame, and after a minute in which no statement used it. Connect may settle a
frame anew for any of its actions: there each statement carries the frame's plan.
"""

import contextlib
import logging
import re
import secrets
import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mcp_notebook.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

IDLE_SECONDS = 60.0
_CASTABLE = re.compile(
    r"[\w<>:, ()]+"
)  # type names without anything that would need quotes
_KNOWN: "weakref.WeakKeyDictionary[Any, Frame]" = weakref.WeakKeyDictionary()


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


def arrow(schema: Any) -> "pa.Schema":
    """Spark's columns as Arrow's."""
    from pyspark.sql.pandas.types import to_arrow_schema

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
