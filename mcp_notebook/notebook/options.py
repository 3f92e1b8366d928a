"""What a person may set: the options of a question, each declared once, and
`%config MCPNotebook`.

Made from this record: the options of `%%claude`, the signature and help of
`mcp_notebook.ask`, the defaults and help of the settings of the same names in
`%config MCPNotebook`, completion and `docs/reference.md`. A name means the same
wherever it stands: an option that is left open takes the setting of its name.
"""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import keyword
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeAlias

import traitlets
from traitlets.config import Configurable

from mcp_notebook.errors import ConfigError

if TYPE_CHECKING:
    from mcp_notebook.policy import Limits

NO_SETTING: Any = object()
# AskOptions in which nothing is left open; a type checker cannot follow that the
# numbers are no longer None
Settled: TypeAlias = Any


class AskOption(NamedTuple):  # made in a third of a dataclass's time, at %load_ext
    """What is declared of one option."""

    help: str  # begins small and has no full stop, as argparse prints it
    unit: str = ""
    # in `%%claude`; empty: it is one of `mcp_notebook.ask` alone
    flags: tuple[str, ...] = ()
    # the default for the whole notebook; NO_SETTING: it is for one question only
    setting: Any = NO_SETTING
    setting_help: str = ""  # what the setting's help says more
    adds: bool = False  # a question adds to its setting instead of replacing it
    least: float | None = None
    choices: tuple[str, ...] = ()
    commas: bool = False  # several are written with commas, not with several options
    # filled in from its field of AskOptions
    name: str = ""
    kind: type = str

    @property
    def has_setting(self) -> bool:
        """Whether `%config MCPNotebook` has a default for it."""
        return self.setting is not NO_SETTING

    @property
    def doors(self) -> tuple[str, ...]:
        """Where it can be given."""
        if self.flags:
            line = ("%%claude",)
        else:
            line = ()

        if self.has_setting:
            config = ("MCPNotebook",)
        else:
            config = ()

        return (*line, "ask", *config)

    def trait(self) -> dict[str, Any]:
        """The arguments of the setting's trait: its default, help and least value."""
        sentence = self.help[:1].upper() + self.help[1:]
        if self.setting_help:
            more = f"; {self.setting_help}"
        else:
            more = ""

        made: dict[str, Any] = {"default_value": self.setting}
        made["help"] = f"{sentence}{more}."
        if self.least is not None:
            made["min"] = self.least

        return made


