"""Rules in one line each: `shop.*`, `read_*`, `shop.query(sql~'^select')`,
`web.fetch(url='https://example.org/*')`.

Before the parenthesis stands a pattern for the tool or for `server.tool`, with * and ?.
Inside, comma separated, each argument is compared: `=` whole with * and ?, `~` with a
regular expression anywhere, `!=` and `!~` their opposites. A value that is no text is
compared as JSON; a missing argument meets no condition.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from mcp_notebook.errors import ConfigError

_RULE = re.compile(r"(?P<tool>[^()\s]+)\s*(?:\((?P<conditions>.*)\))?", re.DOTALL)
_CONDITION = re.compile(
    r"\s*(?P<name>[\w.-]+)\s*(?P<how>!?[=~])\s*(?P<quote>['\"])(?P<value>(?:(?!(?P=quote)).)*)(?P=quote)\s*(?:,|$)"
)


@dataclass(frozen=True)
class Condition:
    """What one argument must look like."""

    name: str
    how: str
    value: str

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the argument is there and fits."""
        if self.name not in arguments:
            return False
        given = arguments[self.name]
        text = (
            given
            if isinstance(given, str)
            else json.dumps(given, sort_keys=True, ensure_ascii=False)
        )
        if self.how.endswith("~"):
            found = re.search(self.value, text, re.IGNORECASE) is not None
        else:
            found = fnmatchcase(text, self.value)
        return found != self.how.startswith("!")


@dataclass(frozen=True)
class Pattern:
    """One rule's left side."""

    tool: str
    conditions: tuple[Condition, ...] = ()

    def matches(self, server: str, tool: str, arguments: Mapping[str, Any]) -> bool:
        """Whether a call is one that the rule speaks of."""
        named = fnmatchcase(f"{server}.{tool}", self.tool) or fnmatchcase(
            tool, self.tool
        )
        return named and all(
            condition.holds(arguments) for condition in self.conditions
        )


@lru_cache(maxsize=256)
def parse(text: str) -> Pattern:
    """A rule as the person wrote it; raises ConfigError."""
    rule = _RULE.fullmatch(text.strip())
    if rule is None:
        raise ConfigError(
            f"{text!r} is no rule for tools; write server.tool or server.tool(argument~'pattern')."
        )
    inside, conditions, at = rule["conditions"] or "", [], 0
    while at < len(inside):
        found = _CONDITION.match(inside, at)
        if found is None:
            raise ConfigError(
                f"{text!r}: write the conditions as name='text' or name~'pattern', comma separated."
            )
        conditions.append(
            Condition(
                found["name"], found["how"], _checked(found["how"], found["value"])
            )
        )
        at = found.end()
    return Pattern(rule["tool"], tuple(conditions))


def matches(
    patterns: Iterable[str],
    server: str,
    tool: str,
    arguments: Mapping[str, Any] | None = None,
) -> bool:
    """Whether one of the rules speaks of this call."""
    return any(parse(text).matches(server, tool, arguments or {}) for text in patterns)


def _checked(how: str, value: str) -> str:
    try:
        re.compile(value if how.endswith("~") else "")
    except re.error as error:
        raise ConfigError(f"{value!r} is no regular expression: {error}.") from None
    return value
