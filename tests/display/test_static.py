"""A card that stays in a notebook: whole, plain, harmless, in HTML and in text."""

import dataclasses
import json
from collections.abc import Iterator

import pyarrow as pa
import pytest

from mcp_notebook.display.call_view import byte_size, duration, show_times
from mcp_notebook.display.card import align_table, render_call
from mcp_notebook.display.listing import CLIP, status_table_html, tools_table_html
from mcp_notebook.display.outputs import dollars, footer_line, small_line, stop_line
from mcp_notebook.display.tables import view_result
from mcp_notebook.events import Footer, Stop, ToolCall, ToolResult
from mcp_notebook.results import Reading, Table
from mcp_notebook.untrusted_text import visible
from tests.browser.scripted import SQL, chart, months
from tests.display.conftest import ATTACKS, Strict, call, result


@pytest.fixture
def timed() -> Iterator[None]:
    """The person wants to read how long things took."""
    show_times(True)
    yield
    show_times(False)


def test_what_is_saved_says_of_no_time_unless_asked(timed: None) -> None:
    """The same calls and footers, slow or fast, are saved as the same."""

    def said() -> set[str]:
        ends = [dataclasses.replace(result(), seconds=s) for s in (1.0, 2.0)]
        cards = {str(render_call(view_result(call(), end))) for end in ends}
        lines = {footer_line(Footer("model", 1, seconds=s)) for s in (1.0, 2.0)}
        return cards | lines

    assert len(said()) == 4
    show_times(False)
    assert len(said()) == 2


CORPUS = ATTACKS / "html_injection.jsonl"


def payloads() -> list[str]:
    return [json.loads(line)["payload"] for line in CORPUS.read_text().splitlines()]


def test_no_text_of_the_attack_corpus_becomes_markup_in_any_place() -> None:
    for payload in payloads():
        data = pa.table({payload: [payload, None]})
        table = Table(
            data=data, types={payload: payload}, notes=(payload,), truncated=payload
        )
        asked = ToolCall(
            "a",
            payload,
            payload,
            {payload: payload, "sql": f"select '{payload}'"},
            claims=payload,
        )
        reading = Reading(
            tables=(table,), text=payload, reader="test", notes=(payload,)
        )
        images = ((payload, "!!!"), ("image/png", payload))
        for outcome in ("ok", "error"):
            ended = ToolResult(
                "a", outcome, payload, 0.1, 9, (payload,), reading, images
            )
            bundle = render_call(view_result(asked, ended))
            read = Strict(bundle["text/html"])
            shown = visible(payload, lines=True)
            assert shown in read.text or len(payload) > 60, payload
            assert bundle["text/plain"].encode()
            assert "\x1b" not in bundle["text/plain"]
        for bundle in (
            small_line(payload),
            tools_table_html([{"tool": payload, "description": payload * 20}]),
        ):
            Strict(bundle["text/html"])
            assert visible(bundle["text/plain"], lines=True) == bundle["text/plain"]


def test_a_card_holds_the_call_the_outcome_and_the_first_rows(timed: None) -> None:
    asked = ToolCall("a", "shop", "query_database", {"sql": SQL, "limit": 36})
    cut = "the server stops at 36 rows"
    table = Table(
        data=months(), truncated=cut, approximate=True, notes=("Dates came as text.",)
    )
    ended = ToolResult(
        "a",
        "ok",
        "seen",
        0.143,
        48_213,
        ("by_month",),
        Reading(tables=(table,), reader="test"),
    )
    bundle = render_call(view_result(asked, ended))
    read = Strict(bundle["text/html"]).text
    parts = [
        "shop.query_database",
        "36 rows × 6 columns",
        "143 ms",
        "by_month",
        "group by 1, 2",
        "Garden & outdoor",
    ]
    parts += [
        "NULL",
        "90000.00",
        "2026-10-01 09:00:05",
        "cut by the server",
        "approximate",
        "Dates came as text.",
        cut,
    ]
    for text in (read, bundle["text/plain"]):
        assert [part for part in parts if part not in text] == []
    assert "first 10 of 36 rows" in read
    assert "What Claude saw · 4 B of 48 kB" in read
    assert "… 26 more rows" in bundle["text/plain"]
    assert len(bundle["text/html"]) < 16_000


def test_the_text_form_is_an_aligned_table(timed: None) -> None:
    data = pa.table({"name": ["Ünal", "玩具", None], "total": [1, 22, 333]})
    lines = render_call(view_result(call(), result(data=data)))[
        "text/plain"
    ].splitlines()
    assert lines[0] == "✓ shop.query · 3 rows × 2 columns · 250 ms"
    assert lines[3:] == [
        "    sales: 3 rows × 2 columns",
        "    name  total",
        "    ----  -----",
        "    Ünal      1",
        "    玩具     22",
        "    NULL    333",
    ]


def test_wide_text_tables_name_the_columns_they_leave_out() -> None:
    data = pa.table({f"column_{n}": ["x" * 40] for n in range(9)})
    text = render_call(view_result(call(), result(data=data)))["text/plain"]
    assert max(map(len, text.splitlines())) <= 122
    assert "… 6 more columns: column_3, column_4" in text


