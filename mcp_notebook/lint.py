"""`mcp-notebook lint` and `%mcp_lint`: what in a server's tools makes a model call them
wrongly, each with its reason and what to do; for authors, in CI, too.
"""

from __future__ import annotations

import argparse
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from mcp_notebook.errors import SessionError
from mcp_notebook.notebook import current
from mcp_notebook.policy import only_reads
from mcp_notebook.secrets import NameLevel, is_secret_name
from mcp_notebook.server_commands import connect
from mcp_notebook.sessions.tools import suspicions
from mcp_notebook.untrusted_text import visible, visible_json

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session, ToolInfo

BYTES_PER_TOKEN = 4  # of a schema, about
MOST_TOOL_TOKENS = 1_500
MOST_TOKENS = 20_000  # of all tools of a server
MOST_RESULT = 100_000  # bytes, some 25,000 tokens: what hosts cut
LEAST_DESCRIPTION = 12  # letters
NO_SUCH_TOOL = "mcp_notebook_lint_no_such_tool"
CALL_LIMIT = 30.0  # seconds

Level = Literal["wrong", "note"]
Rule = Callable[["ToolInfo"], Iterator["Remark"]]

TIME_NAME = re.compile(
    r"(?:^|_)(?:dates?|time|datetime|timestamps?|deadline|day|month)(?:_at|_on)?$"
)
# These are places in a list or a file as well, so the description has to speak of time.
SPAN_NAME = re.compile(r"(?:^|_)(?:since|until|before|after|start|end|from|to)$")
SPEAKS_OF_TIME = re.compile(r"\b(?:dates?|time|days?|timestamp|month|year)\b", re.I)
SAYS_FORMAT = re.compile(
    r"\b(?:YYYY|ISO|RFC ?\d|unix|epoch|UTC|seconds|milliseconds|cron|format|strftime)\b"
    r"|\d{4}-\d\d|%Y|\d+ ?(?:ms|hours?|days?)\b",
    re.IGNORECASE,
)
EXAMPLE = re.compile(
    r"\be\.g\b|\bexamples?\b|\bfor instance\b|\bsuch as\b|\blike\b|[`\"'{]"
)
NOT_OBVIOUS = re.compile(
    r"(?:^|_)(?:filters?|expression|expr|cron|schedule|pattern|regex|selector|jsonpath"
    r"|xpath|where|predicate|template|jq|dsl|range|a1)$"
)
# `one of a, b or c`, `'a' | 'b'`, `(asc|desc)`: the words of a set that is fixed
SETS = (
    re.compile(
        r"\b(?:one of|either|must be|allowed values?|options?)\b:?\s*(.{3,200})",
        re.I | re.S,
    ),
    re.compile(r"\(([\w-]+(?:\s*[|/]\s*[\w-]+)+)\)"),
    re.compile(
        r"((?:[\"'`][\w-]+[\"'`]\s*(?:,|\||/|\bor\b)\s*(?:or\s+)?)+[\"'`][\w-]+[\"'`])"
    ),
)
QUOTED = re.compile(r"[\"'`]([\w-]+)[\"'`]")
OPEN_END = re.compile(
    r"\betc\b|\.\.\.|…|\be\.g\b|\bexample|\bsuch as\b|\blike\b|[{\[]", re.I
)
LISTS = re.compile(
    r"^(?:list|search|find|query|get_all|fetch_all|read_all|select)(?:_|$)"
)
# Of these there are as many as a person has made.
FEW = re.compile(
    r"tables?$|databases?$|schemas?$|columns|indexes|views$|connections|tools|servers"
    r"|workspaces|directories|categories|types$"
)
BOUND = re.compile(
    r"limit|max|top|page|cursor|offset|count|size|first|last|head|n_?rows|per_page|take|budget"
)
WRITES = re.compile(
    r"^(?:delete|remove|drop|create|insert|update|write|send|set|put|post|move|rename|upload"
    r"|publish|kill|stop|start|restart|merge|commit|push|approve|cancel|edit|append|add)(?:_|$)"
)
DESTROYS = re.compile(
    r"^(?:delete|remove|drop|purge|truncate|wipe|destroy|kill)(?:_|$)"
)
USABLE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Letters that look like others in most fonts
LOOKS_LIKE = str.maketrans(
    {"0": "o", "1": "l", "i": "l", "5": "s", "_": "", "-": "", ".": ""}
)


