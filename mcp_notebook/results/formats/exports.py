"""What exports and dumps write: SQL's INSERT statements, PHP's arrays, LaTeX and TOML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from mcp_notebook.results.formats import code_records, unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.readers import FormatReader
from mcp_notebook.results.reading import Answer, Taken, from_records, from_rows
from mcp_notebook.results.values import json_tables, jsontext

# --- INSERT INTO t (a, b) VALUES (1, 'x'), …

_SQL_NAME = r"(?:\"(?:[^\"]|\"\")+\"|`[^`]+`|\[[^\]]+\]|[^\W\d][\w$]*)"
_INSERT_HEAD = re.compile(
    rf"\s*INSERT\s+INTO\s+({_SQL_NAME}(?:\.{_SQL_NAME})*)\s*"
    rf"\(\s*({_SQL_NAME}(?:\s*,\s*{_SQL_NAME})*)\s*\)\s*VALUES\s*",
    re.IGNORECASE,
)
_FIRST_INSERT = re.compile(r"^[ \t]{0,40}INSERT\s+INTO\b", re.IGNORECASE | re.MULTILINE)
_LEFT_INSERT = re.compile(
    r"\bINSERT\s+INTO\b|^[ \t]{0,40}\(", re.IGNORECASE | re.MULTILINE
)
_SQL_VALUE = re.compile(
    r"\s*(?:(?P<text>[NE]?'(?:[^']|'')*')|"
    r"(?P<number>-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)|"
    r"(?P<bytes>[xX]'[0-9a-fA-F]*')|(?P<word>NULL|TRUE|FALSE))\s*",
    re.IGNORECASE,
)
_SQL_WORDS = {"null": None, "true": True, "false": False}
_OPENING = re.compile(r"\s*\(")
_BLANKS = re.compile(r"\s*")


def read_inserts(text: str, selected: Sequence[str] = ()) -> Answer:
    """The rows of all statements of a text, which are all of one table and one list of columns."""
    likely = any(word in text for word in ("INSERT", "insert", "Insert"))
    if likely:
        start = _FIRST_INSERT.search(text)
    else:
        start = None

    if start is None:
        return "no INSERT statement"

    at = start.start()
    rows: list[list[Any]] = []
    columns = ""

    while head := _INSERT_HEAD.match(text, at):
        if columns and head[2] != columns:
            return "its statements have different columns"

        columns = head[2]
        found, at = _read_insert_rows(text, head.end())
        rows += found

    names = [_unquote_name(name) for name in re.findall(_SQL_NAME, columns)]
    if not rows or any(len(row) != len(names) for row in rows):
        return "its rows are not as wide as its columns"
    if _LEFT_INSERT.search(text[at:]):
        return "ambiguous: a statement does not end where its row does"

    raw = from_rows(names, rows)
    if "\\'" in text:
        # MySQL escapes with a backslash, standard SQL does not
        note = "a backslash before a quote may be an escape or a part of the text"
        raw = raw.with_note(note, approximate=True)

    return Taken((raw,), rest=f"{text[: start.start()]}\n{text[at:]}".strip())


def _read_insert_rows(text: str, at: int) -> tuple[list[list[Any]], int]:
    """The rows behind VALUES and where the statement ends."""
    rows: list[list[Any]] = []
    while row := _read_insert_row(text, at):
        cells, at = row
        rows.append(cells)
        if text[at : at + 1] != ",":
            break

        at += 1

    if text[at : at + 1] == ";":
        at += 1

    return rows, at


def _read_insert_row(text: str, at: int) -> tuple[list[Any], int] | None:
    """One row in brackets and where it ends."""
    opening = _OPENING.match(text, at)
    if opening is None:
        return None

    cells: list[Any] = []
    at = opening.end()

    while match := _SQL_VALUE.match(text, at):
        cells.append(_sql_value(match))
        mark = text[match.end() : match.end() + 1]
        at = match.end() + 1
        if mark == ")":
            blanks = _BLANKS.match(text, at)
            return cells, blanks.end() if blanks else at

        if mark != ",":
            return None

    return None


def _sql_value(match: re.Match[str]) -> Any:
    token = match[match.lastgroup or 0]
    if match.lastgroup == "text":
        return token[token.index("'") + 1 : -1].replace("''", "'")

    if match.lastgroup == "bytes":
        # x'…' of an odd number of digits is no value of bytes
        if len(token) % 2:
            return bytes.fromhex(token[2:-1])
        return token

    if match.lastgroup == "word":
        return _SQL_WORDS[token.lower()]

    if re.fullmatch(r"-?\d+", token):
        return int(token)

    return jsontext.number(token)


def _unquote_name(name: str) -> str:
    if name[0] in '"`[':
        return name[1:-1].replace('""', '"')
    return name


# --- PHP

_VAR_DUMP = re.compile(rb"^array\(\d+\) \{", re.MULTILINE)
_DUMPED = re.compile(
    rb"\s*(?:(?P<array>array\(\d+\) \{)|(?P<end>\})|"
    rb"\[(?:\"(?P<key>[^\"]*)\"|(?P<index>\d+))\]=>|(?P<null>NULL)|"
    rb"bool\((?P<flag>true|false)\)|int\((?P<int>-?\d+)\)|float\((?P<float>[^)]+)\)|"
    rb"string\((?P<size>\d+)\) \")"
)
_MAX_DEPTH = 60
_PRINT_R = re.compile(r"^Array\n\(\n(?=    \[0\] => Array\n {8}\(\n)", re.MULTILINE)
_PRINTED_ROW = re.compile(r"\s*\[\d+\] => Array\n {8}\(\n")
_PRINTED_END = "\n        )\n"
_PRINTED_FIELD = re.compile(r"^            \[([^\]\n]+)\] => ", re.MULTILINE)


def read_php(text: str, selected: Sequence[str] = ()) -> Answer:
    """The rows of a list that `var_dump` (texts with their length in bytes: exact) or
    `print_r` (nothing quoted: said) printed.
    """
    if "=>" not in text:
        return "no array of PHP"

    # in bytes, since var_dump counts these
    data = text.encode("utf-8", "replace")
    start = _VAR_DUMP.search(data)

    if start is None:
        return _read_print_r(text)

    return _read_var_dump(data, start.start())


def _read_var_dump(data: bytes, start: int) -> Answer:
    try:
        value, end = _dumped_value(data, start, 0)
    except (ValueError, TypeError) as error:
        return f"no var_dump: {error}"

    if isinstance(value, dict):
        rows = list(value.values())
    else:
        rows = []

    if not rows or not all(type(row) is dict and row for row in rows):
        return "its array holds no rows"

    rest = (data[:start] + data[end:]).decode("utf-8", "replace").strip()

    return Taken((from_records(rows),), rest=rest)


def _dumped_value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The value that begins here, and where it ends."""
    match = _DUMPED.match(data, at)
    if match:
        kind = match.lastgroup
    else:
        kind = None

    if match is None or kind in (None, "end", "key", "index") or depth > _MAX_DEPTH:
        raise ValueError(f"{data[at : at + 20]!r} is no value")

    at = match.end()
    if kind == "array":
        return _dumped_entries(data, at, depth)

    if kind == "size":
        end = at + int(match["size"])
        if data[end : end + 1] != b'"':
            raise ValueError("a text is not as long as it says")

        return data[at:end].decode("utf-8", "replace"), end + 1

    if kind == "float":
        return float(match["float"]), at
    if kind == "int":
        return int(match["int"]), at

    return (match["flag"] == b"true" if kind == "flag" else None), at