@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """One question with its options. None and an empty text leave an option open, for
    the setting of the same name.

    Raises ConfigError for a value that an option cannot have.
    """

    prompt: str = dataclasses.field(kw_only=False)
    into: Annotated[
        str,
        AskOption(
            "name for the last table (NAME, NAME: for the last ones), or for the value "
            "with a form",
            flags=("--into",),
        ),
    ] = ""
    form: Annotated[
        Any,
        AskOption(
            "type of the answer, e.g. list[int] or a pydantic model of yours",
            flags=("--as",),
        ),
    ] = None
    new: Annotated[
        bool,
        AskOption(
            "start a new conversation; that of a function call is its own",
            flags=("--new",),
        ),
    ] = False
    dry_run: Annotated[
        bool,
        AskOption(
            "show what would be sent, its tokens and cost",
            flags=("--dry-run",),
        ),
    ] = False
    code: Annotated[
        bool,
        AskOption(
            "ask for code: its cell is put below, not run",
            flags=("--code",),
        ),
    ] = False
    show: Annotated[bool, AskOption("stream the answer into the cell")] = False
    quiet: Annotated[bool, AskOption("show nothing, however long it takes")] = False
    web: Annotated[
        bool | None,
        AskOption(
            "let Claude's own service search the web and read pages, which it charges for",
            flags=("--web",),
            setting=False,
        ),
    ] = None
    model: Annotated[
        str,
        AskOption(
            "model that answers, e.g. claude-opus-5-5",
            flags=("-m", "--model"),
            setting="",
            setting_help="empty: claude-sonnet-5-5",
        ),
    ] = ""
    effort: Annotated[
        str,
        AskOption(
            "how hard the model thinks",
            flags=("--effort",),
            setting="",
            choices=("low", "medium", "high", "xhigh", "max"),
        ),
    ] = ""
    system: Annotated[
        str,
        AskOption(
            "what the system prompt says beside the rules, e.g. 'Answer in French'",
            flags=("--system",),
            setting="",
        ),
    ] = ""
    servers: Annotated[
        Sequence[str],
        AskOption(
            "only these servers' tools",
            flags=("-s", "--servers"),
            commas=True,
        ),
    ] = ()
    allow: Annotated[
        Sequence[str],
        AskOption(
            "tools that run without asking, e.g. 'shop.read_*'",
            flags=("--allow",),
            setting=(),
            adds=True,
        ),
    ] = ()
    rows_to_model: Annotated[
        int | None,
        AskOption(
            "rows of each table that the model is shown; with 5 a small table is whole",
            unit="rows",
            flags=("--rows-to-model",),
            setting=5,
            least=0,
        ),
    ] = None
    max_tokens: Annotated[
        int | None,
        AskOption(
            "tokens of one reply at most",
            unit="tokens",
            flags=("--max-tokens",),
            setting=16_000,
            least=1,
        ),
    ] = None
    max_iterations: Annotated[
        int | None,
        AskOption(
            "model turns of one cell at most",
            unit="turns",
            flags=("--max-iterations",),
            setting=12,
            least=1,
        ),
    ] = None
    max_calls: Annotated[
        int | None,
        AskOption(
            "tool calls of one cell at most",
            unit="calls",
            flags=("--max-calls",),
            setting=40,
            least=1,
        ),
    ] = None
    max_seconds: Annotated[
        float | None,
        AskOption(
            "seconds of one cell at most",
            unit="seconds",
            flags=("--max-seconds",),
            setting=600.0,
            least=1,
        ),
    ] = None
    max_cell_tokens: Annotated[
        int | None,
        AskOption(
            "tokens of one cell at most, in and out together; 0: no limit",
            unit="tokens",
            flags=("--max-cell-tokens",),
            setting=0,
            least=0,
        ),
    ] = None
    max_usd: Annotated[
        float | None,
        AskOption(
            "dollars of one cell at most; 0: no budget",
            unit="dollars",
            flags=("--max-usd",),
            setting=0.0,
            least=0,
        ),
    ] = None
    replay: Annotated[
        bool,
        AskOption(
            "take the recorded turns even if a model could answer",
            flags=("--replay",),
        ),
    ] = False

    def __post_init__(self) -> None:
        tidied = {
            "prompt": self.prompt.strip(),
            "form": None if isinstance(self.form, str) and not self.form else self.form,
            "servers": tuple(self.servers),
            "allow": tuple(self.allow),
        }
        for name, value in tidied.items():
            object.__setattr__(self, name, value)

        names = split_names(self.into)
        if len(names) > 1 and self.form is not None:
            raise ConfigError("--into takes one name when --as is given.")

        for name in names:
            check_name(name)

        for option in OPTIONS.values():
            _check(option, getattr(self, option.name))

    def settle(self, settings: Any) -> Settled:
        """The same options with none left open: what the question does not say, the
        settings (`MCPNotebook`) say.
        """
        found: dict[str, Any] = {}
        for name, option in OPTIONS.items():
            own = getattr(self, name)
            if option.adds:
                found[name] = (*getattr(settings, name), *own)
            elif option.has_setting and own in (None, ""):
                found[name] = getattr(settings, name)

        return dataclasses.replace(self, **found)


def _declared_options() -> dict[str, AskOption]:
    """The options by name, each with what its field says of it."""
    found = {}
    for name, hint in typing.get_type_hints(AskOptions, include_extras=True).items():
        if typing.get_origin(hint) is Annotated:
            kind, option = typing.get_args(hint)
            found[name] = option._replace(name=name, kind=_plain_kind(kind))

    return found


