"""Text of a tool result to a typed DataFrame, against what everyone does."""

import ast
import csv
import io
import json

import pandas as pd

from mcp_notebook import results
from tests.benchmarks import data
from tests.benchmarks.suite import Benchmark, Candidates


def read(text: str) -> pd.DataFrame:
    """One text block of a result as a frame."""
    frame = results.to_dataframe({"content": [{"type": "text", "text": text}]})
    assert frame is not None
    return frame


def records(size: int) -> Candidates:
    text = data.records_text(size)
    return {
        "ours": lambda: read(text),
        "DataFrame(json.loads)": lambda: pd.DataFrame(json.loads(text)),
    }


def columns(size: int) -> Candidates:
    text = json.dumps({"columns": list(data.NAMES), "rows": data.rows(size)})

    def usual() -> pd.DataFrame:
        value = json.loads(text)
        return pd.DataFrame(value["rows"], columns=value["columns"])

    return {"ours": lambda: read(text), "DataFrame(json.loads)": usual}


def tuples(size: int) -> Candidates:
    text = repr(data.rows(size))
    return {
        "ours": lambda: read(text),
        "DataFrame(literal_eval)": lambda: pd.DataFrame(ast.literal_eval(text)),
    }


def dicts(size: int) -> Candidates:
    text = repr(data.records(size))
    return {
        "ours": lambda: read(text),
        "DataFrame(literal_eval)": lambda: pd.DataFrame(ast.literal_eval(text)),
    }


def comma_separated(size: int) -> Candidates:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(data.NAMES)
    writer.writerows(data.rows(size))
    text = buffer.getvalue()
    return {
        "ours": lambda: read(text),
        "pd.read_csv": lambda: pd.read_csv(io.StringIO(text)),
    }


BENCHMARKS = (
    Benchmark(
        "records", "JSON records to a typed frame", records, 0.5, memory_goal=0.9
    ),
    Benchmark("records-10", "the same, ten rows", lambda _: records(10), 2.0, size=10),
    Benchmark("columns", "JSON {columns, rows}", columns, None, memory_goal=None),
    Benchmark("tuples", "Python list of tuples", tuples, 0.25, memory_goal=0.2),
    Benchmark("dicts", "Python list of dicts", dicts, 0.25, memory_goal=0.2),
    Benchmark("csv", "CSV with quoted line breaks", comma_separated, 2.0),
)
