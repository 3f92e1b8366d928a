"""Headers ruled off by dashes: psql's aligned output, sqlite's columns and their many imitations.

Cells are cut at the separators, or at the columns' places in the rule when a value
holds a separator itself.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace

from mcp_notebook.results.formats import spaced, unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import Answer, Confidence, Raw, Taken, from_rows

_MAY_BE_RULE = re.compile(r"^[ \t]{0,200}-[-+| \t]*$", re.MULTILINE)
_COUNT = re.compile(r"\(\d+ rows?\)|\d+ rows? in set.*|Rows?: \d+.*", re.IGNORECASE)
_DOTS = re.compile(r"\.\.\. ?\(|\[?\.\.\.|… ")
_REPAIRED = "values are not quoted; cells of {} were put together again"
_LONGEST_NAME = 60  # of a single column; a longer line above a rule is a heading


_GAP_IN_NAME = re.compile(r"[^\s|] {2,}[^\s|]")


def read_ruled(text: str, selected: Sequence[str] = ()) -> Answer:
    """A header, a line of dashes, and rows: psql's aligned output and its many imitations."""
    text = _draw_in_ascii(text)
    if not _MAY_BE_RULE.search(text):
        return "no header ruled off by dashes"

    lines = text.splitlines()
    at = _find_rule(lines)
    if not at or not lines[at - 1].strip():
        return "no header ruled off by dashes"

    before, header, rule = lines[: at - 1], lines[at - 1], lines[at]
    # Julia rules off the row numbers alone, its columns stand between blanks
    if "+" in rule and _GAP_IN_NAME.search(header):
        return "ambiguous: a name has a gap, as if it were two"

    body, tail = _split_body(lines[at + 1 :], rule)
    raw = _read_columns(header, rule, body, tail)
    confidence: Confidence = "high"
    if not raw:
        known = list(selected) == [header.strip()]
        alone = not any(map(str.strip, before))
        raw = _read_single_column(header, rule, body, known=known, alone=alone)
        confidence = "medium"

    if isinstance(raw, str):
        return raw

    if tail and _DOTS.match(tail[0].strip()):
        cut = "dots below the last row stand for rows that are left out"
        raw = replace(raw, truncated=cut)

    raw = _note_null_row(raw, text.split("\n")[at + 1 :])
    rest = "\n".join([*before, *tail]).strip()

    return Taken((raw,), rest=rest, confidence=confidence)


def _read_columns(
    header: str, rule: str, body: list[str], tail: Sequence[str]
) -> Raw | str:
    """Two columns at least, by the form of their rule and their separators; "" when the
    header shows none, the reason when a row does not fit.
    """
    crossed = _read_crossed(header, rule, body)
    if isinstance(crossed, Raw):
        return _note_torn_row(crossed, tail)

    return (
        crossed
        or spaced.read_columns_below_dashes(header, rule, body)
        or _read_barred(header, body)
        or _read_listed(header, body)
    )


# --- the rule


def _find_rule(lines: Sequence[str]) -> int:
    """The number of the first line that rules off the one above it, 0 for none."""
    pairs = enumerate(itertools.pairwise(lines), start=1)
    return next((at for at, (above, line) in pairs if _is_rule(line, above)), 0)


def _is_rule(line: str, above: str) -> bool:
    """Dashes, in one run or in runs with crossings or spaces between; a lone dash only
    under a lone letter.
    """
    dashes = line.strip()
    if not dashes or dashes.strip("-+| \t") or dashes[0] != "-":
        return False
    if set(dashes) == {"-"}:
        return len(dashes) > 2 or len(dashes) == len(above)
    if "+" in dashes:
        return True

    runs = re.split(r"[+|\s]+", dashes)

    return all(len(run) > 1 for run in runs if run)


_EQUALS = re.compile(r"[ \t]*={2,}(?: +={2,})+[ \t]*")
_STUBS = re.compile(r"[ \t]*[╷╵╻╹][╷╵╻╹ \t]*")
_ASCII_OF = str.maketrans(
    {
        **dict.fromkeys("│┃║", "|"),
        **dict.fromkeys("┼┿╪", "+"),
        **dict.fromkeys("─━═", "-"),
        **dict.fromkeys("╶╴╸╺╷╵╻╹", " "),
    }
)


