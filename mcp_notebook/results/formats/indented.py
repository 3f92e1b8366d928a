"""Rows by their indent: YAML lists of mappings and TOON tables.

YAML as `yaml.safe_dump(rows)` and js-yaml write it: `- id: 1` and below it `  name: x`.
The part of YAML that rows need: block lists of flat mappings, plain, quoted and block
scalars, folded lines. Anchors, tags and flow collections that are no JSON are refused.
Words mean what YAML 1.2 says: `no` and `012` stay text.

TOON: `items[2]{id,name}:` and below it one line a row. Values are JSON's, texts in quotes
only where they need them; the delimiter (comma, tab or bar) stands in the brackets.
Source: the TOON specification, sections on tabular arrays and quoting.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mcp_notebook.results.reading import (
    Answer,
    Confidence,
    Raw,
    Taken,
    from_records,
    from_rows,
)
from mcp_notebook.results.values import jsontext

# --- YAML

# A dash that begins an item, and a pair: its name stands in double quotes, in single
# quotes, or plain, which may hold no sign that means something at its start.
_ITEM = re.compile(r"^( *)- +(?=\S)")
_PAIR = re.compile(
    r"""^( *)("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|"""
    r"""[^\s\-?:,\[\]{}#&*!|>'"%@`](?:[^:#]|:(?=\S)|(?<=\S)#)*?)"""
    r""" *:(?: +(.*)|)$"""
)
# The name of the list, and scalars beside it.
_KEY = re.compile(r"^([\w .-]+): *$")
_YAML_SCALAR_LINE = re.compile(r"^([\w.-]+): +(\S.*)$")
# `|-` and its like at the end of a line: the value is the lines below it.
_BLOCK = re.compile(r"([|>])([+-]?)(\d?)\s*$")
_LONGEST_YAML = 4_000_000  # read in a second or two
_YAML_NULLS = ("", "~", "null", "Null", "NULL")
_YAML_FLAGS = {
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
# A bare 1e5 is a text to PyYAML and never what js-yaml writes for a number.
_YAML_NUMBER = re.compile(
    r"-?(?:0|[1-9]\d*)(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]\d+)?", re.ASCII
)
_YAML_SPECIAL = {
    ".inf": float("inf"),
    "-.inf": float("-inf"),
    ".nan": float("nan"),
    ".NaN": float("nan"),
}
# YAML 1.2, section 5.7: escaped characters.
_YAML_SIGNS = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    " ": " ",
    '"': '"',
    "/": "/",
    "\\": "\\",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}
_YAML_ESCAPE = re.compile(
    r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|.)", re.DOTALL
)


class _NotFlatYaml(ValueError):
    """Something that is not flat rows."""


def read_yaml(text: str) -> Answer:
    """The list of mappings in a text; lines of prose above it and scalars beside it are
    the rest.
    """
    if len(text) > _LONGEST_YAML:
        return f"longer than {_LONGEST_YAML:,} characters"

    lines = text.split("\n")
    start = _find_list(lines)
    if start is None:
        return "no list of mappings"

    indent = len(_match(_ITEM, lines[start])[1])
    end = start

    while end < len(lines) and _is_in_list(lines[end], indent):
        end += 1

    try:
        records = _read_mappings(lines[start:end], indent)
    except ValueError as error:
        return f"no flat YAML: {str(error)[:80]}"

    if not _are_rows(records):
        return "its mappings have little in common"

    # `rows:` above the list is its key, not text
    has_key = start > 0 and _KEY.match(lines[start - 1])
    if has_key:
        above = lines[: start - 1]
    else:
        above = lines[:start]

    # `---` parts documents
    rest = "\n".join([*above, *lines[end:]]).strip("- \n")
    confidence: Confidence = "high" if len(records) > 1 else "medium"

    return Taken((from_records(records),), rest, confidence, _yaml_scalars(rest))


def _find_list(lines: Sequence[str]) -> int | None:
    """The first line that begins an item with a pair."""
    for number, line in enumerate(lines):
        item = _ITEM.match(line)
        if item and _PAIR.match(line[item.end() :].rstrip("\r")):
            return number
    return None


def _yaml_scalars(rest: str) -> dict[str, Any]:
    found = (_YAML_SCALAR_LINE.match(line) for line in rest.split("\n"))
    return {match[1]: _yaml_plain(match[2]) for match in found if match}


def _are_rows(records: Sequence[dict[str, Any]]) -> bool:
    """Records of one kind: prose such as "- Note: ..." has a new name in each."""
    first = records[0]
    if len(first) == 1:
        same = all(record.keys() == first.keys() for record in records)
        return len(records) > 1 and same

    common = set(first).intersection(*records)

    return len(common) * 2 > len(first)


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    found = pattern.match(line)
    if found is None:
        raise _NotFlatYaml(f"{line[:40]!r}")

    return found


def _is_in_list(line: str, indent: int) -> bool:
    bare = line.rstrip("\r")
    inside = (" " * (indent + 1), " " * indent + "- ")
    return not bare.strip() or bare.startswith(inside)