def _plain_kind(kind: Any) -> Any:
    """`int` of `int | None`; any other type as it is."""
    if type(None) not in typing.get_args(kind):
        return kind
    return next(one for one in typing.get_args(kind) if one is not type(None))


OPTIONS: dict[str, AskOption] = _declared_options()


def signature_of(returns: Any) -> inspect.Signature:
    """The signature of a function that takes a question's options, without what is
    declared beside their types.
    """
    declared = inspect.signature(AskOptions)
    plain = [
        parameter.replace(annotation=_without_extras(parameter.annotation))
        for parameter in declared.parameters.values()
    ]
    return inspect.Signature(plain, return_annotation=returns)


def _without_extras(hint: Any) -> Any:
    if typing.get_origin(hint) is Annotated:
        return typing.get_args(hint)[0]
    return hint


def list_options() -> str:
    """The options of `mcp_notebook.ask`, a line each, for its docstring."""
    width = max(len(name) for name in OPTIONS) + 2
    return "\n".join(f"{o.name:{width}}{o.help}" for o in OPTIONS.values())


def split_names(names: str) -> list[str]:
    """The names of `--into a, b`; one empty name where nothing stands between commas."""
    if not names.strip():
        return []

    return [name.strip() for name in names.split(",")]


def check_name(name: str) -> str:
    """A name for `--into`; raises ConfigError."""
    if not name:
        return name

    if not name.isidentifier():
        raise ConfigError(f"--into needs a Python name, not {name!r}.")
    if keyword.iskeyword(name):
        raise ConfigError(
            f"--into {name}: that is a keyword of Python; choose another name."
        )
    if hasattr(builtins, name):
        raise ConfigError(
            f"--into {name} would hide one of Python's own names (a builtin); choose "
            "another name."
        )

    return name


def _check(option: AskOption, value: Any) -> None:
    if option.flags:
        shown = option.flags[-1]
    else:
        shown = option.name

    if option.choices and value and value not in option.choices:
        known = ", ".join(option.choices)
        raise ConfigError(f"{shown} is one of {known}, not {value!r}.")

    if option.least is not None and value is not None and value < option.least:
        raise ConfigError(f"{shown} is at least {option.least:g}, not {value!r}.")


def options_of(magic: Any) -> list[str]:
    """The long options that a magic's own parser knows."""
    parser = getattr(magic, "parser", None)
    if parser is None:
        return []
    return sorted(one for one in parser._option_string_actions if one.startswith("--"))


