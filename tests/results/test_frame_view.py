"""Random frames of people: told, previewed, queried, shared and hashed by one set of names,
with the values that pandas has.
"""

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mcp_notebook.freeze.fingerprint import fingerprint
from mcp_notebook.results.frame_view import column_names, view_frame
from mcp_notebook.results.model_preview import preview
from mcp_notebook.sharing.catalog import Catalog
from mcp_notebook.sharing.describing import schema_text
from mcp_notebook.sharing.local_sql import run_local_query
from mcp_notebook.sql_words import written_name

FRAMES, FEW = 2000, 60
BATCH = 20
BATCHES = [
    pytest.param(batch, marks=[pytest.mark.slow] if batch * BATCH >= FEW else [])
    for batch in range(FRAMES // BATCH)
]

Values = tuple[pd.Series, list[Any]]


def whole(rng: np.random.Generator, n: int) -> Values:
    values = rng.integers(-(2**62), 2**62, n)
    return pd.Series(values), values.tolist()


def with_gaps(rng: np.random.Generator, n: int) -> Values:
    values = [
        None if rng.random() < 0.3 else int(v) for v in rng.integers(2**53, 2**60, n)
    ]
    return pd.Series(values, dtype="Int64"), values


def fractions(rng: np.random.Generator, n: int) -> Values:
    values = [None if rng.random() < 0.2 else float(v) for v in rng.normal(size=n)]
    return pd.Series(values, dtype="float64"), values


def halves(rng: np.random.Generator, n: int) -> Values:
    values = rng.integers(0, 50, n) / 2
    return pd.Series(values.astype("float16")), values.tolist()


def truths(rng: np.random.Generator, n: int) -> Values:
    values = [None if rng.random() < 0.2 else bool(v) for v in rng.integers(0, 2, n)]
    return pd.Series(values, dtype="boolean"), values


def texts(rng: np.random.Generator, n: int) -> Values:
    pool = ["a", "", "ä 'x'", None, '"q"', "line\nbreak", "0"]
    values = [pool[v] for v in rng.integers(0, len(pool), n)]
    return pd.Series(values, dtype=rng.choice(["str", "object"])), values


def ids(rng: np.random.Generator, n: int) -> Values:
    values = [uuid.UUID(bytes=rng.bytes(16)) for _ in range(n)]
    return pd.Series(values, dtype=object), list(map(str, values))


def prices(rng: np.random.Generator, n: int) -> Values:
    values = [Decimal(int(v)) / 100 for v in rng.integers(1, 10**9, n)]
    return pd.Series(values, dtype=object), values


def days(rng: np.random.Generator, n: int) -> Values:
    values = [
        dt.date(2026, 1, 1) + dt.timedelta(days=int(v)) for v in rng.integers(0, 900, n)
    ]
    return pd.Series(values, dtype=object), values


def moments(rng: np.random.Generator, n: int) -> Values:
    zone = [None, "UTC", "Europe/Berlin"][rng.integers(3)]
    unit = ["s", "us", "ns"][rng.integers(3)]
    start = pd.Timestamp("2026-01-01", tz=zone)
    values = [start + pd.Timedelta(hours=int(h)) for h in rng.integers(0, 5000, n)]
    return pd.Series(values).dt.as_unit(unit), values


def long_categories(rng: np.random.Generator, n: int) -> Values:
    pool = [9007199254740993, 9007199254740995, None]
    values = [pool[v] for v in rng.integers(0, 3, n)]
    return pd.Series(pd.Categorical(values, categories=pool[:2])), values


def words_of_a_category(rng: np.random.Generator, n: int) -> Values:
    values = [["low", "high", None][v] for v in rng.integers(0, 3, n)]
    return pd.Series(values, dtype="str").astype("category"), values


def bins(rng: np.random.Generator, n: int) -> Values:
    series = pd.cut(pd.Series(rng.integers(0, 100, n)), [-1, 10, 50, 101])
    return series, list(map(str, series))


def periods(rng: np.random.Generator, n: int) -> Values:
    series = pd.Series(pd.period_range("2026-01", periods=n, freq="M"))
    return series, list(map(str, series))


def sparse(rng: np.random.Generator, n: int) -> Values:
    values = rng.integers(0, 3, n)
    return pd.Series(pd.arrays.SparseArray(values, fill_value=0)), values.tolist()


def mixed(rng: np.random.Generator, n: int) -> Values:
    pool = [1, "a", None, dt.date(2026, 1, 1), {"k": 1}]
    values = [pool[v] for v in rng.integers(0, len(pool), n - 2)] + [1, "a"]
    return pd.Series(values, dtype=object), [
        None if v is None else str(v) for v in values
    ]


def lists(rng: np.random.Generator, n: int) -> Values:
    values = [list(map(int, rng.integers(0, 9, rng.integers(1, 4)))) for _ in range(n)]
    return pd.Series(values, dtype=object), values


def complexes(rng: np.random.Generator, n: int) -> Values:
    values = rng.integers(0, 9, n) + 1j
    return pd.Series(values), [str(v) for v in values]


def spans(rng: np.random.Generator, n: int) -> Values:
    values = [pd.Timedelta(seconds=int(v)) for v in rng.integers(0, 10**6, n)]
    return pd.Series(values), values


def arrow(rng: np.random.Generator, n: int) -> Values:
    values = [None if rng.random() < 0.2 else f"v{v}" for v in rng.integers(0, 4, n)]
    array = pa.array(values).dictionary_encode()
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array]))), values


