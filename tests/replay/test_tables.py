"""What a recording keeps of a table, and what it says of a table that changed: held
against random tables and random changes, whose truth is known.
"""

import datetime as dt
import json
import random
from decimal import Decimal

import pyarrow as pa
import pytest

from mcp_notebook.errors import DataError
from mcp_notebook.replay.tables import (
    MOST_ROWS,
    SHOWN,
    TableTrace,
    find_changes,
    find_key,
    hide_columns,
    read_table,
    say_order,
    trace_table,
    write_table,
)

DAY = dt.date(2026, 1, 1)
MAKERS = {
    "number": lambda c: c.randint(-9, 9),
    "price": lambda c: c.choice([0.5, 1.25, float("nan"), None, 1e300]),
    "note": lambda c: c.choice(["a", "é\n", "", None, "x" * 50, '"', "\x00"]),
    "day": lambda c: DAY + dt.timedelta(c.randint(0, 9)),
    "when": lambda c: dt.datetime(2026, 1, 2, 3, c.randint(0, 59), tzinfo=dt.UTC),
    "exact": lambda c: c.choice([Decimal("1.20"), None, Decimal("-3.05")]),
    "flag": lambda c: c.choice([True, False, None]),
    "items": lambda c: c.choice([[1, 2], [], None]),
    "raw": lambda c: c.choice([b"\x00\xff", b"", None]),
    "thing": lambda c: c.choice([{"a": 1, "b": None}, None]),
}
TYPES = {
    "price": pa.float64(),
    "when": pa.timestamp("us", "UTC"),
    "note": pa.string(),
    "exact": pa.decimal128(5, 2),
    "flag": pa.bool_(),
    "items": pa.list_(pa.int64()),
    "raw": pa.binary(),
    "thing": pa.struct({"a": pa.int64(), "b": pa.string()}),
}


def make_rows(chance: random.Random, names: list[str], count: int) -> list[dict]:
    return [
        {"id": 3 * at + 1, **{name: MAKERS[name](chance) for name in names}}
        for at in range(count)
    ]


def as_table(rows: list[dict], names: list[str]) -> pa.Table:
    return pa.table(
        {
            name: pa.array([row[name] for row in rows], TYPES.get(name))
            for name in ("id", *names)
        }
    )


def said_of(what: str, keys: list[str], more: str = "") -> str:
    rest = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    rows = "row" if len(keys) == 1 else "rows"
    return f"{len(keys)} {rows} {what}: {', '.join(keys[:SHOWN])}{rest}{more}"


