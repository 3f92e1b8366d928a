"""YAML lists of mappings, as `yaml.safe_dump(rows)` and js-yaml write them: `- id: 1`
and below it `  name: x`.

The part of YAML that rows need: block lists of flat mappings, plain, quoted and block
scalars, folded lines. Anchors, tags and flow collections that are no JSON are refused.
Words mean what YAML 1.2 says: `no` and `012` stay text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from mcp_notebook.results.raw_table import Answer, Taken, from_records
from mcp_notebook.results.values import jsontext

_ITEM = re.compile(r"^( *)- +(?=\S)")
_PAIR = re.compile(
    r"""^( *)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s\-?:,\[\]{}#&*!|>'"%@`](?:[^:#]|:(?=\S)|(?<=\S)#)*?)"""
    r""" *:(?: +(.*)|)$"""
)
_KEY = re.compile(r"^([\w .-]+): *$")
_SCALAR_LINE = re.compile(r"^([\w.-]+): +(\S.*)$")
_BLOCK = re.compile(r"([|>])([+-]?)(\d?)\s*$")
_LONGEST = 4_000_000  # read in a second or two
_NULLS = ("", "~", "null", "Null", "NULL")
_FLAGS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# A bare 1e5 is a text to PyYAML and never what js-yaml writes for a number.
_NUMBER = re.compile(
    r"-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]\d+)?", re.ASCII
)
_SPECIAL = {
    ".inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
    ".NaN": float("nan"),
}
_SHORT = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip
_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL
)


class _Refused(ValueError):
    """Something that is not flat rows."""


def read(text: str) -> Answer:
    """The list of mappings in a text; lines of prose above it and scalars beside it are
    the rest.
    """
    if len(text) > _LONGEST:
        return f"longer than {_LONGEST:,} characters"
    lines = text.split("\n")
    start = next(
        (n for n, line in enumerate(lines) if _ITEM.match(line) and _is_pair(line)),
        None,
    )
    if start is None:
        return "no list of mappings"
    indent = len(_match(_ITEM, lines[start])[1])
    end = next(
        (n for n in range(start, len(lines)) if not _inside(lines[n], indent)),
        len(lines),
    )
    try:
        records = _records(lines[start:end], indent)
    except (_Refused, ValueError) as error:
        return f"no flat YAML: {str(error)[:80]}"
    if not _are_rows(records):
        return "its mappings have little in common"
    above = (
        lines[: start - 1] if start and _KEY.match(lines[start - 1]) else lines[:start]
    )
    rest = "\n".join([*above, *lines[end:]]).strip("- \n")
    meta = {
        match[1]: _plain(match[2])
        for line in rest.split("\n")
        if (match := _SCALAR_LINE.match(line))
    }
    return Taken(
        (from_records(records),), rest, "high" if len(records) > 1 else "medium", meta
    )


def _are_rows(records: Sequence[dict[str, Any]]) -> bool:
    """Records of one kind: prose such as "- Note: ..." has a new name in each."""
    common = set(records[0]).intersection(*records)
    if len(records[0]) == 1:
        return len(records) > 1 and all(
            record.keys() == records[0].keys() for record in records
        )
    return len(common) * 2 > len(records[0])


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    found = pattern.match(line)
    if found is None:
        raise _Refused(f"{line[:40]!r}")
    return found


def _is_pair(line: str) -> bool:
    return _PAIR.match(line[_match(_ITEM, line).end() :].rstrip("\r")) is not None


def _inside(line: str, indent: int) -> bool:
    bare = line.rstrip("\r")
    return not bare.strip() or bare.startswith(
        (" " * (indent + 1), " " * indent + "- ")
    )


