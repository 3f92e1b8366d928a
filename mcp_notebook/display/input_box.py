"""A question asked with `input()`, where no buttons can be shown.

What is written into a cell's output is saved with the notebook, and so is the prompt of
an input box. The question therefore shows arguments with their secrets masked; who
wants to see them types s, and gets them where nothing is saved: in a terminal on the
screen, else in a private file that goes with the answer.
"""

from __future__ import annotations

import getpass
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcp_notebook.display.form_fields import Field, value_of
from mcp_notebook.display.questions import CANCEL, DENY, Question, listed_arguments
from mcp_notebook.events import Reply
from mcp_notebook.untrusted_text import visible

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
