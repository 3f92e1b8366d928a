"""The ways to write the value of an option: as words of a line, in Python, in a file."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp_notebook.errors import ConfigError

MOST_SECONDS = 3600  # that a host takes as seconds in a file


class Kind:
    """One way to write a value: as words of a line, and in Python.

    `what` is how the option was written, for complaints: `--timeout` or `timeout`.
    """

    takes_value = True
    repeated = False
    empty: Any = ""
    annotation: Any = str

    def from_words(self, words: Sequence[str], what: str) -> Any:
        """The value that was written `words` times; raises ConfigError."""
        return self.from_python(words[-1], what)

    def to_words(self, value: Any) -> list[str]:
        """The words that are read as this value."""
        return [str(value)]

    def from_python(self, value: Any, what: str) -> Any:
        """The value of a keyword argument that is not None; raises ConfigError."""
        raise NotImplementedError

    def from_entry(self, value: Any, what: str) -> Any:
        """The value of a key of a config file, as far as it means the same there."""
        return self.empty

    def to_python(self, value: Any) -> Any:
        """The keyword argument that is read as this value."""
        return value


class Switch(Kind):
    """Written or not."""

    takes_value = False
    empty = False
    annotation = bool

    def from_words(self, words: Sequence[str], what: str) -> bool:
        return True

    def to_words(self, value: bool) -> list[str]:
        return []

    def from_python(self, value: Any, what: str) -> bool:
        return bool(value)

    def from_entry(self, value: Any, what: str) -> bool:
        # Hosts also write an object for what is more than a switch, such as "oauth".
        return value is True


@dataclass(frozen=True)
class Text(Kind):
    """One text; of several the last one counts. `choices`: the only ones possible."""

    choices: tuple[str, ...] = ()

    def from_python(self, value: Any, what: str) -> str:
        if not isinstance(value, str | os.PathLike):
            raise ConfigError(f"{what} takes a text, not {value!r}.")

        text = os.fspath(value)
        possible = ("", *self.choices)
        if self.choices and text not in possible:
            listed = ", ".join(self.choices)
            raise ConfigError(f"{what} takes one of {listed}, not {text!r}.")

        return text


class Seconds(Kind):
    """A number of seconds; 0 is the same as none."""

    empty = None
    annotation = float

    def from_words(self, words: Sequence[str], what: str) -> float | None:
        try:
            seconds = float(words[-1])
        except ValueError:
            raise ConfigError(f"{what} takes seconds, not {words[-1]!r}.") from None
        return self.from_python(seconds, what)

    def to_words(self, value: float) -> list[str]:
        short = f"{value:g}"
        return [short if float(short) == value else repr(value)]

    def from_python(self, value: Any, what: str) -> float | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value < 0:
            raise ConfigError(f"{what} takes seconds, not {value!r}.")
        return float(value) or None

    def from_entry(self, value: Any, what: str) -> float | None:
        # Claude Code, Gemini CLI and Copilot write milliseconds, Cline and Roo Code
        # seconds up to an hour; numbers below 1000 Claude Code itself ignores.
        if value is None:
            return None
        number = self.from_python(value, what)
        if number is None or number <= MOST_SECONDS:
            return number
        return number / 1000


class Texts(Kind):
    """Any number of texts, each with the option before it."""

    repeated = True
    empty = ()
    annotation = "str | Sequence[str]"

    def from_words(self, words: Sequence[str], what: str) -> tuple[str, ...]:
        return self.from_python(list(words), what)

    def to_words(self, value: tuple[str, ...]) -> list[str]:
        return list(value)

    def from_python(self, value: Any, what: str) -> tuple[str, ...]:
        if isinstance(value, str):
            return (value,)

        if isinstance(value, list | tuple | set):
            texts = tuple(value)
        else:
            texts = (value,)

        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{what} takes a text or a list of texts.")

        return texts

    def to_python(self, value: tuple[str, ...]) -> list[str]:
        return list(value)


class VariableNames(Texts):
    """Names of environment variables, never their values."""

    def from_python(self, value: Any, what: str) -> tuple[str, ...]:
        names = super().from_python(value, what)
        for name in names:
            bare, is_assigned, _ = name.partition("=")
            if is_assigned:
                raise ConfigError(
                    f"{what} takes a name only, {what} {bare}; a value would stay in the notebook."
                )

        return names


class Headers(Kind):
    """HTTP headers: `Name: value` in a line, a dict in Python; of one name the last counts."""

    repeated = True
    empty = ()
    annotation = "Mapping[str, str]"

    def from_words(self, words: Sequence[str], what: str) -> tuple[str, ...]:
        # The value may be a secret, so no complaint repeats it.
        if not all(":" in word for word in words):
            raise ConfigError(f"{what} takes 'Name: value', and a colon is missing.")
        return self.from_python(dict(map(split_header, words)), what)

    def to_words(self, value: tuple[str, ...]) -> list[str]:
        return list(value)

    def from_python(self, value: Any, what: str) -> tuple[str, ...]:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{what} takes a dict of names and values.")

        for name, text in value.items():
            is_text = isinstance(name, str) and isinstance(text, str)
            if not is_text or ":" in name:
                raise ConfigError(f"{what} takes a dict of names and values.")

        return tuple(f"{name.strip()}: {text.strip()}" for name, text in value.items())

    def to_python(self, value: tuple[str, ...]) -> dict[str, str]:
        return dict(map(split_header, value))


def split_header(header: str) -> tuple[str, str]:
    """Name and value of `Name: value`."""
    name, _, value = header.partition(":")
    return name.strip(), value.strip()
