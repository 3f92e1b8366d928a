"""A table held against what it was: passes on the same rows, says what changed on others."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import mcp_notebook
from mcp_notebook.errors import CheckFailed, ConfigError
from mcp_notebook.freeze.compare import CheckWarning, column_types, remember
from mcp_notebook.freeze.fingerprint import SMALL, fingerprint

# of `orders`: frozen files hold such texts for years
PINNED = "v2:fc18d398a520a3dd:eMf8qDzPMR45:QHI-VKeHZv8M"
EARLIER = "v1:c90e9b1ea950ef600d61670e:mbE3AEnJurmy:XOwdmE-u09LO"
orders = pd.DataFrame(
    {"id": [1, 2, 3], "total": [1.5, 2.5, None], "who": ["a", "b", "b"]}
)


def told(frame: pd.DataFrame, ignore: tuple[str, ...] = ()) -> dict:
    """What a freeze writes of a table."""
    return {
        "rows": len(frame),
        "columns": column_types(frame),
        "fingerprint": str(fingerprint(frame, ignore)),
    }


def failure(frame: pd.DataFrame, **expected) -> str:
    with pytest.raises(CheckFailed) as caught:
        mcp_notebook.check(frame, **expected)
    return str(caught.value)


def test_the_same_rows_in_another_order_pass():
    checked = mcp_notebook.check(orders.sample(frac=1, random_state=1), **told(orders))
    assert checked.same


def test_what_passed_is_called_by_the_callers_name_of_it():
    assert (
        repr(mcp_notebook.check(orders, **told(orders))) == "orders: as frozen, 3 rows"
    )
    local = orders.copy()
    assert "local" in repr(mcp_notebook.check(local, **told(orders)))


def test_the_rows_of_a_small_table_that_changed_are_counted():
    changed = pd.concat(
        [orders.iloc[1:], orders.iloc[:1].assign(id=9), orders.iloc[:1].assign(id=8)]
    )
    assert "4 now (1 more)" in failure(changed, **told(orders))
    assert "2 rows added, 1 removed" in failure(changed, **told(orders))


def test_the_columns_whose_values_changed_are_named():
    text = failure(orders.assign(total=[1.5, 2.5, 9.0]), **told(orders))
    assert "values differ in total; the other columns hold the same values" in text


def test_of_a_large_table_rows_and_columns_are_told():
    large = pd.DataFrame({"a": range(SMALL + 1), "b": "x"})
    assert "41 rows before, 40 now (1 fewer)" in failure(large.iloc[1:], **told(large))
    assert "values differ in a;" in failure(large.assign(a=large.a + 1), **told(large))


def test_the_same_values_in_other_rows_are_noticed():
    text = failure(orders.assign(who=["b", "a", "b"]), **told(orders))
    assert "the same values stand together in other rows" in text or "added" in text


def test_columns_that_came_went_or_changed_their_type_are_named():
    text = failure(
        orders.drop(columns="who").assign(id=["1", "2", "3"], new=1), **told(orders)
    )
    assert "new columns: new" in text
    assert "columns gone: who" in text
    assert "types: id int64 → str" in text


def test_sums_that_differ_in_their_last_digits_are_the_same():
    frame = pd.DataFrame({"s": [0.1 + 0.2, 1e15 / 3, 3.0]})
    near = pd.DataFrame({"s": [0.3, np.nextafter(1e15 / 3, 0), np.nextafter(3.0, 0)]})
    assert mcp_notebook.check(near, **told(frame)).same
    assert "values differ" in failure(
        pd.DataFrame({"s": [0.3001, 1e15 / 3, 3.0]}), **told(frame)
    )


def test_an_integer_column_that_got_a_null_keeps_its_other_values():
    frame = pd.DataFrame({"a": [1, 2], "b": [10**12 + 1, 5]})
    assert "types" in failure(frame.astype({"b": "Int64"}), **told(frame))
    assert "values" not in failure(frame.astype({"b": "Int64"}), **told(frame))


def test_ignored_columns_leave_no_trace_and_are_not_compared():
    ignore = ("who",)
    assert mcp_notebook.check(
        orders.assign(who="z"), **told(orders, ignore), ignore=ignore
    ).same
    other = orders.assign(who="z")
    assert told(orders, ignore)["fingerprint"] == told(other, ignore)["fingerprint"]


def test_a_warning_instead_of_an_error():
    with pytest.warns(CheckWarning, match="3 rows before, 2 now"):
        checked = mcp_notebook.check(orders.iloc[1:], **told(orders), strict=False)
    assert not checked.same


def test_parts_can_be_held_alone():
    assert mcp_notebook.check(orders.assign(id=7), columns=column_types(orders)).same
    assert "3 rows before" in failure(orders.iloc[1:], rows=3)
    assert "2 columns before, 3 now" in failure(
        orders, fingerprint=told(orders[["id", "who"]])["fingerprint"]
    )


def test_against_the_rows_as_they_were_in_memory_or_in_a_file(tmp_path):
    changed = orders.assign(total=[1.5, 2.5, 9.0])
    assert "1 row added, 1 removed (3 before, 3 after)" in failure(
        changed, against=orders
    )
    orders.to_parquet(tmp_path / "orders.parquet")
    text = failure(changed, **told(orders), against=tmp_path / "orders.parquet")
    assert "1 row added, 1 removed (3 before, 3 after)" in text
    assert "types" not in text
    assert mcp_notebook.check(
        orders, **told(orders), against=tmp_path / "orders.parquet"
    ).same


def test_a_table_frozen_in_this_kernel_tells_which_rows_changed():
    large = pd.DataFrame({"n": range(1000)})
    remember(large, told(large)["fingerprint"])
    assert "2 rows added, 1 removed (1,000 before, 1,001 after)" in failure(
        pd.DataFrame({"n": [*range(1, 1000), 5000, 5001]}), **told(large)
    )


def test_a_fingerprint_of_an_earlier_version_is_not_taken_for_a_difference():
    with pytest.raises(ConfigError, match="made by an earlier version; freeze the tab"):
        mcp_notebook.check(orders, fingerprint=EARLIER)


@pytest.mark.parametrize("text", ["v9:a:b:-", "nonsense", "v1:x:%%%:-"])
def test_a_fingerprint_that_cannot_be_read_is_one_sentence(text):
    with pytest.raises(ConfigError, match="freeze the table again"):
        mcp_notebook.check(orders, fingerprint=text)


def test_a_fingerprint_is_the_same_in_another_process():
    code = (
        "import pandas as pd; from mcp_notebook.freeze.fingerprint import fingerprint;"
        "print(fingerprint(pd.DataFrame({'id': [3, 1, 2], 'total': [None, 1.5, 2.5], 'who': ['b', 'a', 'b']})))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert out.strip() == told(orders)["fingerprint"] == PINNED
