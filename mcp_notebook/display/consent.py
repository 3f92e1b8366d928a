"""The question before a tool call: which answers there are, the whole call as text, and
the question by `input()`.

What is written into a cell's output is saved with the notebook, and so is the prompt of
an input box. The question therefore shows arguments with their secrets masked; who
wants to see them asks for it, and gets them where nothing is saved: on the card by a
message that is no part of its state, in a terminal on the screen, else in a private
file that goes with the answer.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_notebook.display.record import Argument, readable
from mcp_notebook.events import Approval, ToolCall
from mcp_notebook.untrusted_text import clip, visible

TRIES = 3
REASON = 2_000  # characters of a reason at most
_DENIAL = re.compile(
    r"(?:n|no|deny)\s*(?:[:,;-]\s*|because\s+|as\s+|\s)(?P<reason>.+)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: as the loop takes it, by a letter, as a button says it, and what it means."""

    answer: str
    letter: str
    label: str
    meaning: str


def choices(server: str, approval: Approval) -> tuple[Choice, ...]:
    """The answers that a question offers, besides a denial."""
    found = [Choice("once", "y", "Allow once", "This call only.")]
    if approval.lasting:
        meaning = "Remembered for you on this machine until the tool changes; %mcp_approvals takes it back."
        found.append(Choice("always", "a", "Always this tool", meaning))
    if approval.reading:
        count, listed = (
            len(approval.reading),
            clip(visible(", ".join(approval.reading)), 300),
        )
        meaning = (
            f"Its read-only tools are {listed}: that is {visible(server)}'s own claim."
        )
        found.append(
            Choice("server", "r", f"This server's read-only tools ({count})", meaning)
        )
    return tuple(found)


def told(call: ToolCall) -> list[str]:
    """What the person should know of a call, a line or a paragraph each."""
    approval = call.approval or Approval()
    lines = [call.claims, approval.history]
    if approval.reading:
        lines.append(
            f"{len(approval.reading)} tools of {call.server} say that they only read; that is the server's claim."
        )
    if approval.hidden:
        lines.append(f"Secrets are sent but not shown: {', '.join(approval.hidden)}.")
    return [visible(line, lines=True) for line in lines if line]


def question_text(call: ToolCall) -> str:
    """The whole call as text: SQL formatted, every character visible, secrets masked."""
    head = f"Claude asks to run {visible(call.server)}.{visible(call.tool)} with"
    return "\n".join([head, *_listed(call.arguments), *told(call)])


def ask_by_input(call: ToolCall) -> str:
    """Ask the person in the cell's input box; one of the answers of `Approval`. No
    answer is a denial.

    The question with the whole call is written first, so that it stays above the box.
    """
    approval = call.approval or Approval()
    offered = choices(call.server, approval)
    sys.stdout.write(question_text(call) + "\n")
    sys.stdout.flush()
    with _Revealing(approval.arguments) as revealing:
        for _ in range(TRIES + bool(approval.hidden)):
            try:
                said = input(_prompt(offered, secrets=bool(approval.hidden))).strip()
            except (EOFError, RuntimeError):
                # nobody can answer: StdinNotImplementedError is a RuntimeError
                return "deny"
            if said.lower() in ("s", "show") and approval.hidden:
                revealing.show()
            elif answer := understood(said, offered):
                return answer
    return "deny"


def understood(said: str, offered: tuple[Choice, ...]) -> str:
    """The answer that a line means, or an empty string."""
    word = said.lower()
    for choice in offered:
        if word in (choice.letter, choice.answer) or (
            word == "yes" and choice.answer == "once"
        ):
            return choice.answer
    if word in ("n", "no", "deny"):
        return "deny"
    denial = _DENIAL.fullmatch(said)
    return f"deny: {clip(denial['reason'].strip(), REASON)}" if denial else ""


def _prompt(offered: tuple[Choice, ...], *, secrets: bool) -> str:
    words = {
        "once": "[y]es, once",
        "always": "[a]lways this tool",
        "server": "[r]ead-only tools of this server",
    }
    ways = [words[choice.answer] for choice in offered]
    ways += ["[s]how the secrets"] if secrets else []
    return f"Allow it?  {' / '.join(ways)} / [n]o, or n because ...: "


def _listed(arguments: Mapping[str, Any]) -> Iterator[str]:
    for argument in readable(arguments):
        yield _written(argument)


def _written(argument: Argument) -> str:
    if "\n" not in argument.text:
        return f"  {argument.name}: {argument.text}"
    return f"  {argument.name}:\n" + "\n".join(
        f"    {line}" for line in argument.text.split("\n")
    )


class _Revealing:
    """Shows arguments with their secrets where nothing is saved, and takes back what it wrote."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "_Revealing":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    def show(self) -> None:
        whole = "\n".join(_listed(self._arguments))
        if sys.stdout.isatty():
            sys.stdout.write(whole + "\n")
            return
        # for the user alone
        self._folder = self._folder or tempfile.TemporaryDirectory(
            prefix="mcp-notebook-"
        )
        file = Path(self._folder.name) / "call.txt"
        file.touch(0o600)
        file.write_text(whole + "\n", encoding="utf-8")
        sys.stdout.write(
            f"What is sent stands in {file}; only you can read it, and it goes with your answer.\n"
        )
        sys.stdout.flush()
