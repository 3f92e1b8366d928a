"""Tables in light markup, whose cells stand between bars: Markdown and wikis.

Wikis are Jira (`||names||`), MediaWiki (`{| … |}`), AsciiDoc (`|===`) and Textile
(`|_. names|`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mcp_notebook.results.columns import declared
from mcp_notebook.results.formats import unquoted
from mcp_notebook.results.formats.unquoted import EMPTY_OR_NULL
from mcp_notebook.results.reading import Answer, Raw, Taken, from_rows, listing

Rows = list[list[str]]

# --- Markdown

_RULE = re.compile(
    r"[ \t]*\|?[ \t]*:?-{1,}:?[ \t]*(?:\|[ \t]*:?-{1,}:?[ \t]*)*\|?[ \t]*|"
    r"[ \t]*\|(?:-+\+)+-+\|[ \t]*"
)
_BORDER = re.compile(r"[ \t]*\+[-=+]{2,}\+[ \t]*")
_BAR = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(r"\\([_*`~#<>\[\](){}!.+-])")
_OTHER_BACKSLASH = re.compile(r"\\(?![_*`~#<>\[\](){}!.+|-])")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def read_markdown(text: str) -> Answer:
    """All markdown tables of a text; the rest is what is between them."""
    if "|" not in text or "-" not in text:
        return "no | or no dashes"

    lines = text.splitlines()
    if any(line.startswith("{|") for line in lines):
        return "MediaWiki's markup"

    raws: list[Raw] = []
    rest: list[str] = []
    at = 0

    while at < len(lines):
        end = _end_of_markdown_table(lines, at)
        if end is None:
            rest.append(lines[at])
            at += 1
            continue

        raw = _read_markdown_table(lines[at:end])
        if isinstance(raw, str):
            return raw

        raws.append(raw)
        at = end

    if not raws:
        return "no line of |---|---|"

    return Taken(tuple(raws), rest="\n".join(rest).strip())


def _end_of_markdown_table(lines: Sequence[str], at: int) -> int | None:
    """The line after the table that starts at `at`, None when none starts there."""
    if not _starts_markdown_table(lines, at):
        return None

    header = lines[at].strip()
    has_outer_bars = header.startswith("|")
    is_closed = has_outer_bars and header.endswith("|")
    # a cell with a line break goes on below, until a line ends with a bar
    is_open = False
    end = at + 2

    while end < len(lines):
        line = lines[end].strip()
        if has_outer_bars:
            is_row = line.startswith("|")
        else:
            is_row = "|" in line

        if not is_open and not is_row:
            break

        is_open = is_closed and not line.endswith("|")
        end += 1

    return end


def _starts_markdown_table(lines: Sequence[str], at: int) -> bool:
    """Whether this line is names above a rule that is as wide."""
    if at + 1 >= len(lines):
        return False

    header, rule = lines[at], lines[at + 1]
    if "|" not in header or "|" not in rule or not _RULE.fullmatch(rule):
        return False
    # A drawn box (Polars writes dashes between names and types), or a row in the middle
    # of one.
    if at and _BORDER.fullmatch(lines[at - 1]):
        return False
    if at and lines[at - 1].lstrip().startswith("|"):
        return False

    width = _width_of_rule(rule)

    return width in (len(_split_at_bars(header)), len(_split_at_spaced_bars(header)))


def _width_of_rule(rule: str) -> int:
    """How many columns a rule has; Emacs' tables cross theirs: `|---+---|`."""
    return len(_split_at_bars(rule.replace("+", "|")))


def _read_markdown_table(lines: Sequence[str]) -> Raw | str:
    width = _width_of_rule(lines[1])
    names = _split_at_bars(lines[0])
    if len(names) != width:
        # a name holds a bar that is not escaped
        names = _split_at_spaced_bars(lines[0])

    plain_text = _choose_plain_text(lines)
    header = list(map(plain_text, names))
    body = list(lines[2:])
    broken = 0
    if _is_closed_row(lines[0]):
        body = _join_open_rows(lines[2:])
        broken = len(lines) - 2 - len(body)
        if body and not body[-1].rstrip().endswith("|"):
            return "ambiguous: a row of the markdown table does not end"

    rows = [_split_row(line, width) for line in body]
    repaired: frozenset[int] = frozenset()
    if any(len(row) != width for row in rows):
        fitted = unquoted.fit_rows(body, _splitter_for(width), width, " | ")
        if isinstance(fitted, str):
            return fitted

        rows, repaired = fitted.rows, fitted.repaired

    cells, kinds = _take_types([list(map(plain_text, row)) for row in rows])
    raw = from_rows(header, cells, text="all", nulls=EMPTY_OR_NULL, declared=kinds)
    if rows:
        raw = raw.with_note(unquoted.SPACES_LOST)

    if width == 1 and any(_BAR.search(row[0]) for row in rows):
        note = f"bars inside values of {listing(header)} are not escaped"
        raw = raw.with_note(note, approximate=True)

    if broken:
        note = "line breaks inside values were put together again"
        raw = raw.with_note(note, approximate=True)

    note = "bars inside values are not escaped; cells of {} were put together"

    return unquoted.note_repairs(raw, header, repaired, note)


