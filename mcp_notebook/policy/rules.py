"""Allow, ask or deny: pure decisions about one tool call, by rules of one line each.

    shop.*    read_*    shop.query(sql~'^select')    web.fetch(url='https://example.org/*')

Before the parenthesis stands a pattern for the tool or for `server.tool`, with * and ?.
The first dot ends the server's part, since a server's name has none: `shop.read_*` never
speaks of a tool of another server that calls itself `shop.read_all`.
Inside, comma separated, each argument is compared: `=` whole with * and ?, `~` with a
regular expression anywhere, `!=` and `!~` their opposites. A value that is no text is
compared as JSON; a missing argument meets no condition.

A rule that allows means what it says. Of SQL every statement must meet the condition,
also without its comments, and one that begins with a word of reading must only read;
`sql:reads` says just that. An address is compared by its parts, a path after `..` and
links are resolved, a list by each of its texts. A rule that asks or denies speaks of all
that one of these readings makes of an argument, in any letter case.

What a tool says of itself (`readOnlyHint`) is shown to the person and grants nothing:
fourteen servers that promise to read accepted a DELETE.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from mcp_notebook.errors import ConfigError
from mcp_notebook.policy.grants import Grants
from mcp_notebook.sql_effects import only_reads as only_reads_sql
from mcp_notebook.sql_words import SQL_ARGUMENTS, is_query, split_sql

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
    \s* (?: (?P<reads> :\s*reads\b )
      | (?P<operator>!?[=~])
        \s* (?P<quote>['"]) (?P<value> (?: (?!(?P=quote)). )* ) (?P=quote) )
    \s* (?:,|$)
    """,
    re.VERBOSE,
)
_LONGEST_PATH = 4_096  # characters; no system takes a longer one
_SELECTS = re.compile(r"\bselect\b", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):/*(?P<host>[^/?#]*)(?P<place>.*)", re.DOTALL
)
# What browsers, proxies and libraries read differently.
_ODD_ADDRESS = re.compile(r"[\\\s\x00-\x20\x7f]|[^\x00-\x7f]")


@dataclass(frozen=True)
class Condition:
    """What one argument must look like. `operator`: `=`, `~`, `!=`, `!~` or `reads`."""

    name: str
    operator: str
    value: str

    def holds(self, arguments: Mapping[str, Any], *, strict: bool = False) -> bool:
        """Whether the argument is there and fits. `strict`: in all that it may be read
        as, as a rule needs that allows; else in one of them.
        """
        if self.name not in arguments:
            return False

        value = arguments[self.name]
        if isinstance(value, str):
            text = value
        else:
            text = json.dumps(value, sort_keys=True, ensure_ascii=False)

        if self.operator == "reads":
            return only_reads_sql(text)

        parts = list(_texts_inside(value))
        is_negated = self.operator.startswith("!")
        # What is not meant must not be found in any reading where it would allow, and
        # only what surely is meant is spared where it would deny.
        if strict and is_negated:
            is_clear = not self._is_of_sql() or bool(_sql_readings(text))
            return is_clear and not self._finds(text, parts)

        if is_negated:
            return not self._allows(text, parts)

        if strict:
            return self._allows(text, parts)

        return self._finds(text, parts)

    def _finds(self, text: str, parts: list[str]) -> bool:
        """Whether one of the readings fits."""
        readings = [text, *parts]
        for part in [text, *parts]:
            readings += self._list_readings(part) + _loose_readings(part)

        return any(self._fits(reading, is_loose=True) for reading in readings)

    def _allows(self, text: str, parts: list[str]) -> bool:
        """Whether all of the readings fit: a wrong one must not allow."""
        # who writes `select` means a statement that reads
        if "select" in self.value.lower() and self._is_of_sql():
            if not only_reads_sql(text):
                return False

        readings = self._list_readings(text)
        if not readings or not all(map(self._fits, readings)):
            return False

        # a whole list is compared as JSON; what an expression finds in it anywhere says
        # nothing of the texts beside
        if self.operator.endswith("~"):
            return all(self._allows(part, []) for part in parts)

        return True

    def _is_of_sql(self) -> bool:
        is_named = self.name.lower() in SQL_ARGUMENTS or "sql" in self.name.lower()
        return is_named or _SELECTS.search(self.value) is not None

    def _fits(self, text: str, is_loose: bool = False) -> bool:
        wanted = self.value
        if self.operator.endswith("~"):
            return re.search(wanted, text, re.IGNORECASE) is not None

        is_address = "://" in wanted
        if is_address and (not is_loose or _fits_address(text, wanted)):
            return _fits_address(text, wanted)

        if is_loose:
            return fnmatchcase(text.casefold(), wanted.casefold())

        return fnmatchcase(text, wanted)

    def _list_readings(self, text: str) -> list[str]:
        """What the text may be read as; none where that is in doubt."""
        if self._is_of_sql():
            return _sql_readings(text)

        if "://" in self.value:
            is_odd = _ODD_ADDRESS.search(text) or "@" in text.partition("?")[0]
            return [] if is_odd else [text]

        if _looks_like_path(text) or _looks_like_path(self.value):
            return _path_readings(text)

        return [text]


@dataclass(frozen=True)
class Pattern:
    """One rule: a pattern for the tool, and conditions that all must hold."""

    tool: str
    conditions: tuple[Condition, ...] = ()

    def matches(
        self,
        server: str,
        tool: str,
        arguments: Mapping[str, Any],
        *,
        strict: bool = False,
    ) -> bool:
        """Whether a call is one that the rule speaks of. `strict`: for rules that allow;
        those that ask or deny also speak of what only looks like it.
        """
        if not self._names(server, tool, strict):
            return False

        return all(c.holds(arguments, strict=strict) for c in self.conditions)

    def _names(self, server: str, tool: str, strict: bool) -> bool:
        of_server, dot, of_tool = self.tool.partition(".")
        if not dot:
            named = fnmatchcase(tool, self.tool)
        else:
            named = fnmatchcase(server, of_server) and fnmatchcase(tool, of_tool)

        if strict or named:
            return named

        return fnmatchcase(f"{server}.{tool}", self.tool) or fnmatchcase(
            tool, self.tool
        )


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
                f"{text!r}: write the conditions as name='text', name~'pattern' or "
                "sql:reads, comma separated."
            )

        operator, value = found["operator"] or "reads", found["value"] or ""
        if operator.endswith("~"):
            _check_expression(value)

        conditions.append(Condition(found["name"], operator, value))
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
    *,
    strict: bool = True,
) -> bool:
    """Whether one of the rules speaks of this call; raises ConfigError for a wrong rule."""
    given = arguments or {}
    return any(
        parse_rule(text).matches(server, tool, given, strict=strict) for text in rules
    )


def _sql_readings(text: str) -> list[str]:
    """The statements of a text, each of which a rule must fit, with their comments and
    without. A text that begins with a word of reading and does not surely only read is
    no reading of anything.
    """
    statements = [""]
    bare = [""]
    for token in split_sql(text):
        if token.kind == "mark" and token.text == ";":
            statements.append("")
            bare.append("")
        else:
            statements[-1] += token.text
            # what stands in a comment is no part of the statement
            bare[-1] += " " if token.kind == "comment" else token.text

    parts = [part.strip() for part in (*statements, *bare) if part.strip()]
    wholes = [text, *parts]
    if any(is_query(part) and not only_reads_sql(part) for part in wholes):
        return []

    return list(dict.fromkeys(parts))


def _looks_like_path(text: str) -> bool:
    return any(sign in text for sign in ("/", "\\", "..", "~"))


def _path_readings(text: str) -> list[str]:
    """A path as it is written, without its `..`, as another system writes it, decoded,
    and where its links lead here; none for what no system takes.
    """
    if "\0" in text:
        return []

    if len(text) > _LONGEST_PATH:
        return [text, os.path.normpath(text)]

    found = [text]
    for form in dict.fromkeys((text, unquote(text), text.replace("\\", "/"))):
        path = os.path.expanduser(form)
        real = os.path.realpath(path)
        if not os.path.isabs(path):
            # told from where we are, as the rule tells it
            real = os.path.relpath(real)

        # a closing `/` says nothing else, and two that begin a path mean one
        plain = re.sub(r"^//+", "/", os.path.normpath(path))
        closing = "/" if form.endswith("/") and plain != "/" else ""
        found += [plain + closing, real + closing]

    return list(dict.fromkeys(found))


def _loose_readings(text: str) -> list[str]:
    """What a rule that denies is asked for besides: all that somebody may take the text
    for, whether or not it is that.
    """
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if c.isprintable())
    decoded = unquote(plain)
    found = [plain, plain.strip(), decoded]
    for form in (plain.strip(), decoded.strip()):
        found += _path_readings(form.removeprefix("file://"))
        found += _address_readings(form)

    statements = [*_split_statements(text), *_split_statements(decoded)]
    return [*found, *statements, *(" ".join(part.split()) for part in statements)]


def _address_readings(text: str) -> list[str]:
    """An address as the kindest reader takes it: without a user, the usual port, the dot
    behind the host, and with `/` for `\\`.
    """
    found = _ADDRESS.match(text.replace("\\", "/"))
    if found is None:
        return []

    host = found["host"].rpartition("@")[2].rstrip(".").casefold()
    host = re.sub(r"\.?:(?:80|443)?$", "", host)
    place = posixpath.normpath(found["place"] or "/").replace("//", "/")
    wholes = (f"{host}{found['place'] or '/'}", f"{host}{place}", f"{host}{place}/")
    return [f"{found['scheme'].casefold()}://{whole}" for whole in wholes]


def _split_statements(text: str) -> list[str]:
    bare = [" " if t.kind == "comment" else t.text for t in split_sql(text)]
    return [part.strip() for part in "".join(bare).split(";") if part.strip()]


def _texts_inside(value: Any) -> Iterator[str]:
    """The texts in a list or an object, at any depth."""
    if isinstance(value, Mapping):
        yield from _texts_inside(list(value.values()))
    elif isinstance(value, list | tuple):
        for inner in value:
            if isinstance(inner, str):
                yield inner
            else:
                yield from _texts_inside(inner)


def _fits_address(text: str, pattern: str) -> bool:
    """Whether an address fits in every part: a `*` for the host is none for the path."""
    if _ODD_ADDRESS.search(text):
        return False

    try:
        given, wanted = urlsplit(text), urlsplit(pattern)
        same_port = given.port == wanted.port
    except ValueError:
        return False

    if "@" in given.netloc or not same_port:
        return False

    if given.scheme != wanted.scheme or not _fits_host(given, wanted):
        return False

    wanted_place = _add_query(wanted.path or "/", wanted.query)
    # `/a/../b` is `/b` to the server, also when its dots are written as %2e
    path = posixpath.normpath(unquote(given.path) or "/")
    with_slash = path.rstrip("/") + "/"
    places = (_add_query(path, given.query), _add_query(with_slash, given.query))
    return any(fnmatchcase(place, wanted_place) for place in places)


def _fits_host(given: SplitResult, wanted: SplitResult) -> bool:
    host = (given.hostname or "").rstrip(".")
    return fnmatchcase(host, wanted.hostname or "")


def _add_query(path: str, query: str) -> str:
    if query:
        return f"{path}?{query}"

    return path


@dataclass(frozen=True)
class Rules:
    """What the person laid down; of several rules that match, deny wins, then ask, then
    allow.
    """

    allow: tuple[str, ...] = ()
    # by server, what was allowed when it was connected: patterns for its tools alone
    allow_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
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
        """Whether one of the rules that ask or deny speaks of this call."""
        return matches_any(rules, self.server, self.tool, self.arguments, strict=False)

    def is_allowed_by(self, rules: Rules) -> bool:
        """Whether a rule allows exactly this call."""
        general = matches_any(rules.allow, self.server, self.tool, self.arguments)
        own = rules.allow_of.get(self.server, ())
        return general or matches_any(own, self.server, self.tool, self.arguments)


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
    if not call.changed and call.is_allowed_by(rules):
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