def test_errors_are_open_and_other_cards_are_as_the_person_left_them() -> None:
    failed = view_result(call(), ToolResult("a", "error", "no such table: x", 0.1))
    assert " open" in render_call(failed)["text/html"][:200]
    assert "no such table: x" in Strict(render_call(failed)["text/html"]).text
    done = view_result(call(), result())
    assert " open" not in render_call(done)["text/html"][:200]
    assert " open" in render_call(done, expanded=True)["text/html"][:200]


def test_a_card_that_stays_is_bounded_whatever_the_call_and_the_result_are() -> None:
    many = {f"{n}" + "k" * 25_000: "line\n" * 5_000 for n in range(60)}
    asked = ToolCall("a", "s" * 9_000, "t" * 9_000, many)
    for outcome in ("ok", "error"):
        bundle = render_call(
            view_result(asked, ToolResult("a", outcome, "line\n" * 50_000, 0.1))
        )
        assert len(bundle["text/html"]) < 80_000
        assert len(bundle["text/plain"]) <= 60_000
        assert "… and 56 more arguments" in bundle["text/html"]


def test_images_are_shown_when_they_are_whole_rasters_and_named_when_not() -> None:
    ended = ToolResult(
        "a",
        "ok",
        "",
        0.1,
        images=(("image/png", chart()), ("image/svg+xml", "PHN2Zz4=")),
    )
    html = render_call(view_result(call(), ended))["text/html"]
    assert html.count("<img ") == 1
    assert "An image (image/svg+xml, 6 B) is not shown" in Strict(html).text


def test_lists_are_tables_with_long_texts_clipped_and_kept_in_the_title() -> None:
    rows = [
        {"server": "shop", "tool": "query", "description": "word " * 80, "calls": 3},
        {"server": "web", "tool": "get"},
    ]
    bundle = tools_table_html(rows)
    read = Strict(bundle["text/html"])
    assert read.titles == [("word " * 80).strip()]
    assert len(max(bundle["text/plain"].splitlines(), key=len)) < CLIP
    assert "web" in bundle["text/plain"]
    assert "%mcp_connect" in Strict(status_table_html([])["text/html"]).text


def test_text_tables_count_wide_characters_as_two() -> None:
    lines = align_table(
        ["a", "n"], [["玩具", "1"], ["x", "22"]], [False, True]
    ).splitlines()
    assert lines == ["a      n", "----  --", "玩具   1", "x     22"]


def test_the_footer_is_one_line(timed: None) -> None:
    footer = Footer(
        "claude-sonnet-5-5 · live",
        3,
        4,
        4_310,
        512,
        8_000,
        0.0123,
        8.43,
        1_234_567,
        ("replay differs",),
    )
    assert footer_line(footer) == (
        "claude-sonnet-5-5 · live · 3 calls · 12.3k tokens in (8,000 cached), 512 out · $0.012 · 8.4 s · "
        "1.2 MB kept out of the model · replay differs"
    )
    assert footer_line(Footer("replayed")) == "replayed"


@pytest.mark.parametrize(
    ("stop", "line"),
    [
        (Stop("done"), ""),
        (Stop("limit", "20 calls"), "Stopped at a limit: 20 calls"),
        (Stop("interrupted"), "Stopped by you."),
        (Stop("refused"), "Claude declined to go on."),
        (Stop("error", "overloaded"), "Stopped by an error: overloaded"),
    ],
)
def test_why_a_cell_stopped_is_one_line(stop: Stop, line: str) -> None:
    assert stop_line(stop) == line


def test_amounts_durations_and_sizes_have_the_figures_that_count() -> None:
    amounts = [dollars(amount) for amount in (0, 0.00001, 0.0042, 0.0123, 0.1, 12.345)]
    assert amounts == [
        "$0",
        "less than $0.0001",
        "$0.0042",
        "$0.012",
        "$0.10",
        "$12.35",
    ]
    times = [duration(seconds) for seconds in (0.0214, 1.44, 59.99, 125)]
    assert times == ["21 ms", "1.4 s", "1 min 00 s", "2 min 05 s"]
    sizes = [byte_size(count) for count in (0, 999, 1000, 48_213, 999_999, 3_100_000)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "48 kB", "1.0 MB", "3.1 MB"]


def test_a_long_text_beside_tables_is_folded_and_a_short_one_stands() -> None:
    for words, folded in (("5 rows in 3 ms", False), ("Row 1 holds id 1. " * 30, True)):
        reading = Reading(tables=(Table(data=months()),), text=words, reader="test")
        record = view_result(
            call(), ToolResult("a", "ok", "seen", 0.25, 9_000, ("sales",), reading)
        )
        bundle = render_call(record)
        assert ("What the tool said besides" in bundle["text/html"]) is folded
        assert words in bundle["text/html"]
        assert words[:14] in bundle["text/plain"]
        assert (words in bundle["text/plain"]) is not folded
