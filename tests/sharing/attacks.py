"""The attack corpora: one JSON object a line, in a folder beside the repository or
named by a variable.
"""

import json
from typing import Any

import pytest

from tests.data import ATTACKS
from tests.sharing.more_attacks import DUCKDB, POSTGRES, SQLITE, as_cases

OWN = {
    "sql_duckdb.jsonl": as_cases("more-duck", DUCKDB),
    "sql_sqlite.jsonl": as_cases("more-lite", SQLITE),
    "sql_postgres.jsonl": as_cases("more-pg", POSTGRES),
}


def cases(name: str) -> list[Any]:
    """The corpus and our own further cases as pytest parameters."""
    more = [_parameter(case) for case in OWN.get(name, ())]
    lines = (ATTACKS / name).read_text(encoding="utf-8").splitlines()
    return [*(_parameter(json.loads(line)) for line in lines if line.strip()), *more]


def statement(case: dict[str, Any], **places: object) -> str:
    """The case's SQL with its `{W}` and `{DB}` filled in."""
    parts = case.get("statement_parts")
    text = (
        "".join(piece * count for piece, count in parts) if parts else case["statement"]
    )
    for place, value in places.items():
        text = text.replace(f"{{{place}}}", str(value))
    return text


def _parameter(case: dict[str, Any]) -> Any:
    return pytest.param(
        case,
        id=case["id"],
        marks=[pytest.mark.slow] if case.get("category") == "dos" else [],
    )