def _draw_in_ascii(text: str) -> str:
    """Rules of lines (rich, psql in Unicode) or equals signs (reStructuredText) as
    dashes, bars and crossings.
    """
    has_crossings = any(mark in text for mark in "┼┿╪")
    if has_crossings and "|" not in text and "+" not in text:
        lines = text.splitlines()
        # rich ends its bars in a line of stubs above and below the table
        drawn = [line for line in lines if not _STUBS.fullmatch(line)]
        return "\n".join(drawn).translate(_ASCII_OF)

    if "==" in text:
        return _without_outer_rules(text)

    return text


def _without_outer_rules(text: str) -> str:
    """reStructuredText's simple table with only the rule below its names, in dashes."""
    lines = text.splitlines()
    rules = [n for n, line in enumerate(lines) if _EQUALS.fullmatch(line)]
    if len(rules) not in (2, 3) or rules[1] != rules[0] + 2:
        return text
    if len({lines[n].strip() for n in rules}) > 1:
        return text

    lines[rules[1]] = lines[rules[1]].replace("=", "-")
    outer = (rules[0], *rules[2:])

    return "\n".join(line for n, line in enumerate(lines) if n not in outer)


# --- where the rows end


def _split_body(lines: list[str], rule: str) -> tuple[list[str], list[str]]:
    """The rows, and what follows them: a count, or a paragraph after a blank line."""
    width = len(rule)
    # a count that is padded is a value
    counts = (n for n, line in enumerate(lines) if _COUNT.fullmatch(line.lstrip()))
    end = next(counts, len(lines))
    blanks = [n for n in range(end) if _is_blank_line(lines[n], width)]
    if blanks and _is_paragraph(lines[blanks[-1] : end], rule):
        end = blanks[-1]

    while end and _is_blank_line(lines[end - 1], width):
        end -= 1

    if end and _DOTS.match(lines[end - 1].strip()):
        end -= 1

    return lines[:end], lines[end:]


def _is_blank_line(line: str, width: int) -> bool:
    """A line of spaces as long as the rule is a row of NULL, not a blank line."""
    return not line.strip() and len(line) < width


def _is_paragraph(lines: list[str], rule: str) -> bool:
    """Whether lines below a blank one are text rather than rows."""
    for line in lines:
        if line.strip():
            if " | " in line or _is_row_below(line, rule):
                return False
        elif len(line) >= max(len(rule), 1):
            return False  # a row of NULL

    return True


def _is_row_below(line: str, rule: str) -> bool:
    """Whether a line is cells, each below a run of dashes of its own: two at least, or
    none below the first.
    """
    runs = [match.span() for match in re.finditer(r"-+", rule)]
    for (_, end), (start, _) in itertools.pairwise(runs):
        if line[end:start].strip():
            return False

    filled = [bool(line[start:end].strip()) for start, end in runs]

    return sum(filled) > 1 or not filled[0]


# --- the forms


def _read_crossed(header: str, rule: str, body: list[str]) -> Raw | str:
    """`a | b` above `---+---`: cells at the crossings; a value may hold a bar, a padded
    cell a line break. "" when it is another form.
    """
    if "+" not in rule or "|" not in header:
        return ""

    places = [n for n, mark in enumerate(rule) if mark == "+"]
    if not _has_bars_at(header, places):
        return "ambiguous: header and rule do not line up"

    names = [cell.strip() for cell in _cut_at(header, places)]
    width = len(names)
    rows: list[list[str]] = []
    broken: set[int] = set()
    goes_on = False  # whether psql marked the line above as not the row's last

    for line in body:
        lines_up = _has_bars_at(line, places)
        if lines_up:
            cells = _cut_at(line, places)
        else:
            cells = line.split("|")

        if len(cells) == width:
            if goes_on and rows:
                rows[-1] = list(map(_append_line, rows[-1], cells))
            else:
                rows.append(cells)
        elif len(cells) == 1 and rows:
            # an imitation prints the line break of its last cell as it is
            rows[-1][-1] = f"{rows[-1][-1].rstrip()}\n{line.rstrip()}"
            broken.add(width - 1)
        else:
            return f"ambiguous: {line[:60]!r} does not line up with the header"

        # psql writes `+` at the edge of a cell that goes on below, and pads its header
        goes_on = header.startswith(" ") and any(cell.endswith("+") for cell in cells)

    stripped = [list(map(str.strip, row)) for row in rows]
    raw = from_rows(names, stripped, text="all", nulls=EMPTY_OR_NULL)
    raw = unquoted.note_lost_spaces(raw)

    return unquoted.note_repairs(raw, names, broken, _REPAIRED)


