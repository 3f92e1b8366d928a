"""Every call is in the log, with its secrets masked."""

import pyarrow as pa

from mcp_notebook.events import ToolCall, ToolResult, ToolStarted, Usage
from mcp_notebook.ledger import Ledger
from mcp_notebook.results.reading import Reading, Table


def test_a_call_is_one_row_with_its_outcome_and_sizes():
    ledger = Ledger()
    ledger.record(ToolCall("c1", "shop", "query", {"sql": "select 1"}), cell="a")
    ledger.record(ToolStarted("c1"), cell="a")
    reading = Reading(tables=(Table(pa.table({"x": [1, 2]})),))
    ledger.record(ToolResult("c1", "ok", "two rows", 0.25, 40, ("t",), reading), cell="a")
    row = ledger.frame().iloc[0]
    assert (row.server, row.tool, row.outcome, row.seconds, row.rows, row.received_bytes, row.shown_bytes) == (
        "shop", "query", "ok", 0.25, 2, 40, 8,
    )  # fmt: skip


def test_an_empty_log_is_a_table_with_its_columns():
    frame = Ledger().frame()
    assert len(frame) == 0
    assert "arguments" in frame.columns


def test_an_interrupted_call_is_logged_as_cancelled():
    ledger = Ledger()
    ledger.record(ToolCall("c1", "shop", "slow", {}), cell="a")
    ledger.close("a")
    assert [c.outcome for c in ledger] == ["cancelled"]


def test_arguments_named_like_secrets_are_masked_at_any_depth():
    ledger = Ledger()
    arguments = {"api_key": "k-123", "nested": {"db_password": "p", "rows": [{"token": "t"}]}, "author": "me"}
    ledger.record(ToolCall("c1", "s", "t", arguments))
    ledger.record(ToolResult("c1", "ok", "", 0.0))
    assert ledger.calls[0].arguments == {
        "api_key": "***",
        "nested": {"db_password": "***", "rows": [{"token": "***"}]},
        "author": "me",
    }


def test_costs_are_unknown_as_soon_as_one_turn_has_no_price():
    ledger = Ledger()
    ledger.record(Usage("claude", dollars=0.5))
    assert ledger.dollars() == 0.5
    ledger.record(Usage("other", dollars=None))
    assert ledger.dollars() is None
