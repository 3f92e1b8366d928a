"""What a cell and a notebook may take, counted and cut."""

from mcp_notebook.events import ToolResult, Usage
from mcp_notebook.policy import Budget, Limits, Spent


def budget(total=None, notebook=None, **limits):
    limits = {"iterations": 0, "calls": 0, "seconds": 0, **limits}
    none = Limits(iterations=0, calls=0, seconds=0)
    return Budget(Limits(**limits), notebook or none, total or Spent())


def test_each_limit_is_told_in_words():
    usage = Usage("m", input=60, cache_read=30, output=10, dollars=0.3)
    for limits, words in (
        ({"iterations": 1}, "1 model turn"),
        ({"tokens": 100}, "100 tokens"),
        ({"dollars": 0.5}, "$0.5"),
    ):
        taken = budget(**limits)
        assert taken.limit_reached() == ""
        taken.add_turn(usage)
        assert taken.limit_reached() == words
    called = budget(calls=2)
    called.add_call(ToolResult("a", "ok", "", 0.0))
    assert (called.limit_reached(), called.calls_left()) == ("", 1)
    called.add_call(ToolResult("b", "error", "", 0.0))
    assert called.limit_reached() == "2 tool calls"


def test_the_turn_that_sums_up_is_paid_from_the_budget_too():
    taken = budget(dollars=1.0)
    taken.add_turn(Usage("m", dollars=0.4))
    assert taken.limit_reached() == ""
    taken.add_turn(Usage("m", dollars=0.4))
    assert taken.limit_reached() == "$1"


def test_a_turn_without_a_known_price_ends_a_dollar_budget():
    taken = budget(dollars=1.0)
    taken.add_turn(Usage("m", dollars=None))
    assert "no known price" in taken.limit_reached()


def test_a_notebook_budget_adds_up_over_its_cells():
    total, notebook = Spent(), Limits(iterations=2, calls=0, seconds=0)
    first = budget(total, notebook)
    first.add_turn(Usage("m"))
    first.close()
    second = budget(total, notebook)
    assert second.limit_reached_before() == ""
    second.add_turn(Usage("m"))
    assert second.limit_reached() == "2 model turns for the whole notebook"
    assert budget(total, notebook).limit_reached_before() == "2 model turns"


def test_rows_are_granted_until_they_are_used_up():
    taken = budget(rows=7)
    assert [taken.rows(5), taken.rows(5), taken.rows(5)] == [5, 2, 0]
    assert taken.limit_reached() == "7 rows shown to the model"


def test_texts_are_cut_to_the_bytes_that_are_left():
    taken = budget(bytes=200)
    assert taken.fit("é" * 60) == "é" * 60
    assert len(taken.fit("x" * 500).encode()) <= 80
    assert taken.spent.bytes <= 200


def test_waiting_for_the_person_is_not_work():
    taken = budget(seconds=5)
    taken.waited = lambda: 0.0
    taken._started -= 6
    assert taken.limit_reached() == "5 seconds"
    taken.waited = lambda: 4.0
    assert taken.limit_reached() == ""