def _read_mappings(lines: Sequence[str], indent: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = []
    at = 0
    inner = indent + 2  # the place at which the names of an item stand

    while at < len(lines):
        line = lines[at].rstrip("\r")
        if not line.strip():
            at += 1
            continue

        item = _ITEM.match(line)
        if item and len(item[1]) == indent:
            records.append({})
            inner = item.end()
            line = " " * inner + line[inner:]

        pair = _match(_PAIR, line)
        if len(pair[1]) != inner:
            raise _NotFlatYaml(f"a nested value at {line.strip()[:40]!r}")

        if pair[2][0] in "'\"":
            name = _yaml_quoted(pair[2])
        else:
            name = pair[2]

        if name in records[-1]:
            raise _NotFlatYaml(f"{name!r} twice in one mapping")

        head = (pair[3] or "").strip()
        end = _end_of_value(lines, at + 1, inner, head)
        more = [part.rstrip("\r") for part in lines[at + 1 : end]]
        records[-1][name] = _read_value(head, more)
        at = end

    return records


def _end_of_value(lines: Sequence[str], start: int, inner: int, head: str) -> int:
    """The line behind those that are deeper than the name; blank lines at their end
    belong to the value only in a block.
    """
    deeper = " " * (inner + 1)
    end = start

    while end < len(lines) and (
        not lines[end].strip() or lines[end].startswith(deeper)
    ):
        end += 1

    if _BLOCK.match(head):
        return end

    while end > start and not lines[end - 1].strip():
        end -= 1

    return end


# words and numbers that need no quotes: `[x, y, 1]`
_PLAIN_LIST = re.compile(r"\[([^\[\]{}\"'#&*!|>:]*[^\s\[\]{}\"'#&*!|>:,])\]")


def _read_value(head: str, more: Sequence[str]) -> Any:
    """The value of `name: head` with the deeper lines below it."""
    block = _BLOCK.match(head)
    if block and block.end() == len(head):
        return _read_block_scalar(block, more)
    if not head and more:
        raise _NotFlatYaml(f"a nested value at {more[0].strip()[:40]!r}")

    first = head[:1]
    if first in ("&", "*", "!"):
        raise _NotFlatYaml("anchors and tags are not read")
    if first in ("[", "{"):
        folded = _fold([head, *more])
        plain = _PLAIN_LIST.fullmatch(folded)
        if plain:
            return [_yaml_plain(item.strip()) for item in plain[1].split(",")]
        return jsontext.loads(folded)
    if first == "'":
        return _yaml_quoted(_fold([head, *more]))
    if first == '"':
        return _yaml_quoted(_fold_double_quoted([head, *more]))

    whole = _fold([head, *more])
    if " #" in whole:
        raise _NotFlatYaml("a comment beside a value")

    if more:
        return whole

    return _yaml_plain(whole)


def _read_block_scalar(block: re.Match[str], lines: Sequence[str]) -> str:
    """The lines below `|`, and the line breaks at their end as `-` or `+` say."""
    style, chomping, given_indent = block[1], block[2], block[3]
    if given_indent:
        raise _NotFlatYaml("a block with a given indent")
    if style == ">":
        raise _NotFlatYaml("a folded block")

    filled = [line for line in lines if line.strip()]
    indent = min((len(line) - len(line.lstrip(" ")) for line in filled), default=0)
    body = "\n".join(line[indent:] for line in lines)
    stripped = body.rstrip("\n")
    if chomping == "-":
        return stripped
    if chomping == "+":
        return body + "\n"

    if stripped:
        return f"{stripped}\n"

    return ""


def _fold(lines: Sequence[str]) -> str:
    """Lines as YAML folds them: one break is a space, each blank line a break."""
    text = lines[0]
    blanks = 0

    for line in lines[1:]:
        if not line.strip():
            blanks += 1
            continue

        text += ("\n" * blanks or " ") + line.strip()
        blanks = 0

    return text


def _fold_double_quoted(lines: Sequence[str]) -> str:
    """The same in double quotes, where a backslash at the end joins without a space."""
    text = lines[0]
    blanks = 0

    for line in lines[1:]:
        if not line.strip():
            blanks += 1
            continue

        body = line.strip(" ")
        backslashes = len(text) - len(text.rstrip("\\"))
        if backslashes % 2:
            text = text[:-1] + "\n" * blanks + body
        else:
            text += ("\n" * blanks or " ") + body

        blanks = 0

    return text


def _yaml_quoted(source: str) -> str:
    """A scalar in quotes."""
    if len(source) < 2 or source[-1] != source[0]:
        raise _NotFlatYaml("quotes that do not end")

    body = source[1:-1]
    if source[0] == "'":
        if "'" in body.replace("''", ""):
            raise _NotFlatYaml("a quote inside quotes")
        return body.replace("''", "'")

    if re.search(r'(?<!\\)(?:\\\\)*"', body):
        raise _NotFlatYaml("a quote inside quotes")

    return _YAML_ESCAPE.sub(_decode_yaml_escape, body)


def _decode_yaml_escape(match: re.Match[str]) -> str:
    code = match[1]
    if code in _YAML_SIGNS:
        return _YAML_SIGNS[code]
    if code[0] in "xuU" and len(code) > 1:
        return chr(int(code[1:], 16))

    raise _NotFlatYaml(f"the escape \\{code}")


def _yaml_plain(text: str) -> Any:
    """What a scalar without quotes means in YAML 1.2."""
    # 1.1 has yes, no, octal and sexagesimal numbers as well: here they are texts
    if text in _YAML_NULLS:
        return None
    if text in _YAML_FLAGS:
        return _YAML_FLAGS[text]
    if text in _YAML_SPECIAL:
        return _YAML_SPECIAL[text]

    if _YAML_NUMBER.fullmatch(text):
        return jsontext.loads(text)

    return text


# --- TOON

# A key may be missing, in a list of lists; `#` before the count is an older form.
_TOON_HEADER = re.compile(
    r"^(?P<indent> *)(?:- )?(?P<key>\"(?:[^\"\\]|\\.)*\"|[\w.]+)?"
    r"\[#?(?P<count>\d+)(?P<mark>[,\t|])?\]\{(?P<names>.+)\}:[ \t]*$"
)
_QUOTED_CELL = re.compile(r'("[^"\\]*(?:\\.[^"\\]*)*") *')
_TOON_SCALAR_LINE = re.compile(r"^(\w[\w.]*): (.+)$")
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_JSON_WORDS = {"null": None, "true": True, "false": False}


def read_toon(text: str) -> Answer:
    """All tabular arrays of a text; other lines are the rest, scalars among them the envelope."""
    if "]{" not in text or "}:" not in text:
        return "no name[N]{columns}: in it"

    lines = text.splitlines()
    raws: list[Raw] = []
    rest: list[str] = []
    at = 0

    while at < len(lines):
        header = _TOON_HEADER.match(lines[at])
        if header is None:
            rest.append(lines[at])
            at += 1
            continue

        # rows are indented deeper than their header
        deeper = " " * (len(header["indent"]) + 1)
        end = at + 1

        while end < len(lines) and lines[end].startswith(deeper):
            end += 1

        raw = _read_toon_table(header, lines[at + 1 : end])
        if isinstance(raw, str):
            return raw

        raws.append(raw)
        at = end

    if not raws:
        return "no name[N]{columns}: in it"

    return Taken(tuple(raws), "\n".join(rest).strip(), meta=_toon_scalars(rest))


def _read_toon_table(header: re.Match[str], lines: Sequence[str]) -> Raw | str:
    mark = header["mark"] or ","
    names = [_toon_name(cell) for cell in _split_cells(header["names"], mark)]
    rows: list[list[Any]] = []

    for line in lines:
        cells = _split_cells(line.strip(" "), mark)
        if len(cells) != len(names):
            return f"ambiguous: a row does not have {len(names)} values"

        rows.append(list(map(_toon_value, cells)))

    raw = from_rows(names, rows, path=(header["key"] or "").strip('"'))
    announced = int(header["count"])
    if announced > len(rows):
        cut = f"the list has {announced:,} rows and {len(rows):,} came"
        return replace(raw, truncated=cut, total_rows=announced)

    if announced < len(rows):
        note = f"the list announces {announced:,} rows and {len(rows):,} came"
        return raw.with_note(note, approximate=True)

    return raw


def _split_cells(line: str, mark: str) -> list[str]:
    """The line cut at the delimiter outside quotes; none when a quote does not end
    where a cell does.
    """
    if '"' not in line:
        return [cell.strip() for cell in line.split(mark)]

    cells: list[str] = []
    at = 0

    while at <= len(line):
        start = at
        while line[start : start + 1] == " ":
            start += 1

        if line[start : start + 1] == '"':
            quoted = _QUOTED_CELL.match(line, start)
            if quoted is None or line[quoted.end() : quoted.end() + 1] not in (
                "",
                mark,
            ):
                return []

            cells.append(quoted[1])
            at = quoted.end() + 1
            continue

        end = line.find(mark, at)
        if end < 0:
            end = len(line)
        else:
            end = end

        cells.append(line[at:end].strip())
        at = end + 1

    return cells


def _toon_name(cell: str) -> str:
    if cell[:1] == '"':
        return str(_toon_quoted(cell))
    return cell


def _toon_value(cell: str) -> Any:
    """A value as JSON has it; a text without quotes is itself."""
    if cell[:1] == '"':
        return _toon_quoted(cell)
    if cell in _JSON_WORDS:
        return _JSON_WORDS[cell]

    if _JSON_NUMBER.fullmatch(cell):
        return jsontext.loads(cell)

    return cell


def _toon_quoted(cell: str) -> Any:
    try:
        return json.loads(cell, strict=False)
    except ValueError:
        return cell


def _toon_scalars(lines: Sequence[str]) -> dict[str, Any]:
    found = (_TOON_SCALAR_LINE.match(line) for line in lines)
    return {match[1]: _toon_value(match[2].strip()) for match in found if match}
