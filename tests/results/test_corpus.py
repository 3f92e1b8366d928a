"""Other people's servers, captured: the thresholds of the report hold, and so does its
own arithmetic.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.results import read
from tests.corpus.__main__ import Tally, report, score
from tests.corpus.truth import captures
from tests.data import captures_folder
from tests.results.test_account import texts_of


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


# What a reader takes for something else than a value: bytes, tags, types of columns.
_TAG = re.compile(r"<[^>]{1,200}>|&\w+;|&#\d+;")
_WORD = re.compile(r"[^\W_]+")
_CLOCK = re.compile(r"(?<=\d)t(?=\d)|(?<=\d)z\b")
_NAMES_OF_COLUMNS = frozenset({"meta", "columns", "fields", "schema"})


def leaves_in(value: Any) -> Iterator[str]:
    """The scalars of a value, and of the JSON in its texts."""
    if isinstance(value, dict):
        if value.get("type") == "Buffer":
            return
        for key, item in value.items():
            if key not in _NAMES_OF_COLUMNS:
                yield from leaves_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves_in(item)
    elif isinstance(value, str):
        yield from _leaves_of_text(value)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _leaves_of_text(text: str) -> Iterator[str]:
    decoder, at = json.JSONDecoder(), 0
    rest = text.strip()
    while rest[at : at + 1] in ("{", "["):
        try:
            value, end = decoder.raw_decode(rest, at)
        except ValueError:
            break

        yield from leaves_in(value)
        at = end + len(rest[end:]) - len(rest[end:].lstrip())

    yield _TAG.sub(" ", rest[at:])


def words_of(text: str) -> set[str]:
    """Words and digits, however they are joined."""
    return set(_WORD.findall(_CLOCK.sub(" ", text.lower())))


@pytest.mark.slow
def test_no_leaf_of_a_capture_is_lost() -> None:
    lost = {}
    for capture in captures(captures_folder()):
        if capture.result is None or "blob" in capture.case:
            continue

        options = {"output_schema": capture.output_schema, "sql": capture.sql}
        reading = read(capture.result, **options)
        have = texts_of(reading).lower()
        known = words_of(have) | {str(table.data.num_rows) for table in reading.tables}
        blocks = [block.get("text") for block in capture.result.get("content", ())]
        leaves = leaves_in([blocks, capture.result.get("structuredContent")])
        words = set(itertools.chain.from_iterable(map(words_of, leaves)))
        missing = [w for w in words - known if w not in have]
        if missing:
            lost[f"{capture.server}/{capture.file}"] = sorted(missing)

    assert not lost, json.dumps(lost)


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
