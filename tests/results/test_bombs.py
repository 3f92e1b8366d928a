"""Foreign bytes that are small and declare much are refused at once, with the reason;
small ones with the same encodings are read. Texts cost the same for each byte.
"""

from __future__ import annotations

import base64
import io
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcp_notebook.results import bounds, read, resources
from mcp_notebook.results.reading import Reading

WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SECONDS = 10  # a guard on a loaded machine; what is refused takes milliseconds


def read_blob(data: bytes, mime: str = "application/octet-stream") -> Reading:
    blob = base64.b64encode(data).decode()
    resource = {"uri": "demo://x", "mimeType": mime, "blob": blob}
    return read({"content": [{"type": "resource", "resource": resource}]})


# ---- Arrow and Parquet


def write_arrow(table: pa.Table, packing: str | None, is_file: bool) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=packing)
    open_writer = pa.ipc.new_file if is_file else pa.ipc.new_stream
    with open_writer(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def write_parquet(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


def repeat_in_dictionary(rows: int, length: int) -> pa.Array:
    indices = pa.array(np.zeros(rows, np.int16))
    return pa.DictionaryArray.from_arrays(indices, pa.array(["x" * length]))


def repeat_in_run(rows: int, length: int) -> pa.Array:
    ends = pa.array([rows], pa.int32())
    return pa.RunEndEncodedArray.from_arrays(ends, pa.array(["x" * length]))


def repeat_in_view(rows: int, length: int) -> pa.Array:
    word = pa.array(["x" * length], pa.string_view())
    view = np.frombuffer(word.buffers()[1], np.int32)[:4]
    views = pa.py_buffer(np.tile(view, rows).tobytes())
    return pa.Array.from_buffers(
        pa.string_view(), rows, [None, views, *word.buffers()[2:]]
    )


def repeat_in_list_view(rows: int, length: int) -> pa.Array:
    values = pa.array(np.zeros(length, np.int64))
    starts = pa.array(np.zeros(rows, np.int32))
    sizes = pa.array(np.full(rows, length, np.int32))
    return pa.ListViewArray.from_arrays(starts, sizes, values)


def repeat_in_struct(rows: int, length: int) -> pa.Array:
    return pa.StructArray.from_arrays([repeat_in_dictionary(rows, length)], ["s"])


def repeat_in_lists(rows: int, length: int) -> pa.Array:
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32))
    return pa.ListArray.from_arrays(offsets, repeat_in_dictionary(rows, length))


