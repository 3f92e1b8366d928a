"""The question before a call: whole, answered by a letter, and without a secret in what
is saved.
"""

import builtins
import sys
from pathlib import Path

import pytest

from mcp_notebook.display.call_view import view_call
from mcp_notebook.display.card import render_call
from mcp_notebook.display.questions import approval_question, ask_in_box
from mcp_notebook.display.widgets import Card
from mcp_notebook.events import Approval, Reply, ToolCall

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
    choice, _, reason = answer.partition(": ")
    assert ask_in_box(approval_question(asked(READING))) == Reply(choice, reason)


def test_an_interrupt_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        ask_in_box(approval_question(asked()))


def test_the_servers_reading_tools_are_offered_where_the_tool_says_that_it_reads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, plain, once = (
        approval_question(asked(approval))
        for approval in (READING, Approval(), Approval(lasting=False))
    )
    assert [c.answer for c in reading.choices] == ["once", "always", "server"]
    assert [c.answer for c in plain.choices] == ["once", "always"]
    assert [c.answer for c in once.choices] == ["once"]
    assert "the server's claim" in reading.text
    assert plain.understand("r") is None
    assert once.understand("a") is None
    prompts = answering(monkeypatch, "n")
    ask_in_box(approval_question(asked(READING)))
    assert "[r]ead-only tools of this server" in prompts[0]


def test_the_question_holds_the_whole_call_with_every_character_visible(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answering(monkeypatch, "n")
    long = "x" * 50_000
    sql = f"select a, b, c from t where b = '\u202e' and c in ({', '.join(map(str, range(30)))})"
    call = asked(Approval(history="The tool has CHANGED"), sql=sql, note=long)
    ask_in_box(approval_question(call))
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
    assert ask_in_box(approval_question(secret())) == Reply("once")
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
    ask_in_box(approval_question(secret()))
    assert SECRET in capsys.readouterr().out


def test_what_is_saved_of_a_question_holds_no_secret() -> None:
    call = secret()
    record = view_call(call)
    card = Card(record, lambda _: None, buttons=True, expanded=False)
    saved = [
        str(card.get_state()),
        str(render_call(record)),
        approval_question(call).text,
        repr(call),
        repr(record),
    ]
    assert not [text for text in saved if SECRET in text]
    assert "password (15 characters)" in saved[0]


def test_the_card_sends_secrets_when_asked_and_while_the_question_is_open() -> None:
    sent: list[object] = []
    record = view_call(secret())
    card = Card(record, lambda _: None, buttons=True, expanded=False)
    card.send = lambda content, buffers=None: sent.append(content)
    card._handle_custom_msg({"show": True}, [])
    assert SECRET in str(sent)
    sent.clear()
    card.update(view_call(asked()))
    card._record = view_call(ToolCall("a", "shop", "query", {}))
    card._handle_custom_msg({"show": True}, [])
    assert sent == []


def test_a_card_takes_the_answers_that_it_offers_and_a_denial_with_words() -> None:
    replies: list[Reply] = []
    record = view_call(asked(Approval(lasting=False)))
    card = Card(record, replies.append, buttons=True, expanded=False)
    for answer, reason in (("always", ""), ("server", ""), ("deny", 5), ("once", "")):
        card._handle_custom_msg({"answer": answer, "reason": reason}, [])
    card._handle_custom_msg({"answer": "deny", "reason": " too wide"}, [])
    assert replies == [Reply("once"), Reply("deny", "too wide")]
