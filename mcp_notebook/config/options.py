"""The options of one connection, each declared once: see the fields of `ConnectOptions`.

From a declaration come the option in a line of %mcp_connect, the keyword of
`mcp_notebook.connect`, the key in a config file where hosts have the same thing, the
code that a frozen notebook connects with, completion, help and the table in the README.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mcp_notebook.errors import ConfigError, unknown_option

MOST_SECONDS = 3600  # that a host takes as seconds in a file
USAGE = "Write %mcp_connect NAME COMMAND ..., %mcp_connect NAME URL, or %mcp_connect --config FILE."
TRANSPORTS = ("auto", "http", "sse")
# TOKEN=... before a command, for its environment
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
# Letters that mean nothing to a shell or to IPython, so that the word needs no quotes.
_UNQUOTED = re.compile(r"[\w@%+=:,./~${}?&*-]+")

# What kind of server an option means something for.
Belonging = Literal["any", "URL", "command"]
ServerKind = Literal["URL", "command", "server object"]
# How an option is frozen: as it is, without the secrets in it, or as a header.
Sealing = Literal["as it is", "text", "header"]


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
        texts = tuple(value) if isinstance(value, list | tuple | set) else (value,)
        if not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"{what} takes a text or a list of texts.")

        return texts

    def to_python(self, value: tuple[str, ...]) -> Any:
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


class Headers(Texts):
    """HTTP headers: `Name: value` in a line, a dict in Python; of one name the last counts."""

    annotation = "Mapping[str, str]"

    def from_words(self, words: Sequence[str], what: str) -> tuple[str, ...]:
        # The value may be a secret, so no complaint repeats it.
        if not all(":" in word for word in words):
            raise ConfigError(f"{what} takes 'Name: value', and a colon is missing.")
        return self.from_python(dict(map(split_header, words)), what)

    def from_python(self, value: Any, what: str) -> tuple[str, ...]:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{what} takes a dict of names and values.")

        are_texts = all(
            isinstance(part, str) for pair in value.items() for part in pair
        )
        if not are_texts or any(":" in name for name in value):
            raise ConfigError(f"{what} takes a dict of names and values.")

        return tuple(f"{name.strip()}: {text.strip()}" for name, text in value.items())

    def to_python(self, value: tuple[str, ...]) -> Any:
        return dict(map(split_header, value))


def split_header(header: str) -> tuple[str, str]:
    """Name and value of `Name: value`."""
    name, _, value = header.partition(":")
    return name.strip(), value.strip()


@dataclass(frozen=True)
class Option:
    """How one field of `ConnectOptions` is written, and what it is for.

    `value`: what help calls its value; `entry`: the key in a server's entry of a config
    file, where hosts have the same thing.
    """

    flag: str
    kind: Kind
    about: str
    value: str = ""
    belongs: Belonging = "any"
    sealing: Sealing = "text"
    entry: str = ""

    @property
    def usage(self) -> str:
        """`--cwd DIR`."""
        return f"{self.flag} {self.value}".strip()


def _option(flag: str, kind: Kind, about: str, **declared: Any) -> Any:
    option = Option(flag, kind, about, **declared)
    return field(default=kind.empty, metadata={"option": option})


@dataclass(frozen=True)
class ConnectOptions:
    """How servers are connected: their names, what they are, and every option.

    `words`: the command or the URL as it was written, before any `${VAR}` was replaced.
    `in_process`: it is a server object of this process, which no line can connect.
    """

    names: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    in_process: bool = False

    allow: tuple[str, ...] = _option(
        "--allow",
        Texts(),
        "tools that run without asking",
        value="'PATTERN'",
        sealing="as it is",
    )
    safe: tuple[str, ...] = _option(
        "--safe",
        Texts(),
        "tools that may run twice when the connection is lost under them",
        value="'PATTERN'",
        sealing="as it is",
    )
    env: tuple[str, ...] = _option(
        "--env",
        VariableNames(),
        "pass a variable of the kernel on",
        value="NAME",
        belongs="command",
        sealing="as it is",
    )
    headers: tuple[str, ...] = _option(
        "--header",
        Headers(),
        "send a header with every request",
        value="'NAME: ${TOKEN}'",
        belongs="URL",
        sealing="header",
        entry="headers",
    )
    oauth: bool = _option(
        "--oauth",
        Switch(),
        "sign in by a link",
        belongs="URL",
        sealing="as it is",
        entry="oauth",
    )
    allow_insecure: bool = _option(
        "--allow-insecure",
        Switch(),
        "plain http:// to another machine",
        belongs="URL",
        sealing="as it is",
        entry="allowInsecure",
    )
    transport: str = _option(
        "--transport",
        Text(TRANSPORTS),
        "how HTTP is spoken, when it is not to be found out",
        value="http|sse",
        belongs="URL",
        sealing="as it is",
        entry="type",
    )
    cwd: str = _option(
        "--cwd",
        Text(),
        "the folder that the command starts in",
        value="DIR",
        belongs="command",
        entry="cwd",
    )
    timeout: float | None = _option(
        "--timeout",
        Seconds(),
        "how long each call of its tools may take, before MCPNotebook.tool_timeout",
        value="SECONDS",
        sealing="as it is",
        entry="timeout",
    )
    legacy: bool = _option(
        "--legacy",
        Switch(),
        "begin with the older handshake",
        sealing="as it is",
    )
    config: str = _option(
        "--config",
        Text(),
        'a file with "mcpServers" that describes the servers',
        value="FILE",
    )

    @classmethod
    def from_line(cls, line: str) -> ConnectOptions:
        """What a line of %mcp_connect asks for.

        Options stand before the command; after a URL there may be more of them. Raises
        ConfigError for a line that is not understood.
        """
        try:
            words = shlex.split(line, posix=os.name != "nt")
        except ValueError as error:
            message = f"The line cannot be split into words: {error}."
            raise ConfigError(message) from None

        written: dict[str, list[str]] = {}
        names: list[str] = []
        # After --config FILE every word is a name, otherwise only the first one is.
        while words and (_is_flag(words[0]) or not names or "--config" in written):
            if _is_flag(words[0]):
                _take_option(words, written)
            else:
                names.append(words.pop(0))

        if words and is_url(words[0]):
            _options_after_url(words[1:], written)
            words = words[:1]

        return cls(tuple(names), tuple(words))._with_words(written)

    @classmethod
    def from_call(
        cls, name: str, target: object, given: Mapping[str, Any]
    ) -> ConnectOptions:
        """What `mcp_notebook.connect(name, target, **given)` asks for. `target`: a
        command line or URL, its words, or a server object. Raises ConfigError.
        """
        for keyword in given:
            if keyword not in OPTIONS:
                near = difflib.get_close_matches(keyword, OPTIONS, 1, 0.6)
                if near:
                    guess = f" did you mean {near[0]!r}?"
                else:
                    guess = ""

                raise ConfigError(
                    f"connect has no option {keyword!r};{guess} its options: {', '.join(OPTIONS)}."
                )

        values = {
            keyword: OPTIONS[keyword].kind.from_python(value, keyword)
            for keyword, value in given.items()
            if value is not None
        }
        if not isinstance(target, str | Sequence):
            return cls((name,), in_process=True, **values)

        words = shlex.split(target) if isinstance(target, str) else map(str, target)
        options = cls((name,), tuple(words), **values)
        if options.words and options.config:
            raise ConfigError(
                f"{name} has both a target and a config file; one of the two says what it is."
            )

        return options.without_options_after_url()

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any], where: str) -> ConnectOptions:
        """The options that a server's entry in a config file holds in the same form;
        what is more in it is read in `entries`. Raises ConfigError that begins with `where`.
        """
        values: dict[str, Any] = {
            name: option.kind.from_entry(
                entry.get(option.entry), f'{where}: "{option.entry}"'
            )
            for name, option in OPTIONS.items()
        }
        return cls(**values)

    @property
    def name(self) -> str:
        """The server's name, of one server."""
        return self.names[0]

    def for_server(self, name: str) -> ConnectOptions:
        """The same options for one of the servers."""
        return replace(self, names=(name,))

    def items(self) -> Iterator[tuple[str, Option, Any]]:
        """Name, declaration and value of each option that says something."""
        for name, option in OPTIONS.items():
            value = getattr(self, name)
            if value != option.kind.empty:
                yield name, option, value

    def overridden_by(self, other: ConnectOptions) -> ConnectOptions:
        """The same with what the other options say in place of what these say."""
        return replace(self, **{name: value for name, _, value in other.items()})

    def without_options_after_url(self) -> ConnectOptions:
        """The same with options that stand behind a URL among the words read as options."""
        if not self.words or not is_url(self.words[0]):
            return self
        return replace(self, words=self.words[:1]).with_more(self.words[1:])

    def with_more(self, words: Sequence[str]) -> ConnectOptions:
        """The same with the options that these words behind a URL are."""
        written = _words_by_flag(self)
        _options_after_url(words, written)
        return self._with_words(written)

    def refuse_misplaced(self, server: ServerKind, target: str) -> None:
        """Raises ConfigError for an option that means nothing for this kind of server."""
        for _, option, _ in self.items():
            if option.belongs not in ("any", server):
                raise ConfigError(
                    f"{option.flag} belongs to a {option.belongs}, and {target!r} is a {server}."
                )

    def to_line(self) -> str:
        """The line that connects it in a notebook: `%mcp_connect NAME ...`."""
        words = [
            word
            for flag, values in _words_by_flag(self).items()
            for word in _with_flag(flag, values)
        ]
        # With a file, what follows the options are names; otherwise the name goes first.
        if self.config:
            words = [*words, *self.names]
        else:
            words = [*self.names, *words]

        return "%mcp_connect " + join_words([*words, *self.words])

    def to_call(self) -> tuple[str, dict[str, Any]]:
        """The target and the keyword arguments of `mcp_notebook.connect`."""
        given = {
            name: option.kind.to_python(value) for name, option, value in self.items()
        }
        return join_words(self.words), given

    def _with_words(self, written: Mapping[str, list[str]]) -> ConnectOptions:
        values = {
            name: option.kind.from_words(written[option.flag], option.flag)
            for name, option in OPTIONS.items()
            if option.flag in written
        }
        return replace(self, **values)