@pytest.mark.parametrize("seed", range(60))
def test_rows_that_came_went_and_changed_are_named_exactly(seed: int):
    chance = random.Random(seed)
    names = chance.sample(sorted(MAKERS), 3)
    rows = make_rows(chance, [*names, "number"], chance.choice([3, 40, 300]))
    names = list(dict.fromkeys([*names, "number"]))
    before = as_table(rows, names)
    trace = trace_table(before)
    assert find_changes(trace, before) == []

    gone = chance.sample(rows, chance.randint(0, len(rows) // 3))
    left = [dict(row) for row in rows if row not in gone]
    changed = [row for row in left if chance.random() < chance.choice([0, 0.1])]
    for row in changed:
        row["number"] += 100
    added = [{**rows[0], "id": 100_000 + at} for at in range(chance.randint(0, 2) * 7)]
    now = [*left, *added]
    if chance.random() < 0.5:
        chance.shuffle(now)

    def keys(some: list[dict]) -> list[str]:
        ids = {row["id"] for row in some}
        return [f"id {row['id']}" for row in now if row["id"] in ids]

    wanted = []
    if len(now) != len(rows):
        rows_word = f"{len(rows)} row{'s' * (len(rows) != 1)}"
        wanted.append(f"{rows_word} recorded, {len(now)} now")
    if added:
        wanted.append(said_of("added", keys(added)))
    if gone:
        ids = [f"id {row['id']}" for row in rows if row in gone]
        wanted.append(said_of("gone", ids))
    if changed:
        alone = not added and not gone
        more = " (in number)" if alone else ""
        wanted.append(said_of("changed", keys(changed), more))

    live = as_table(now, names)
    assert find_changes(trace, live) == wanted
    # with the rows themselves the cells are said, and as many rows
    told = find_changes(trace, live, recorded=before)
    assert len(told) == len(wanted)
    for row in changed[:1] if len(changed) <= SHOWN else ():
        was = row["number"] - 100
        assert any(f"id {row['id']} (number {was} → {was + 100})" in t for t in told)


def test_without_a_key_rows_are_known_by_their_number():
    before = pa.table({"a": [1, 1, 2], "b": [0.5, 0.5, 0.5]})
    trace = trace_table(before)
    assert trace.key == ""
    other = pa.table({"a": [1, 5, 2], "b": [0.5, 0.5, 0.5]})
    assert find_changes(trace, other) == ["1 row changed: row 2 (in a)"]
    assert find_changes(trace, before.slice(1)) == [
        "3 rows recorded, 2 now",
        "1 row gone: recorded row 2",
    ]


def test_columns_and_kinds_are_said():
    before = pa.table({"id": [1, 2], "price": [1, 2], "old": ["x", "y"]})
    now = pa.table({"id": [1, 2], "price": [1.0, 2.0], "new": ["x", "y"]})
    said = find_changes(trace_table(before), now)
    assert said[:2] == ["new columns: new", "columns gone: old"]
    assert said[2].startswith("kinds: price ")
    same = pa.table({"id": [1, 2], "price": [1.0, 2.0], "old": ["x", "y"]})
    # equal numbers are equal, whatever holds them: no row changed
    (kinds,) = find_changes(trace_table(before), same)
    assert kinds.startswith("kinds: price")


def test_another_order_is_said_only_where_it_is_asked_for():
    before = pa.table({"id": [1, 2, 3]})
    trace, now = trace_table(before), before.take([2, 0, 1])
    assert find_changes(trace, now) == []
    assert say_order(trace, now) == "the same rows in another order"
    assert say_order(trace, before) == ""


def test_masked_columns_leave_nothing_and_are_not_compared():
    before = pa.table({"email": ["a@x.de", "b@x.de"], "n": [1, 2]})
    trace = trace_table(before, {"email"})
    assert trace.key != "email"
    other = before.set_column(0, "email", pa.array(["c@x.de", "d@x.de"]))
    assert find_changes(trace, other) == []
    assert trace_table(other, {"email"}) == trace
    # a mask that was set since hides what was recorded without it
    open_trace = trace_table(before)
    assert "x.de" not in str(find_changes(open_trace, other, {"email"}, before))
    hidden = hide_columns(before, {"email"})
    assert hidden.column("email").to_pylist() == ["***", "***"]


def test_large_tables_are_told_as_wholes():
    before = pa.table({"id": range(MOST_ROWS + 1), "n": [0] * (MOST_ROWS + 1)})
    trace = trace_table(before)
    assert (trace.marks, trace.keys) == ("", "")
    now = before.set_column(1, "n", pa.array([1] + [0] * MOST_ROWS))
    (said,) = find_changes(trace, now)
    assert said.startswith("values differ in n ")
    assert find_changes(trace, now, recorded=before) == [
        "1 row changed: id 0 (n 0 → 1)"
    ]


def test_a_secret_is_no_key():
    token = "ghp_" + ("a1B2c3D4e5" * 4)[:36]
    data = pa.table({"key": [token, "b"], "name": ["x", "y"]})
    assert find_key(data, ["key", "name"]) == "name"


@pytest.mark.parametrize("seed", range(40))
def test_a_table_comes_back_as_it_is(seed: int):
    chance = random.Random(seed)
    names = chance.sample(sorted(MAKERS), chance.randint(1, 4))
    data = as_table(make_rows(chance, names, chance.choice([0, 1, 30, 500])), names)
    kept = write_table(data)
    assert kept is not None
    if kept.rows is not None:
        kept = type(kept)(kept.columns, json.loads(json.dumps(kept.rows)))

    found = read_table(kept)
    assert found.schema.equals(data.schema, check_metadata=True)
    assert repr(found.to_pylist()) == repr(data.to_pylist())


@pytest.mark.parametrize("seed", range(80))
def test_damaged_traces_and_rows_are_said(seed: int):
    chance = random.Random(seed)
    data = as_table(make_rows(chance, ["note", "price"], 9), ["note", "price"])
    entry = vars(trace_table(data)) | {}
    name = chance.choice(["keys", "marks", "values", "whole", "rows", "key"])
    entry[name] = chance.choice(["", "é", "x" * 7, "{", 5]) if name != "rows" else 77
    if isinstance(entry[name], int) and name != "rows":
        entry[name] = "5"
    changed = data.slice(1)
    try:
        said = find_changes(TableTrace(**entry), changed)
    except DataError as error:
        said = [error.message]

    # anything else is raised, and is a failure here
    assert said
    assert all(isinstance(words, str) for words in said)
