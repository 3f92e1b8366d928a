"""Every call is in the log, with its secrets masked."""

import json
import stat

import pyarrow as pa

from mcp_notebook.events import ToolCall, ToolResult, ToolStarted, Usage
from mcp_notebook.ledger import Ledger
from mcp_notebook.results.reading import Reading, Table


def test_a_call_is_one_row_with_its_outcome_and_sizes():
    ledger = Ledger()
    ledger.record(ToolCall("c1", "shop", "query", {"sql": "select 1"}), cell="a")
    ledger.record(ToolStarted("c1"), cell="a")
    reading = Reading(tables=(Table(pa.table({"x": [1, 2]})),))
    ledger.record(
        ToolResult("c1", "ok", "two rows", 0.25, 40, ("t",), reading), cell="a"
    )
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
    arguments = {
        "api_key": "k-123",
        "nested": {"db_password": "p", "rows": [{"token": "t"}]},
        "author": "me",
    }
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


def played(ledger):
    """Two cells: a turn that asks for two calls, a turn that answers, and another cell's answer."""
    ledger.record(
        Usage("claude", input=100, output=10, cache_read=40, dollars=0.2), cell="a"
    )
    for call, tool in (("c1", "query"), ("c2", "tables")):
        ledger.record(ToolCall(call, "shop", tool, {}), cell="a")
    ledger.record(ToolResult("c1", "ok", "12345", 0.5, 50), cell="a")
    ledger.record(ToolResult("c2", "ok", "123", 0.25, 10), cell="a")
    ledger.record(Usage("claude", input=50, output=30, dollars=0.1), cell="a")
    ledger.record(Usage("claude", input=10, output=5, dollars=0.05), cell="b")
    return ledger


def test_costs_by_cell_server_and_tool_add_up_to_the_same():
    ledger = played(Ledger())
    for by in ("cell", "server", "tool"):
        costs = ledger.costs(by)
        assert abs(costs.dollars.sum() - ledger.dollars()) < 1e-9
        assert (
            costs.input_tokens.sum(),
            costs.output_tokens.sum(),
            costs.cached_tokens.sum(),
        ) == (160, 45, 40)
        assert (costs.calls.sum(), costs.received_bytes.sum()) == (2, 60)


def test_a_turn_is_paid_by_the_calls_that_it_asked_for():
    costs = played(Ledger()).costs("tool").set_index("tool")
    assert list(costs.index) == ["shop.query", "shop.tables", "(answer)"]
    assert abs(costs.dollars["shop.query"] - 0.1) < 1e-9
    assert abs(costs.dollars["(answer)"] - 0.15) < 1e-9


def test_an_unknown_price_stays_unknown_in_the_sum():
    ledger = played(Ledger())
    ledger.record(Usage("other", dollars=None), cell="b")
    costs = ledger.costs().set_index("cell")
    assert costs.dollars.isna().to_dict() == {"a": False, "b": True}


def test_an_empty_ledger_has_costs_with_their_columns():
    assert len(Ledger().costs()) == 0


def test_the_log_on_disk_has_a_line_a_record_and_no_secrets(tmp_path):
    ledger = Ledger(file=tmp_path / "log.jsonl")
    ledger.record(Usage("claude", input=1, request_id="req_1"), cell="a")
    ledger.record(
        ToolCall(
            "c1", "s", "t", {"password": "hush", "key": "sk-abcdefghijklmnopqrstuvwx"}
        ),
        cell="a",
    )
    ledger.record(ToolResult("c1", "error", "no: password=hush", 0.0), cell="a")
    lines = [json.loads(line) for line in ledger.file.read_text().splitlines()]
    assert [(x["kind"], x.get("request_id"), x.get("turn")) for x in lines] == [
        ("turn", "req_1", None),
        ("call", None, 0),
    ]
    assert "hush" not in ledger.file.read_text()
    assert "sk-abc" not in ledger.file.read_text()
    assert stat.S_IMODE(ledger.file.stat().st_mode) == 0o600


def test_half_a_character_is_written_as_json_escapes_it(tmp_path):
    half = "caf\ud83d"
    ledger = Ledger(file=tmp_path / "log.jsonl")
    ledger.record(ToolCall("c1", "s", half, {"note": half}), cell="a")
    ledger.record(ToolResult("c1", "error", half, 0.0), cell="a")
    (line,) = ledger.file.read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["tool"] == half