OPTIONS: dict[str, Option] = {
    one.name: one.metadata["option"]
    for one in dataclasses.fields(ConnectOptions)
    if "option" in one.metadata
}
FLAGS: dict[str, Option] = {option.flag: option for option in OPTIONS.values()}


def is_url(word: str) -> bool:
    """Whether the first word after a name is a URL rather than a command."""
    scheme, separator, _ = word.partition("://")
    # NAME=https://... is an assignment before a command.
    return bool(separator) and not ASSIGNMENT.fullmatch(scheme)


def split_words(text: str) -> list[str]:
    """The words of a line as a shell parts them; at its blanks where quotes do not close."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def join_words(words: Sequence[str]) -> str:
    """Words as a line that is split into the same words again; quotes only where they
    are needed.
    """
    return " ".join(
        word if _UNQUOTED.fullmatch(word) else shlex.quote(word) for word in words
    )


def connect_signature() -> inspect.Signature:
    """The signature of `mcp_notebook.connect`, with a keyword for each option."""
    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [
        inspect.Parameter("name", either, annotation=str),
        inspect.Parameter("target", either, default=""),
    ]
    parameters += [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=option.kind.empty,
            annotation=option.kind.annotation,
        )
        for name, option in OPTIONS.items()
    ]

    return inspect.Signature(parameters)


def describe_flags() -> str:
    """A line for each option, as the magic's help has it."""
    width = max(len(option.usage) for option in OPTIONS.values())
    return "\n".join(
        f"{option.usage:<{width}}  {option.about}{_audience(option)}"
        for option in OPTIONS.values()
    )