@dataclass(frozen=True)
class Remark:
    """One thing about a tool, or about the server where `tool` is empty: why it matters,
    and what its author can do.
    """

    level: Level
    rule: str
    tool: str
    what: str
    why: str
    fix: str

    def __str__(self) -> str:
        sign = "WRONG" if self.level == "wrong" else "note "
        where = f"{self.tool}: " if self.tool else ""
        return f"{sign} {where}{self.what} [{self.rule}]\n      {self.why} {self.fix}"


def run(args: argparse.Namespace) -> int:
    """Connect the server, print the remarks; 1 when something is wrong (`--strict`: when
    there is anything to say).
    """
    name = connect(args.server)
    state = current.notebook()
    session = state.sessions.get(name)
    remarks = list(check_tools(session.tools))
    remarks += current.run(state, check_answers(session, call=args.call))
    current.run(state, state.sessions.disconnect(name))
    if args.json:
        rows = [asdict(remark) for remark in remarks]
        print(visible_json(json.dumps(rows, ensure_ascii=False, indent=2)))
    else:
        print(visible(report(remarks, len(session.tools)), lines=True))

    failing = [one for one in remarks if args.strict or one.level == "wrong"]
    return int(bool(failing))


def report(remarks: Iterable[Remark], tools: int) -> str:
    """The remarks as text, those that are wrong first, with a line that counts them."""
    ordered = sorted(remarks, key=lambda remark: (remark.level != "wrong", remark.tool))
    wrong = sum(remark.level == "wrong" for remark in ordered)
    total = f"{tools} tools: {wrong} wrong, {len(ordered) - wrong} notes"
    return "\n".join([*map(str, ordered), total])


def check_tools(tools: Iterable[ToolInfo]) -> Iterator[Remark]:
    """What can be seen in the definitions of a server's tools; nothing is called."""
    listed = list(tools)
    for tool in listed:
        for rule in RULES:
            yield from rule(tool)

    yield from _check_whole_size(listed)
    yield from _check_lookalikes(listed)
    yield from _check_hints_exist(listed)


async def check_answers(session: Session, *, call: bool) -> list[Remark]:
    """What the server answers to a call that must fail, and with `call` how large the
    results of tools are that only read and need no argument.
    """
    remarks = []
    if await _answers_well(session, NO_SUCH_TOOL):
        remarks.append(
            Remark(
                "wrong",
                "errors-as-results",
                "",
                "a call of a tool that does not exist is answered as a success",
                "A model takes the words of the error for data.",
                "Set isError in the result, or answer with an error.",
            )
        )

    reading = [tool for tool in session.tools if only_reads(tool.annotations)]
    for tool in reading:
        required = tool.input_schema.get("required")
        if required and await _answers_well(session, tool.name):
            remarks.append(_accepts_nothing(tool, required))
        elif call and not required:
            remarks += await _check_result_size(session, tool)

    return remarks


def _accepts_nothing(tool: ToolInfo, required: Any) -> Remark:
    return Remark(
        "wrong",
        "errors-as-results",
        tool.name,
        f"a call without its required arguments ({', '.join(map(str, required))}) is "
        "answered as a success",
        "A model takes the words of the error for data and does not try again.",
        "Set isError in the result, with a text that says what is missing.",
    )


async def _answers_well(session: Session, tool: str) -> bool:
    try:
        outcome = await session.call(tool, {}, timeout=CALL_LIMIT)
    except SessionError:
        return False

    return not outcome.result.is_error


