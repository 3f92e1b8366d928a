"""More ways to write one table: a row a line, terminals' and wikis' tables, and the
JSON of services.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Sequence
from typing import Any

from tests.results.sheets import Sheet, Writer, jsonable, lists, records, texts, widths


def _pairs(
    sheet: Sheet, *, prefix: str, field: str, separator: str, null: str = "None"
) -> str:
    """`Row 1: a=1, b=2`, and the like."""
    return "\n".join(
        prefix.format(number)
        + separator.join(
            field.format(name=name, cell=cell)
            for name, cell in zip(sheet.names, row, strict=True)
        )
        for number, row in enumerate(texts(sheet, null), start=1)
    )


def _each(sheet: Sheet, prefix: str, write: Callable[[Any], str]) -> str:
    return "\n".join(
        prefix.format(number) + write(row)
        for number, row in enumerate(sheet.records, start=1)
    )


def _json_each(sheet: Sheet, prefix: str) -> str:
    return "\n".join(
        prefix.format(number) + json.dumps(row)
        for number, row in enumerate(records(sheet), start=1)
    )


def _grid(sheet: Sheet, marks: str, *, between: bool = False, null: str = "") -> str:
    """A box: corners of three lines, the flat line, the bar; `between`: a rule below every row."""
    top, middle, bottom, flat, bar = (
        marks[:3],
        marks[3:6],
        marks[6:9],
        marks[9],
        marks[10],
    )
    wide = widths(sheet, null)

    def rule(corners: str) -> str:
        return (
            corners[0]
            + corners[1].join(flat * (width + 2) for width in wide)
            + corners[2]
        )

    def line(cells: Sequence[str]) -> str:
        return (
            bar
            + bar.join(
                f" {cell:<{width}} " for cell, width in zip(cells, wide, strict=True)
            )
            + bar
        )

    rows = [line(row) for row in texts(sheet, null)]
    inner = f"\n{rule(middle)}\n" if between else "\n"
    return "\n".join(
        [rule(top), line(sheet.names), rule(middle), inner.join(rows), rule(bottom)]
    )


def _columns(
    sheet: Sheet,
    gap: str,
    *,
    null: str = "",
    rule: str = "",
    crossing: str = "",
    framed: bool = False,
) -> str:
    """Padded cells with a gap between them; a rule of this mark below the names, and if
    framed at both ends.
    """
    wide = widths(sheet, null)
    rows = [
        gap.join(f"{cell:<{width}}" for cell, width in zip(row, wide, strict=True))
        for row in [sheet.names, *texts(sheet, null)]
    ]
    dashes = crossing.join(rule * width for width in wide)
    body = [rows[0], *([dashes] if rule else []), *rows[1:]]
    return "\n".join([dashes, *body, dashes] if framed else body)


def _orgtbl(sheet: Sheet) -> str:
    lines = _grid(sheet, "+++" + "|+|" + "+++" + "-|", null="NULL").split("\n")
    return "\n".join(lines[1:-1])


def _jira(sheet: Sheet) -> str:
    body = ["| " + " | ".join(row) + " |" for row in texts(sheet, "NULL")]
    return "\n".join(["|| " + " || ".join(sheet.names) + " ||", *body])


def _mediawiki(sheet: Sheet) -> str:
    body = [f"|-\n| {' || '.join(row)}" for row in texts(sheet, "NULL")]
    return "\n".join(
        ['{| class="wikitable"', f"! {' !! '.join(sheet.names)}", *body, "|}"]
    )


def _asciidoc(sheet: Sheet) -> str:
    return "\n".join(
        [
            "|===",
            *("|" + " |".join(row) for row in [sheet.names, *texts(sheet, "NULL")]),
            "|===",
        ]
    )


def _textile(sheet: Sheet) -> str:
    body = [
        "|" + "|".join(f"<. {cell} " for cell in row) + "|"
        for row in texts(sheet, "NULL")
    ]
    return "\n".join(
        ["|" + "|".join(f"_. {name} " for name in sheet.names) + "|", *body]
    )


def _framed_records(sheet: Sheet) -> str:
    """psql's expanded output with border 2 in Unicode."""
    wide, longest = (
        max(map(len, sheet.names)),
        max(map(len, [c for row in texts(sheet, "") for c in row] + ["xxxxxxxx"])),
    )
    lines = []
    for number, row in enumerate(texts(sheet, ""), start=1):
        left, cross, right = "┌┬┐" if number == 1 else "├┼┤"
        label = f"[ RECORD {number} ]"
        lines.append(
            (left + "─" + label).ljust(wide + 3, "─")
            + cross
            + "─" * (longest + 2)
            + right
        )
        lines += [
            f"│ {name:<{wide}} │ {cell:<{longest}} │"
            for name, cell in zip(sheet.names, row, strict=True)
        ]
    return "\n".join([*lines, "└" + "─" * (wide + 2) + "┴" + "─" * (longest + 2) + "┘"])


