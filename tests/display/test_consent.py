"""The question before a call: whole, answered by a letter, and without a secret in what
is saved.
"""

import builtins
import sys
from pathlib import Path

import pytest

from mcp_notebook.display.card import Card
from mcp_notebook.display.consent import (
    ask_by_input,
    choices,
    question_text,
    understood,
)
from mcp_notebook.display.record import call_record
from mcp_notebook.display.static import render_call
from mcp_notebook.events import Approval, ToolCall

SECRET = "hunter2-hunter2"
READING = Approval(reading=("query", "list_tables"))


def asked(approval: Approval | None = None, **arguments: object) -> ToolCall:
    return ToolCall(
        "a",
        "shop",
        "query",
        arguments or {"sql": "select 1"},
        True,
        "It says it reads.",
        approval,
    )


def secret() -> ToolCall:
    given = {"user": "ann", "password": SECRET}
    return asked(
        Approval(arguments=given, hidden=("password (15 characters)",)),
        user="ann",
        password="***",
    )


def answering(monkeypatch: pytest.MonkeyPatch, *answers: object) -> list[str]:
    """Types these lines, or does these things, into the input box; the prompts that were shown."""
    left, prompts = list(answers), []

    def answer(prompt: str) -> str:
        prompts.append(prompt)
        said = left.pop(0)
        if callable(said) and not isinstance(said, type):
            said = said()
        if isinstance(said, str):
            return said
        raise said  # type: ignore[misc]

    monkeypatch.setattr(builtins, "input", answer)
    return prompts


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["y"], "once"),
        ([" ALWAYS "], "always"),
        (["r"], "server"),
        (["n"], "deny"),
        (["n because it deletes rows"], "deny: it deletes rows"),
        (["No: use the view sales"], "deny: use the view sales"),
        (["n, not now"], "deny: not now"),
        (["what?", "yes"], "once"),
        (["nice", "why not", "sure"], "deny"),
        (["s", "y"], "once"),
        (["", "", "", "y"], "deny"),
        ([EOFError], "deny"),
        ([RuntimeError], "deny"),
    ],
)
def test_only_a_clear_yes_allows(
    monkeypatch: pytest.MonkeyPatch, said: list, answer: str
) -> None:
    answering(monkeypatch, *said)
    assert ask_by_input(asked(READING)) == answer


def test_an_interrupt_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        ask_by_input(asked())


def test_the_servers_reading_tools_are_offered_where_the_tool_says_that_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [c.answer for c in choices("shop", READING)] == ["once", "always", "server"]
    assert [c.answer for c in choices("shop", Approval())] == ["once", "always"]
    assert [c.answer for c in choices("shop", Approval(lasting=False))] == ["once"]
    assert "the server's claim" in question_text(asked(READING))
    assert understood("r", choices("shop", Approval())) == ""
    assert understood("a", choices("shop", Approval(lasting=False))) == ""
    prompts = answering(monkeypatch, "n")
    ask_by_input(asked(READING))
    assert "[r]ead-only tools of this server" in prompts[0]


def test_the_question_holds_the_whole_call_with_every_character_visible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, "n")
    long = "x" * 50_000
    sql = f"select a, b, c from t where b = '\u202e' and c in ({', '.join(map(str, range(30)))})"
    ask_by_input(asked(Approval(history="The tool has CHANGED"), sql=sql, note=long))
    out = capsys.readouterr().out
    assert "  sql:\n    select a, b, c\n    from t\n    where b = '\\u202e'\n" in out
    assert long in out
    assert "It says it reads.\nThe tool has CHANGED\n" in out


def test_secrets_are_shown_in_a_private_file_that_goes_with_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[tuple[str, int, Path]] = []

    def look() -> str:
        file = Path(capsys.readouterr().out.split("stands in ")[1].split(";")[0])
        found.append((file.read_text(), file.stat().st_mode & 0o077, file))
        return "y"

    prompts = answering(monkeypatch, "s", look)
    assert ask_by_input(secret()) == "once"
    text, others, file = found[0]
    assert SECRET in text
    assert others == 0
    assert not file.exists()
    assert not file.parent.exists()
    assert SECRET not in capsys.readouterr().out + "".join(prompts)


def test_in_a_terminal_secrets_are_shown_on_the_screen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    answering(monkeypatch, "s", "n")
    ask_by_input(secret())
    assert SECRET in capsys.readouterr().out


def test_what_is_saved_of_a_question_holds_no_secret() -> None:
    call = secret()
    record = call_record(call)
    card = Card(record, lambda _: None, buttons=True, expanded=False)
    saved = [
        str(card.get_state()),
        str(render_call(record)),
        question_text(call),
        repr(call),
        repr(record),
    ]
    assert not [text for text in saved if SECRET in text]
    assert "password (15 characters)" in saved[0]


def test_the_card_sends_secrets_when_asked_and_while_the_question_is_open() -> None:
    sent: list[object] = []
    record = call_record(secret())
    card = Card(record, lambda _: None, buttons=True, expanded=False)
    card.send = lambda content, buffers=None: sent.append(content)
    card._handle_custom_msg({"show": True}, [])
    assert SECRET in str(sent)
    sent.clear()
    card.update(call_record(asked()))
    card._record = call_record(ToolCall("a", "shop", "query", {}))
    card._handle_custom_msg({"show": True}, [])
    assert sent == []


def test_a_card_takes_the_answers_that_it_offers_and_a_denial_with_words() -> None:
    answers: list[str] = []
    card = Card(
        call_record(asked(Approval(lasting=False))),
        answers.append,
        buttons=True,
        expanded=False,
    )
    for said in ("always", "server", "deny: " + "x" * 5_000, "deny: too wide", "once"):
        card._handle_custom_msg({"answer": said}, [])
    assert answers == ["deny: too wide", "once"]
