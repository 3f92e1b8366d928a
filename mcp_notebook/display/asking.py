"""A question of a server to the person, as a value; asked in the input box where no
form can be shown.
"""

import getpass
import sys
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from mcp_notebook.display.fields import Field, value_of
from mcp_notebook.display.inline import COLOURS, SANS, dim, tag
from mcp_notebook.display.safe import escape
from mcp_notebook.untrusted_text import visible

Action = Literal["accept", "decline", "cancel"]
TRIES = 3


@dataclass(frozen=True)
class Question:
    """What is asked.

    form: fill in `fields`. link: open `url`, the person consents to each. choice: allow
    something, told whole in `detail`, once or always. sign-in: open `url`; `paste` says
    whether the address that it leads to is asked for.
    """

    server: str
    kind: Literal["form", "link", "choice", "sign-in"]
    message: str
    fields: tuple[Field, ...] = ()
    url: str = ""
    detail: str = ""
    paste: bool = False

    @property
    def title(self) -> str:
        """Who asks for what, in words that are ours: a server's message may say anything."""
        asks = {
            "form": "asks you",
            "link": "asks you to open a page",
            "choice": "asks to use your model",
            "sign-in": "needs you to sign in",
        }
        return f"The server {self.server} {asks[self.kind]}"

    @property
    def warning(self) -> str:
        """What the person should know before typing; empty for an ordinary question."""
        secret = [one.title for one in self.fields if one.is_secret]
        if not secret:
            return ""
        asked = visible(", ".join(secret))[:100]
        why = "MCP servers must not do that in a form: decline unless you know why."
        return f"This asks for something secret ({asked}). {why}"

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc


@dataclass(frozen=True)
class Answer:
    """The person's answer; `values` are a form's, or `{"always": True}`, or `{"address": ...}`."""

    action: Action
    values: dict[str, Any] = field(default_factory=dict)


def ask_in_box(question: Question) -> Answer:
    """Ask with `input()`, one line a field. An empty line takes the default; `/`
    declines; no person is a decline.
    """
    sys.stdout.write(f"{question.title}: {visible(question.message, lines=True)}\n")
    if question.warning:
        sys.stdout.write(f"{question.warning}\n")
    sys.stdout.flush()
    try:
        return {"form": _form, "link": _link, "choice": _choice, "sign-in": _sign_in}[
            question.kind
        ](question)
    except (EOFError, RuntimeError):
        # nobody can answer: StdinNotImplementedError is a RuntimeError
        return Answer("decline")


def _form(question: Question) -> Answer:
    if not question.fields:
        return Answer("accept") if _yes("Answer yes?") else Answer("decline")
    print("Fill it in line by line; an empty line leaves a field as it is, / declines.")  # noqa: T201 - the question
    values: dict[str, Any] = {}
    for one in question.fields:
        for _ in range(TRIES):
            said = (getpass.getpass if one.is_secret else input)(_label(one)).strip()
            if said == "/":
                return Answer("decline")
            raw = said if said else one.default
            if raw in (None, "", []) and not one.required:
                break
            try:
                if raw in (None, "", []):
                    raise ValueError("Needed.")
                values[one.name] = value_of(one, raw)
                break
            except ValueError as error:
                print(f"  {error}")  # noqa: T201
        else:
            return Answer("cancel")
    return Answer("accept", values)


def _label(one: Field) -> str:
    what = [visible(one.description)] if one.description else []
    if one.choices:
        what.append("one of " if one.kind == "choice" else "some of ")
        what[-1] += ", ".join(visible(value) for value, _ in one.choices)
    if one.kind == "boolean":
        what.append("y/n")
    if one.default not in (None, ""):
        what.append(f"[{visible(str(one.default))}]")
    return f"{visible(one.title)}{' *' if one.required else ''} {' · '.join(what)}: "


def _link(question: Question) -> Answer:
    sys.stdout.write(
        f"The page is on {visible(question.host)}: {visible(question.url)}\n"
    )
    return Answer("accept") if _yes("Do you want to open it?") else Answer("decline")


def _choice(question: Question) -> Answer:
    sys.stdout.write(visible(question.detail, lines=True) + "\n")
    sys.stdout.flush()
    said = (
        input("Allow it?  [y]es, once / [a]lways for this server / [n]o: ")
        .strip()
        .lower()
    )
    if said in ("a", "always"):
        return Answer("accept", {"always": True})
    return Answer("accept") if said in ("y", "yes") else Answer("decline")


def _sign_in(question: Question) -> Answer:
    sys.stdout.write(visible(question.url) + "\n")
    said = input(
        "Sign in there, then paste the address of the page that you end on: "
    ).strip()
    return Answer("accept", {"address": said}) if said else Answer("decline")


def _yes(question: str) -> bool:
    return input(f"{question}  [y/n]: ").strip().lower() in ("y", "yes")


def outcome_bundle(question: Question, outcome: str) -> dict[str, str]:
    """What stays of a question in the notebook: who asked what and how it ended, never
    what was typed.
    """
    plain = f"{question.title}: {visible(' '.join(question.message.split()))[:300]} · {visible(outcome)}"
    return {
        "text/html": tag("div", dim(escape(plain)), f"{SANS};margin:4px 0"),
        "text/plain": plain,
    }


def link_bundle(question: Question) -> dict[str, str]:
    """A link to click, with its host in view."""
    address = escape(visible(question.url))
    click = tag(
        "a",
        f"Open {escape(visible(question.host))}",
        f"color:{COLOURS['running']};font-weight:600",
        f' href="{address}" target="_blank" rel="noopener noreferrer"',
    )
    inner = tag("div", f"{escape(question.title)}. {click}") + dim(
        address, "font-size:11px;overflow-wrap:anywhere"
    )
    return {
        "text/html": tag("div", inner, f"{SANS};margin:4px 0"),
        "text/plain": f"{question.title}: {visible(question.url)}",
    }


def outcome_of(question: Question, answer: Answer) -> str:
    """How a question ended, in words, without values."""
    if answer.action == "decline":
        return "declined"
    if answer.action == "cancel":
        return "not answered"
    if question.kind == "form":
        return "sent: " + (", ".join(answer.values) or "yes")
    if question.kind == "choice":
        return (
            "allowed for this server" if answer.values.get("always") else "allowed once"
        )
    return "opened" if question.kind == "link" else "signed in"
