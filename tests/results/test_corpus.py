"""Other people's servers, captured: the thresholds of the report hold, and so does its
own arithmetic.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.__main__ import Tally, report, score
from tests.data import captures_folder


def total_of(folder: Path) -> Tally:
    total = Tally()
    for tally in score(folder).values():
        total.add(tally)
    return total


def save(folder: Path, name: str, result: dict[str, Any] | None, **more: Any) -> None:
    path = folder / "server" / f"{name}.json.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(
        gzip.compress(json.dumps({"case": name, "result": result, **more}).encode())
    )


@pytest.mark.slow
def test_results_of_real_servers_are_right_or_say_so() -> None:
    tallies = score(captures_folder())
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    told = report(tallies)
    assert (total.silent, total.from_error, total.crash) == (0, 0, 0), told
    assert total.equal >= 0.98 * total.held, told
    assert total.typed >= 0.95 * total.held, told
    assert total.errors_known == total.errors, told


def test_the_report_tells_equal_lossy_and_wrong_apart(tmp_path: Path) -> None:
    truth = tmp_path / "_truth" / "pg"
    truth.mkdir(parents=True)
    (truth / "t.json").write_text(
        json.dumps(
            {
                "columns": ["a", "b"],
                "db_types": ["int8", "text"],
                "rows": [[{"$int": "9007199254740993"}, "x"]],
            }
        )
    )
    at = {"truth": "captures/_truth/pg/t.json"}
    block = lambda text: {"content": [{"type": "text", "text": text}]}  # noqa: E731
    save(tmp_path, "equal", block('[{"a": "9007199254740993", "b": "x"}]'), **at)
    save(tmp_path, "rounded", block('[{"a": 9007199254740992, "b": "x"}]'), **at)
    save(tmp_path, "err_table", block("Error: no such table"), **at)
    save(
        tmp_path,
        "wrong",
        block('[{"a": 9007199254740993, "b": "y, not x"}, {"a": 1, "b": "x"}]'),
        **at,
    )
    total = total_of(tmp_path)
    assert (
        total.n,
        total.scored,
        total.equal,
        total.typed,
        total.lossy,
        total.silent,
    ) == (4, 3, 1, 1, 1, 1)
    assert (total.errors, total.from_error) == (1, 0)
    assert not total.good
