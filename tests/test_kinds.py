"""What is a table, told without importing a library."""

import pandas as pd
import polars as pl
import pytest

from mcp_notebook.kinds import format_of, is_table, kind_of


@pytest.mark.parametrize(
    "value",
    [
        pd.Series([1]),
        pl.Series([1]),
        3,
        "some text",
        "https://example.com/t.csv",
        [1],
        {"a": 1},
        None,
        pd,
    ],
)
def test_what_has_no_columns_is_no_table(value: object):
    """Series, texts and modules are refused."""
    assert not is_table(value)


def test_no_library_is_imported_to_ask():
    """A type's name and module tell its kind."""
    Spark = type("DataFrame", (), {"__module__": "pyspark.sql.connect.dataframe"})
    Ibis = type("Table", (), {"__module__": "ibis.expr.types.relations"})
    assert (kind_of(Spark()), kind_of(Ibis())) == ("spark", "ibis")
    assert (format_of("a/b.CSV.gz"), format_of("t.parquet"), format_of("t.exe")) == (
        "csv",
        "parquet",
        "",
    )