def _append_line(above: str, below: str) -> str:
    """A cell with its next line, where psql's `+` says that it has one."""
    marked = above.rstrip()
    if not marked.endswith("+"):
        return above

    return f"{marked[:-1].rstrip()}\n{below.strip()}"


def _has_bars_at(line: str, places: Sequence[int]) -> bool:
    return all(n < len(line) and line[n] == "|" for n in places)


def _cut_at(line: str, places: Sequence[int]) -> list[str]:
    edges = itertools.pairwise([-1, *places, len(line)])
    return [line[start + 1 : end] for start, end in edges]


def _read_barred(header: str, body: list[str]) -> Raw | str:
    """`a | b` above one unbroken rule: values joined with bars, not padded, not escaped."""
    if "|" not in header:
        return ""

    if " | " in header:
        separator = " | "
    else:
        separator = "|"

    return _read_separated(header, body, separator)


def _read_listed(header: str, body: list[str]) -> Raw | str:
    """`a, b` or tabs above a rule."""
    found = [separator for separator in ("\t", ", ", ";", ",") if separator in header]
    return _read_separated(header, body, found[0]) if found else ""


def _read_separated(header: str, body: list[str], separator: str) -> Raw | str:
    """Values joined with a separator; blanks beside one show that cells are padded."""
    names = [name.strip() for name in header.split(separator)]
    beside = (f" {separator}", f"{separator} ")
    padded = separator == "|" or any(
        beside[0] in line or beside[1] in line for line in body
    )

    def split(line: str) -> list[str]:
        cells = line.split(separator)
        if padded:
            return [cell.strip() for cell in cells]
        return cells

    lines = body
    if separator.endswith(" "):
        # an editor or a server cut the blank behind the last separator off
        bare = separator.rstrip()
        lines = [_with_last_blank(line, bare) for line in body]

    fitted = unquoted.fit_rows(lines, split, len(names), separator)
    if isinstance(fitted, str):
        return fitted

    rows = fitted.rows
    if padded:
        rows = [list(map(str.strip, row)) for row in rows]

    raw = from_rows(names, rows, text="all", nulls=EMPTY_OR_NULL)
    if padded:
        raw = raw.with_note(unquoted.SPACES_LOST)

    return unquoted.note_repairs(raw, names, fitted.repaired, _REPAIRED)


def _with_last_blank(line: str, separator: str) -> str:
    if line.endswith(separator):
        return f"{line} "
    return line


def _read_single_column(
    header: str, rule: str, body: list[str], *, known: bool, alone: bool
) -> Raw | str:
    """One column, ruled off: of the statement, of numbers or dates, or drawn to the
    width of its widest value.
    """
    name = header.strip()
    # psql puts a blank before each cell
    cells = body
    if header.startswith(" "):
        cells = [line.removeprefix(" ") for line in body]

    values = [cell.strip() for cell in cells if cell.strip() not in EMPTY_OR_NULL]
    typed = unquoted.are_numbers_or_dates(values)
    widest = max(map(len, body), default=0)
    drawn = len(header) == len(rule) == widest and len(rule) > len(name)
    plausible = " " not in name and len(name) <= _LONGEST_NAME and (typed or drawn)
    if not known and not (alone and plausible):
        return "one line and a rule are prose"

    # blanks before a text may be its own
    column = list(map(str.strip if typed else str.rstrip, cells))
    raw = Raw((name,), (column,), len(body), text="all", nulls=EMPTY_OR_NULL)

    if len(body) > 1:
        return unquoted.note_line_per_row(raw, name)

    return raw


# --- what a row may be instead


def _note_torn_row(raw: Raw, tail: Sequence[str]) -> Raw:
    """psql marks a row that goes on below and counts its rows; its imitations do neither."""
    counted = any(_COUNT.fullmatch(line.strip()) for line in tail)
    if counted or not raw.rows:
        return raw

    first = raw.columns[0]
    if not first[0] or "" not in first:
        return raw

    note = "a row with an empty first cell may continue the row above it"

    return raw.with_note(note, approximate=True)


def _note_null_row(raw: Raw, below: Sequence[str]) -> Raw:
    """A blank line where rows belong may be a row of nothing but NULL; in one column so
    may the last.
    """
    if not below:
        return raw

    instead_of_rows = not raw.rows and not below[0].strip()
    is_longer = len(raw.columns) == 1 and len(below) == raw.rows + 1
    behind_last = is_longer and not below[-1].strip()
    if not instead_of_rows and not behind_last:
        return raw

    return raw.with_note("an empty line may be a row of NULL", approximate=True)
