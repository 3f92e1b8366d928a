"""Whatever a server sends is answered within bounds and without an exception."""

from __future__ import annotations

import gc
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.results import bounds, explain, read
from tests.data import ATTACKS

SECONDS = 20  # a guard against hanging on a loaded machine, not a measure of speed

TEXTS = {
    "one long line": "x" * 2_000_000,
    "dashes": "-" * 200_000,
    "dashes and spaces": "- " * 100_000,
    "bars": "|" * 200_000,
    "the word error": "error " * 40_000,
    "hyphens before an error": "a-" * 100_000 + "\nerror",
    "fields": "a: b\n" * 40_000,
    "row markers": "1. row\n" * 40_000,
    "open tables": "<table>" * 20_000,
    "wide spans": "<table><tr>" + "<td colspan=1000>x</td>" * 2_000,
    "corners": "+-+\n" * 20_000,
    "quotes": 'a,"' * 50_000,
    "cut records": '[{"a":1},' * 40_000,
    "open braces": "x [{\n" * 20_000,
    "fences": "```json\n" * 30_000,
    "open literals": "['a', " * 40_000,
    "column lines": "Columns: [" * 20_000,
    "spaces": " " * 300_000 + "x",
    "deep lists": "[" * 100_000 + "]" * 100_000,
    "deep objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "YAML items": "- a: 1\n" * 20_000,
    "rows of fields": "Row 1: a=1, b=2\n" * 20_000,
    "one row of fields": "- " + "a: 1, " * 40_000,
    "one row of other fields": "1. " + ", ".join(f"a{n}: 1" for n in range(20_000)),
    "rows of literals": "Row 1: {'a': 1}\n" * 20_000,
    "rows of open literals": "Row 1: {'a': [\n" * 20_000,
    "rows of deep literals": "- " + "[" * 50_000,
    "bullets": "- **a:** b\n" * 20_000,
    "stars": "**" * 100_000 + ":",
    "equals": "a = b\n" * 20_000,
    "rules of equals": "== ==\n" * 20_000,
    "crossings": "a │ b\n─┼─\n" * 20_000,
    "records in frames": "┌─[ RECORD 1 ]─┐\n│ a │ b │\n" * 10_000,
    "wiki bars": "||a||b||\n|1|2|\n" * 10_000,
    "open wiki": "{| \n" * 20_000,
    "wiki attributes": "{|\n! a\n|-\n| " + 'a="b" ' * 20_000,
    "open AsciiDoc": "|===\n|a|b\n" * 10_000,
    "Textile": "|_. a |_. b |\n" + "|<. 1 |<. 2 |\n" * 10_000,
    "columns of blanks": "name   n\n" + "x      1\n" * 20_000,
    "blank columns that never align": "".join(
        " " * (n % 97) + "x   y\n" for n in range(20_000)
    ),
    "colours": "\x1b[" * 100_000,
    "a string of JSON": '"' + "\\n" * 100_000 + '"',
    "strings around strings": '"' + '\\"' * 50_000 + '"',
    "backslashes": "a\tb\n" + "\\x\t\\n\n" * 20_000,
    "annotations": "#datatype,string\n" * 20_000,
    "objects about answers": json.dumps(
        [{"a": [{"b": [{"c": [{"columns": ["x"], "rows": [1]}] * 20}] * 20}]}] * 8
    ),
    "one-letter objects": json.dumps([{"a": {"L": [{"S": "x"}] * 50_000}}]),
    "extended JSON": json.dumps(
        [
            {
                "a": {"$numberLong": "9" * 100_000},
                "b": {"$date": {"$numberLong": "9" * 30}},
            }
        ]
    ),
    "many series": json.dumps(
        [{"metric": {f"l{n}": "x"}, "value": [n, "1"]} for n in range(400)]
    ),
    "YAML quotes": "- a: '" + "''" * 100_000,
    "YAML keys": "- " + "a #" * 60_000 + ": x",
    "YAML anchors": "- a: &x 1\n  b: *x\n" * 10_000,
    "TOON brackets": "a[1]{" * 50_000 + "}:",
    "TOON quotes": 'a[1]{b}:\n  "' + '\\"' * 100_000,
    "XML tags": "<a>" * 60_000,
    "XML entities": '<!DOCTYPE x [<!ENTITY a "b">]><x><r><v>&a;</v></r></x>',
    "deep XML rows": "<r>" * 3000 + "<row><a>1</a></row>" * 2 + "</r>" * 3000,
    "nested tags": "<a>\n" * 40_000 + "</a>\n" * 40_000,
    "closed fences": "```\nx\n```\n" * 20_000,
    "lines of one length": "abc def\n" * 60_000,
    "names of a frame": (" a" * 3000 + "\n") + (" 1" * 3000 + "\n") * 60,
    "Polars' bars": "┌─┬─┐\n│" + "┆" * 100_000 + "│\n└─┴─┘",
    "continued rows": "a  b\n-  -\n" + "   x\n" * 40_000,
    "open markdown rows": "| a |\n| --- |\n" + "| x\n" * 60_000,
    "ragged": "a,b\n" + "1,2,3\n" * 20_000,
}