async def _check_result_size(session: Session, tool: ToolInfo) -> list[Remark]:
    try:
        outcome = await session.call(tool.name, {}, timeout=CALL_LIMIT)
    except SessionError:
        return []

    if outcome.received_bytes <= MOST_RESULT:
        return []

    tokens = outcome.received_bytes // BYTES_PER_TOKEN
    return [
        Remark(
            "wrong",
            "result-too-large",
            tool.name,
            f"its result has {outcome.received_bytes:,} bytes, about {tokens:,} tokens",
            "Hosts cut results of that size, and the rest is lost unseen.",
            "Give it a limit with a default, and say in the result how much is left.",
        )
    ]


# Rules on one tool


def _check_name(tool: ToolInfo) -> Iterator[Remark]:
    if USABLE_NAME.fullmatch(tool.name):
        return

    yield Remark(
        "wrong",
        "name",
        tool.name,
        "its name is not 1 to 64 letters, digits, - and _",
        "Models' services refuse such names; hosts rename the tool or leave it out.",
        "Rename it.",
    )


def _check_description(tool: ToolInfo) -> Iterator[Remark]:
    if len(tool.description.strip()) >= LEAST_DESCRIPTION:
        return

    yield Remark(
        "wrong",
        "description",
        tool.name,
        "it has no description"
        if not tool.description.strip()
        else f"its description is {tool.description.strip()!r} alone",
        "A model chooses a tool by its description.",
        "Say what it does, when to use it, and what comes back.",
    )


def _check_size(tool: ToolInfo) -> Iterator[Remark]:
    tokens = tokens_of(tool)
    if tokens <= MOST_TOOL_TOKENS:
        return

    yield Remark(
        "note",
        "size",
        tool.name,
        f"its definition takes about {tokens:,} tokens",
        "It is paid for with every request of every conversation.",
        "Shorten the description, or move what is rarely needed into a resource.",
    )


def _check_words(tool: ToolInfo) -> Iterator[Remark]:
    for line in suspicions([tool], {}):
        found = line.partition(f"tool {tool.name!r} ")[2].partition("; look at")[0]
        yield Remark(
            "wrong",
            "hidden-or-orders",
            tool.name,
            f"it {found}",
            "Hosts warn of such tools or refuse them, for attacks look like that.",
            "Write plain text that says what the tool does.",
        )


def _check_annotations(tool: ToolInfo) -> Iterator[Remark]:
    hints, name = tool.annotations, _as_words(tool.name)
    reads = only_reads(hints)
    why = "Hosts let tools run without asking by these hints."
    if reads and hints.get("destructiveHint"):
        what = "readOnlyHint and destructiveHint are both true"
    elif reads and WRITES.match(name):
        what = "it says that it only reads, and its name says that it changes something"
    elif hints.get("destructiveHint") is False and DESTROYS.match(name):
        what = "it says that it destroys nothing, and its name says that it does"
    else:
        return

    yield Remark(
        "wrong", "annotations", tool.name, what, why, "Correct one of the two."
    )


def _check_bound(tool: ToolInfo) -> Iterator[Remark]:
    words = _as_words(tool.name)
    if not LISTS.match(words) or FEW.search(words):
        return

    names = [_as_words(name) for name, _ in parameters(tool)]
    takes_sql = any(name in ("sql", "query", "statement") for name in names)
    if takes_sql or any(BOUND.search(name) for name in names):
        return

    yield Remark(
        "note",
        "unbounded-result",
        tool.name,
        "it lists without a limit or a page",
        "A large result fills the model's context or is cut by the host.",
        "Add a limit with a default, and a cursor for the rest.",
    )


def _check_parameters(tool: ToolInfo) -> Iterator[Remark]:
    for name, schema in parameters(tool):
        for rule in PARAMETER_RULES:
            yield from rule(tool.name, name, schema)


# Rules on one parameter


