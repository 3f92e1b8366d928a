"""What people do with every table works on the tables that are handed out: each idiom on
each kind of column, everyday types and all.
"""

import datetime as dt
import io
import sqlite3
import warnings
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mcp_notebook.results import Table
from mcp_notebook.results.frames import exact_column

ROWS = 6
DAYS = [dt.date(2026, 1, 2) + dt.timedelta(days=15 * n) for n in range(ROWS)]
TIMES = [dt.datetime.combine(day, dt.time(9, 30)) for day in DAYS]
JSON = pa.json_(pa.string())


def column(values: list[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(values, type_)


# Every kind of column that a result may have, with values in order and none missing.
NUMBERS = {
    "int64": column([3, 1, 2, 5, 4, 6], pa.int64()),
    "int8": column([3, 1, 2, 5, 4, 6], pa.int8()),
    "uint64": column([3, 1, 2, 5, 4, 6], pa.uint64()),
    "int64 with nulls": column([3, None, 2, 5, 4, 6], pa.int64()),
    "float64": column([0.5, 1.5, 2.25, 5, 4, 6], pa.float64()),
    "float32": column([0.5, 1.5, 2.25, 5, 4, 6], pa.float32()),
    "float64 with nulls": column([0.5, None, 2.25, 5, 4, 6], pa.float64()),
    "float64 with NaN and nulls": column([0.5, None, float("nan"), 5, 4, 6], pa.float64()),
    "decimal": column([Decimal(n) / 4 for n in (1, 3, 2, 5, 6, 9)], pa.decimal128(10, 2)),
    "decimal with nulls": column([None, *(Decimal(n) for n in (3, 2, 5, 6, 9))], pa.decimal128(38, 9)),
    "whole decimal": column([Decimal(n) for n in (1, 3, 2, 5, 6, 9)], pa.decimal128(20, 0)),
}  # fmt: skip
MOMENTS = {
    "date": column(DAYS, pa.date32()),
    "date with nulls": column([*DAYS[:-1], None], pa.date32()),
    "date64": column(DAYS, pa.date64()),
    "timestamp": column(TIMES, pa.timestamp("us")),
    "timestamp ns": column(TIMES, pa.timestamp("ns")),
    "timestamp with a zone": column(TIMES, pa.timestamp("us", "Europe/Berlin")),
}
WORDS = {
    "text": column(["b", "a", "c", "a", "", "ä"], pa.string()),
    "text with nulls": column(["b", None, "c", "a", "", "ä"], pa.large_string()),
    "encoded text": column(["b", "a", "c", "a", "b", "a"], pa.string()).dictionary_encode(),
    "uuid": column([bytes([n] * 16) for n in range(ROWS)], pa.uuid()),
}  # fmt: skip
TRUTHS = {
    "boolean": column([True, False, True, True, False, True], pa.bool_()),
    "boolean with nulls": column([True, None, True, True, False, True], pa.bool_()),
}
SPANS = {
    "duration": column([dt.timedelta(hours=n) for n in range(ROWS)], pa.duration("us")),
    "duration with nulls": column([None, *(dt.timedelta(hours=n) for n in range(5))], pa.duration("s")),
}  # fmt: skip
OBJECTS = {
    "time": column([dt.time(n) for n in range(ROWS)], pa.time64("us")),
    "binary": column([bytes([n]) for n in range(ROWS)], pa.binary()),
    "list": column([["a"], [], ["b", "c"], ["a"], None, []], pa.list_(pa.string())),
    "struct": column([{"a": n, "b": "x"} for n in range(ROWS)], pa.struct([("a", pa.int64()), ("b", pa.string())])),
    "map": column([[("k", n)] for n in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "nothing": column([None] * ROWS, pa.null()),
}  # fmt: skip
SHAPES = {"several shapes": pa.ExtensionArray.from_storage(JSON, column(['1', '"x"', '[1]', 'null', '2.5', '{"a": 1}'], pa.string()))}  # fmt: skip
LONG = {"long decimal": column([Decimal(f"{n}2345678901234567.89") for n in range(1, 7)], pa.decimal128(22, 2))}  # fmt: skip
ORDERED = NUMBERS | MOMENTS | WORDS | TRUTHS | SPANS
ALL = ORDERED | OBJECTS | SHAPES | LONG


def handed_out(kind: str, **options: Any) -> pd.DataFrame:
    """A result's frame with the column `x` of this kind, a group and a number beside it."""
    data = {
        "x": ALL[kind],
        "g": column(["p", "q", "p", "q", "p", "q"], pa.string()),
        "n": column([1, 2, 3, 4, 5, 6], pa.int64()),
    }
    return Table(pa.table(data)).to_pandas(**options)


def in_parquet(t: pd.DataFrame) -> pd.DataFrame:
    file = io.BytesIO()
    t.to_parquet(file)
    return pd.read_parquet(io.BytesIO(file.getvalue()))


def in_sql(t: pd.DataFrame) -> int:
    connection = sqlite3.connect(":memory:")
    t.to_sql("t", connection, index=False)
    return len(pd.read_sql("select * from t", connection))


def in_pickle(t: pd.DataFrame) -> pd.DataFrame:
    file = io.BytesIO()
    t.to_pickle(file)
    return pd.read_pickle(io.BytesIO(file.getvalue()))


def plot(t: pd.DataFrame, **how: Any) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    axes = t.plot(**how)
    plt.close("all")
    return axes


def drawn(t: pd.DataFrame) -> Any:
    alt = pytest.importorskip("altair")
    return alt.Chart(t).mark_point().encode(x="x", y="n")


EVERY = {
    "head": lambda t: t.head(2),
    "repr": repr,
    "html": lambda t: t.to_html(),
    "to_csv": lambda t: t.to_csv(),
    "to_csv and back": lambda t: pd.read_csv(io.StringIO(t.to_csv(index=False))),
    "to_pickle and back": in_pickle,
    "isna": lambda t: t.isna().sum(),
    "dropna": lambda t: t.dropna(),
    "notna filter": lambda t: t[t.x.notna()],
    "iloc": lambda t: t.iloc[1:3],
    "iterrows": lambda t: list(t.iterrows()),
    "itertuples": lambda t: list(t.itertuples()),
    "to_dict": lambda t: t.to_dict("records"),
    "rename": lambda t: t.rename(columns={"x": "y"}).y,
    "drop": lambda t: t.drop(columns="x"),
    "assign": lambda t: t.assign(y=t.x),
    "concat": lambda t: pd.concat([t, t], ignore_index=True),
    "sort by another": lambda t: t.sort_values("n", ascending=False),
    "sample": lambda t: t.sample(3, random_state=1),
    "query": lambda t: t.query("n > 2"),
    "loc of a condition": lambda t: t.loc[t.n > 2, ["x", "g"]],
    "group and take first": lambda t: t.groupby("g").first(),
    "group and count": lambda t: t.groupby("g").x.count(),
    "apply": lambda t: t.x.apply(str),
    "map": lambda t: t.x.map(str),
    "astype(str)": lambda t: t.x.astype(str),
    "tolist": lambda t: t.x.tolist(),
    "to_numpy": lambda t: t.x.to_numpy(),
    "shift": lambda t: t.x.shift(1),
    "reset_index": lambda t: t.set_index("g").reset_index(),
    "merge on another": lambda t: t.merge(t[["n", "g"]], on="n"),
    "transpose": lambda t: t.T,
    "melt": lambda t: t.melt(id_vars="n", value_vars=["x"]),
    "explode": lambda t: t.explode("x"),
    "memory": lambda t: t.memory_usage(deep=True),
    "info": lambda t: t.info(buf=io.StringIO()),
    "copy": lambda t: t.copy(),
    "set a value": lambda t: t.assign(x=t.x.where(t.n > 1)),
    "describe": lambda t: t[["n"]].describe(),
    "dtypes": lambda t: t.select_dtypes("number"),
}
COMPARED = {
    "sort": lambda t: t.sort_values("x"),
    "unique": lambda t: t.x.unique(),
    "nunique": lambda t: t.x.nunique(),
    "value_counts": lambda t: t.x.value_counts(),
    "drop_duplicates": lambda t: t.drop_duplicates("x"),
    "groupby": lambda t: t.groupby("x").n.sum(),
    "merge": lambda t: t.merge(t[["x", "n"]], on="x"),
    "pivot_table": lambda t: t.pivot_table(index="x", columns="g", values="n"),
    "crosstab": lambda t: pd.crosstab(t.x, t.g),
    "isin": lambda t: t[t.x.isin(t.x.head(2).tolist())],
    "equal to its own value": lambda t: t[t.x == t.x.iloc[0]],
    "set_index and loc": lambda t: t.set_index("x").sort_index(),
    "max of a group": lambda t: t.groupby("g").x.max(),
    "rank": lambda t: t.x.rank(),
    "fillna": lambda t: t.x.fillna(t.x.iloc[2]),
    "ffill": lambda t: t.x.ffill(),
    "category": lambda t: t.x.astype("category").cat.codes,
    "factorize": lambda t: pd.factorize(t.x),
    "describe of it": lambda t: t.x.describe(),
    "to_parquet and back": in_parquet,
    "to_json": lambda t: t.to_json(orient="records"),
    "to_json in ISO": lambda t: t.to_json(orient="records", date_format="iso"),
}
COMPUTED = {
    "sum": lambda t: t.x.sum(),
    "mean": lambda t: t.x.mean(),
    "median": lambda t: t.x.median(),
    "std": lambda t: t.x.std(),
    "min and max": lambda t: (t.x.min(), t.x.max()),
    "cumsum": lambda t: t.x.cumsum(),
    "diff": lambda t: t.x.diff(),
    "pct_change": lambda t: t.x.pct_change(),
    "quantile": lambda t: t.x.quantile([0.25, 0.5]),
    "rolling": lambda t: t.x.rolling(2).mean(),
    "expanding": lambda t: t.x.expanding().sum(),
    "ewm": lambda t: t.x.ewm(span=2).mean(),
    "times 1.1": lambda t: t.x * 1.1,
    "divided": lambda t: t.x / t.n,
    "share of all": lambda t: t.x / t.x.sum(),
    "round": lambda t: t.x.round(1),
    "np.log": lambda t: np.log(t.x),
    "np.sqrt": lambda t: np.sqrt(t.x),
    "np.exp": lambda t: np.exp(t.x),
    "np.where": lambda t: np.where((t.x > 2).fillna(False), 1, 0),
    "clip": lambda t: t.x.clip(1, 3),
    "cut": lambda t: pd.cut(t.x, 3),
    "qcut": lambda t: pd.qcut(t.x.dropna(), 2),
    "corr": lambda t: t[["x", "n"]].corr(),
    "agg": lambda t: t.groupby("g").x.agg(["sum", "mean", "min"]),
    "transform": lambda t: t.groupby("g").x.transform("mean"),
    "greater": lambda t: t[(t.x > 2).fillna(False)],
    "between": lambda t: t.x.between(1, 3),
    "astype(float)": lambda t: t.x.astype(float),
    "nlargest": lambda t: t.nlargest(2, "x"),
    "interpolate": lambda t: t.x.astype(float).interpolate(),
    "dot": lambda t: t.x.astype(float).fillna(0).dot(t.n),
    "to_sql": in_sql,
    "plot": lambda t: plot(t, x="n", y="x"),
    "histogram": lambda t: plot(t[["x"]].dropna().astype(float), kind="hist"),
    "float matrix": lambda t: t[["x", "n"]].to_numpy(dtype=float, na_value=np.nan),
}
DATED = {
    "resample on": lambda t: t.dropna().resample("MS", on="x").n.sum(),
    "resample the index": lambda t: t.dropna().set_index("x").resample("D").n.sum(),
    "compare with text": lambda t: t[t.x > "2026-01-20"],
    "compare with Timestamp": lambda t: t[t.x > pd.Timestamp("2026-01-20", tz=t.x.dt.tz)],
    "between texts": lambda t: t[t.x.between("2026-01-01", "2026-02-01")],
    "months": lambda t: t.x.dt.tz_localize(None).dt.to_period("M"),
    "month": lambda t: t.groupby(t.x.dt.month).n.sum(),
    "day_name": lambda t: t.x.dt.day_name(),
    "strftime": lambda t: t.x.dt.strftime("%Y-%m"),
    "normalize": lambda t: t.x.dt.normalize(),
    "difference": lambda t: (t.x.max() - t.x).dt.days,
    "plus a day": lambda t: t.x + pd.Timedelta(days=1),
    "Grouper": lambda t: t.dropna().groupby(pd.Grouper(key="x", freq="MS")).n.sum(),
    "partial index": lambda t: t.dropna().set_index("x").sort_index().loc["2026-01"],
    "asfreq": lambda t: t.dropna().set_index("x").asfreq("D"),
    "merge_asof": lambda t: pd.merge_asof(t.dropna().sort_values("x"), t.dropna()[["x"]].sort_values("x"), on="x"),
    "rolling over days": lambda t: t.dropna().set_index("x").n.rolling("20D").sum(),
    "plot over time": lambda t: plot(t.dropna(), x="x", y="n"),
}  # fmt: skip
# pandas itself cannot compare text with a zone inside `query`
WITHOUT_ZONE = {"query with text": lambda t: t.query("x >= '2026-01-20'")}
OF_TEXT = {
    "contains": lambda t: t[t.x.str.contains("a", na=False)],
    "upper": lambda t: t.x.str.upper(),
    "split": lambda t: t.x.str.split("a"),
    "length": lambda t: t.x.str.len(),
    "replace": lambda t: t.x.str.replace("a", "b"),
    "plus text": lambda t: t.x + "!",
    "to_sql": in_sql,
}
OF_TRUTH = {
    "how many": lambda t: t.x.sum(),
    "share": lambda t: t.x.mean(),
    "share of a group": lambda t: t.groupby("g").x.mean(),
    "filter by it": lambda t: t[t.x.fillna(False)],
    "not it": lambda t: t[~t.x.fillna(False)],
    "and another": lambda t: t[t.x.fillna(False) & (t.n > 2)],
    "any and all": lambda t: (t.x.any(), t.x.all()),
    "astype(float) of it": lambda t: t.x.astype(float),
    "value counts by group": lambda t: t.groupby("g").x.value_counts().unstack(),
    "to_sql": in_sql,
}
OF_SPANS = {
    "total seconds": lambda t: t.x.dt.total_seconds(),
    "sum of spans": lambda t: t.x.sum(),
    "mean of a group's spans": lambda t: t.groupby("g").x.mean(),
    "longer than an hour": lambda t: t[t.x > pd.Timedelta(hours=1)],
    "longer than text": lambda t: t[t.x > "1h"],
    "in hours": lambda t: t.x / pd.Timedelta(hours=1),
    "cumulative": lambda t: t.x.cumsum(),
    "since a day": lambda t: pd.Timestamp("2026-01-02") + t.x,
}
# What charts are drawn from: seaborn and plotly take arrays, altair writes every cell.
CHARTED = {
    "arrays of columns": lambda t: [t[name].to_numpy() for name in t.columns],
    "long form for seaborn": lambda t: t.melt(id_vars=["g", "n"], value_vars=["x"]),
    "bars of counts": lambda t: plot(t.x.value_counts().to_frame(), kind="bar"),
}
# altair itself takes no durations
IN_ALTAIR = {"altair": lambda t: drawn(t).to_dict()}
FAMILIES = {
    "every": (EVERY, ALL),
    "compared": (COMPARED, ORDERED),
    "computed": (COMPUTED, NUMBERS),
    "dated": (DATED, MOMENTS),
    "without zone": (WITHOUT_ZONE, [k for k in MOMENTS if "zone" not in k]),
    "text": (OF_TEXT, WORDS),
    "truth": (OF_TRUTH, TRUTHS),
    "spans": (OF_SPANS, SPANS),
    "charted": (CHARTED, ORDERED),
    "altair": (IN_ALTAIR, [k for k in ORDERED if k not in SPANS]),
}
PAIRS = [
    pytest.param(use, kind, id=f"{idiom} - {kind}")
    for idioms, kinds in FAMILIES.values()
    for idiom, use in idioms.items()
    for kind in kinds
]


def test_there_are_enough_idioms():
    assert sum(len(idioms) for idioms, _ in FAMILIES.values()) >= 140


@pytest.mark.slow
@pytest.mark.parametrize(("use", "kind"), PAIRS)
def test_an_idiom_works(use: Any, kind: str):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        use(handed_out(kind))


@pytest.mark.parametrize("kind", ["list", "struct", "map", "time", "binary", "nothing", "long decimal"])  # fmt: skip
def test_objects_come_back_from_parquet(kind: str):
    back = in_parquet(handed_out(kind))
    assert back.n.tolist() == [1, 2, 3, 4, 5, 6]
    assert len(back.x) == ROWS


@pytest.mark.parametrize("kind", ["list", "struct", "map", "time", "nothing", "several shapes", "long decimal"])  # fmt: skip
def test_objects_go_to_json(kind: str):
    assert handed_out(kind).to_json(orient="records")


@pytest.mark.parametrize("kind", MOMENTS)
def test_a_moment_equals_its_text(kind: str):
    t = handed_out(kind)
    text = str(t.x.iloc[1])
    assert t[t.x == text].n.tolist() == [2]


@pytest.mark.parametrize("kind", ALL)
def test_the_exact_column_is_there_while_the_frame_is_unchanged(kind: str):
    t, given = handed_out(kind), pa.chunked_array([ALL[kind]])
    exact = exact_column(t, 0)
    if exact is None:
        # pandas' own dtype says it all
        exact = pa.array(t.x)
        assert t.x.dtype != object or kind == "nothing"

    if kind == "several shapes":
        assert [v and v.replace(" ", "") for v in exact.to_pylist()] == [
            None if v == "null" else v.replace(" ", "")
            for v in given.cast(pa.string()).to_pylist()
        ]
        return

    values = given.to_pylist()
    if kind == "uuid":
        values = list(map(str, values))
    found = exact.to_pylist()
    assert repr(found) == repr(values)


@pytest.mark.parametrize("kind", ["date", "decimal", "list", "struct", "time"])
def test_a_column_that_the_person_changed_is_what_it_is_now(kind: str):
    t = handed_out(kind)
    other = {
        "date": t.x + pd.Timedelta(hours=1) if kind == "date" else None,
        "decimal": t.x * 1.23456789 if kind == "decimal" else None,
    }.get(kind)
    t["x"] = pd.Series(["a", 1] * 3) if other is None else other
    assert exact_column(t, 0) is None


@pytest.mark.parametrize("kind", ALL)
def test_exact_types_are_there_for_who_asks(kind: str):
    t = handed_out(kind, types="exact")
    if kind in ("date", "decimal", "list", "struct", "time", "duration", "binary"):
        assert isinstance(t.x.dtype, pd.ArrowDtype)
    assert t.attrs["mcp"]["column_types"]["x"] == str(ALL[kind].type)


def test_decimals_that_a_float_would_round_stay_and_are_told():
    t = handed_out("long decimal")
    assert t.x.iloc[0] == Decimal("12345678901234567.89")
    assert any("exact decimals" in note for note in t.attrs["mcp"]["notes"])


@pytest.mark.parametrize("seed", range(20))
def test_decimals_of_fifteen_digits_survive_as_floats(seed: int):
    rng = np.random.default_rng(seed)
    scale = int(rng.integers(0, 16))
    units = rng.integers(-(10**15) + 1, 10**15, size=500).tolist()
    values = [Decimal(unit).scaleb(-scale) for unit in units]
    given = pa.array(values, pa.decimal128(30, scale))
    t = Table(pa.table({"x": given})).to_pandas()
    assert t.x.dtype == "float64"
    assert t.x.tolist() == [float(value) for value in values]
    restored = exact_column(t, 0)
    assert restored is not None
    assert restored.equals(given)
