"""One value a line, `name: value`: records behind markers (`1. row`, `-[ RECORD 1 ]-`,
`Row 1:`) or blank lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Taken, from_rows, listing

_MARKER = re.compile(
    r"\*{3,} *\d+\. row *\*{3,}|\d+\. row|-\[ RECORD \d+ \][-+]*|-RECORD \d+-*|\[?(?:row|record) \d+\]|"
    r"[=\-*#─ ]{0,80}\[?(?:row|record|result|entry|item) ?#?\d+\]?:?[=\-*#─ ]{0,80}",
    re.IGNORECASE,
)
_PSQL = re.compile(r"^-(?:\[ RECORD \d+ \]|RECORD \d+)", re.MULTILINE)
_FRAMED = re.compile(r"^[┌├+╒╞╔╠][-─━═┬┼+]*\[ RECORD \d+ \]", re.MULTILINE)
_BULLET = re.compile(
    r"[ \t]*(?:[-*•][ \t]+)?\*\*([^*\n]{1,100}?):?\*\*:?(?:[ \t](.*)|)|"
    r"[ \t]*[-*•][ \t]+([^\s:*][^:\n]{0,100}?):(?:[ \t](.*)|)"
)
_RULE = re.compile(r"[-=─*_]{2,}")
_COLON = re.compile(r" {0,64}([^\s:][^:\n]{0,100}?) {0,64}:(?:[ \t](.*)|)", re.DOTALL)
_BAR = re.compile(r" {0,64}([^\s|][^|\n]{0,100}?) {0,64}\|(?:[ \t](.*)|)", re.DOTALL)
_EQUALS = re.compile(r" {0,64}([^\s=][^=\n]{0,100}?) = (.*)|", re.DOTALL)
_EQUALS_LINE = re.compile(
    r"\s*[^\s=][^=\n]{0,100}? = [^\n]*\n {0,64}[^\s=][^=\n]{0,100}? = "
)
_PLAIN = str.maketrans(
    {
        "│": "|",
        "║": "|",
        **dict.fromkeys("─━═", "-"),
        **dict.fromkeys("┌├┬┼┤┐└┴┘╔╠╦╬╣╗╚╩╝╒╞╤╪╡╕╘╧╛", "+"),
    }
)
_WORDS = [
    form(word)
    for word in ("row", "record", "result", "entry", "item")
    for form in (str.lower, str.title, str.upper)
]
_WORDS += ["\n--", "\n=="]
_TRAILER = re.compile(
    r"(?:result|total|rows?|\(\d+ rows?\)|showing|query|note|\d+ rows? in set)\b.*",
    re.IGNORECASE,
)


def read(text: str) -> Answer:
    """Records of the same names in the same order; a line without a name continues the
    value above it.
    """
    if (
        "\n\n" not in text
        and "\n\r\n" not in text
        and not any(word in text for word in _WORDS)
    ):
        return "no markers of rows and no records that repeat"
    framed = bool(_FRAMED.search(text))
    text = _unframed(text) if framed else text
    field = (
        _BAR if _PSQL.search(text) else _EQUALS if _EQUALS_LINE.match(text) else _COLON
    )
    lines = text.splitlines()
    chunks, rest, marked = _chunks(
        _unbulleted(lines) if field is _COLON else lines, field
    )
    if not chunks or (not marked and len(chunks) < 2):
        return "no markers of rows and no records that repeat"
    names = _names(chunks, field)
    if not names:
        return "its records do not have the same names"
    rows, touched = [], set()
    for chunk in chunks:
        row = _row(chunk, names, field, strict=not marked)
        if row is None:
            return (
                "its records do not have the same names"
                if not marked
                else "ambiguous: a record lacks a column"
            )
        rows.append([value for value, _ in row])
        touched |= {
            name for name, (_, several) in zip(names, row, strict=True) if several
        }
    spark = text.startswith("-RECORD")
    if spark:  # Spark pads values
        rows = [[value.strip(" ") for value in row] for row in rows]
    if _aligned(chunks, names):
        rows = [[value.lstrip(" ") for value in row] for row in rows]
    raw = from_rows(names, rows, text="all", nulls=_nulls(field))
    if spark or framed:
        raw = raw.noted("spaces at the ends of values are lost in a drawn table")
    if touched:
        raw = raw.noted(
            f"line breaks inside {listing(sorted(touched))} were put together again"
        )
    raw = (
        raw
        if marked
        else raw.noted(
            "records were told apart by their repeating names", approximate=True
        )
    )
    return Taken(
        (raw,), rest="\n".join(rest).strip(), confidence="high" if marked else "low"
    )


def _unframed(text: str) -> str:
    """psql's expanded output without its frame."""
    lines = []
    for line in text.translate(_PLAIN).splitlines():
        if "[ RECORD " in line:
            lines.append("-" + line.strip("+-").strip().join(("", "-")))
        elif line.startswith("|"):
            lines.append(line.removeprefix("|").removesuffix("|").rstrip())
    return "\n".join(lines)