def _check_credential(
    tool: str, name: str, schema: Mapping[str, Any]
) -> Iterator[Remark]:
    if schema.get("type") not in (None, "string"):
        return
    if not is_secret_name(name, NameLevel.ARGUMENT) or BOUND.search(_as_words(name)):
        return

    yield Remark(
        "wrong",
        "credential",
        tool,
        f"the parameter {name!r} takes a credential",
        "What a model sends stands in conversations, logs and recordings.",
        "Read it from the environment of the server, or ask for it by an elicitation.",
    )


def _check_format(tool: str, name: str, schema: Mapping[str, Any]) -> Iterator[Remark]:
    if not _is_plain_text(schema) or not _is_time(name, schema):
        return

    told = schema.get("format") or schema.get("pattern") or schema.get("examples")
    if told or SAYS_FORMAT.search(_words_of(schema)):
        return

    yield Remark(
        "wrong",
        "format",
        tool,
        f"the parameter {name!r} does not say how a date or time is written",
        "A model guesses, and guesses differently each time.",
        'Add "format": "date" or "date-time", or say it: YYYY-MM-DD.',
    )


def _is_time(name: str, schema: Mapping[str, Any]) -> bool:
    words = _as_words(name)
    if TIME_NAME.search(words):
        return True

    return bool(SPAN_NAME.search(words) and SPEAKS_OF_TIME.search(_words_of(schema)))


def _check_enum(tool: str, name: str, schema: Mapping[str, Any]) -> Iterator[Remark]:
    if not _is_plain_text(schema) or schema.get("pattern"):
        return

    words = _find_set(schema.get("description"))
    if len(words) < 2:
        return

    yield Remark(
        "wrong",
        "enum",
        tool,
        f"the parameter {name!r} takes one of {', '.join(words[:6])}, in words only",
        "A model invents values that a schema would forbid.",
        f'Add "enum": {json.dumps(words[:12])}.',
    )


def _check_example(tool: str, name: str, schema: Mapping[str, Any]) -> Iterator[Remark]:
    if schema.get("examples") or EXAMPLE.search(str(schema.get("description") or "")):
        return

    is_open = schema.get("type") == "object" and not _says_what_is_in(schema)
    not_obvious = _is_plain_text(schema) and NOT_OBVIOUS.search(_as_words(name))
    if not is_open and not not_obvious:
        return

    yield Remark(
        "note",
        "example",
        tool,
        f"the parameter {name!r} shows no example of what it takes",
        "Its form is not obvious, and a model's first guess costs a call.",
        'Add "examples", or one in the description.',
    )


def _check_about(tool: str, name: str, schema: Mapping[str, Any]) -> Iterator[Remark]:
    if schema.get("description") or schema.get("title") or schema.get("enum"):
        return
    if len(name) > 1 and schema.get("type") in ("boolean", "integer", "number"):
        return

    yield Remark(
        "note",
        "parameter-description",
        tool,
        f"the parameter {name!r} has no description",
        "A model has its name alone to go by.",
        "Say what it is, and what is usual.",
    )


RULES: tuple[Rule, ...] = (
    _check_name,
    _check_description,
    _check_size,
    _check_words,
    _check_annotations,
    _check_bound,
    _check_parameters,
)
PARAMETER_RULES = (
    _check_credential,
    _check_format,
    _check_enum,
    _check_example,
    _check_about,
)


# Rules on all tools together


def _check_whole_size(tools: list[ToolInfo]) -> Iterator[Remark]:
    tokens = sum(map(tokens_of, tools))
    if tokens <= MOST_TOKENS:
        return

    yield Remark(
        "wrong",
        "size",
        "",
        f"the {len(tools)} tools take about {tokens:,} tokens in each request",
        "Much of a model's context is gone before the first question.",
        "Offer fewer tools, by groups that can be switched on, or shorter descriptions.",
    )