def _is_closed_row(line: str) -> bool:
    """Whether a line has a bar at both ends, so that one without is not complete."""
    row = line.strip()
    return row.startswith("|") and row.endswith("|")


def _join_open_rows(lines: Sequence[str]) -> list[str]:
    """The rows, those with a line break in a value as one."""
    rows: list[str] = []
    is_open = False

    for line in lines:
        if is_open:
            rows[-1] += f"\n{line}"
        else:
            rows.append(line)

        is_open = not line.rstrip().endswith("|")

    return rows


def _take_types(rows: Rows) -> tuple[Rows, tuple[str, ...]]:
    """The rows and the types above them: Polars' markdown has dashes, the types and the
    real rule below the names.
    """
    has_dashes = bool(rows) and set("".join(rows[0])) == {"-"}
    if has_dashes:
        kinds_at = 1
    else:
        kinds_at = 0

    rule_at = kinds_at + 1
    if len(rows) <= rule_at:
        return rows, ()
    if not all(set(cell) == {"-"} for cell in rows[rule_at]):
        return rows, ()
    if not all(map(declared.kind, rows[kinds_at])):
        return rows, ()

    return rows[rule_at + 1 :], tuple(rows[kinds_at])


def _split_row(line: str, width: int) -> list[str]:
    """The cells of a row; in a table of one column a bar can only be part of the value."""
    if width == 1:
        return [_without_outer_bars(line)]
    return _split_at_bars(line)


def _splitter_for(width: int) -> Callable[[str], list[str]]:
    """How rows with bars inside are cut: at bars between spaces, where those are enough."""

    def split(row: str) -> list[str]:
        cells = _split_at_spaced_bars(row)
        if len(cells) < width:
            cells = _split_at_bars(row)

        return list(map(str.strip, cells))

    return split


def _split_at_spaced_bars(line: str) -> list[str]:
    return f"{_without_outer_bars(line)} ".split(" | ")


def _split_at_bars(line: str) -> list[str]:
    return _BAR.split(_without_outer_bars(line))


def _without_outer_bars(line: str) -> str:
    body = line.strip().removeprefix("|")
    if body.endswith("\\|"):
        return body
    return body.removesuffix("|")


def _choose_plain_text(lines: Sequence[str]) -> Callable[[str], str]:
    """How cells are read: with escapes of signs undone when there are any, and no
    backslash that is none (a path of Windows), which shows that none are.
    """
    text = "\n".join(lines)
    if "\\" in text and _OTHER_BACKSLASH.search(text) is None:
        return lambda cell: _plain_text(_ESCAPED.sub(r"\1", cell))

    return _plain_text


def _plain_text(cell: str) -> str:
    """A cell without what Markdown needs to hold a bar or a line break in it."""
    return _BREAK.sub("\n", cell.strip().replace("\\|", "|"))


# --- wikis

_JIRA_HEADER = re.compile(r"[ \t]*\|\|.*\|\|[ \t]*")
_TEXTILE_HEADER = re.compile(r"[ \t]*\|_[<>=]*\..*\|[ \t]*")
_TEXTILE_ALIGNMENT = re.compile(r"[_<>=^]{1,3}\.[ \t]*")
_ASCIIDOC_RULE = re.compile(r"\|={3,}[ \t]*")
_ASCIIDOC_ALIGNMENT = re.compile(r"[ \t]?[<>^][a-z]")
_MEDIAWIKI_ATTRIBUTES = re.compile(r'[ \t]*(?:[\w-]+="[^"]*"[ \t]*)+\|(?!\|)')
_MOIN_ATTRIBUTES = re.compile(r"^<(?:[-|:()^v#]|\w+=)[^<>]*>")
_WIKI_MARKS = ("||", "{|", "|==", "|_")


def read_wiki(text: str) -> Answer:
    """The one table in wiki markup of a text."""
    if not any(mark in text for mark in _WIKI_MARKS):
        return "no wiki markup"

    lines = text.splitlines()

    # MediaWiki and AsciiDoc have marks around the table and stand first: their rows may
    # begin as a header of the others does.
    for starts_table, read_rows in (
        (_starts_mediawiki, _read_mediawiki_rows),
        (_is_asciidoc_rule, _read_asciidoc_rows),
        (_JIRA_HEADER.fullmatch, _read_jira_rows),
        (_TEXTILE_HEADER.fullmatch, _read_textile_rows),
    ):
        at = next((n for n, line in enumerate(lines) if starts_table(line)), None)
        if at is None:
            continue

        rows, end = read_rows(lines, at)
        if not end:
            return (
                "ambiguous: its wiki table, or a row of it, "
                "does not end where its line does"
            )

        rest = "\n".join([*lines[:at], *lines[end:]]).strip()
        return _table_of_wiki_rows(rows, rest)

    return "no wiki markup"