def describe_keywords() -> str:
    """A line for each option, as `mcp_notebook.connect?` has it."""
    return "\n".join(
        f"{name}: {option.about}{_audience(option)}" for name, option in OPTIONS.items()
    )


def _audience(option: Option) -> str:
    if option.belongs == "any":
        return ""
    return f" (of a {option.belongs})"


def _is_flag(word: str) -> bool:
    return word.startswith("--")


def _take_option(words: list[str], written: dict[str, list[str]]) -> None:
    """Move the option that `words` begin with, and its value, to `written`."""
    flag = words.pop(0)
    if flag not in FLAGS:
        raise ConfigError(f"{unknown_option(flag, FLAGS)} {USAGE}")

    values = written.setdefault(flag, [])
    if not FLAGS[flag].kind.takes_value:
        return
    if not words:
        raise ConfigError(f"{flag} needs a value. {USAGE}")

    values.append(words.pop(0))


def _options_after_url(words: Sequence[str], written: dict[str, list[str]]) -> None:
    rest = list(words)
    while rest:
        if not _is_flag(rest[0]):
            raise ConfigError(
                f"{rest[0]!r} is not understood after a URL; only options may stand there."
            )

        _take_option(rest, written)


def _words_by_flag(options: ConnectOptions) -> dict[str, list[str]]:
    """The values of each option as they would be written, by its flag."""
    return {
        option.flag: option.kind.to_words(value) for _, option, value in options.items()
    }


def _with_flag(flag: str, values: Sequence[str]) -> Iterator[str]:
    if not FLAGS[flag].kind.takes_value:
        yield flag
    for value in values:
        yield flag
        yield value
