"""Allow, ask or deny: pure decisions about one tool call.

What a tool says of itself (`readOnlyHint`) is shown to the person and grants nothing:
fourteen servers that promise to read accepted a DELETE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mcp_notebook.policy.grants import Grants
from mcp_notebook.policy.patterns import matches

Action = Literal["allow", "ask", "deny"]

DENIED_UNATTENDED = "Nobody can be asked in this run and the call was not allowed beforehand. Go on without it, or say what you need."
DENIED_BY_PERSON = (
    "The person denied this call. Do not repeat it; ask what to do instead."
)
DENIED_BY_RULE = "The person does not allow this tool. Go on without it."
DENIED_CHANGED = "The server changed this tool since the person saw it, so the call was not sent. Go on without it."


@dataclass(frozen=True)
class Rules:
    """What the person laid down, as `patterns` reads it; of several that match, deny
    wins, then ask, then allow.
    """

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    default: Action = "ask"
    attended: bool = True  # a person is there to answer
    # what becomes of a question when nobody is there
    unattended: Literal["deny", "allow"] = "deny"


@dataclass(frozen=True)
class Asked:
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


@dataclass(frozen=True)
class Decision:
    """What happens with a call and, for a denial, what Claude is told. `always`: the
    answer may be remembered.
    """

    action: Action
    reason: str = ""
    always: bool = True


def denial(reason: str) -> str:
    """What Claude is told when the person denied a call, with the reason that they gave, if any."""
    return (
        f"The person denied this call and says: {reason}\nDo not repeat it unchanged."
        if reason
        else DENIED_BY_PERSON
    )


def decide(call: Asked, rules: Rules, grants: Grants) -> Decision:
    """Decide about one call."""
    if _match(rules.deny, call):
        return Decision("deny", DENIED_BY_RULE)
    # asked each time: an answer for another call's arguments does not count
    if _match(rules.ask, call):
        return _question(rules, always=False)
    if (
        call.changed
        and not call.trusted
        and not grants.holds(call.spec, call.tool, call.fingerprint)
    ):
        return (
            Decision("deny", DENIED_BY_RULE)
            if rules.default == "deny"
            else _question(rules)
        )
    if (
        call.trusted
        or _match(rules.allow, call)
        or grants.holds(call.spec, call.tool, call.fingerprint)
    ):
        return Decision("allow")
    if rules.default == "deny":
        return Decision("deny", DENIED_BY_RULE)
    return _question(rules) if rules.default == "ask" else Decision("allow")


def _question(rules: Rules, *, always: bool = True) -> Decision:
    if rules.attended:
        return Decision("ask", always=always)
    return (
        Decision("allow")
        if rules.unattended == "allow"
        else Decision("deny", DENIED_UNATTENDED)
    )


def _match(patterns: tuple[str, ...], call: Asked) -> bool:
    return matches(patterns, call.server, call.tool, call.arguments)


def claims(annotations: Mapping[str, Any]) -> str:
    """What a tool says of itself, in words, marked as its own claim."""
    said = {_snake(key): value for key, value in annotations.items()}
    if said.get("read_only_hint"):
        return "The tool says that it only reads; nobody checked that."
    if said.get("destructive_hint"):
        return "The tool says that it may change or delete data."
    return "The tool does not say whether it only reads."


def only_reads(annotations: Mapping[str, Any]) -> bool:
    """Whether a tool claims that it only reads."""
    return bool(annotations.get("readOnlyHint") or annotations.get("read_only_hint"))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
