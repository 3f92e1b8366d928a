"""One cell's events on the screen: in order, not too often, and static at the end."""

import subprocess
import sys

import pytest

from mcp_notebook.display.view import View
from mcp_notebook.events import (
    Footer,
    Note,
    Stop,
    TextDelta,
    TextDiscarded,
    ThinkingDelta,
    ToolProgress,
    ToolResult,
    ToolStarted,
    Usage,
    Working,
)
from tests.browser.scripted import months
from tests.display.conftest import FakeScreen, call, result
from tests.display.figures import answer, sent

WIDGET = "application/vnd.jupyter.widget-view+json"


class Clock:
    """Time that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def view(screen: FakeScreen, mode: str = "static", **options: object) -> View:
    return View(mode=mode, decide=lambda *_: None, screen=screen, **options)  # type: ignore[arg-type]


def texts(screen: FakeScreen) -> list[str]:
    return [bundle["text/plain"] for bundle in screen.shown]


def test_text_calls_and_text_are_three_outputs_in_order(screen: FakeScreen) -> None:
    shown = view(screen)
    for event in (
        TextDelta("First "),
        TextDelta("look."),
        call(),
        ToolStarted("a"),
        result(),
        TextDelta("Done."),
    ):
        shown.show(event)
        shown.flush()
    shown.close()
    assert [next(iter(bundle)) for bundle in screen.shown] == [
        "text/markdown",
        "text/html",
        "text/markdown",
    ]
    assert screen.shown[0] == {
        "text/markdown": "First look.",
        "text/plain": "First look.",
    }
    assert screen.shown[2]["text/markdown"] == "Done."


def test_text_is_sent_at_most_ten_times_a_second_and_always_whole_at_the_end(
    screen: FakeScreen,
) -> None:
    clock = Clock()
    shown = view(screen, clock=clock)
    for _ in range(200):  # two seconds
        shown.show(TextDelta("token "))
        shown.flush()
        clock.now += 0.01
    shown.show(TextDelta("end"))
    shown.close()
    assert 18 <= len(screen.sent) <= 22
    assert screen.shown[0]["text/plain"] == "token " * 200 + "end"


def test_a_long_block_is_sent_less_often(screen: FakeScreen) -> None:
    clock = Clock()
    shown = view(screen, clock=clock)
    shown.show(TextDelta("x" * 40_000))
    shown.flush()
    for _ in range(9):
        clock.now += 0.1
        shown.show(TextDelta("y"))
        shown.flush()
    assert len(screen.sent) == 1


def test_blank_text_shows_nothing(screen: FakeScreen) -> None:
    shown = view(screen)
    shown.show(TextDelta("\n\n"))
    shown.show(call())
    shown.close()
    assert list(screen.shown[0]) == ["text/html", "text/plain"]


def test_a_saved_answer_weighs_at_most_three_times_its_text(screen: FakeScreen) -> None:
    text = "The growth was **12 %** in `Books`, and $4,200 more in May. " * 60
    shown = view(screen)
    shown.show(TextDelta(text))
    shown.close()
    assert sum(
        len(value) for bundle in screen.shown for value in bundle.values()
    ) <= 3 * len(text)


def test_discarded_text_gives_its_place_to_the_note_that_follows(
    screen: FakeScreen,
) -> None:
    shown = view(screen)
    shown.show(TextDelta("Half a sen"))
    shown.flush()
    shown.show(TextDiscarded("the reply was cut off"))
    assert screen.shown[0]["text/plain"] == "the reply was cut off"
    shown.show(Note("Trying again: the reply was cut off."))
    shown.show(TextDelta("A whole sentence."))
    shown.close()
    assert [bundle["text/plain"] for bundle in screen.shown] == [
        "Trying again: the reply was cut off.",
        "A whole sentence.",
    ]


def test_text_discarded_before_it_was_drawn_leaves_nothing(screen: FakeScreen) -> None:
    shown = view(screen)
    shown.show(TextDelta("Half"))
    shown.show(TextDiscarded("cut"))
    shown.close()
    assert screen.shown == []


def test_parallel_calls_end_in_any_order_each_in_its_own_card(
    screen: FakeScreen,
) -> None:
    shown = view(screen)
    for event in (call("a"), call("b"), ToolStarted("a"), ToolStarted("b")):
        shown.show(event)
    shown.show(result("b", months()))
    shown.show(ToolResult("a", "error", "no such column", 0.1))
    shown.close()
    assert "no such column" in screen.shown[0]["text/plain"]
    assert "36 rows" in screen.shown[1]["text/plain"]


def test_progress_is_drawn_at_most_ten_times_a_second(screen: FakeScreen) -> None:
    clock = Clock()
    shown = view(screen, clock=clock)
    shown.show(call())
    shown.show(ToolStarted("a"))
    before = len(screen.sent)
    for step in range(100):
        shown.show(ToolProgress("a", step / 100, f"page {step}"))
        shown.flush()
        clock.now += 0.01
    assert 9 <= len(screen.sent) - before <= 11


def test_a_call_without_an_end_is_cancelled(screen: FakeScreen) -> None:
    shown = view(screen)
    shown.show(call(asks=True))
    shown.show(Stop("interrupted"))
    shown.close()
    assert screen.shown[0]["text/plain"].startswith("⊘ shop.query · cancelled")
    assert screen.shown[1]["text/plain"] == "⊘ Stopped by you."


def test_notes_stops_and_the_footer_are_lines_and_usage_is_none(
    screen: FakeScreen,
) -> None:
    shown = view(screen)
    for event in (
        Note("one"),
        Note("two", "warning"),
        Usage("m"),
        Stop("done"),
        Stop("error", "busy"),
        Footer("m · live"),
    ):
        shown.show(event)
    assert [bundle["text/plain"] for bundle in screen.shown] == [
        "one",
        "! two",
        "✕ Stopped by an error: busy",
        "m · live",
    ]


def test_events_of_an_unknown_call_are_ignored(screen: FakeScreen) -> None:
    shown = view(screen)
    shown.show(ToolStarted("never"))
    shown.close()
    assert screen.shown == []


def test_a_widget_leaves_html_that_its_card_wakes_while_the_kernel_lives(
    screen: FakeScreen,
) -> None:
    shown = view(screen, "widget")
    shown.show(call())
    assert WIDGET in screen.shown[0]
    shown.show(ToolStarted("a"))
    shown.show(result(data=months()))
    card = shown._calls["a"]._card  # type: ignore[attr-defined]
    card.expanded = True
    shown.close()
    assert list(screen.shown[0]) == ["text/html", "text/plain"]
    assert " open" in screen.shown[0]["text/html"][:200]
    assert f'mcpn-card {card.place}"' in screen.shown[0]["text/html"][:200]
    assert card.place == card.call["place"]
    assert card.expanded
    assert card.comm is not None
    card.close()


@pytest.mark.parametrize("mode", ["static", "widget"])
def test_the_card_of_the_last_table_stands_open_at_the_end(
    screen: FakeScreen, mode: str
) -> None:
    shown = view(screen, mode)
    for event in (
        call("a"), result("a", data=months()), call("b"), result("b", data=months()), call("c"), result("c"),
    ):  # fmt: skip
        shown.show(event)
    shown.close()
    assert [" open" in bundle["text/html"][:200] for bundle in screen.shown] == [
        False,
        True,
        False,
    ]


def test_a_checksum_in_the_footer_is_short(screen: FakeScreen) -> None:
    shown = view(screen)
    shown.show(Footer(f"model · sha256 {'0123456789abcdef' * 4}"))
    assert screen.shown[0]["text/plain"] == "model · sha256 0123456789ab…"


def test_closing_twice_draws_nothing_more(screen: FakeScreen) -> None:
    shown = view(screen)
    shown.show(TextDelta("x"))
    shown.close()
    count = len(screen.sent)
    shown.close()
    assert len(screen.sent) == count


def test_text_mode_writes_lines_and_cards_and_shows_nothing(screen: FakeScreen) -> None:
    shown = view(screen, "text")
    for event in (
        TextDelta("First\nsec"),
        call(asks=True),
        ToolStarted("a"),
        result(),
        TextDelta("<b>"),
        Footer("m"),
    ):
        shown.show(event)
        shown.flush()
    shown.close()
    assert screen.shown == []
    assert screen.written.splitlines() == [
        "First",
        "sec",
        "✓ shop.query",
        "    sql: select 1",
        "",
        "    what Claude saw",
        "<b>",
        "m",
    ]


@pytest.mark.parametrize(
    "module", ["mcp_notebook.display", "mcp_notebook.display.view"]
)
def test_importing_the_package_or_the_view_loads_nothing_slow(module: str) -> None:
    slow = (
        "{'pandas', 'pyarrow', 'ipywidgets', 'anywidget', 'duckdb', 'mcp', 'anthropic'}"
    )
    code = f"import sys, {module}; sys.exit(str({slow} & set(sys.modules)) if {slow} & set(sys.modules) else 0)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        ).stderr
        == ""
    )


@pytest.mark.slow
@pytest.mark.parametrize("pace", [100, 2_000])
def test_a_long_answer_is_one_output_and_sends_a_small_multiple_of_itself(
    pace: int,
) -> None:
    text = answer(64 * 1024)
    screen = sent(text, pace)
    outputs = list(screen.last.values())
    assert [next(iter(bundle)) for bundle in outputs] == ["text/markdown", "text/html"]
    assert outputs[0]["text/plain"] == text
    assert screen.bytes < 64 * len(text)


def test_a_long_answer_that_is_cut_short_stays_whole_in_two_outputs(
    screen: FakeScreen,
) -> None:
    clock, text = Clock(), answer(20_000)
    shown = view(screen, clock=clock)
    for start in range(0, len(text), 50):
        shown.show(TextDelta(text[start : start + 50]))
        clock.now += 0.2
        shown.flush()
    shown.close()
    assert "".join(bundle["text/plain"] for bundle in screen.shown) == text
    assert len(screen.shown) == 2


def test_what_goes_on_is_said_after_a_moment_and_gives_its_place_to_the_answer(
    screen: FakeScreen,
) -> None:
    clock = Clock()
    shown = view(screen, clock=clock, live=True)
    for event, seconds in (
        (Working("starting"), 0.2),
        (Working("asking", "claude-x"), 0.1),
        (Working("asking", "claude-x"), 2.0),
        (Working("thinking"), 1.0),
        (ThinkingDelta("Let me see.\nThe table orders"), 1.0),
    ):
        shown.show(event)
        clock.now += seconds
        shown.flush()
    assert texts(screen) == ["◌ claude-x is thinking · 4 s · The table orders"]
    shown.show(TextDelta("It is eight."))
    shown.show(Working("writing", "shop.query"))
    clock.now += 1
    shown.flush()
    assert texts(screen) == [
        "It is eight.",
        "◌ claude-x writes a call of shop.query · 1 s",
    ]
    shown.show(call())
    shown.show(Footer("m"))
    shown.close()
    assert len(screen.shown) == 3
    assert not any("thinking" in text or "writes" in text for text in texts(screen))


def test_a_wait_without_an_answer_leaves_one_line_that_says_so(
    screen: FakeScreen,
) -> None:
    clock = Clock()
    shown = view(screen, clock=clock, live=True)
    shown.show(Working("asking", "claude-x"))
    clock.now += 3
    shown.flush()
    shown.close()
    assert texts(screen) == ["Asking claude-x · no answer"]


def test_nobody_watching_means_no_state_line(screen: FakeScreen) -> None:
    clock = Clock()
    shown = view(screen, clock=clock)
    shown.show(Working("asking", "claude-x"))
    clock.now += 9
    shown.flush()
    shown.close()
    assert screen.shown == []


def test_the_state_line_of_live_cards_is_a_widget_that_is_gone_at_the_end(
    screen: FakeScreen,
) -> None:
    clock = Clock()
    shown = view(screen, "widget", clock=clock, live=True)
    for question in ("first", "second"):
        shown.show(Working("asking", "claude-x"))
        clock.now += 1
        shown.flush()
        assert WIDGET in screen.shown[-1]
        shown.show(TextDelta(question))
    shown.show(Footer("m"))
    shown.close()
    assert texts(screen) == ["first", "second", "m"]
    assert all(WIDGET not in bundle for bundle in screen.shown)


def test_an_answer_that_never_ends_can_be_read_as_text_but_for_its_last_paragraphs(
    screen: FakeScreen,
) -> None:
    clock, text = Clock(), answer(12_000)
    shown = view(screen, clock=clock)
    for start in range(0, len(text), 50):
        shown.show(TextDelta(text[start : start + 50]))
        clock.now += 0.2
        shown.flush()
        if start == 500:
            assert texts(screen) == [text[:550]]
    head, tail = texts(screen)  # the kernel dies here
    assert text.startswith(head)
    assert len(head) > 9_000
    assert tail == ""
