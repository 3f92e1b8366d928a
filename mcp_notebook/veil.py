"""The masked columns of a notebook (`MCPNotebook.mask`) as everything that leaves sees
them: by name, by the SQL that computes with them, and by the values once seen.

The person sees their own data; models, outside clients, logs, recordings and frozen code
get `***`. What this cannot do stands in docs/masking.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from typing import Any

from mcp_notebook.known_values import MASK, KnownValues
from mcp_notebook.sql_lineage import masked_columns, mentions
from mcp_notebook.sql_words import sql_of

MOST_LEARNED = 50_000  # values of one column
LEAST_TEXT = 4  # characters; a shorter text stands in too many others
LEAST_DIGITS = 5  # a shorter number, too
_QUOTED = re.compile(r"'([^'\n]{1,500})'|\"([^\"\n]{1,500})\"|`([^`\n]{1,500})`")
_TYPE = re.compile(
    r"(?:big|small|tiny|u)?int(?:eger)?\d*|text|(?:var)?char.*|string|real|float\d*|double.*"
    r"|numeric.*|decimal.*|bool(?:ean)?|date|time.*|uuid|blob|bytea|json.*|any|object",
    re.IGNORECASE,
)


class Veil:
    """What is masked in one kernel. `patterns` gives the settings of the moment."""

    def __init__(self, patterns: Callable[[], Sequence[str]] = tuple) -> None:
        self._patterns = patterns
        self.known = KnownValues()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names and patterns that the person set."""
        return tuple(self._patterns())

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def covers(self, name: str) -> bool:
        """Whether a column or field of this name is masked."""
        return covers(self.patterns, name)

    def columns_of(
        self, names: Sequence[str], arguments: Mapping[str, Any], hint: str = ""
    ) -> frozenset[str]:
        """The masked columns of what a call with these arguments returned."""
        if not self:
            return frozenset()
        return masked_columns(sql_of(arguments), names, self.covers, hint)

    def learn(self, values: Iterable[Any]) -> None:
        """Know values of a masked column, wherever they appear again."""
        self.known.learn(_texts_of(values))

    def hide(self, text: str) -> str:
        """A text that leaves: without values that were seen, and without what stands
        after a masked name.
        """
        if not self:
            return text
        patterns = self.patterns
        folded = text.casefold()
        # most texts name no masked column, and finding that out is cheap
        if any(piece in folded for piece in _letters(patterns)):
            text = _after_names(patterns).sub(_hide_after, text)
        return self.known.hide(text)

    def hide_values(self, text: str) -> str:
        """The text without values that were seen."""
        if not self:
            return text
        return self.known.hide(text)

    def hide_error(self, text: str, arguments: Mapping[str, Any]) -> str:
        """An error's words: engines quote the value that they could not convert."""
        sql = sql_of(arguments)
        if not self or not sql:
            return self.hide(text)
        if mentions(sql, self.covers) or "*" in sql:
            text = _QUOTED.sub(lambda found: _hide_unless(found, sql), text)
        return self.hide(text)

    def hide_json(self, value: Any) -> Any:
        """JSON that leaves, with its masked fields hidden, and rows that name a masked
        column in a cell.
        """
        if isinstance(value, str):
            return self.hide_values(value)
        if isinstance(value, Mapping):
            is_row = any(isinstance(v, str) and self.covers(v) for v in value.values())
            return {
                name: self._hide_field(str(name), inner, is_row)
                for name, inner in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.hide_json(inner) for inner in value]

        return value

    def hide_schema(self, tool: Any) -> Any:
        """The description and schema of a tool; examples of a masked argument go whole."""
        if isinstance(tool, str):
            return self.hide(tool)
        if isinstance(tool, Mapping):
            return {
                name: _without_examples(inner)
                if self.covers(str(name)) and isinstance(inner, Mapping)
                else self.hide_schema(inner)
                for name, inner in tool.items()
            }
        if isinstance(tool, list | tuple):
            return [self.hide_schema(inner) for inner in tool]

        return tool

    def _hide_field(self, name: str, value: Any, is_row: bool) -> Any:
        if self.covers(name) and value is not None:
            return MASK
        if is_row and not says_nothing(value) and not self.covers(str(value)):
            return MASK
        return self.hide_json(value)


def _without_examples(schema: Mapping[str, Any]) -> dict[str, Any]:
    shown = (
        "type",
        "format",
        "items",
        "properties",
        "required",
        "minLength",
        "maxLength",
    )
    return {name: inner for name, inner in schema.items() if name in shown}


def says_nothing(value: Any) -> bool:
    """Whether a cell beside a masked column's name can be none of its values: the name
    of a type, a yes or no, nothing.
    """
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, str) and (not value or _TYPE.fullmatch(value) is not None)


@lru_cache(maxsize=4096)
def covers(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns (`email`, `*_token`, any case) is this name."""
    folded = name.casefold()
    return any(
        folded == p.casefold() or fnmatchcase(folded, p.casefold()) for p in patterns
    )


def _texts_of(values: Iterable[Any]) -> list[str]:
    found = set()
    for value in values:
        if value is None or isinstance(value, bool):
            continue

        text = str(value)
        is_number = isinstance(value, int | float) or text.isdigit()
        if len(text) >= (LEAST_DIGITS if is_number else LEAST_TEXT):
            found.add(text)
            found |= {text.lower(), text.upper()}
        if len(found) > MOST_LEARNED:
            break

    return list(found)


@lru_cache(maxsize=16)
def _after_names(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """A masked name with what a description says of it: `email TEXT: a@b|c@d`, `email =
    a@b`, `"email": "a@b"`, up to the next column or the end of the line.
    """
    # a `*` of a pattern is letters of a name, and no more than a name has
    names = "|".join(
        translate(p)[4:-3].replace(".*", r"\w{0,40}").replace(".", r"\w")
        for p in patterns
    )
    kind = r"(?:[ \t]+[A-Za-z][A-Za-z0-9_]*(?:\([0-9, ]*\))?){0,2}(?:[ \t]+key)?"
    return re.compile(
        rf"(?P<name>(?<![\w@.])(?:{names})(?!\w)[\"'`\]]?{kind})"
        r"(?P<mark>[ \t]*(?::|=|\.\.|→|->)[ \t]*)"
        r"(?P<said>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'"
        r"|(?:(?!,[ \t]*\"?\w+\"?[ \t]+(?-i:[A-Z]{3,}))[^\n}\]]){1,2000})",
        re.IGNORECASE,
    )


@lru_cache(maxsize=16)
def _letters(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The longest part of each pattern that stands in every name of it."""
    parts = (re.split(r"[*?]|\[[^\]]*\]", pattern.casefold()) for pattern in patterns)
    return tuple(max(pieces, key=len) for pieces in parts)


def _hide_after(found: "re.Match[str]") -> str:
    said = found["said"]
    quote = said[0] if said[:1] in "\"'" else ""
    if said.strip().casefold() in ("null", "masked", MASK) or not said.strip():
        return found[0]
    return f"{found['name']}{found['mark']}{quote}{MASK}{quote}"


def _hide_unless(found: "re.Match[str]", sql: str) -> str:
    inner = next(group for group in found.groups() if group is not None)
    if inner in sql or re.fullmatch(r"[A-Z_ ]+", inner):
        return found[0]
    return found[0].replace(inner, MASK)


NO_VEIL = Veil()