KINDS = [
    whole, with_gaps, fractions, halves, truths, texts, ids, prices, days, moments, long_categories,
    words_of_a_category, bins, periods, sparse, mixed, lists, complexes, spans, arrow,
]  # fmt: skip
LABELS = ["a", "A", "a", "b", "order", "select", "", " ", "first name", "ä", 'with "quotes"', 0, 1, None, "index", "v", "V"]  # fmt: skip
PAIRS = [("q1", "sum"), ("q1", "n"), ("q2", ""), ("q1_sum", ""), ("", "")]


def random_index(rng: np.random.Generator, n: int) -> pd.Index:
    levels = pd.MultiIndex.from_arrays([np.arange(n), [*"xy"] * (n // 2)], names=["a", None])  # fmt: skip
    choices = [
        pd.RangeIndex(n),
        pd.Index(rng.permutation(n)),
        pd.Index(np.arange(n), name="v"),
        pd.Index([f"k{i}" for i in range(n)]),
        pd.Index([f"k{i}" for i in range(n)], name="order"),
        pd.date_range("2026-01-01", periods=n, name="A"),
        levels,
    ]
    return choices[rng.integers(len(choices))]


def random_frame(seed: int) -> tuple[pd.DataFrame, list[list[Any]]]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 8)) * 2
    made = [KINDS[k](rng, n) for k in rng.integers(0, len(KINDS), rng.integers(1, 7))]
    frame = pd.concat([series for series, _ in made], axis=1)
    frame.index = random_index(rng, n)
    pool = PAIRS if rng.random() < 0.2 else LABELS
    labels = [pool[at] for at in rng.integers(0, len(pool), len(made))]
    if pool is PAIRS:
        frame.columns = pd.MultiIndex.from_tuples(labels)
    else:
        frame.columns = pd.Index(labels, dtype=object)
    return frame, [expected for _, expected in made]


def plain(value: Any) -> Any:
    """A value for comparing: missing is None, moments are moments."""
    if isinstance(value, list | np.ndarray):
        return [plain(one) for one in value]
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, pd.Timestamp):
        return value.tz_convert("UTC") if value.tz else value
    if isinstance(value, dt.datetime):
        return plain(pd.Timestamp(value))
    return value


def ask(frame: pd.DataFrame, sql: str) -> pa.Table:
    catalog = Catalog(lambda: {"x": frame})
    catalog.add("x")
    return run_local_query(catalog, sql)


@pytest.mark.slow
@pytest.mark.parametrize("batch", BATCHES)
def test_every_name_that_is_told_holds_the_values_of_pandas(batch: int):
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        frame, expected = random_frame(seed)
        view = view_frame(frame)
        assert len({name.lower() for name in view.names}) == len(view.names)
        assert column_names(frame) == view.table()[0].schema.names == view.names
        told, shown = schema_text(frame), preview(frame, "x", max_bytes=20_000)
        assert str(fingerprint(frame))
        assert ask(frame, "from x").column_names == view.names, seed
        columns = view.names[view.levels :]
        quoted = [name.replace('"', '""') for name in columns]
        for name, inside in zip(columns, quoted, strict=True):
            assert written_name(name) in told, (seed, name)
            assert inside in shown, (seed, name)

        listed = ", ".join(f'"{name}"' for name in quoted)
        found = ask(frame, f"select {listed} from x")
        for place, values in enumerate(expected):
            got = found.column(place).to_pylist()
            assert plain(got) == plain(values), (seed, columns[place])


def test_an_index_is_told_and_can_be_asked_for():
    frame = pd.DataFrame({"v": [10, 20]}, index=pd.Index(["k", "l"], name="v"))
    assert schema_text(frame) == "v int64, its index: v_index (text)"
    assert ask(frame, "select v_index, v from x").to_pylist() == [
        {"v_index": "k", "v": 10},
        {"v_index": "l", "v": 20},
    ]


def test_names_that_differ_in_case_are_two_columns():
    frame = pd.DataFrame({"a": [1], "A": [2], "b": [3]})
    sql = "select a, \"A\" as big, A + 1 as c, 'A' as text from x where A = 2"
    assert ask(frame, sql).to_pylist() == [{"a": 1, "big": 2, "c": 3, "text": "A"}]
    # one of the two alone is found in any case, as SQL does
    assert ask(frame, "select B from x").column(0).to_pylist() == [3]


def test_the_memory_of_a_plain_frame_is_not_copied():
    frame = pd.DataFrame({"a": np.arange(1000)})
    view = view_frame(frame)
    assert np.shares_memory(view.frame["a"].to_numpy(), frame["a"].to_numpy())