def make_zeros(rows: int, length: int) -> pa.Array:
    return pa.array(np.zeros(rows * length // 100, np.int64))


def make_nulls(rows: int, length: int) -> pa.Array:
    return pa.nulls(rows * length // 100)


MAKERS = [
    repeat_in_dictionary,
    repeat_in_run,
    repeat_in_view,
    repeat_in_list_view,
    repeat_in_struct,
    repeat_in_lists,
    make_zeros,
    make_nulls,
]
SMALL, LARGE = (20, 20), (30_000, 100_000)
ARROW = list(product(MAKERS, (None, "zstd", "lz4"), (True, False)))
# without packing, zeros have their bytes in the file, and are no bomb
PACKED_ARROW = [case for case in ARROW if case[0] is not make_zeros or case[1]]


def assert_refused(data: bytes, mime: str = "application/octet-stream") -> None:
    began, before = time.process_time(), pa.total_allocated_bytes()
    reading = read_blob(data, mime)
    assert not reading.tables
    assert "demo://x not read: " in reading.text
    assert any("not read: " in note and "ask for" in note for note in reading.notes)
    assert time.process_time() - began < SECONDS
    assert pa.total_allocated_bytes() - before < bounds.FREE_BYTES


@pytest.mark.parametrize(("make", "packing", "is_file"), PACKED_ARROW)
def test_arrow_that_declares_too_much_is_refused(
    make: Callable[[int, int], pa.Array], packing: str | None, is_file: bool
) -> None:
    table = pa.table({"a": make(*LARGE)})
    assert_refused(write_arrow(table, packing, is_file))


@pytest.mark.parametrize(("make", "packing", "is_file"), ARROW)
def test_small_arrow_of_the_same_kind_is_read(
    make: Callable[[int, int], pa.Array], packing: str | None, is_file: bool
) -> None:
    table = pa.table({"a": make(*SMALL)})
    (read_table,) = read_blob(write_arrow(table, packing, is_file)).tables
    assert read_table.data.num_rows == len(table)
    assert read_table.data.column(0).to_pylist() == table.column(0).to_pylist()


def test_a_batch_that_a_footer_lists_many_times_counts_each_time() -> None:
    column = pa.array(np.zeros(1_000_000, np.int8))
    batch = pa.record_batch({"a": column})
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_file(sink, batch.schema, options=options) as writer:
        for _ in range(200):
            writer.write_batch(batch)
    assert_refused(sink.getvalue())


@pytest.mark.parametrize("at", range(0, 700, 7))
def test_a_changed_byte_of_arrow_ends_no_kernel(at: int) -> None:
    data = bytearray(write_arrow(pa.table({"a": ["x", "y"] * 9}), "zstd", True))
    data[at % len(data)] ^= 0x7F
    assert read_blob(bytes(data)).error is None


PARQUET: dict[str, tuple[Callable[[int, int], pa.Array], dict[str, Any]]] = {
    "text": (repeat_in_dictionary, {}),
    "text in structs": (repeat_in_struct, {}),
    "text in lists": (repeat_in_lists, {}),
    "numbers": (make_zeros, {}),
    "many groups": (make_zeros, {"row_group_size": 1_000_000}),
}


@pytest.mark.parametrize("name", PARQUET)
def test_parquet_that_declares_too_much_is_refused(name: str) -> None:
    make, options = PARQUET[name]
    assert_refused(write_parquet(pa.table({"a": make(*LARGE)}), **options))


@pytest.mark.parametrize("name", PARQUET)
def test_small_parquet_of_the_same_kind_is_read(name: str) -> None:
    make, options = PARQUET[name]
    table = pa.table({"a": make(*SMALL)})
    (found,) = read_blob(write_parquet(table, **options)).tables
    assert found.data.column(0).to_pylist() == table.column(0).to_pylist()


@pytest.mark.slow
def test_parquet_of_shared_beginnings_is_read_in_steps() -> None:
    options = {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}}
    table = pa.table({"a": ["x" * 100_000] * 3_000})
    assert_refused(write_parquet(table, **options))
    table = table.slice(0, 1_000)
    (found,) = read_blob(write_parquet(table, **options)).tables
    assert found.data.num_rows == 1_000


def test_many_rows_of_few_texts_are_read() -> None:
    texts = [f"city {number % 5_000}" for number in range(300_000)]
    table = pa.table({"a": texts, "b": range(300_000)})
    (found,) = read_blob(write_parquet(table)).tables
    assert found.data.equals(table)


# ---- workbooks

NAMES = "http://schemas.openxmlformats.org"
HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>x</t></is></c></row>'
XML = '<?xml version="1.0"?>'


def write_workbook(rows: str) -> bytes:
    main, office = f"{NAMES}/spreadsheetml/2006/main", f"{NAMES}/officeDocument/2006"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    links = f'<Relationships xmlns="{NAMES}/package/2006/relationships">'
    link = f'<Relationship Id="r1" Type="{office}/relationships/'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{NAMES}/package/2006/content-types">'
        '<Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{kind}.sheet.main+xml"/>'
        f'<Override PartName="/xl/s.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'{links}{link}officeDocument" Target="xl/workbook.xml"/>'
        "</Relationships>",
        "xl/_rels/workbook.xml.rels": f'{links}{link}worksheet" Target="s.xml"/>'
        "</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}/relationships">'
        '<sheets><sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/s.xml": f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData>'
        "</worksheet>",
    }
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, XML + text)
    return sink.getvalue()


def write_cell(row: int, column: str) -> str:
    return f'<row r="{row}"><c r="{column}{row}"><v>1</v></c></row>'