def of_text(body: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": body}]}


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
def test_text_made_to_be_slow_is_read_in_bounded_time(name: str) -> None:
    started = time.perf_counter()
    reading = read(of_text(TEXTS[name]))
    assert time.perf_counter() - started < SECONDS
    assert reading.tables or reading.text or reading.error


# --- the time of a byte: each family is its lines, once for each number

LINES = {
    "a log": "2024-01-05 10:00:{0} INFO worker[{0}] handled /items/{0} in 3 ms, status=200\n",
    "prose": "The quick fox number {0} jumps over the dog, and sleeps; it was {0} o'clock.\n",
    "code": "def f{0}(x, y=1):\n    if x > {0}:\n        return x + y  # {{[\n\n",
    "braces": "{{ a{0}\n",
    "blank lines": "a{0}\n\n\n",
    "names and values": "key{0}: some value here\n",
    "settings": "name{0} = value {0}\n",
    "bars": "a{0} | b\n",
    "bars around": "| a{0} | b\n",
    "tabs": "a{0}\tb c\n",
    "JSON lines": '{{"a": {0}}}\nWARN slow\n',
    "wide JSON lines": '{{"a": {0}, "b": {{"c": "x"}}}}\n',
    "numbers": "{0}\n",
    "numbers between blanks": "{0} 2 3\n",
    "sentences with commas": "Hello, this is line {0}, with commas\n",
    "a diff": "+ line {0}\n- line {0}, x\n  context | y\n",
    "a stack": "\tat com.x.Y{0}(Z.java:{0})\n",
    "a traceback": '  File "a{0}.py", line {0}, in f\n    x = y[{0}]\n',
    "a YAML document": "key{0}:\n  name: x\n  items:\n    - a\n    - b\n",
    "Markdown": "## Head {0}\n\nSome *text* with `code` and [a](b).\n\n- item {0}\n- item\n\n",
    "brackets": "[2024-01-05] [INFO] thing {0} done {{x}}\n",
    "other elements": "<a{0}><b>x</b></a{0}>\n",
}  # fmt: skip
# each family that is no lines, by its size in bytes
FAMILIES: dict[str, Callable[[int], str]] = {
    "an indented object": lambda size: json.dumps(
        {f"key{n}": {"name": f"n{n}", "v": n} for n in range(size // 60)}, indent=2
    ),
    "an indented object of numbers": lambda size: json.dumps(
        {f"key{n}": n * 1.5 for n in range(size // 22)}, indent=2
    ),
    "indented records below names": lambda size: json.dumps(
        {"a": {"b": [{"x": n, "y": {"z": [n]}} for n in range(size // 100)]}}, indent=2
    ),
    "records with all names in one letter": lambda size: json.dumps(
        [{"a": {"L": [{"S": "x"}] * (size // 12)}}]
    ),
    "deep lists in a list": lambda size: (
        "[" + ",".join(['{"a":[' * 20 + "1" + "]}" * 20] * (size // 165)) + "]"
    ),
    "empty lists": lambda size: f"[{','.join(['[]'] * (size // 3))}]",
    "rows of many lengths": lambda size: json.dumps(
        [[1] * (n % 4 + 1) for n in range(size // 9)]
    ),
    "cut objects": lambda size: '{"a":[' * (size // 6),
    "long lines": lambda size: ("word " * 2_000 + "\n") * (size // 10_000),
    "one line": lambda size: "word, " * (size // 6),
    "tabs of many counts": lambda size: "".join(
        "a\t" * (n % 5) + "x\n" for n in range(size // 7)
    ),
    "quotes without their other": lambda size: (
        "a,b\n" + "".join(f'{n},"x{n}\n' for n in range(size // 12))
    ),
    "one quote without its other": lambda size: (
        'a,b\n1,"x\n' + "".join(f"{n},y{n}\n" for n in range(size // 12))
    ),
    "open paragraphs": lambda size: "<p>text <b>bold <i>x\n" * (size // 21),
    "open cells": lambda size: "<table>" + "<tr><td>a<td>b\n" * (size // 16),
    "a Python literal": lambda size: repr(
        {f"key{n}": {"name": f"n{n}", "v": n} for n in range(size // 40)}
    ),
    "base64": lambda size: "QUJD" * (size // 4),
    "a text in JSON": lambda size: json.dumps({"content": "some words, here\n" * (size // 18)}),
}  # fmt: skip
SIZES = (60_000, 240_000, 960_000)
# More than cache and the constant of a small text make of a linear reader.
EXPONENT = 1.35
# Times what `json.loads` takes for a byte: of a text that is none of the formats, of
# the costliest format (HTML by Python's own parser).
PLAIN, COSTLIEST = 8, 500


def write_family(name: str, size: int) -> str:
    if name in FAMILIES:
        return FAMILIES[name](size)

    line = LINES[name]
    return "".join(line.format(n) for n in range(size // len(line)))


def seconds_of(work: Callable[[], object], times: int = 3) -> float:
    """The least of several runs, without the garbage that other tests left."""
    taken = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(times):
            start = time.process_time()
            work()
            taken.append(time.process_time() - start)
    finally:
        gc.enable()

    return min(taken)


def seconds_of_json(size: int) -> float:
    """What the standard library's parser takes, as a measure of the machine."""
    text = json.dumps([{"id": n, "name": f"n{n}"} for n in range(size // 28)])
    return seconds_of(lambda: json.loads(text)) * size / len(text)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*LINES, *FAMILIES])
def test_the_time_of_a_byte_does_not_grow(name: str) -> None:
    texts = [write_family(name, size) for size in SIZES]
    small, _, large = (seconds_of(lambda text=text: read(text)) for text in texts)
    exponent = math.log(large / small) / math.log(len(texts[-1]) / len(texts[0]))
    assert exponent < EXPONENT
    assert large < COSTLIEST * seconds_of_json(len(texts[-1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a log", "prose", "code"])
def test_a_text_of_a_megabyte_is_told_by_a_few_pieces_of_it(name: str) -> None:
    text = write_family(name, 1_000_000)
    assert seconds_of(lambda: read(text)) < PLAIN * seconds_of_json(len(text))


def test_what_takes_too_long_is_text_with_a_note(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "_FREE_SECONDS", 0.02)
    text = "<table>" + "<tr><td>a</td><td>b</td></tr>" * 20_000 + "</table>"
    monkeypatch.setattr(bounds, "_SECONDS_A_BYTE", 0)
    reading = read(of_text(text))
    assert (reading.tables, reading.error, reading.text) == ((), None, text)
    assert reading.notes[0].startswith("shown as text: ")

    monkeypatch.undo()
    assert read(of_text(text)).tables[0].data.num_rows == 20_000


@pytest.mark.parametrize(
    "result",
    [
        None, 5, [], {}, "text", b"\xff", {"content": None}, {"content": "text"}, {"content": {"a": 1}},
        {"content": [None, 5, "x", {"type": "text"}, {"type": "hologram"}, {"type": "resource"}, {"type": "image"}]},
        {"content": [], "structuredContent": {"a": float("nan")}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_tool_result_is_an_error_or_empty(result: object) -> None:
    assert not [table for table in read(result).tables if not table.data.num_columns]
    assert repr(explain(result))


def test_an_unknown_kind_of_block_is_named() -> None:
    reading = read(
        {"content": [{"type": "hologram", "data": 1}, {"type": "text", "text": "hi"}]}
    )
    assert reading.text == "hi"
    assert "hologram" in reading.notes[0]


def test_nesting_beyond_reason_is_refused() -> None:
    value: Any = 1
    for _ in range(900):
        value = {"a": value}
    assert not read({"content": [], "structuredContent": value}).tables


def test_above_the_byte_cap_nothing_is_parsed() -> None:
    reading = read(of_text(json.dumps([{"a": 1}] * 1000)), max_bytes=1000)
    assert not reading.tables
    assert "limit" in (reading.error or "")
    assert len(reading.text) <= 2000


def test_too_many_columns_are_refused() -> None:
    reading = read(of_text(json.dumps([{str(number): 1 for number in range(30_000)}])))
    assert not reading.tables
    assert any("columns" in why for _, why in reading.rejected)


@pytest.mark.parametrize(
    "body",
    [
        '[{"a": ' + "9" * 5000 + '}, {"a": 1}]',
        '[{"a": 1e400}, {"a": NaN}, {"a": -Infinity}]',
        '[{"\\ud800": "\\udfff"}]',
        '[{"a": 1, "a": "x"}, {"a": null}]',
        '[{"": 1, " ": 2}]',
        '[{"a": [1, {"b": "x"}]}, {"a": {"type": "Buffer", "data": [300]}}]',
        '[{"a": "0001-01-01T00:00:00+14:00"}]',
        "[(Decimal('NaN'), Decimal('1.5'))]",
        "[(datetime.datetime(1, 1, 1, tzinfo=datetime.timezone.utc),)]",
    ],
)
def test_odd_values_become_a_table_and_a_frame(body: str) -> None:
    (table,) = read(of_text(body)).tables
    assert len(table.to_pandas()) == table.data.num_rows


def test_code_in_a_literal_is_never_run(tmp_path: Path) -> None:
    target = tmp_path / "pwned"
    reading = read(of_text(f"[{{'id': __import__('os').system('touch {target}')}}]"))
    assert not target.exists()
    assert not reading.tables or "__import__" in str(reading.tables[0].data.to_pylist())


def test_structured_content_wins_over_another_text_and_says_so() -> None:
    reading = read(
        {
            "content": [{"type": "text", "text": '[{"a": 1}, {"a": 2}]'}],
            "structuredContent": {"rows": [{"a": 1}]},
        }
    )
    assert reading.tables[0].data.num_rows == 1
    assert "2 rows" in "".join(reading.tables[0].notes)


def test_attacks_on_the_reading_of_results_survive() -> None:
    path = ATTACKS / "malformed_results.jsonl"
    for line in path.read_text().splitlines():
        case = json.loads(line)
        if case["layer"] != "text_to_df":
            continue
        body = case.get("body") or "".join(
            piece * times for piece, times in case.get("parts", ())
        )
        reading = read(of_text(body))
        if (
            "text kept" in case["expected"]
            and "or" not in case["expected"]
            and "warning" not in case["expected"]
        ):
            assert not reading.tables, case["id"]


def test_an_explanation_shows_itself_and_escapes_what_a_server_sent() -> None:
    told = explain(of_text('[{"<script>": 1}]'))
    assert "<script>" in repr(told)
    assert "<script>" not in told._repr_html_()
