"""A run that shows nothing of itself: its questions, that it goes on when it takes
long, and then what it took.
"""

import pytest

from mcp_notebook.display.outputs import LONG
from mcp_notebook.display.view import View
from mcp_notebook.events import Footer, Note, TextDelta, ToolCall, ToolResult, Working
from mcp_notebook.notebook.cell import Questions
from tests.display.conftest import FakeScreen, call


@pytest.fixture
def screen() -> FakeScreen:
    return FakeScreen()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def run(screen: FakeScreen, seconds: float, *, live: bool, asks: bool = False) -> None:
    """A run whose model takes so many seconds."""
    clock = Clock()
    view = View(
        mode="static",
        decide=lambda *_: None,
        live=live,
        patience=LONG,
        screen=screen,
        clock=clock,
        buttons=False,
    )
    quiet = Questions(view)
    asked: ToolCall = call(asks=asks)
    for event in (Working("starting"), Working("asking", "claude-x")):
        quiet.show(event)
        quiet.flush()
    clock.now += seconds
    quiet.flush()
    for event in (
        TextDelta("Some words"),
        asked,
        ToolResult("a", "ok", "x", 0.1),
        Note("a note"),
        Footer("claude-x"),
    ):
        quiet.show(event)
        quiet.flush()
    quiet.close()


def test_a_short_run_shows_nothing(screen: FakeScreen) -> None:
    run(screen, LONG / 2, live=True)
    assert screen.sent == []


def test_a_long_run_says_that_it_goes_on_and_what_it_took_stands_there_at_the_end(
    screen: FakeScreen,
) -> None:
    run(screen, LONG * 2, live=True)
    assert screen.sent[0]["text/plain"] == "◌ Asking claude-x · 4 s"
    (left,) = screen.shown
    assert left["text/plain"].startswith("claude-x")
    assert "words" not in left["text/plain"]


def test_nothing_is_said_where_it_was_asked_to_be_quiet(screen: FakeScreen) -> None:
    run(screen, LONG * 9, live=False)
    assert screen.sent == []


@pytest.mark.parametrize("live", [True, False])
def test_a_question_is_shown_in_any_case(screen: FakeScreen, live: bool) -> None:
    run(screen, 0.0, live=live, asks=True)
    assert "shop.query" in screen.shown[0]["text/plain"]