def _check_lookalikes(tools: list[ToolInfo]) -> Iterator[Remark]:
    seen: dict[str, str] = {}
    for tool in tools:
        other = seen.setdefault(_shape_of(tool.name), tool.name)
        if other == tool.name:
            continue

        yield Remark(
            "wrong",
            "look-alike",
            tool.name,
            f"its name is hard to tell from {other}",
            "A person who approves one may mean the other, and so may a model.",
            "Rename one of the two.",
        )


def _check_hints_exist(tools: list[ToolInfo]) -> Iterator[Remark]:
    silent = [tool.name for tool in tools if "readOnlyHint" not in tool.annotations]
    if not silent:
        return

    more = f" and {len(silent) - 3} more" if len(silent) > 3 else ""
    yield Remark(
        "note",
        "annotations",
        "",
        f"{', '.join(silent[:3])}{more} do not say whether they only read",
        "A host asks the person at each call, or offers none of them where it must not write.",
        "Set annotations.readOnlyHint, and destructiveHint where it writes.",
    )


# What a definition says


def tokens_of(tool: ToolInfo) -> int:
    """Tokens that the tool takes in a request, about."""
    size = len(json.dumps(tool.input_schema)) + len(tool.description) + len(tool.name)
    return size // BYTES_PER_TOKEN


def parameters(tool: ToolInfo) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The tool's parameters with their schemas; of an optional one that of its value."""
    properties = tool.input_schema.get("properties")
    if not isinstance(properties, dict):
        return

    for name, schema in properties.items():
        if isinstance(schema, dict):
            yield str(name), _without_null(schema)


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """pydantic writes `X | None` as a choice: the part that is not null, with what
    stands beside it.
    """
    choices = schema.get("anyOf")
    if not isinstance(choices, list):
        return schema

    parts = [one for one in choices if isinstance(one, dict)]
    parts = [one for one in parts if one.get("type") != "null"]
    return {**parts[0], **schema} if len(parts) == 1 else schema


def _is_plain_text(schema: Mapping[str, Any]) -> bool:
    is_free = not any(key in schema for key in ("enum", "const", "$ref", "format"))
    return schema.get("type") == "string" and is_free


def _says_what_is_in(schema: Mapping[str, Any]) -> bool:
    keys = ("properties", "patternProperties", "$ref", "allOf", "oneOf", "anyOf")
    has_rest = isinstance(schema.get("additionalProperties"), dict)
    return has_rest or any(schema.get(key) for key in keys)


def _words_of(schema: Mapping[str, Any]) -> str:
    keys = ("description", "title", "default")
    return " ".join(str(schema[key]) for key in keys if schema.get(key))


def _find_set(description: Any) -> list[str]:
    """The values of a fixed set that a description names; none where it is open."""
    if not isinstance(description, str) or OPEN_END.search(description):
        return []

    for pattern in SETS:
        found = pattern.search(description)
        if found is None:
            continue

        words = QUOTED.findall(found[1]) or _divide(found[1])
        if len(set(words)) >= 2:
            return list(dict.fromkeys(words))

    return []


def _divide(text: str) -> list[str]:
    """`asc|desc` and `a, b, or c` as words; nothing where it is a sentence."""
    clause = re.split(r"[.;()\n]", text, maxsplit=1)[0]
    words = re.split(r"\s*(?:,\s*or\s+|,|\||/|\bor\b)\s*", clause.strip())
    if all(re.fullmatch(r"[\w-]+", word) for word in words):
        return words

    return []


def _as_words(name: str) -> str:
    """`getUserById` and `get-user-by-id` as `get_user_by_id`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[-. ]", "_", name).lower()


def _shape_of(name: str) -> str:
    """What two names have in common that look alike."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(CONFUSABLE.get(letter, letter) for letter in plain)
    return letters.translate(LOOKS_LIKE).replace("rn", "m").replace("vv", "w")


# Cyrillic and Greek letters that are drawn as Latin ones
CONFUSABLE = dict(zip("асеорхуіјѕһԁαοινρυ", "aceopxyijshdaoivpu", strict=True))
