"""One table written in every format that servers send, as plainly as they write it;
NULL as each format does.
"""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from tests.results.more_carriers import MORE
from tests.results.sheets import Sheet, Writer, jsonable, lists, records, texts, widths


def _csv(sheet: Sheet, **options: Any) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, **{"lineterminator": "\n", **options})
    writer.writerows([sheet.names, *texts(sheet, "")])
    return buffer.getvalue()


def _markdown(sheet: Sheet, *, null: str, escape: bool) -> str:
    def line(cells: Sequence[str]) -> str:
        if escape:
            cells = [cell.replace("|", "\\|").replace("\n", "<br>") for cell in cells]
        return "| " + " | ".join(cells) + " |"

    return "\n".join(
        [
            line(sheet.names),
            line(["---"] * len(sheet.names)),
            *map(line, texts(sheet, null)),
        ]
    )


def _psql(sheet: Sheet) -> str:
    wide = widths(sheet, "")
    header = "|".join(
        f" {name:^{width}} " for name, width in zip(sheet.names, wide, strict=True)
    ).rstrip()
    rule = "+".join("-" * (width + 2) for width in wide)
    body = [
        "|".join(
            f" {cell:<{width}} " for cell, width in zip(row, wide, strict=True)
        ).rstrip()
        for row in texts(sheet, "")
    ]
    return "\n".join(
        [header, rule, *body, f"({len(body)} row{'' if len(body) == 1 else 's'})", ""]
    )


def _mysql(sheet: Sheet) -> str:
    wide = widths(sheet, "NULL")
    rule = "+" + "+".join("-" * (width + 2) for width in wide) + "+"

    def line(cells: Sequence[str]) -> str:
        return (
            "|"
            + "|".join(
                f" {cell:<{width}} " for cell, width in zip(cells, wide, strict=True)
            )
            + "|"
        )

    return "\n".join(
        [rule, line(sheet.names), rule, *map(line, texts(sheet, "NULL")), rule]
    )


def _drawn(sheet: Sheet, null: str) -> str:
    """sqlite3 -box and rich's square boxes."""
    text = (
        _mysql(sheet)
        if null == "NULL"
        else _mysql(Sheet(sheet.names, tuple(map(tuple, texts(sheet, null)))))
    )
    lines = text.split("\n")
    rules = [
        n
        for n, line in enumerate(lines)
        if line.startswith("+-") and set(line) <= set("+-")
    ]
    for n, line in enumerate(lines):
        if n in rules:
            left, cross, right = (
                "┌┬┐" if n == rules[0] else "└┴┘" if n == rules[-1] else "├┼┤"
            )
            lines[n] = left + line[1:-1].replace("-", "─").replace("+", cross) + right
        else:
            lines[n] = line.replace("|", "│")
    return "\n".join(lines)


def _sqlite_columns(sheet: Sheet) -> str:
    wide = widths(sheet, "")
    lines = [sheet.names, tuple("-" * width for width in wide), *texts(sheet, "")]
    return "\n".join(
        "  ".join(f"{cell:<{w}}" for cell, w in zip(row, wide, strict=True))
        for row in lines
    )


def _vertical(sheet: Sheet, marker: str, null: str) -> str:
    width = max(map(len, sheet.names))
    blocks = []
    for number, row in enumerate(texts(sheet, null), start=1):
        fields = [
            f"{name:>{width}}: {cell}"
            for name, cell in zip(sheet.names, row, strict=True)
        ]
        blocks.append("\n".join([marker.format(number), *fields]))
    return "\n".join(blocks)


def _expanded(sheet: Sheet) -> str:
    width = max(map(len, sheet.names))
    lines = []
    for number, row in enumerate(texts(sheet, ""), start=1):
        lines.append(f"-[ RECORD {number} ]".ljust(width + 1, "-") + "+--------")
        lines += [
            f"{name:<{width}} | {cell}"
            for name, cell in zip(sheet.names, row, strict=True)
        ]
    return "\n".join(lines)


def _key_values(sheet: Sheet) -> str:
    return "\n\n".join(
        "\n".join(
            f"{name}: {cell}" for name, cell in zip(sheet.names, row, strict=True)
        )
        for row in texts(sheet, "NULL")
    )


def _html(sheet: Sheet) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in sheet.names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in texts(sheet, "NULL")
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _xml(sheet: Sheet) -> str:
    def field(name: str, cell: str) -> str:
        return f'<field name="{html.escape(name)}">{html.escape(cell)}</field>'

    rows = ("".join(map(field, sheet.names, row)) for row in texts(sheet, ""))
    return "<resultset>" + "".join(f"<row>{row}</row>" for row in rows) + "</resultset>"