def _dumped_entries(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    entries: dict[str, Any] = {}
    match = _DUMPED.match(data, at)

    while match and match.lastgroup in ("key", "index"):
        name = match[match.lastgroup].decode("utf-8", "replace")
        entries[name], at = _dumped_value(data, match.end(), depth + 1)
        match = _DUMPED.match(data, at)

    if match is None or match.lastgroup != "end":
        raise ValueError("an array does not end")

    return entries, match.end()


def _read_print_r(text: str) -> Answer:
    start = _PRINT_R.search(text)
    if start is None:
        return "no array of PHP"

    rows: list[dict[str, str]] = []
    at = start.end()

    while row := _PRINTED_ROW.match(text, at):
        end = text.find(_PRINTED_END, row.end())
        if end < 0:
            break

        rows.append(_printed_fields(text[row.end() : end + 1]))
        at = end + len(_PRINTED_END)

    if not rows or any(row.keys() != rows[0].keys() for row in rows):
        return "ambiguous: its rows do not have the same keys"

    raw = from_records(rows, text="all", nulls=("",))
    note = (
        "PHP's print_r quotes nothing: null, false and the empty text look the same, "
        "true is 1"
    )

    return Taken((raw.with_note(note, approximate=True),), confidence="medium")


def _printed_fields(row: str) -> dict[str, str]:
    """The fields of one row, each up to the next name."""
    names = list(_PRINTED_FIELD.finditer(row))
    ends = [name.start() for name in names[1:]]
    fields: dict[str, str] = {}

    for name, end in zip(names, [*ends, len(row)], strict=True):
        fields[name[1]] = row[name.end() : end].removesuffix("\n")

    return fields


# --- LaTeX's tabular

_TABULAR = re.compile(
    r"\\begin\{(tabular\*?|tabularx|longtable|array)\}(.*?)\\end\{\1\}", re.DOTALL
)
# What stands between `\begin{tabular}` and the first cell: a place and the columns.
_TABULAR_ARGUMENTS = re.compile(r"^(?:\[[^\]]*\])?(?:\{[^{}]*\}){1,2}")
_TABULAR_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|endhead|endfoot|endfirsthead|cline\{[^}]*\})\s*"
)
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?")
_CELL_END = re.compile(r"(?<!\\)&")
_LATEX_COMMAND = re.compile(
    r"\\([&%$#_{}])|"
    r"\\(textasciitilde|textasciicircum|textbackslash|ensuremath\{[<>]\})(?:\{\})?"
)
_LATEX_SIGNS = {
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textbackslash": "\\",
    "ensuremath{<}": "<",
    "ensuremath{>}": ">",
}
_MOST_ENVIRONMENTS = 100  # each is looked for to the text's end