def _spark_records(sheet: Sheet) -> str:
    wide, longest = (
        max(map(len, sheet.names)),
        max(map(len, [c for row in texts(sheet, "NULL") for c in row])),
    )
    blocks = []
    for number, row in enumerate(texts(sheet, "NULL")):
        fields = [
            f" {name:<{wide}} | {cell:<{longest}} "
            for name, cell in zip(sheet.names, row, strict=True)
        ]
        blocks.append(
            "\n".join([f"-RECORD {number}".ljust(wide + longest + 5, "-"), *fields])
        )
    return "\n".join(blocks)


def _sqlite_lines(sheet: Sheet) -> str:
    wide = max(map(len, sheet.names))
    return "\n\n".join(
        "\n".join(
            f"{name:>{wide}} = {cell}"
            for name, cell in zip(sheet.names, row, strict=True)
        )
        for row in texts(sheet, "")
    )


def _bulleted(sheet: Sheet) -> str:
    return "\n\n".join(
        f"### Row {number}\n"
        + "\n".join(
            f"- **{name}:** {cell}" for name, cell in zip(sheet.names, row, strict=True)
        )
        for number, row in enumerate(texts(sheet, "NULL"), start=1)
    )


def _console_table(sheet: Sheet) -> str:
    """Node's console.table: an index, and texts in quotes."""

    def shown(value: Any) -> Any:
        if value is None or isinstance(value, bool):
            return {None: "null", True: "true", False: "false"}[value]
        return value if isinstance(value, (int, float)) else f"'{value}'"

    rows = tuple((number, *map(shown, row)) for number, row in enumerate(sheet.rows))
    return _grid(Sheet(("(index)", *sheet.names), rows), "┌┬┐├┼┤└┴┘─│")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")


def _escaped_tsv(sheet: Sheet) -> str:
    """mysql --batch: everything escaped, NULL as a word."""
    rows = [[_escaped(cell) for cell in row] for row in texts(sheet, "NULL")]
    return "\n".join("\t".join(row) for row in [sheet.names, *rows]) + "\n"


def _html_rows(sheet: Sheet) -> str:
    """sqlite3 -html: rows without a table around them."""
    head = "".join(f"<TH>{html.escape(name)}</TH>\n" for name in sheet.names)
    body = [
        "".join(f"<TD>{html.escape(cell)}</TD>\n" for cell in row)
        for row in texts(sheet, "")
    ]
    return "\n".join(f"<TR>{row}</TR>" for row in [head, *body])


def _wrapped_cells(sheet: Sheet, wrap: Callable[[Any], Any]) -> list[list[Any]]:
    return [[wrap(cell) for cell in row] for row in lists(sheet)]


def _aws(value: Any) -> dict[str, Any]:
    if value is None:
        return {"isNull": True}
    kind = {bool: "booleanValue", int: "longValue", float: "doubleValue"}.get(
        type(value), "stringValue"
    )
    return {kind: value}


def _dynamo(value: Any) -> dict[str, Any]:
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    return {"N": str(value)} if isinstance(value, (int, float)) else {"S": value}


def _libsql(value: Any) -> dict[str, Any]:
    if value is None:
        return {"type": "null"}
    if type(value) is int:
        return {"type": "integer", "value": str(value)}
    return (
        {"type": "float", "value": value}
        if isinstance(value, float)
        else {"type": "text", "value": str(value)}
    )


def _nodes(sheet: Sheet) -> str:
    edges = [
        {"cursor": str(number), "node": row}
        for number, row in enumerate(records(sheet))
    ]
    return json.dumps(
        {"data": {"things": {"edges": edges, "pageInfo": {"hasNextPage": False}}}}
    )


def _fields(sheet: Sheet) -> list[dict[str, str]]:
    return [{"name": name, "label": name} for name in sheet.names]