def _joined(sheet: Sheet, separator: str, null: str, *, rule: bool = False) -> str:
    """Values joined with a separator, nothing quoted."""
    header, *rows = [
        separator.join(row) for row in [list(sheet.names), *texts(sheet, null)]
    ]
    return "\n".join([header, *(["-" * 30] if rule else []), *rows])


def _toon(sheet: Sheet) -> str:
    def cell(value: Any) -> str:
        value = jsonable(value)
        plain = (
            isinstance(value, str) and value.replace("-", "").replace(" ", "").isalpha()
        )
        words = (
            value in ("true", "false", "null")
            or value != str(value).strip()
            or str(value).startswith("-")
        )
        return value if plain and not words else json.dumps(value, ensure_ascii=False)

    names = ",".join(
        name if name.isidentifier() else json.dumps(name, ensure_ascii=False)
        for name in sheet.names
    )
    return "\n".join(
        [
            f"rows[{len(sheet.rows)}]{{{names}}}:",
            *("  " + ",".join(map(cell, row)) for row in sheet.rows),
        ]
    )


def _frame(sheet: Sheet) -> pd.DataFrame:
    return pd.DataFrame(lists(sheet), columns=pd.Index(sheet.names, dtype=object))


WRITERS: dict[str, Writer] = {
    "JSON records": lambda sheet: json.dumps(records(sheet)),
    "JSON records, indented, not ASCII": lambda sheet: json.dumps(records(sheet), indent=2, ensure_ascii=False),
    "JSON columns and rows": lambda sheet: json.dumps({"columns": sheet.names, "rows": lists(sheet)}),
    "JSON envelope": lambda sheet: json.dumps({"success": True, "data": {"rows": records(sheet), "count": 3}}),
    "NDJSON": lambda sheet: "\n".join(map(json.dumps, records(sheet))),
    "JSON after prose": lambda sheet: f"Done, {len(sheet.rows)} rows.\n\nResults:\n{json.dumps(records(sheet))}",
    "JSON in a fence": lambda sheet: f"Here:\n```json\n{json.dumps(records(sheet), indent=1)}\n```\nThat is all.",
    "JSON in a tag": lambda sheet: f"<query-result>\n{json.dumps(records(sheet))}\n</query-result>",
    "Python dicts": lambda sheet: repr(sheet.records),
    "Python tuples": lambda sheet: repr(list(sheet.rows)),
    "Python columns and rows": lambda sheet: repr({"columns": list(sheet.names), "rows": list(sheet.rows)}),
    "CSV": _csv,
    "CSV, all quoted": lambda sheet: _csv(sheet, quoting=csv.QUOTE_ALL),
    "CSV in a fence": lambda sheet: f"Rows:\n```csv\n{_csv(sheet)}```\n",
    "CSV with \\r\\n": lambda sheet: _csv(sheet, lineterminator="\r\n"),
    "TSV": lambda sheet: _csv(sheet, delimiter="\t"),
    "semicolons": lambda sheet: _csv(sheet, delimiter=";"),
    "commas without quotes": lambda sheet: _joined(sheet, ",", "None"),
    "tabs without quotes": lambda sheet: _joined(sheet, "\t", "NULL"),
    "bars and a rule": lambda sheet: _joined(sheet, " | ", "NULL", rule=True),
    "markdown": lambda sheet: _markdown(sheet, null="NULL", escape=True),
    "markdown, nothing escaped": lambda sheet: _markdown(sheet, null="", escape=False),
    "markdown after prose": lambda sheet: f"Found:\n\n{_markdown(sheet, null='NULL', escape=True)}\n\nDone.",
    "psql": _psql,
    "psql expanded": _expanded,
    "mysql": _mysql,
    "sqlite box": lambda sheet: _drawn(sheet, ""),
    "sqlite columns": _sqlite_columns,
    "mysql vertical": lambda sheet: _vertical(sheet, f"{'*' * 27} {{}}. row {'*' * 27}", "NULL"),
    "numbered rows": lambda sheet: _vertical(sheet, "Row {}:", "None"),
    "key and value": _key_values,
    "HTML": _html,
    "XML": _xml,
    "YAML": lambda sheet: yaml.safe_dump(records(sheet), sort_keys=False, allow_unicode=True),
    "TOON": _toon,
    "printed frame": lambda sheet: _frame(sheet).to_string(),
    "printed frame, no index": lambda sheet: "Result:\n\n" + _frame(sheet).to_string(index=False),
    "frame as markdown-like repr": lambda sheet: repr(_frame(sheet)),
    **MORE,
}  # fmt: skip
