"""The attack corpora: one JSON object a line, in a folder beside the repository or named by a variable."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("MCP_NOTEBOOK_ATTACKS", Path(__file__).parents[3] / "shared" / "attacks"))


def cases(name: str) -> list[Any]:
    """The corpus as pytest parameters; one skipped parameter with the reason when the folder is not there."""
    path = FOLDER / name
    if not path.is_file():
        return [pytest.param({}, marks=pytest.mark.skip(reason=f"no attack corpus {name} (MCP_NOTEBOOK_ATTACKS)"))]
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_parameter(json.loads(line)) for line in lines if line.strip()]


def statement(case: dict[str, Any], **places: object) -> str:
    """The case's SQL with its `{W}` and `{DB}` filled in."""
    parts = case.get("statement_parts")
    text = "".join(piece * count for piece, count in parts) if parts else case["statement"]
    for place, value in places.items():
        text = text.replace(f"{{{place}}}", str(value))
    return text


def _parameter(case: dict[str, Any]) -> Any:
    return pytest.param(case, id=case["id"], marks=[pytest.mark.slow] if case.get("category") == "dos" else [])
