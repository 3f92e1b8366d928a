r"""LaTeX's `tabular`: cells between `&`, rows ended by `\\`, rules between them."""

from __future__ import annotations

import re

from mcp_notebook.results.columns.nulls import NULL_WORDS
from mcp_notebook.results.raw_table import Answer, Taken, from_rows

_TABULAR = re.compile(
    r"\\begin\{(tabular\*?|tabularx|longtable|array)\}(.*?)\\end\{\1\}", re.DOTALL
)
_RULE = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|endhead|endfoot|endfirsthead|cline\{[^}]*\})\s*"
)
_COMMAND = re.compile(
    r"\\([&%$#_{}])|\\(textasciitilde|textasciicircum|textbackslash|ensuremath\{[<>]\})(?:\{\})?"
)
_SIGNS = {"textasciitilde": "~", "textasciicircum": "^", "textbackslash": "\\", "ensuremath{<}": "<",
          "ensuremath{>}": ">"}  # fmt: skip


def read(text: str) -> Answer:
    """All tabulars of a text, the first row of each as its header."""
    # each is looked for to the end
    if not 0 < text.count("\\begin{") <= min(text.count("\\end{"), 100):
        return "no tabular"
    raws = []
    for match in _TABULAR.finditer(text):
        body = re.sub(r"^(?:\[[^\]]*\])?(?:\{[^{}]*\}){1,2}", "", match[2].strip())
        rows = [
            _cells(row)
            for row in re.split(r"\\\\(?:\[[^\]]*\])?", _RULE.sub("", body))
            if row.strip()
        ]
        if len({len(row) for row in rows}) != 1:
            return "its rows are not of one width"
        raw = from_rows(rows[0], rows[1:], text="all", nulls=(*NULL_WORDS, ""))
        raws.append(
            raw.noted("spaces at the ends of values are lost in a drawn table")
            if rows[1:]
            else raw
        )
    return (
        Taken(tuple(raws), rest=_TABULAR.sub("", text).strip())
        if raws
        else "no tabular"
    )


def _cells(row: str) -> list[str]:
    return [_COMMAND.sub(_sign, cell.strip()) for cell in re.split(r"(?<!\\)&", row)]


def _sign(match: re.Match[str]) -> str:
    return match[1] or _SIGNS[match[2]]