def _records(lines: Sequence[str], indent: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    at, inner = 0, indent + 2
    while at < len(lines):
        line = lines[at].rstrip("\r")
        if not line.strip():
            at += 1
            continue
        if (item := _ITEM.match(line)) and len(item[1]) == indent:
            records.append({})
            inner = item.end()
            line = " " * inner + line[inner:]
        pair = _match(_PAIR, line)
        if len(pair[1]) != inner:
            raise _Refused(f"a nested value at {line.strip()[:40]!r}")
        name = str(_inline(pair[2]) if pair[2][0] in "'\"" else pair[2])
        if name in records[-1]:
            raise _Refused(f"{name!r} twice in one mapping")
        end = at + 1
        while end < len(lines) and _continues(lines[end], inner):
            end += 1
        while (
            end > at + 1
            and not lines[end - 1].strip()
            and not _BLOCK.match((pair[3] or "").strip())
        ):
            end -= 1
        records[-1][name] = _value(
            (pair[3] or "").strip(),
            [part.rstrip("\r") for part in lines[at + 1 : end]],
            inner,
        )
        at = end
    return records


def _continues(line: str, inner: int) -> bool:
    return not line.strip() or line.startswith(" " * (inner + 1))


def _value(head: str, more: Sequence[str], inner: int) -> Any:
    """The value of `name: head` with the deeper lines below it."""
    if (block := _BLOCK.match(head)) and block.end() == len(head):
        return _block_scalar(block, more)
    if not head and more:
        raise _Refused(f"a nested value at {more[0].strip()[:40]!r}")
    if head[:1] in ("&", "*", "!"):
        raise _Refused("anchors and tags are not read")
    if head[:1] in ("[", "{"):
        return jsontext.loads(_folded([head, *more]))
    if head[:1] in ("'", '"'):
        return _inline(_joined([head, *more], double=head[0] == '"'))
    whole = _folded([head, *more])
    if " #" in whole:
        raise _Refused("a comment beside a value")
    return whole if more else _plain(whole)


def _block_scalar(block: re.Match[str], lines: Sequence[str]) -> str:
    deep = int(block[3] or 0) or min(
        (len(line) - len(line.lstrip(" ")) for line in lines if line.strip()), default=0
    )
    if block[3]:
        raise _Refused("a block with a given indent")
    body = "\n".join(line[deep:] for line in lines)
    if block[1] == ">":
        raise _Refused("a folded block")
    stripped = body.rstrip("\n")
    return (
        stripped
        if block[2] == "-"
        else body + "\n"
        if block[2] == "+"
        else f"{stripped}\n"
        if stripped
        else ""
    )


def _folded(lines: Sequence[str]) -> str:
    """Lines as YAML folds them: one break is a space, each blank line a break."""
    text = lines[0]
    blanks = 0
    for line in lines[1:]:
        if not line.strip():
            blanks += 1
            continue
        text += ("\n" * blanks if blanks else " ") + line.strip()
        blanks = 0
    return text


def _joined(lines: Sequence[str], *, double: bool) -> str:
    """The same for quoted lines, in double quotes of which a backslash at the end joins
    without a space.
    """
    if not double:
        return _folded(lines)
    text, blanks = lines[0], 0
    for line in lines[1:]:
        if not line.strip():
            blanks += 1
            continue
        escaped = (len(text) - len(text.rstrip("\\"))) % 2 == 1
        body = line.strip(" ")
        text = (
            text[:-1] + "\n" * blanks + body
            if escaped
            else text + ("\n" * blanks or " ") + body
        )
        blanks = 0
    return text


def _inline(source: str) -> str:
    """A scalar in quotes."""
    if len(source) < 2 or source[-1] != source[0]:
        raise _Refused("quotes that do not end")
    body = source[1:-1]
    if source[0] == "'":
        if "'" in body.replace("''", ""):
            raise _Refused("a quote inside quotes")
        return body.replace("''", "'")
    if re.search(r'(?<!\\)(?:\\\\)*"', body):
        raise _Refused("a quote inside quotes")
    return _ESCAPE.sub(_unescaped, body)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code in _SHORT:
        return _SHORT[code]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    raise _Refused(f"the escape \\{code}")


def _plain(text: str) -> Any:
    if text in _NULLS:
        return None
    if text in _FLAGS:
        return _FLAGS[text]
    if text in _SPECIAL:
        return _SPECIAL[text]
    return jsontext.loads(text) if _NUMBER.fullmatch(text) else text