def _unbulleted(lines: Sequence[str]) -> Sequence[str]:
    """`- **name:** value` and `- name: value` as `name: value`, where every field is written so."""
    found = [_BULLET.fullmatch(line) for line in lines]
    plain = [
        line
        for line, match in zip(lines, found, strict=True)
        if match is None and _COLON.fullmatch(line)
    ]
    if sum(map(bool, found)) < 2 or any(
        not _MARKER.fullmatch(line.strip(" *#"))
        for line in plain
        if line.strip()[-1:] != ":"
    ):
        return lines
    return [
        f"{match[1] or match[3]}: {match[2] or match[4] or ''}"
        if match
        else _bare(line)
        for line, match in zip(lines, found, strict=True)
    ]


def _bare(line: str) -> str:
    """A marker of a row without its stars and signs of a heading."""
    inner = line.strip("*# \t")
    return inner if _MARKER.fullmatch(inner) else line


def _nulls(field: re.Pattern[str]) -> tuple[str, ...]:
    """psql leaves NULL empty."""
    return (*NULL_WORDS, "") if field is _BAR else NULL_WORDS


def _aligned(chunks: Sequence[Sequence[str]], names: Sequence[str]) -> bool:
    """Whether the values of all names begin in one column, which names of different
    lengths reach only by padding.
    """
    if len({len(name) for name in names}) < 2:
        return False
    starts = [
        len(line) - len(line[len(name) + 1 :].lstrip(" "))
        for line, name in zip(chunks[0], names, strict=False)
    ]
    return len(set(starts)) == 1 and starts[0] > max(map(len, names)) + 1


def _chunks(
    lines: Sequence[str], field: re.Pattern[str]
) -> tuple[list[list[str]], list[str], bool]:
    """The lines of each record, what stands outside them, and whether markers told them apart."""
    marks = [
        number
        for number, line in enumerate(lines)
        if len(line) < 200 and _MARKER.fullmatch(line.strip())
    ]
    if not marks:
        return _paragraphs(lines, field)
    chunks = []
    for start, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        body = list(lines[start + 1 : end])
        if body and _RULE.fullmatch(body[0].strip() or "x"):
            body = body[1:]
        chunks.append(body)
    tail: list[str] = []
    last = chunks[-1]
    blank = max(
        (number for number, line in enumerate(last) if not line.strip()), default=None
    )
    if blank is not None and all(
        _TRAILER.match(line.strip()) for line in last[blank:] if line.strip()
    ):
        tail, chunks[-1] = last[blank:], last[:blank]
    elif last and re.match(r"\d+ rows? in set|\(\d+ rows?\)", last[-1]):
        tail, chunks[-1] = last[-1:], last[:-1]
    return [_trimmed(chunk) for chunk in chunks], [*lines[: marks[0]], *tail], True


def _paragraphs(
    lines: Sequence[str], field: re.Pattern[str]
) -> tuple[list[list[str]], list[str], bool]:
    chunks: list[list[str]] = [[]]
    for line in lines:
        if not line.strip() or _RULE.fullmatch(line.strip()):
            chunks.append([])
        else:
            chunks[-1].append(line)
    chunks = [chunk for chunk in chunks if chunk]
    fields = [all(field.fullmatch(line) for line in chunk) for chunk in chunks]
    if sum(fields) < 2 or not fields[-1]:
        return [], [], False
    first = fields.index(True)
    if not all(fields[first:]):
        return [], [], False
    return chunks[first:], [line for chunk in chunks[:first] for line in chunk], False


def _trimmed(chunk: list[str]) -> list[str]:
    """Without the one blank line that ends a record."""
    return chunk[:-1] if chunk and not chunk[-1].strip() else chunk


def _names(chunks: Sequence[Sequence[str]], field: re.Pattern[str]) -> tuple[str, ...]:
    """The names of the record that has only fields; the first such record decides."""
    for chunk in sorted(chunks, key=len):
        found = [field.fullmatch(line) for line in chunk]
        if found and all(found):
            return tuple(match[1] for match in found if match)
    first = (
        [match[1] for line in chunks[0] if (match := field.fullmatch(line))]
        if chunks
        else []
    )
    return tuple(first)


def _row(
    chunk: Sequence[str], names: Sequence[str], field: re.Pattern[str], *, strict: bool
) -> list[tuple[str, bool]] | None:
    """The values of one record in the order of `names`, each with whether it went over
    several lines.
    """
    values: list[tuple[str, bool]] = []
    for line in chunk:
        match = field.fullmatch(line)
        if match and len(values) < len(names) and match[1] == names[len(values)]:
            values.append((match[2] or "", False))
        elif values and not strict:
            values[-1] = (f"{values[-1][0]}\n{line}", True)
        else:
            return None
    return values if len(values) == len(names) else None