def read_latex(text: str, selected: Sequence[str] = ()) -> Answer:
    """All tabulars of a text, the first row of each as its header."""
    begins = text.count("\\begin{")
    if not 0 < begins <= min(text.count("\\end{"), _MOST_ENVIRONMENTS):
        return "no tabular"

    raws = []

    for match in _TABULAR.finditer(text):
        body = _TABULAR_ARGUMENTS.sub("", match[2].strip())
        lines = _ROW_END.split(_TABULAR_RULE.sub("", body))
        rows = [_latex_cells(line) for line in lines if line.strip()]
        if len({len(row) for row in rows}) != 1:
            return "its rows are not of one width"

        raw = from_rows(rows[0], rows[1:], text="all", nulls=EMPTY_OR_NULL)
        raws.append(unquoted.note_lost_spaces(raw))

    if not raws:
        return "no tabular"

    return Taken(tuple(raws), rest=_TABULAR.sub("", text).strip())


def _latex_cells(line: str) -> list[str]:
    cells = _CELL_END.split(line)
    return [_LATEX_COMMAND.sub(_decode_latex, cell.strip()) for cell in cells]


def _decode_latex(match: re.Match[str]) -> str:
    return match[1] or _LATEX_SIGNS[match[2]]


# --- TOML's arrays of tables

_TOML_TABLES = re.compile(
    r"^(?:\[\[[\w.\"' -]+\]\][ \t]*$|[\w-]+ = \[\s*\{)", re.MULTILINE
)


def read_toml(text: str, selected: Sequence[str] = ()) -> Answer:
    """The tables of a whole text that is TOML: `[[rows]]` and below it one `name =
    value` a line, or `rows = [{ id = 1 }]`. TOML has no null: it leaves a key out.
    """
    may_be_toml = "[[" in text or "= [" in text
    if not may_be_toml or not _TOML_TABLES.search(text):
        return "no [[table]] in it"

    try:
        value = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return f"no TOML: {str(error)[:80]}"

    raws = json_tables.tables_in(value, selected=selected)

    if isinstance(raws, str):
        return raws

    return Taken(raws)


# --- what programs of other languages print and dump

# One group, which can be switched off (`results.readers`, the entry `languages`). All
# are proved by their grammar, so it stands before the formats known by their shape.
READERS = (
    FormatReader(
        "code",
        code_records.read_code_records,
        "texts in quotes, of which nothing is guessed; before Python in text, which "
        "takes a part of such a list",
        position="first",
    ),
    FormatReader(
        "records without quotes",
        code_records.read_bare_records,
        "after the lists with quotes, whose values must not be cut at a comma",
        position="after code",
    ),
    FormatReader(
        "insert statements",
        read_inserts,
        "proved by INSERT INTO; before formats that a text in its values may hold",
        position="after records without quotes",
    ),
    FormatReader(
        "php",
        read_php,
        "proved by its arrays; before formats that a text in its values may hold",
        position="after insert statements",
    ),
    FormatReader(
        "latex",
        read_latex,
        "proved by its environment; before formats whose separators it uses in "
        "rules and in letters for columns",
        position="after lines of one column",
    ),
    FormatReader(
        "toml",
        read_toml,
        "proved by [[table]]; before records of `name = value` lines",
        position="after latex",
    ),
)