@pytest.mark.parametrize(
    "rows",
    [
        write_cell(1_048_576, "XFD"),
        write_cell(1_048_576, "J"),
        write_cell(1_000, "XFD"),
        "".join(map(write_cell, range(2, 400), ["XFD"] * 398)),
    ],
    ids=["last corner", "last row", "last column", "wide rows"],
)
def test_a_workbook_that_unpacks_to_too_much_is_refused_or_small(rows: str) -> None:
    pytest.importorskip("python_calamine")
    reading = read_blob(write_workbook(HEADER + rows), WORKBOOK)
    if reading.tables:
        (table,) = reading.tables
        assert (
            table.data.num_rows * table.data.num_columns < resources.MAX_WORKBOOK_CELLS
        )
        return
    assert any("not read: " in note for note in reading.notes)


def test_a_workbook_of_long_texts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("python_calamine")
    monkeypatch.setattr(bounds, "FREE_BYTES", 1_000_000)
    text = f't="inlineStr"><is><t>{"y" * 30_000}</t></is></c></row>'
    rows = "".join(f'<row r="{at}"><c r="A{at}" {text}' for at in range(2, 60))
    reading = read_blob(write_workbook(HEADER + rows), WORKBOOK)
    assert not reading.tables
    assert "its text is more than the limit" in reading.notes[0]


def test_a_workbook_that_outgrows_its_process_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("python_calamine")
    monkeypatch.setattr(resources, "MAX_WORKBOOK_CELLS", 10**12)
    data = write_workbook(HEADER + write_cell(1_048_576, "XFD"))
    assert "too much memory or time" in read_blob(data, WORKBOOK).notes[0]


def test_a_small_workbook_costs_little_more_than_its_process() -> None:
    pytest.importorskip("python_calamine")
    data = write_workbook(HEADER + write_cell(2, "A"))
    read_blob(data, WORKBOOK)  # what is loaded once
    began = time.perf_counter()
    bare = [sys.executable, "-I", "-S", "-c", "import datetime, marshal"]
    subprocess.run(bare, check=True)
    process = time.perf_counter() - began
    began = time.perf_counter()
    (table,) = read_blob(data, WORKBOOK).tables
    assert table.data.to_pydict() == {"x": [1]}
    assert time.perf_counter() - began < 4 * process + 0.2


# ---- text

PREFIXES = ["", "No rows.\n", "a b\n", "[", "| a | b |\n|---|---|\n", "# h\n", "a,b\n"]
UNITS = [
    *("\n", " \n", "\r\n", " ", "\t", "-", "- ", "a-", "+-", "=", "|", "| ", "#", "`"),
    *("```\n", "*", "_", "<a", "<a>", "</a>", "<!--", "&lt;", "{", "[", "[[", "'"),
    *('"', "\\", "a,", "a b\n", "a  b\n", "a: b\n", "1. x\n", "- a: 1\n", "+--+\n"),
    *("|0|1|\n", "(a, b)\n", "┌", "─", "│", "Columns: ", "<td>1</td>", "\0", "é", ":"),
]


def seconds_for(text: str) -> float:
    began = time.process_time()
    read({"content": [{"type": "text", "text": text}]})
    return time.process_time() - began


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_four_times_the_text_takes_about_four_times_as_long(unit: str) -> None:
    for prefix in PREFIXES:
        small, large = (prefix + unit * (n // len(unit)) for n in (4_000, 16_000))
        long = seconds_for(large)
        # too short to be told from the noise
        if long < 0.1:
            continue

        short = min(seconds_for(small) for _ in range(2))
        long = min(long, seconds_for(large))
        assert long < 0.1 or long < 8 * short, (prefix, short, long)


def test_sixty_thousand_keys_are_read_in_bounded_time() -> None:
    def write(count: int) -> str:
        return "{" + ", ".join(f'"k{at}": {at}' for at in range(count)) + "}"

    short, long = seconds_for(write(15_000)), seconds_for(write(60_000))
    assert long < 8 * max(short, 0.05)