def _table_of_wiki_rows(rows: Rows, rest: str) -> Answer:
    if not rows or not rows[0] or not all(rows[0]):
        return "no names in its wiki markup"

    names, *body = rows
    if any(len(row) != len(names) for row in body):
        return (
            "ambiguous: a row of the wiki table has another width; "
            "a value may hold its separator"
        )

    raw = from_rows(names, body, text="all", nulls=EMPTY_OR_NULL)

    return Taken((unquoted.note_lost_spaces(raw),), rest=rest)


# Each of these takes the lines and the number of the first, and returns the rows and the
# number of the line after them; 0 when the table does not end as it must.


def _read_jira_rows(lines: Sequence[str], at: int) -> tuple[Rows, int]:
    """`||id||name||` above `|1|x|`; MoinMoin writes two bars in every row and three
    quotes around names.
    """
    end = _end_of_barred_lines(lines, at)
    rows: Rows = []

    for line in map(str.strip, lines[at:end]):
        if not line.endswith("|"):
            return [], 0

        if line.startswith("||"):
            bar = "||"
        else:
            bar = "|"

        cells = line.removeprefix(bar).removesuffix(bar).split(bar)
        rows.append(list(map(_plain_moin_cell, cells)))

    return rows, end


def _plain_moin_cell(cell: str) -> str:
    """A cell without MoinMoin's attributes and bold quotes."""
    cell = cell.strip()
    if "'''" not in cell and "<" not in cell:
        return cell

    return _MOIN_ATTRIBUTES.sub("", cell).strip().strip("'").strip()


def _read_textile_rows(lines: Sequence[str], at: int) -> tuple[Rows, int]:
    """`|_. id|_. name|` above `|1|x|`, each cell with an alignment before it or none."""
    end = _end_of_barred_lines(lines, at)
    rows: Rows = []

    for line in map(str.strip, lines[at:end]):
        if not line.endswith("|"):
            return [], 0

        cells = line.removeprefix("|").removesuffix("|").split("|")
        rows.append(list(map(_plain_textile_cell, cells)))

    return rows, end


def _plain_textile_cell(cell: str) -> str:
    return _TEXTILE_ALIGNMENT.sub("", cell.strip(), count=1).strip()


def _end_of_barred_lines(lines: Sequence[str], at: int) -> int:
    """The line after the rows, each of which begins with a bar."""
    end = at
    while end < len(lines) and lines[end].lstrip().startswith("|"):
        end += 1

    return end


def _starts_mediawiki(line: str) -> bool:
    return line.lstrip().startswith("{|")


def _read_mediawiki_rows(lines: Sequence[str], at: int) -> tuple[Rows, int]:
    """`|-` begins a row, `!` names and `|` cells, several in a line with the mark twice;
    `|+` is the caption.
    """
    ends = (n + 1 for n in range(at, len(lines)) if lines[n].strip() == "|}")
    end = next(ends, 0)
    rows: Rows = [[]]

    for line in map(str.strip, lines[at + 1 : end - 1]):
        if not line or line.startswith("|+"):
            continue

        if line.startswith("|-"):
            rows.append([])
        elif line.startswith(("!", "|")):
            if line[0] == "!":
                between = r"!!|\|\|"
            else:
                between = r"\|\|"

            rows[-1] += map(_plain_mediawiki_cell, re.split(between, line[1:]))
        else:
            return [], 0

    return [row for row in rows if row], end


def _plain_mediawiki_cell(cell: str) -> str:
    """A cell without its attributes: `style="text-align:right" | 1`."""
    attributes = _MEDIAWIKI_ATTRIBUTES.match(cell)
    return cell[attributes.end() if attributes else 0 :].strip()


def _is_asciidoc_rule(line: str) -> bool:
    return _ASCIIDOC_RULE.fullmatch(line.strip()) is not None


def _read_asciidoc_rows(lines: Sequence[str], at: int) -> tuple[Rows, int]:
    """Rows of `|1 |x` between two lines of `|===`."""
    ends = (n + 1 for n in range(at + 1, len(lines)) if _is_asciidoc_rule(lines[n]))
    end = next(ends, 0)
    rows: Rows = [
        list(map(_plain_asciidoc_cell, line.split("|")[1:]))
        for line in lines[at + 1 : end - 1]
        if "|" in line
    ]

    return rows, end


def _plain_asciidoc_cell(cell: str) -> str:
    """A cell without the alignment of the next, which psql writes before each bar:
    `^l|id ^l|name`.
    """
    cell = cell.strip()
    is_aligned = _ASCIIDOC_ALIGNMENT.fullmatch(cell[-3:]) is not None
    if is_aligned:
        return cell[:-2].rstrip()

    return cell
