"""A question to the person, as one value; how its answer is typed, and how it is clicked.

Every question of the notebook is a `Question`: of Claude's calls, of a server's forms,
pages, turns and sign-ins, of a connection that is not what it was. A letter means the
same in all of them: y yes, once; a always; r the server's read-only tools; n no; s show
what is secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from mcp_notebook.display.call_view import Argument, read_arguments
from mcp_notebook.display.form_fields import Field
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
