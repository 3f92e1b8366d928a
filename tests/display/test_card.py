"""The live card: what it is sent, and which clicks count."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

import mcp_notebook.display.widgets as module
from mcp_notebook.display.call_view import CallView, view_call
from mcp_notebook.display.tables import view_result
from mcp_notebook.display.widgets import (
    Card,
    call_payload,
    head_payload,
    result_payload,
)
from mcp_notebook.events import Reply, ToolCall, ToolResult
from mcp_notebook.results import Reading, Table
from tests.browser.scripted import months
from tests.display.conftest import call, result

FOLDER = Path(module.__file__).parent


def card(record: CallView, *, buttons: bool = True) -> tuple[Card, list[str]]:
    answers: list[str] = []

    def answer(reply: Reply) -> None:
        answers.append(reply.choice)

    return Card(record, answer, buttons=buttons, expanded=False), answers


def click(shown: Card, answer: object) -> None:
    shown._handle_custom_msg({"answer": answer}, [])


def test_an_answer_counts_while_the_call_waits_and_only_then() -> None:
    shown, answers = card(view_call(call(asks=True)))
    click(shown, "once")
    shown.update(view_call(call()))
    click(shown, "always")
    assert answers == ["once"]


@pytest.mark.parametrize(
    "answer", ["yes", "", None, "server", ["once"], {"answer": "once"}]
)
def test_anything_but_an_answer_is_ignored(answer: object) -> None:
    shown, answers = card(view_call(call(asks=True)))
    click(shown, answer)
    assert answers == []


def test_without_buttons_no_click_counts() -> None:
    shown, answers = card(view_call(call(asks=True)), buttons=False)
    click(shown, "once")
    assert answers == []


def test_a_call_too_long_to_be_shown_whole_can_only_be_denied() -> None:
    shown, answers = card(
        view_call(call(asks=True, sql="select 1 -- " + "x" * 1_200_000))
    )
    click(shown, "once")
    click(shown, "deny")
    assert answers == ["deny"]
    assert shown.call["whole"] is False


def test_a_long_query_is_shown_whole_even_where_its_colours_are_too_heavy() -> None:
    sql = "select " + ", ".join(f"sum(a{n}) + {n}" for n in range(2_000)) + " from t"
    payload = call_payload(view_call(call(sql=sql)), buttons=True)
    text = "".join(text for _, text in payload["args"][0]["parts"])
    assert payload["whole"]
    assert "".join(text.split()) == "".join(sql.split())


@pytest.mark.slow
def test_the_payload_stays_below_two_hundred_kilobytes_whatever_comes() -> None:
    # More rows, columns and characters than a card is sent of any: more only take time.
    huge = pa.table({f'"c\\{n}"': ['"\\ü' * 900] * 250 for n in range(70)})
    table = Table(data=huge, notes=("n" * 9_000,) * 3, truncated="t" * 9_000)
    reading = Reading(tables=(table,) * 12, text="ü" * 500_000, reader="test")
    asked = ToolCall(
        "a",
        "s" * 9_000,
        "t" * 9_000,
        {f"k{n}": "\x00" * 5_000 for n in range(50)},
        claims="c" * 9_000,
    )
    for outcome in ("ok", "error"):
        record = view_result(
            asked, ToolResult("a", outcome, "ü" * 500_000, 1.0, 9, ("n",) * 12, reading)
        )
        sent = [
            call_payload(record, buttons=True),
            head_payload(record),
            result_payload(record),
        ]
        assert (
            len(json.dumps(sent, ensure_ascii=False, allow_nan=False).encode())
            < 200_000
        )


def test_values_travel_as_text_so_that_nothing_is_rounded() -> None:
    data = pa.table({"id": [2**63 - 1], "rate": [3.141592653589793]})
    sent = result_payload(view_result(call(), result(data=data)))
    assert sent["tables"][0]["rows"] == (("9223372036854775807", "3.141592653589793"),)


def test_what_adding_binary_fractions_leaves_behind_is_not_shown() -> None:
    sent = result_payload(
        view_result(
            call(), result(data=pa.table({"total": [59288.31000000016, 0.1 + 0.2]}))
        )
    )
    assert sent["tables"][0]["rows"] == (("59288.31",), ("0.3",))


def test_the_card_says_when_it_holds_fewer_rows_than_there_are() -> None:
    sent = result_payload(view_result(call(), result(data=months(900))))
    assert (
        sent["tables"][0]["partial"]
        == "The kernel has this table no more: the first 200 of 900 rows are here."
    )
    assert (
        result_payload(view_result(call(), result(data=months())))["tables"][0][
            "partial"
        ]
        == ""
    )


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        (
            ToolCall("a", "shop", "query_database", {"sql": "select 1"}),
            "%%mcp_sql shop --tool query_database",
        ),
        (ToolCall("a", "notebook", "query", {"sql": "select 1"}), "%%mcp_sql notebook"),
        (ToolCall("a", "shop", "query", {"sql": "select 1", "limit": 3}), ""),
        (ToolCall("a", "shop", "read", {"path": "a.csv"}), ""),
        (ToolCall("a", "my shop", "query", {"sql": "select 1"}), ""),
        (ToolCall("a", "--into", "query", {"sql": "select 1"}), ""),
        (ToolCall("a", "shop\nx", "query", {"sql": "select 1"}), ""),
    ],
)
def test_a_call_that_is_its_sql_can_be_copied_as_a_cell(
    asked: ToolCall, line: str
) -> None:
    assert call_payload(view_call(asked), buttons=False)["cell"] == line


def test_a_running_call_has_no_result_yet() -> None:
    assert result_payload(view_call(call())) == {}


def test_script_and_style_are_small_and_never_parse_text_as_markup() -> None:
    script, style = (
        Card._esm.read_text() if isinstance(Card._esm, Path) else str(Card._esm),
        (FOLDER / "card.css").read_text(),
    )
    assert len(script.encode()) + len(style.encode()) < 64_000
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "createContextualFragment",
        "setHTML",
    ):
        assert way not in script
    assert "url(" not in style
    assert "@import" not in style


def test_colours_come_from_the_theme_alone() -> None:
    for line in (FOLDER / "card.css").read_text().splitlines():
        for value in line.split(":")[1:]:
            assert "#" not in value or "var(" in value, line
