"""Allow, ask or deny: pure decisions about one tool call.

What a tool says of itself (`readOnlyHint`) is shown to the person and grants nothing: fourteen servers that promise
to read accepted a DELETE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

Action = Literal["allow", "ask", "deny"]

DENIED_UNATTENDED = (
    "Nobody can be asked in this run and the call was not allowed beforehand. Go on without it, or say what you need."
)
DENIED_BY_PERSON = "The person denied this call. Do not repeat it; ask what to do instead."
DENIED_BY_RULE = "The person does not allow this tool. Go on without it."


@dataclass(frozen=True)
class Rules:
    """What the person laid down. Patterns match `tool`, or `server.tool`, with * and ?."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    default: Action = "ask"
    attended: bool = True  # a person is there to answer


@dataclass
class Grants:
    """Tools that the person allowed for this kernel, each bound to the definition that was shown."""

    fingerprints: set[tuple[str, str, str]] = field(default_factory=set)

    def add(self, server: str, tool: str, fingerprint: str) -> None:
        """Remember one tool of one server as it is defined now."""
        self.fingerprints.add((server, tool, fingerprint))

    def holds(self, server: str, tool: str, fingerprint: str) -> bool:
        """Whether exactly this definition was allowed; a changed one asks again."""
        return (server, tool, fingerprint) in self.fingerprints


@dataclass(frozen=True)
class Decision:
    """What happens with a call and, for a denial, what Claude is told."""

    action: Action
    reason: str = ""


def decide(server: str, tool: str, fingerprint: str, *, trusted: bool, rules: Rules, grants: Grants) -> Decision:
    """Decide about one call. `trusted`: the notebook's own server or a bundled read-only one."""
    if matches(rules.deny, server, tool):
        return Decision("deny", DENIED_BY_RULE)
    if trusted or matches(rules.allow, server, tool) or grants.holds(server, tool, fingerprint):
        return Decision("allow")
    if rules.default == "ask" and not rules.attended:
        return Decision("deny", DENIED_UNATTENDED)
    if rules.default == "deny":
        return Decision("deny", DENIED_BY_RULE)
    return Decision(rules.default)


def matches(patterns: tuple[str, ...], server: str, tool: str) -> bool:
    """Whether one of the patterns names this tool."""
    return any(fnmatchcase(f"{server}.{tool}", p) or fnmatchcase(tool, p) for p in patterns)


def claims(annotations: Mapping[str, Any]) -> str:
    """What a tool says of itself, in words, marked as its own claim."""
    said = {_snake(key): value for key, value in annotations.items()}
    if said.get("read_only_hint"):
        return "The tool says that it only reads; nobody checked that."
    if said.get("destructive_hint"):
        return "The tool says that it may change or delete data."
    return "The tool does not say whether it only reads."


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