def _cells(sheet: Sheet) -> list[dict[str, Any]]:
    return [
        {"f": row}
        for row in _wrapped_cells(
            sheet, lambda cell: {"v": cell if cell is None else str(cell)}
        )
    ]


MORE: dict[str, Writer] = {
    "Row 1: a=1, b=2": lambda s: _pairs(s, prefix="Row {}: ", field="{name}={cell}", separator=", "),
    "Row 1: a: 1, b: 2": lambda s: _pairs(s, prefix="Row {}: ", field="{name}: {cell}", separator=", "),
    "1. a: 1 | b: 2": lambda s: _pairs(s, prefix="{}. ", field="{name}: {cell}", separator=" | "),
    "- **a**: 1, **b**: 2": lambda s: _pairs(s, prefix="- ", field="**{name}**: {cell}", separator=", "),
    "a: 1, b: 2": lambda s: _pairs(s, prefix="", field="{name}: {cell}", separator=", ", null="NULL"),
    "prose, then rows": lambda s: f"Found {len(s.rows)} rows:\n\n" + _pairs(s, prefix="{}) ", field="{name}={cell}", separator="; "),
    "prose, then NDJSON": lambda s: f"Found {len(s.rows)} rows:\n" + _json_each(s, ""),
    "Row 1: JSON": lambda s: _json_each(s, "Row {}: "),
    "bulleted JSON": lambda s: _json_each(s, "- "),
    "a dict a line": lambda s: _each(s, "", repr),
    "Row 1: a dict": lambda s: "Results:\n" + _each(s, "Row {}: ", repr),
    "a tuple a line below names": lambda s: f"Columns: {list(s.names)}\n" + "\n".join(map(repr, s.rows)),
    "heavy grid": lambda s: _grid(s, "┏┳┓┣╋┫┗┻┛━┃", between=True),
    "double grid": lambda s: _grid(s, "╔╦╗╠╬╣╚╩╝═║", null="NULL"),
    "mixed grid": lambda s: _grid(s, "┍┯┑┝┿┥┕┷┙━│"),
    "box in colours": lambda s: "\n".join(f"\x1b[32m{line}\x1b[0m" for line in _grid(s, "┌┬┐├┼┤└┴┘─│").split("\n")),
    "Emacs": _orgtbl,
    "reStructuredText": lambda s: _columns(s, "  ", rule="=", crossing="  ", framed=True),
    "psql in Unicode": lambda s: _columns(s, " │ ", rule="─", crossing="─┼─"),
    "nothing but blanks": lambda s: _columns(s, "   ", null="NULL"),
    "Jira": _jira,
    "MediaWiki": _mediawiki,
    "AsciiDoc": _asciidoc,
    "Textile": _textile,
    "psql expanded, framed": _framed_records,
    "Spark vertical": _spark_records,
    "sqlite lines": _sqlite_lines,
    "bulleted records": _bulleted,
    "console.table": _console_table,
    "mysql --batch": _escaped_tsv,
    "sqlite HTML": _html_rows,
    "JSON string around JSON": lambda s: json.dumps(f"Below is the result.\n\n<data-1>\n{json.dumps(records(s))}\n</data-1>\n"),
    "AWS data API": lambda s: json.dumps({"ColumnMetadata": _fields(s), "Records": _wrapped_cells(s, _aws)}),
    "DynamoDB": lambda s: json.dumps({"Items": [{n: _dynamo(jsonable(c)) for n, c in row.items()} for row in s.records], "Count": 1}),
    "BigQuery": lambda s: json.dumps({"schema": {"fields": _fields(s)}, "rows": _cells(s), "jobComplete": True}),
    "libSQL": lambda s: json.dumps(
        {"results": [{"type": "ok", "response": {"result": {"cols": _fields(s), "rows": _wrapped_cells(s, _libsql)}}}]}
    ),
    "Athena": lambda s: json.dumps(
        {"ResultSet": {
            "Rows": [{"Data": [{"VarCharValue": c} if c is not None else {} for c in row]} for row in [s.names, *texts(s, None)]],
            "ResultSetMetadata": {"ColumnInfo": _fields(s)},
        }}
    ),
    "GraphQL edges": _nodes,
    "Elasticsearch": lambda s: json.dumps({"columns": _fields(s), "rows": lists(s)}),
    "columns by name": lambda s: json.dumps(
        {"meta": _fields(s), "data": {n: [row[k] for row in lists(s)] for k, n in enumerate(s.names)}, "rows": len(s.rows)}
    ),
}  # fmt: skip
