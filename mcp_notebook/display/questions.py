"""A question to the person, as one value; how it is asked with `input()`, how its answer
is typed, and how it is clicked.

Every question of the notebook is a `Question`: of Claude's calls, of a server's forms,
pages, turns and sign-ins, of a connection that is not what it was. A letter means the
same in all of them: y yes, once; a always; r the server's read-only tools; n no; s show
what is secret.
"""

from __future__ import annotations

import getpass
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from mcp_notebook.display.call_view import Argument, read_arguments
from mcp_notebook.display.form_fields import Field, value_of
from mcp_notebook.display.html_parts import COLOURS, SANS, dim, escape, tag
from mcp_notebook.events import Approval, Reply
from mcp_notebook.untrusted_text import clip, visible

DENY, CANCEL = "deny", "cancel"
REASON = 2_000  # characters of a reason at most
# The word, and what follows it where the person says why: `n because ...`, `No: ...`.
_DENIAL = re.compile(
    r"(?:n|no|deny)(?:\s*(?:[:,;-]\s*|because\s+|as\s+|\s)(?P<reason>.+))?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer. `words` are what an input box offers: the first letter or the first
    word is typed; `label` stands on the button, `outcome` is what stays of it in the
    notebook.
    """

    answer: str
    words: str
    label: str
    outcome: str = ""
    meaning: str = ""
    lasts: bool = False  # it answers later questions too

    @property
    def letter(self) -> str:
        return self.words[0]

    @property
    def word(self) -> str:
        return re.split(r"[\s,]", self.words, maxsplit=1)[0]


REFUSAL = Choice(DENY, "no", "Decline", "declined")


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and everything that may be answered.

    `title` says in words that are ours who asks for what: a server's `message` may say
    anything. `arguments` and `detail` are what is consented to, whole; `secrets` are the
    same arguments unmasked, for the person's eyes only: where nothing is saved.
    """

    title: str
    message: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""
    notes: tuple[str, ...] = ()  # what the person should know, a paragraph each
    prompt: str = "Allow it?"
    choices: tuple[Choice, ...] = (Choice("once", "yes", "Yes", "yes"),)
    refusal: Choice = REFUSAL
    takes_reason: bool = False
    fields: tuple[Field, ...] = ()
    url: str = ""  # the page that is asked about
    opens: bool = False  # a click on the page's link is the answer
    comes_back: bool = False  # the page answers by itself: nothing is typed here
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    has_secrets: bool = False
    seconds: float | None = None  # after which nobody needs to answer any more

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def text(self) -> str:
        """The whole question as text: SQL formatted, every character visible, secrets masked."""
        message = visible(self.message, lines=True)
        lines = [
            f"{visible(self.title)}: {message}" if message else visible(self.title)
        ]
        lines += listed_arguments(self.arguments)
        lines += [visible(note, lines=True) for note in self.notes]
        if self.url:
            lines.append(f"The page is on {visible(self.host)}: {visible(self.url)}")

        if self.detail:
            lines.append(visible(self.detail, lines=True))

        return "\n".join(lines)

    def understand(self, line: str) -> Reply | None:
        """The reply that a typed line means; None for one that is no clear answer."""
        said = line.strip()
        for choice in self.choices:
            if said.lower() in (choice.letter, choice.word, choice.answer):
                return Reply(choice.answer)

        denial = _DENIAL.fullmatch(said)
        if denial:
            return self._denial_reply(denial["reason"] or "")

        return None

    def take_click(self, content: Mapping[str, Any]) -> Reply | None:
        """The reply that a page's message means; None for anything that is not offered:
        a page may send anything at any time.
        """
        answer, reason = content.get("answer"), content.get("reason", "")
        if answer == DENY:
            if isinstance(reason, str):
                return self._denial_reply(reason)
            return None

        offered = [choice.answer for choice in self.choices]
        if isinstance(answer, str) and answer in offered:
            return Reply(answer)

        return None

    def _denial_reply(self, reason: str) -> Reply:
        if self.takes_reason:
            kept = clip(reason.strip(), REASON)
        else:
            kept = ""
        return Reply(DENY, kept)

    def outcome_of(self, reply: Reply) -> str:
        """How it ended, in words, without what was typed."""
        if reply.choice == CANCEL:
            return reply.reason or "not answered"
        if reply.choice == DENY:
            return self.refusal.outcome

        chosen = next(one for one in self.choices if one.answer == reply.choice)
        if self.fields and not self.url:
            filled = ", ".join(reply.values)
        else:
            filled = ""

        if filled:
            return f"{chosen.outcome}: {filled}"

        return chosen.outcome


def listed_arguments(arguments: Mapping[str, Any]) -> Iterator[str]:
    """A line, or an indented paragraph, for each argument of a call."""
    for argument in read_arguments(arguments):
        yield _argument_lines(argument)


def _argument_lines(argument: Argument) -> str:
    if "\n" not in argument.text:
        return f"  {argument.name}: {argument.text}"
    lines = [f"    {line}" for line in argument.text.split("\n")]
    return f"  {argument.name}:\n" + "\n".join(lines)


class AskedCall(Protocol):
    """What a question needs of a call: an event or its view."""

    @property
    def server(self) -> str: ...
    @property
    def tool(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def claims(self) -> str: ...
    @property
    def approval(self) -> Approval | None: ...


def approval_question(call: AskedCall) -> Question:
    """Whether Claude may make a call."""
    approval = call.approval or Approval()
    notes = [call.claims, approval.history]
    if approval.reading:
        count = len(approval.reading)
        notes.append(
            f"{count} tools of {call.server} say that they only read; "
            "that is the server's claim."
        )

    if approval.hidden:
        notes.append(f"Secrets are sent but not shown: {', '.join(approval.hidden)}.")

    return Question(
        f"Claude asks to run {call.server}.{call.tool} with",
        arguments=call.arguments,
        notes=tuple(note for note in notes if note),
        choices=_approval_choices(call.server, approval),
        refusal=Choice(
            DENY,
            "no",
            "Deny",
            "denied",
            "Claude is told that you do not want this call.",
        ),
        takes_reason=True,
        secrets=approval.arguments,
        has_secrets=bool(approval.hidden),
    )


def _approval_choices(server: str, approval: Approval) -> tuple[Choice, ...]:
    found = [Choice("once", "yes, once", "Allow once", "allowed", "This call only.")]
    if approval.lasting:
        meaning = (
            "Remembered for you on this machine until the tool changes; "
            "%mcp_approvals takes it back."
        )
        found.append(
            Choice(
                "always",
                "always this tool",
                "Always this tool",
                "allowed for good",
                meaning,
                lasts=True,
            )
        )

    if approval.reading:
        count = len(approval.reading)
        names = clip(visible(", ".join(approval.reading)), 300)
        meaning = (
            f"Its read-only tools are {names}: that is {visible(server)}'s own claim."
        )
        found.append(
            Choice(
                "server",
                "read-only tools of this server",
                f"This server's read-only tools ({count})",
                "allowed with the server's read-only tools",
                meaning,
                lasts=True,
            )
        )

    return tuple(found)


def form_question(
    server: str, message: str, fields: tuple[Field, ...], seconds: float | None = None
) -> Question:
    """A form that a server asks to be filled in."""
    return Question(
        f"The server {server} asks you",
        message,
        notes=_secret_warning(fields),
        prompt="Answer yes?",
        choices=(Choice("send", "yes", "Send", "sent" if fields else "sent: yes"),),
        fields=fields,
        seconds=seconds,
    )


def choice_question(
    question: str, options: Sequence[str] = (), *, free: bool = True
) -> Question:
    """What Claude cannot know and asks the person to choose or write."""
    fields = []
    if options:
        choices = tuple((one, one) for one in options)
        words = "Your choice"
        fields.append(
            Field("your choice", words, "choice", required=not free, choices=choices)
        )
    if free:
        words = "Or in your own words" if options else "Your answer"
        fields.append(Field("your own words", words, "text", required=not options))

    return Question(
        "Claude asks you",
        question,
        choices=(Choice("send", "yes", "Answer", "answered"),),
        refusal=Choice(DENY, "no", "Leave it to Claude", "left to Claude"),
        fields=tuple(fields),
    )


def _secret_warning(fields: tuple[Field, ...]) -> tuple[str, ...]:
    """What the person should know before typing."""
    secret = ", ".join(one.title for one in fields if one.is_secret)
    if not secret:
        return ()

    return (
        f"This asks for something secret ({secret[:100]}). "
        "MCP servers must not do that in a form: decline unless you know why.",
    )


def visit_question(
    server: str, message: str, url: str, seconds: float | None = None
) -> Question:
    """A page that a server asks to be opened: the person consents to each."""
    return Question(
        f"The server {server} asks you to open a page",
        message,
        prompt="Do you want to open it?",
        choices=(Choice("open", "yes", "Open", "opened"),),
        url=url,
        opens=True,
        seconds=seconds,
    )


def sampling_question(
    server: str, request: str, seconds: float | None = None
) -> Question:
    """A turn of the person's model that a server asks for, with the whole of its request."""
    return Question(
        f"The server {server} asks to use your model",
        "It sends this to your model and gets the reply:",
        detail=request,
        choices=(
            Choice("once", "yes, once", "Allow once", "allowed once"),
            Choice(
                "always",
                "always for this server",
                "Always for this server",
                "allowed for this server",
                lasts=True,
            ),
        ),
        seconds=seconds,
    )


# In the box an empty line declines; the address is checked by who signs in.
ADDRESS = Field(
    "address",
    "Final address",
    "text",
    "sign in there, then paste the address of the page that you end on",
)


def sign_in_question(
    server: str, url: str, *, paste: bool, seconds: float | None = None
) -> Question:
    """A sign-in on a page; `paste`: the address that it leads to is asked for."""
    return Question(
        f"The server {server} needs you to sign in",
        "Sign in to go on.",
        choices=(Choice("done", "yes", "Done", "signed in"),),
        fields=(ADDRESS,) if paste else (),
        url=url,
        comes_back=not paste,
        seconds=seconds,
    )


def outcome_bundle(question: Question, outcome: str) -> dict[str, str]:
    """What stays of a question in the notebook: who asked what and how it ended, never
    what was typed.
    """
    message = visible(" ".join(question.message.split()))[:300]
    plain = f"{question.title}: {message} · {visible(outcome)}"
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


# ---- asked with `input()`, where no buttons can be shown
#
# What is written into a cell's output is saved with the notebook, and so is the prompt of
# an input box. The question therefore shows arguments with their secrets masked; who
# wants to see them types s, and gets them where nothing is saved: in a terminal on the
# screen, else in a private file that goes with the answer.

TRIES = 3
_HOW_TO_FILL_IN = (
    "Fill it in line by line; an empty line leaves a field as it is, / declines."
)


def ask_in_box(question: Question) -> Reply:
    """Ask the person in the cell's input box; no answer is a denial.

    The whole question is written first, so that it stays above the box.
    """
    _write(question.text)
    try:
        if question.fields:
            return _fill_in(question)
        return _choose(question)
    except (EOFError, RuntimeError):
        # nobody can answer: StdinNotImplementedError is a RuntimeError
        return Reply(DENY)


def _choose(question: Question) -> Reply:
    with _Revealing(question.secrets) as revealing:
        for _ in range(TRIES + question.has_secrets):
            line = input(_prompt(question))
            if question.has_secrets and line.strip().lower() in ("s", "show"):
                revealing.show()
            elif (reply := question.understand(line)) is not None:
                return reply

    return Reply(DENY)


def _prompt(question: Question) -> str:
    ways = [f"[{choice.letter}]{choice.words[1:]}" for choice in question.choices]
    if question.has_secrets:
        ways.append("[s]how the secrets")
    ways.append("[n]o, or n because ..." if question.takes_reason else "[n]o")
    return f"{question.prompt}  {' / '.join(ways)}: "


def _fill_in(question: Question) -> Reply:
    """A line a field: an empty one takes the default, `/` declines. Of a page to sign in
    on only the address is asked: there an empty line declines.
    """
    if not question.url:
        _write(_HOW_TO_FILL_IN)

    values: dict[str, Any] = {}
    for one in question.fields:
        typed = _ask_field(one)
        if isinstance(typed, Reply):
            return typed

        values |= typed

    if question.url and not values:
        return Reply(DENY)

    return Reply(question.choices[0].answer, values=values)


def _ask_field(one: Field) -> dict[str, Any] | Reply:
    """The value of a field by its name, nothing for one that is left out, or the
    end of the form.
    """
    if one.is_secret:
        ask = getpass.getpass
    else:
        ask = input

    for _ in range(TRIES):
        line = ask(_label(one)).strip()
        if line == "/":
            return Reply(DENY)

        raw = line or one.default
        is_empty = raw in (None, "", [])
        if is_empty and not one.required:
            return {}

        try:
            if is_empty:
                raise ValueError("Needed.")
            return {one.name: value_of(one, raw)}
        except ValueError as error:
            _write(f"  {error}")

    return Reply(CANCEL)


def _label(one: Field) -> str:
    if one.description:
        hints = [visible(one.description)]
    else:
        hints = []

    if one.choices:
        if one.kind == "choice":
            count = "one of"
        else:
            count = "some of"

        values = ", ".join(visible(value) for value, _ in one.choices)
        hints.append(f"{count} {values}")

    if one.kind == "boolean":
        hints.append("y/n")

    if one.default not in (None, ""):
        hints.append(f"[{visible(str(one.default))}]")

    name = visible(one.title) + (" *" if one.required else "")
    if hints:
        return f"{name} {' · '.join(hints)}: "

    return f"{name}: "


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class _Revealing:
    """Shows arguments with their secrets where nothing is saved, and takes back what it wrote."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> _Revealing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def show(self) -> None:
        whole = "\n".join(listed_arguments(self._arguments))
        if sys.stdout.isatty():
            _write(whole)
            return

        # for the user alone
        self._folder = self._folder or tempfile.TemporaryDirectory(
            prefix="mcp-notebook-"
        )
        file = Path(self._folder.name) / "call.txt"
        file.touch(0o600)
        file.write_text(whole + "\n", encoding="utf-8")
        _write(
            f"What is sent stands in {file}; only you can read it, and it goes with your answer."
        )