class MCPNotebook(Configurable):
    """Settings of mcp-notebook. Those that a single question can have as an option too
    have its default and help from there.
    """

    model = traitlets.Unicode(**OPTIONS["model"].trait()).tag(config=True)
    effort = traitlets.Enum(
        ["", *OPTIONS["effort"].choices], **OPTIONS["effort"].trait()
    ).tag(config=True)
    system = traitlets.Unicode(**OPTIONS["system"].trait()).tag(config=True)
    web = traitlets.Bool(**OPTIONS["web"].trait()).tag(config=True)
    instructions = traitlets.Unicode(
        "",
        help=(
            "House rules that Claude is told with each question: a text, or the path of "
            "a file, read anew each time; at most 20 kB."
        ),
    ).tag(config=True)
    thinking = traitlets.Bool(
        False,
        help=(
            "Keep what the model says of its thinking in the cell, folded, also when it "
            "is saved; else it is shown while it thinks and then goes."
        ),
    ).tag(config=True)
    backend = traitlets.Enum(
        ["auto", "live", "replay"],
        "auto",
        help="Who answers: auto asks a model if there is one, else replays.",
    ).tag(config=True)
    client = traitlets.Any(
        None,
        help="Name of a variable with your own async Anthropic client (Bedrock, "
        "Vertex, Foundry, a gateway), e.g. "
        "'bedrock'; the name, because %config copies its values and a client cannot be copied.",
    ).tag(config=True)
    replay_file = traitlets.Unicode(
        "",
        help="File with recorded turns; empty: NAME.claude.json beside the notebook, "
        "then the file of the folder that holds the question.",
    ).tag(config=True)
    strict = traitlets.Bool(
        False,
        help="Whether a recorded answer that was written for other results of tools "
        "than those of now fails its cell; else a note says so.",
    ).tag(config=True)
    offline = traitlets.Bool(
        False,
        help="Whether everything is replayed, tools as well: no model is asked and no "
        "server started; needs a recording made with %claude_record on --tools.",
    ).tag(config=True)
    record_source = traitlets.Unicode(
        "",
        help="What a recording says of where its turns come from; empty: the model's name.",
    ).tag(config=True)
    max_tokens = traitlets.CInt(**OPTIONS["max_tokens"].trait()).tag(config=True)
    max_iterations = traitlets.CInt(**OPTIONS["max_iterations"].trait()).tag(
        config=True
    )
    max_calls = traitlets.CInt(**OPTIONS["max_calls"].trait()).tag(config=True)
    max_seconds = traitlets.CFloat(**OPTIONS["max_seconds"].trait()).tag(config=True)
    max_usd = traitlets.CFloat(**OPTIONS["max_usd"].trait()).tag(config=True)
    max_cell_tokens = traitlets.CInt(**OPTIONS["max_cell_tokens"].trait()).tag(
        config=True
    )
    max_rows_to_model = traitlets.CInt(
        0, min=0, help="Rows that one cell may show the model; 0: no limit."
    ).tag(config=True)
    max_bytes_to_model = traitlets.CInt(
        0, min=0, help="Bytes of results that one cell may show the model; 0: no limit."
    ).tag(config=True)
    notebook_max_turns = traitlets.CInt(
        0, min=0, help="Model turns of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_calls = traitlets.CInt(
        0, min=0, help="Tool calls of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_seconds = traitlets.CFloat(
        0.0, min=0, help="Seconds of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_tokens = traitlets.CInt(
        0, min=0, help="Tokens of all cells together; 0: no limit."
    ).tag(config=True)
    notebook_max_usd = traitlets.CFloat(
        0.0, min=0, help="Dollars of all cells together; 0: no budget."
    ).tag(config=True)
    notebook_max_rows = traitlets.CInt(
        0, min=0, help="Rows that all cells may show the model; 0: no limit."
    ).tag(config=True)
    notebook_max_bytes = traitlets.CInt(
        0, min=0, help="Bytes of results for the model, all cells; 0: no limit."
    ).tag(config=True)
    tool_search = traitlets.CInt(
        30,
        min=1,
        help="More tools than this are searched for by the model, not all sent.",
    ).tag(config=True)
    trim_tokens = traitlets.CInt(
        60_000,
        min=0,
        help="Conversations longer than this lose their old results before a cell; 0: never.",
    ).tag(config=True)
    context_window = traitlets.CInt(
        0, min=0, help="Tokens that fit the model; 0: what is known of it."
    ).tag(config=True)
    timings = traitlets.Bool(
        False,
        help="Whether outputs that are saved say how long things took; then a notebook "
        "that runs again differs from what is saved. Live cards say it in any case, "
        "%mcp_log too.",
    ).tag(config=True)
    log_file = traitlets.Unicode(
        "", help="File for a line of JSON a turn and a call; empty: none."
    ).tag(config=True)
    tool_timeout = traitlets.CFloat(
        60.0, min=0.1, help="Seconds one tool call may take."
    ).tag(config=True)
    registry = traitlets.Unicode(
        "https://registry.modelcontextprotocol.io",
        help="Where %mcp_search and %mcp_connect io.github.owner/name look servers up.",
    ).tag(config=True)
    connect_timeout = traitlets.CFloat(
        60.0, min=1, help="Seconds a server may take to start."
    ).tag(config=True)
    rows_to_model = traitlets.CInt(**OPTIONS["rows_to_model"].trait()).tag(config=True)
    max_reply = traitlets.CInt(
        256 << 20,
        min=1 << 20,
        help="Bytes of one reply of a server; fewer where little memory is free. It counts "
        "from the next %mcp_connect on.",
    ).tag(config=True)
    text_bytes = traitlets.CInt(
        50_000, min=1000, help="Bytes of a text result that the model is shown."
    ).tag(config=True)
    mask = traitlets.List(
        traitlets.Unicode(),
        help="Columns whose values the model never sees, e.g. ['email'].",
    ).tag(config=True)
    approval = traitlets.Enum(
        ["ask", "allow", "deny"],
        "ask",
        help="What happens to tools of other servers for which there is no rule.",
    ).tag(config=True)
    allow = traitlets.List(traitlets.Unicode(), **OPTIONS["allow"].trait()).tag(
        config=True
    )
    ask = traitlets.List(
        traitlets.Unicode(),
        help="Tools that ask each time, e.g. [\"shop.query(sql~'delete|update')\"].",
    ).tag(config=True)
    deny = traitlets.List(traitlets.Unicode(), help="Tools that never run.").tag(
        config=True
    )
    unattended = traitlets.Enum(
        ["deny", "allow"],
        "deny",
        help="What becomes of a question when nobody is there to answer it.",
    ).tag(config=True)
    retry = traitlets.List(
        traitlets.Unicode(),
        help="Tools that may run twice when a server is lost, e.g. ['shop.read_*'].",
    ).tag(config=True)
    cards = traitlets.Enum(
        ["auto", "widget", "static", "text"], "auto", help="How tool calls are shown."
    ).tag(config=True)
    question_seconds = traitlets.CFloat(
        300.0,
        min=1,
        help="Seconds for which a server's question waits for you before it is cancelled.",
    ).tag(config=True)
    sampling = traitlets.Bool(
        False,
        help=(
            "Let servers that are connected from now on ask your model for a "
            "reply; you are asked each time."
        ),
    ).tag(config=True)
    sampling_turns = traitlets.CInt(
        10, min=0, help="Replies that servers may ask for in one kernel."
    ).tag(config=True)
    sampling_max_tokens = traitlets.CInt(
        1000, min=1, help="Tokens of one such reply at most."
    ).tag(config=True)
    roots = traitlets.List(
        traitlets.Unicode(),
        help=(
            "Folders that servers may ask for, e.g. ['.']; one connected while "
            "there are none never may."
        ),
    ).tag(config=True)
    types = traitlets.Enum(
        ["everyday", "exact"],
        "everyday",
        help=(
            "What columns of results are in pandas: everyday has dtypes that all of "
            "pandas works on (days are datetime64, decimals floats where no digit is "
            "lost, lists Python lists), exact has Arrow's own. SQL over a result and "
            "its export are exact either way."
        ),
    ).tag(config=True)
    sign_in = traitlets.Enum(
        ["auto", "loopback", "paste"],
        "auto",
        help=(
            "How a sign-in comes back: to this machine's loopback, or pasted where "
            "the browser is on another one."
        ),
    ).tag(config=True)
    server_log = traitlets.Enum(
        ["", "debug", "info", "notice", "warning", "error"],
        "",
        help=(
            "From which level on servers that are connected now are asked to log; "
            "%mcp_status NAME shows it."
        ),
    ).tag(config=True)
    nested_asyncio = traitlets.Bool(
        False,
        help=(
            "Let pasted asyncio.run(...) code work in a cell (applies "
            "nest_asyncio2 to the kernel's loop)."
        ),
    ).tag(config=True)

    def notebook_limits(self) -> Limits:
        """The limits of all cells together."""
        from mcp_notebook.policy import Limits  # not needed to load the extension

        return Limits(
            iterations=self.notebook_max_turns,
            calls=self.notebook_max_calls,
            seconds=self.notebook_max_seconds,
            tokens=self.notebook_max_tokens,
            dollars=self.notebook_max_usd or None,
            rows=self.notebook_max_rows,
            bytes=self.notebook_max_bytes,
        )
