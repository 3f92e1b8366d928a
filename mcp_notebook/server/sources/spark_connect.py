"""A statement on Spark Connect as one request: its text with the plans of the frames that it names.

`session.sql(text, **frames).toArrow()` makes three, one that has the text looked at,
one for the columns and one for the rows, and for each of them the server analyses the
frames' plans anew: it lists their files and reads a footer.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_notebook.server.sources import spark_frames

if TYPE_CHECKING:
    import pyarrow as pa


def rows(session: Any, text: str, frames: Mapping[str, Any]) -> "pa.Table":
    """The statement's rows; in the text the frames stand by these names, in backticks."""
    statement = _unsent(session, text, frames)
    if statement is None:
        return session.sql(_with_places(text, frames), **frames).toArrow()
    table, schema = statement._to_table()
    return table.cast(spark_frames.arrow(schema))


def _unsent(session: Any, text: str, frames: Mapping[str, Any]) -> Any:
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
    return statement if hasattr(DataFrame, "_to_table") else None


def _with_places(text: str, frames: Mapping[str, Any]) -> str:
    """The text for `session.sql(text, **frames)`, which formats it: our names in
    braces, other braces doubled.
    """
    text = text.replace("{", "{{").replace("}", "}}")
    for name in frames:
        text = text.replace(f"`{name}`", f"{{{name}}}")
    return text
