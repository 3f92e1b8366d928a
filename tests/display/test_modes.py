"""Where the cell runs decides how it is shown and how a question is asked."""

import builtins
from types import SimpleNamespace

import pytest

from mcp_notebook.display.modes import ask_by_input, choose_mode

LAB = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=True))
HEADLESS = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=False))
TERMINAL = SimpleNamespace()


@pytest.mark.parametrize(
    ("setting", "shell", "mode"),
    [
        ("auto", LAB, "widget"),
        ("auto", HEADLESS, "static"),
        ("auto", TERMINAL, "text"),
        ("auto", None, "text"),
        ("auto", SimpleNamespace(kernel=SimpleNamespace()), "static"),
        ("static", LAB, "static"),
        ("text", LAB, "text"),
        ("widget", HEADLESS, "widget"),
        ("widget", TERMINAL, "text"),
    ],
)
def test_live_cards_only_where_a_person_is_at_a_notebook(setting: str, shell: object, mode: str) -> None:
    assert choose_mode(setting, shell) == mode


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="fancy"):
        choose_mode("fancy", LAB)


def answering(monkeypatch: pytest.MonkeyPatch, *answers: str | type[BaseException]) -> None:
    left = list(answers)

    def answer(_prompt: str) -> str:
        said = left.pop(0)
        if isinstance(said, str):
            return said
        raise said

    monkeypatch.setattr(builtins, "input", answer)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["y"], "once"),
        ([" ALWAYS "], "always"),
        (["n"], "deny"),
        (["what?", "yes"], "once"),
        (["", "", "", "y"], "deny"),
        ([EOFError], "deny"),
        ([RuntimeError], "deny"),
    ],
)
def test_only_a_clear_yes_allows(monkeypatch: pytest.MonkeyPatch, said: list, answer: str) -> None:
    answering(monkeypatch, *said)
    assert ask_by_input("Allow?") == answer


def test_an_interrupt_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        ask_by_input("Allow?")


def test_the_question_is_written_with_hidden_characters_visible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, "n")
    ask_by_input("run\n  rm \u202e-rf\x1b[8m")
    assert capsys.readouterr().out == "run\n  rm \\u202e-rf\\x1b[8m\n"
