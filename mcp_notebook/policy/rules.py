"""Allow, ask or deny: pure decisions about one tool call, by rules of one line each.

    shop.*    read_*    shop.query(sql~'^select')    web.fetch(url='https://example.org/*')

Before the parenthesis stands a pattern for the tool or for `server.tool`, with * and ?.
Inside, comma separated, each argument is compared: `=` whole with * and ?, `~` with a
regular expression anywhere, `!=` and `!~` their opposites. A value that is no text is
compared as JSON; a missing argument meets no condition.

What a tool says of itself (`readOnlyHint`) is shown to the person and grants nothing:
fourteen servers that promise to read accepted a DELETE.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal

from mcp_notebook.errors import ConfigError
from mcp_notebook.policy.grants import Grants

Action = Literal["allow", "ask", "deny"]

DENIED_UNATTENDED = (
    "Nobody can be asked in this run and the call was not allowed beforehand. "
    "Go on without it, or say what you need."
)
DENIED_BY_PERSON = (
    "The person denied this call. Do not repeat it; ask what to do instead."
)
DENIED_BY_RULE = "The person does not allow this tool. Go on without it."
DENIED_CHANGED = (
    "The server changed this tool since the person saw it, so the call was not sent. "
    "Go on without it."
)

_RULE = re.compile(r"(?P<tool>[^()\s]+)\s*(?:\((?P<conditions>.*)\))?", re.DOTALL)
_CONDITION = re.compile(
    r"""
    \s* (?P<name>[\w.-]+)
    \s* (?P<operator>!?[=~])
    \s* (?P<quote>['"]) (?P<value> (?: (?!(?P=quote)). )* ) (?P=quote)
    \s* (?:,|$)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Condition:
    """What one argument must look like. `operator`: `=`, `~`, `!=` or `!~`."""

    name: str
    operator: str
    value: str

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the argument is there and fits."""
        if self.name not in arguments:
            return False

        text = arguments[self.name]
        if not isinstance(text, str):
            text = json.dumps(text, sort_keys=True, ensure_ascii=False)

        if self.operator.endswith("~"):
            fits = re.search(self.value, text, re.IGNORECASE) is not None
        else:
            fits = fnmatchcase(text, self.value)

        negated = self.operator.startswith("!")
        return fits != negated


@dataclass(frozen=True)
class Pattern:
    """One rule: a pattern for the tool, and conditions that all must hold."""

    tool: str
    conditions: tuple[Condition, ...] = ()

    def matches(self, server: str, tool: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a call is one that the rule speaks of."""
        whole_name = f"{server}.{tool}"
        if not (fnmatchcase(whole_name, self.tool) or fnmatchcase(tool, self.tool)):
            return False
        return all(condition.holds(arguments) for condition in self.conditions)


@lru_cache(maxsize=256)
def parse_rule(text: str) -> Pattern:
    """A rule as the person wrote it; raises ConfigError."""
    rule = _RULE.fullmatch(text.strip())
    if rule is None:
        raise ConfigError(
            f"{text!r} is no rule for tools; write server.tool or "
            "server.tool(argument~'pattern')."
        )

    inside = rule["conditions"] or ""
    conditions: list[Condition] = []
    at = 0
    while at < len(inside):
        found = _CONDITION.match(inside, at)
        if found is None:
            raise ConfigError(
                f"{text!r}: write the conditions as name='text' or name~'pattern', "
                "comma separated."
            )

        if found["operator"].endswith("~"):
            _check_expression(found["value"])

        conditions.append(Condition(found["name"], found["operator"], found["value"]))
        at = found.end()

    return Pattern(rule["tool"], tuple(conditions))


def _check_expression(expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        raise ConfigError(
            f"{expression!r} is no regular expression: {error}."
        ) from None


def matches_any(
    rules: Iterable[str],
    server: str,
    tool: str,
    arguments: Mapping[str, Any] | None = None,
) -> bool:
    """Whether one of the rules speaks of this call; raises ConfigError for a wrong rule."""
    given = arguments or {}
    return any(parse_rule(text).matches(server, tool, given) for text in rules)


@dataclass(frozen=True)
class Rules:
    """What the person laid down; of several rules that match, deny wins, then ask, then
    allow.
    """

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    default: Action = "ask"
    attended: bool = True  # a person is there to answer
    # what becomes of a question when nobody is there
    unattended: Literal["deny", "allow"] = "deny"


@dataclass(frozen=True)
class CallRequest:
    """A call to decide about. `spec`: fingerprint of the server's description;
    `trusted`: our own reading servers.

    `changed`: the tool is not what it was when its server was connected, so what was
    allowed then does not count.
    """

    server: str
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    spec: str = ""
    fingerprint: str = ""
    trusted: bool = False
    changed: bool = False

    def is_named_in(self, rules: tuple[str, ...]) -> bool:
        """Whether one of the rules speaks of this call."""
        return matches_any(rules, self.server, self.tool, self.arguments)


@dataclass(frozen=True)
class Decision:
    """What happens with a call and, for a denial, what Claude is told. `always`: the
    answer may be remembered.
    """

    action: Action
    reason: str = ""
    always: bool = True


def decide(call: CallRequest, rules: Rules, grants: Grants) -> Decision:
    """Decide about one call; raises ConfigError for a rule that is none."""
    if call.is_named_in(rules.deny):
        return Decision("deny", DENIED_BY_RULE)
    if call.is_named_in(rules.ask):
        # Asked each time: an answer for another call's arguments does not count.
        return _ask(rules, always=False)
    if call.trusted or grants.holds(call.spec, call.tool, call.fingerprint):
        return Decision("allow")
    # A rule was written for the tool as it was; a changed one is asked for anew.
    if not call.changed and call.is_named_in(rules.allow):
        return Decision("allow")
    if rules.default == "deny":
        return Decision("deny", DENIED_BY_RULE)
    if rules.default == "ask" or call.changed:
        return _ask(rules)

    return Decision("allow")


def _ask(rules: Rules, *, always: bool = True) -> Decision:
    if rules.attended:
        return Decision("ask", always=always)
    if rules.unattended == "allow":
        return Decision("allow")
    return Decision("deny", DENIED_UNATTENDED)


def denial_text(reason: str) -> str:
    """What Claude is told when the person denied a call, with their reason, if any."""
    if not reason:
        return DENIED_BY_PERSON
    return (
        f"The person denied this call and says: {reason}\nDo not repeat it unchanged."
    )


def claim_text(annotations: Mapping[str, Any]) -> str:
    """What a tool says of itself, in words, marked as its own claim."""
    if only_reads(annotations):
        return "The tool says that it only reads; nobody checked that."
    # Servers write the hints of the spec in both spellings.
    if annotations.get("destructiveHint") or annotations.get("destructive_hint"):
        return "The tool says that it may change or delete data."

    return "The tool does not say whether it only reads."


def only_reads(annotations: Mapping[str, Any]) -> bool:
    """Whether a tool claims that it only reads."""
    return bool(annotations.get("readOnlyHint") or annotations.get("read_only_hint"))
