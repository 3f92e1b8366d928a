"""Foreign bytes that are small and declare much are refused at once, with the reason;
small ones with the same encodings are read. Texts cost the same for each byte.
"""

from __future__ import annotations

import base64
import contextlib
import gc
import io
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcp_notebook.agent import pictures
from mcp_notebook.display import call_view, html_parts
from mcp_notebook.results import bounds, columnar, read, resources
from mcp_notebook.results.formats import workbook_process
from mcp_notebook.results.reading import Reading

WORKBOOK = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SECONDS = 10  # a guard on a loaded machine; what is refused takes milliseconds


def read_blob(data: bytes, mime: str = "application/octet-stream") -> Reading:
    blob = base64.b64encode(data).decode()
    sent = {"uri": "demo://x", "mimeType": mime, "blob": blob}
    return read({"content": [{"type": "resource", "resource": sent}]})


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
    assert "more than the limit of 1 MB" in reading.notes[0]


def test_a_workbook_that_outgrows_its_process_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("python_calamine")
    monkeypatch.setattr(resources, "MAX_WORKBOOK_CELLS", 10**12)
    data = write_workbook(HEADER + write_cell(1_048_576, "XFD"))
    assert "too much memory or time" in read_blob(data, WORKBOOK).notes[0]


def kept_process() -> int:
    """The process that waits for the next workbook; 0 for none."""
    kept = resources._OPENERS._kept
    return kept._process.pid if kept else 0


def test_small_workbooks_share_a_process_that_costs_little() -> None:
    pytest.importorskip("python_calamine")
    data = write_workbook(HEADER + write_cell(2, "A"))
    read_blob(data, WORKBOOK)  # what is loaded once
    kept = kept_process()
    rounds = []
    for _ in range(5):
        began = time.perf_counter()
        (table,) = read_blob(data, WORKBOOK).tables
        rounds.append(time.perf_counter() - began)
        assert table.data.to_pydict() == {"x": [1]}
    assert kept_process() == kept > 0
    assert min(rounds) < 0.05


def test_what_a_process_was_asked_before_does_not_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A refused workbook ends it, and one that ended by itself is replaced."""
    pytest.importorskip("python_calamine")
    small = write_workbook(HEADER + write_cell(2, "A"))
    assert read_blob(small, WORKBOOK).tables
    kept = kept_process()
    assert not read_blob(write_workbook(HEADER + write_cell(10**6, "XFD"))).tables
    monkeypatch.setattr(resources, "MAX_WORKBOOK_CELLS", 1)
    assert "limit of 1" in read_blob(small, WORKBOOK).notes[0]
    assert not kept_process()
    monkeypatch.undo()
    assert read_blob(small, WORKBOOK).tables
    assert kept_process() not in (0, kept)
    os.kill(kept_process(), signal.SIGKILL)
    assert read_blob(small, WORKBOOK).tables


def test_a_workbook_that_takes_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("python_calamine")
    monkeypatch.setattr(resources, "_SECONDS", 0.05)
    monkeypatch.setattr(resources, "_OPENERS", resources._Openers())
    wide = "".join(map(write_cell, range(2, 200), ["XFD"] * 198))
    data = write_workbook(HEADER + wide)
    assert "takes more than" in read_blob(data, WORKBOOK).notes[0]


def test_the_process_ends_with_its_input_and_with_nothing_to_do() -> None:
    pytest.importorskip("python_calamine")
    data = write_workbook(HEADER + write_cell(2, "A"))
    assert read_blob(data, WORKBOOK).tables
    kept = resources._OPENERS._swap(None)
    assert kept is not None
    assert kept._process.stdin is not None
    kept._process.stdin.close()
    assert kept._process.wait(30) == 0
    idle = "import workbook_process as w; w.IDLE_SECONDS = 0.01; print(w._waits_for_more())"
    folder = Path(workbook_process.__file__).parent
    with subprocess.Popen(
        [sys.executable, "-S", "-c", idle],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
    ) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.read().strip() == b"False"


# ---- one generator: sizes that are declared, in every binary format, at three scales

SCALES = (30_000, 300_000, 3_000_000)
KERNEL_MB = 400  # what the process of the tests may grow by
MOST_SECONDS = 2.0  # of the processor, in the kernel


@contextlib.contextmanager
def hold_costs() -> Iterator[None]:
    """Fails when what is done inside costs the kernel too much memory or time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    yield
    assert time.process_time() - began < MOST_SECONDS
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak
    assert grown < KERNEL_MB * 1024


def write_stream(scale: int, packing: str | None) -> bytes:
    table = pa.table({"a": repeat_in_dictionary(scale, 100_000)})
    return write_arrow(table, packing, is_file=False)


def write_file(scale: int, packing: str | None) -> bytes:
    table = pa.table({"a": repeat_in_run(scale, 100_000)})
    return write_arrow(table, packing, is_file=True)


def write_dictionary_pages(scale: int, packing: str | None) -> bytes:
    sink = io.BytesIO()
    table = pa.table({"a": repeat_in_dictionary(scale, 100_000)})
    pq.write_table(table, sink, compression=packing or "none")
    return sink.getvalue()


def write_runs(scale: int, packing: str | None) -> bytes:
    """Numbers as indices of a dictionary of one, so that none has bytes of its own."""
    sink = io.BytesIO()
    schema = pa.schema([(f"a{at}", pa.int64()) for at in range(20)])
    column = pa.array(np.zeros(scale, np.int64))
    table = pa.table([column] * 20, schema=schema)
    pq.write_table(table, sink, compression=packing or "none", row_group_size=10**9)
    return sink.getvalue()


def write_varint(number: int, width: int = 1) -> bytes:
    """As Thrift writes it; wider than it must be where another had that width."""
    out = bytearray()
    while number > 127 or len(out) + 1 < width:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def write_lying_footer(scale: int, packing: str | None) -> bytes:
    """A page of one long text, of which the footer says that it has ten bytes."""
    sink = io.BytesIO()
    table = pa.table({"a": ["x" * (scale * 100)]})
    pq.write_table(table, sink, compression=packing, use_dictionary=False)
    data = sink.getvalue()
    chunk = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    true = write_varint(chunk.total_uncompressed_size * 2)
    start = data.rindex(b"PAR1", 4) - int.from_bytes(data[-8:-4], "little") - 4
    footer = data[start:].replace(true, write_varint(20, len(true)))
    assert footer != data[start:]
    return data[:start] + footer


def write_spreadsheet(scale: int, packing: str | None) -> bytes:
    """OpenDocument, whose cells and rows say how often they stand."""
    del packing
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "table", "text")
    )
    cell = '<table:table-cell office:value-type="string" {}><text:p>x</text:p>'
    wide = cell.format('table:number-columns-repeated="10000"')
    rows = f'<table:table-row table:number-rows-repeated="{scale}">{wide}'
    content = (
        f"{XML}<office:document-content {names}><office:body><office:spreadsheet>"
        f'<table:table table:name="a">{rows}</table:table-cell></table:table-row>'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", SPREADSHEET, zipfile.ZIP_STORED)
        archive.writestr("META-INF/manifest.xml", MANIFEST)
        archive.writestr("content.xml", content)
    return sink.getvalue()


def write_corner(scale: int, packing: str | None) -> bytes:
    del packing
    return write_workbook(HEADER + write_cell(min(scale, 1_048_576), "XFD"))


def write_padded(scale: int, packing: str | None) -> bytes:
    """A workbook whose sheet is mostly blanks."""
    del packing
    return write_workbook(HEADER + " " * min(scale * 100, 300_000_000))


def write_record(kind: int, data: bytes = b"") -> bytes:
    """A record of Excel's binary format of 1997."""
    return struct.pack("<HH", kind, len(data)) + data


def write_old_excel(row: int, column: int, said: int | None = None) -> bytes:
    """A sheet with `x` in its first cell and 1.0 in another, in a compound file; `said`
    is the length that its directory tells.
    """
    kept, sector = 0xFFFFFFFF, 512
    begin = struct.pack("<HHHHII", 0x0600, 5, 0, 0, 0, 0)
    label = struct.pack("<HHHHB", 0, 0, 0, 1, 0) + b"x"
    cell = struct.pack("<HHHd", row, column, 0, 1.0)
    name = struct.pack("<BB", 1, 0) + b"a"
    globals_ = write_record(0x0809, begin)
    at = len(globals_) + 4 + 6 + len(name) + 4
    globals_ += write_record(0x0085, struct.pack("<IBB", at, 0, 0) + name)
    sheet = write_record(0x0809, struct.pack("<HHHHII", 0x0600, 16, 0, 0, 0, 0))
    sheet += write_record(0x0204, label) + write_record(0x0203, cell)
    stream = globals_ + write_record(0x000A) + sheet + write_record(0x000A)
    stream = stream.ljust(8 * sector, b"\0")  # a shorter one lies elsewhere
    chain = [*range(3, 10), 0xFFFFFFFE]  # sector 2 goes on in 3
    fat = [0xFFFFFFFD, 0xFFFFFFFE, *chain]
    table = struct.pack("<128I", *fat, *[kept] * (128 - len(fat)))

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = name.encode("utf-16-le") + b"\0\0"
        head = text.ljust(64, b"\0") + struct.pack("<HBB", len(text), kind, 1)
        links = struct.pack("<III", kept, kept, child)
        return head + links + bytes(36) + struct.pack("<IQ", start, size)

    size = len(stream) if said is None else said
    folder = entry("Root Entry", 5, 1, 0xFFFFFFFE, 0)
    folder += entry("Workbook", 2, kept, 2, size)
    folder = folder.ljust(sector, b"\0")
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    head += struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack("<109I", 0, *[kept] * 108)
    return head + table + folder + stream


def write_old_corner(scale: int, packing: str | None) -> bytes:
    del packing
    return write_old_excel(min(scale, 65_535), 255)


def write_part(kind: int, data: bytes = b"") -> bytes:
    """A record of Excel's binary workbooks of 2007."""
    return write_varint(kind) + write_varint(len(data)) + data


def write_wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def write_binary(row: int, column: int) -> bytes:
    """The same sheet as a binary workbook."""
    office = f"{NAMES}/officeDocument/2006/relationships"
    links = f'{XML}<Relationships xmlns="{NAMES}/package/2006/relationships">'
    link = (
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/s.bin"/>'
    )
    bundle = struct.pack("<II", 0, 1) + write_wide("r1") + write_wide("a")
    rows = [
        write_part(148, struct.pack("<IIII", 0, row, 0, column)),
        write_part(145),
        write_part(0, struct.pack("<I", 0) + bytes(13)),
        write_part(6, struct.pack("<II", 0, 0) + write_wide("x")),
        write_part(0, struct.pack("<I", row) + bytes(13)),
        write_part(5, struct.pack("<IId", column, 0, 1.0)),
        write_part(146),
    ]
    parts = {
        "[Content_Types].xml": XML.encode() + b"<Types/>",
        "xl/_rels/workbook.bin.rels": f"{links}{link}</Relationships>".encode(),
        "xl/workbook.bin": b"".join(
            write_part(kind, bundle if kind == 156 else b"")
            for kind in (131, 143, 156, 144, 157, 132)
        ),
        "xl/worksheets/s.bin": b"".join(rows),
    }
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return sink.getvalue()


def write_binary_corner(scale: int, packing: str | None) -> bytes:
    del packing
    return write_binary(min(scale, 1_048_575), 16_383)


def test_small_binary_workbooks_are_read() -> None:
    """The control of the bombs below: the same files, with the cell in the second row."""
    pytest.importorskip("python_calamine")
    for data, mime in (
        (write_old_excel(1, 0), OLD_EXCEL),
        # a length that the directory alone tells
        (write_old_excel(1, 0, said=10**13), OLD_EXCEL),
        (write_binary(1, 0), BINARY_BOOK),
    ):
        (table,) = read_blob(data, mime).tables
        assert table.data.to_pydict() == {"x": [1]}


OLD_EXCEL = "application/vnd.ms-excel"
BINARY_BOOK = "application/vnd.ms-excel.sheet.binary.macroEnabled.12"
MANIFEST = XML + (
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:'
    'manifest:1.0"/>'
)
SPREADSHEET = "application/vnd.oasis.opendocument.spreadsheet"
BINARY = "application/octet-stream"
CODECS = ("snappy", "gzip", "brotli", "zstd", "lz4", None)
DECLARED = [
    *((write_stream, packing, BINARY) for packing in (None, "zstd", "lz4")),
    *((write_file, packing, BINARY) for packing in (None, "zstd", "lz4")),
    *((write_dictionary_pages, packing, BINARY) for packing in CODECS),
    (write_spreadsheet, None, SPREADSHEET),
    (write_corner, None, WORKBOOK),
    (write_old_corner, None, OLD_EXCEL),
    (write_binary_corner, None, BINARY_BOOK),
]
BOMBS = [(*case, scale) for case in DECLARED for scale in SCALES]
# as large as they say: only above the limit are they bombs
LARGE_ONLY = [
    *((write_runs, packing, BINARY) for packing in ("zstd", None)),
    *((write_lying_footer, packing, BINARY) for packing in ("gzip", "brotli", "zstd")),
    (write_padded, None, WORKBOOK),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("write", "packing", "mime", "scale"),
    BOMBS + [(*case, SCALES[2]) for case in LARGE_ONLY],
)
def test_a_bomb_costs_the_kernel_little_and_says_why(
    write: Callable[[int, str | None], bytes],
    packing: str | None,
    mime: str,
    scale: int,
) -> None:
    if mime != BINARY:
        pytest.importorskip("python_calamine")
    data = write(scale, packing)
    gc.collect()
    with hold_costs():
        reading = read_blob(data, mime)
    assert not reading.tables
    (note,) = reading.notes
    assert note.startswith("demo://x: not read: ")
    assert "ask for fewer rows" in note


@pytest.mark.parametrize("write", [write_stream, write_file, write_dictionary_pages])
def test_what_is_not_small_is_decoded_aside_and_mapped(
    write: Callable[[int, str | None], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = read_blob(write(50, "zstd"))
    monkeypatch.setattr(bounds, "SMALL_BYTES", -1)
    monkeypatch.setattr(columnar, "_read_parquet", None)  # not in this process
    gc.collect()  # what other tests left is not freed in between
    before = pa.total_allocated_bytes()
    aside = read_blob(write(50, "zstd"))
    assert pa.total_allocated_bytes() == before
    assert aside.tables[0].data.equals(here.tables[0].data)
    assert aside.tables[0].types == here.tables[0].types


def test_a_broken_file_is_told_as_broken_from_aside(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "SMALL_BYTES", -1)
    data = bytearray(write_dictionary_pages(50, "zstd"))
    data[40:60] = bytes(20)
    ((_, why),) = read_blob(bytes(data)).rejected
    assert "broken parquet" in why


@pytest.mark.parametrize("kind", [pa.string(), pa.list_(pa.int64())])
def test_an_offset_that_points_outside_ends_no_kernel(kind: pa.DataType) -> None:
    values = pa.array([["ab"], [[1, 2]]][kind != pa.string()] * 9, kind)
    validity, offsets, *rest = values.buffers()
    moved = np.frombuffer(offsets, np.int32)[:10].copy()
    moved[4] = 2_000_000_000
    buffers = [validity, pa.py_buffer(moved.tobytes())]
    if kind == pa.string():
        array = pa.Array.from_buffers(kind, 9, [*buffers, *rest])
    else:
        array = pa.Array.from_buffers(kind, 9, buffers, children=[values.values])
    reading = read_blob(write_arrow(pa.table({"a": array}), None, is_file=True))
    assert not reading.tables
    assert "broken arrow file" in reading.rejected[0][1]


# ---- pictures and documents, which are drawn and never decoded here


def declare_png(side: int) -> bytes:
    head = struct.pack(">II", side, side) + bytes((8, 0, 0, 0, 0))
    data = b"\0\0\0\rIHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + data + bytes(8) + b"IEND\xaeB`\x82"


def declare_jpeg(side: int) -> bytes:
    sides = struct.pack(">HH", side % 65_536, side % 65_536)
    scan = b"\xff\xc0\0\x11\x08" + sides + bytes(12)
    comment = b"\xff\xff\xfe\0\x10" + b"\xff\xc0" * 7
    return b"\xff\xd8" + comment + scan + bytes(9) + b"\xff\xd9"


def declare_gif(side: int) -> bytes:
    frames = (b"\x21\xf9\x04" + bytes(5)) * (side // 100)
    return b"GIF89a" + struct.pack("<HH", 3_000, 3_000) + bytes(9) + frames + b";"


def declare_jpeg_after_noise(side: int) -> bytes:
    """What draws it skips what is no mark, and lengths that are too short."""
    noise = b"noise\xff\0\xff\xe0\0\1\0" * 900
    return declare_jpeg(side).replace(b"\xff\xd8", b"\xff\xd8\xff\xd8" + noise, 1)


def declare_jpeg_of_marks(side: int) -> bytes:
    del side
    return b"\xff\xd8" + b"\xff\xe0\0\2" * 1_000_000 + b"\xff\xd9"


def declare_large_frame(side: int) -> bytes:
    """A GIF of one pixel with a frame that is larger."""
    control = b"\x21\xf9\x04" + bytes(5)
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0x80) + bytes(6)
    data = b"\2\1,\0;"
    screen = b"GIF89a" + struct.pack("<HHB", 1, 1, 0x80) + bytes(8)
    return screen + control + frame + data + bytes(9) + b";"


def declare_webp(side: int) -> bytes:
    size = (side - 1).to_bytes(3, "little")
    return b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes(8) + size * 2 + bytes(9)


def declare_bmp(side: int) -> bytes:
    return b"BM" + bytes(16) + struct.pack("<ii", side, -side) + bytes(30)


def declare_tiff(side: int) -> bytes:
    entries = [struct.pack("<HHII", tag, 4, 1, side) for tag in (256, 257)]
    # the page is its own next one
    return b"II*\0" + struct.pack("<IH", 8, 2) + b"".join(entries) + b"\x08\0\0\0"


MORE_PICTURES = [
    ("image/jpeg", declare_jpeg_after_noise),
    ("image/jpeg", declare_jpeg_of_marks),
    ("image/gif", declare_large_frame),
]


PICTURES: dict[str, Callable[[int], bytes]] = {
    "image/png": declare_png,
    "image/jpeg": declare_jpeg,
    "image/gif": declare_gif,
    "image/webp": declare_webp,
    "image/bmp": declare_bmp,
    "image/tiff": declare_tiff,
}


@pytest.mark.parametrize("side", [10_001, 30_000, 65_000])
@pytest.mark.parametrize(("mime", "declare"), [*PICTURES.items(), *MORE_PICTURES])
def test_a_picture_of_too_many_pixels_is_not_drawn(
    mime: str, declare: Callable[[int], bytes], side: int
) -> None:
    raw = declare(side)
    data = base64.b64encode(raw).decode()
    with hold_costs():
        assert html_parts.picture(mime, data) is None
        said = call_view.missing_image(mime, data)
        block = pictures.picture_block(mime, data)
    assert "more than the limit of 100,000,000; ask for a smaller picture" in said
    # the service keeps the first frame of an animation of 3,000 pixels a side
    assert block["type"] == ("image" if declare is declare_gif else "text")


@pytest.mark.parametrize("mime", PICTURES)
def test_the_sides_of_pictures_are_those_that_a_library_reads(mime: str) -> None:
    image = pytest.importorskip("PIL.Image")
    sink = io.BytesIO()
    image.new("RGB", (123, 45)).save(sink, mime.partition("/")[2])
    raw = sink.getvalue()
    assert bounds.picture_sides(raw) == (123, 45, 1)
    # cut anywhere, it says no more than that
    for length in range(0, len(raw), 3):
        assert bounds.picture_sides(raw[:length]) in (None, (123, 45, 1))


def write_svg(inner: str) -> str:
    text = f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>'
    return base64.b64encode(text.encode()).decode()


def repeat_in_svg(levels: int) -> str:
    groups = ['<g id="a0"><path d="M0 0"/></g>']
    for at in range(levels):
        groups.append(f'<g id="a{at + 1}">' + f'<use href="#a{at}"/>' * 10 + "</g>")
    return write_svg("".join(groups))


@pytest.mark.parametrize("levels", [7, 15, 300])
def test_a_drawing_that_repeats_itself_without_end_is_not_drawn(levels: int) -> None:
    with hold_costs():
        assert html_parts.picture("image/svg+xml", repeat_in_svg(levels)) is None
        circle = write_svg('<g id="a"><use href="#a"/><use href="#a"/></g>')
        assert html_parts.picture("image/svg+xml", circle) is None
    assert html_parts.picture("image/svg+xml", repeat_in_svg(3))


# What each format begins with, after which a count or a length may be declared.
KEPT = {
    "application/pdf": b"%PDF-1.7\n1 0 obj<</Type/Pages/Count ",
    "application/zip": b"PK\3\4",
    "application/gzip": b"\x1f\x8b\x08",
    "application/x-bzip2": b"BZh9",
    "application/x-xz": b"\xfd7zXZ\0",
    "application/zstd": b"\x28\xb5\x2f\xfd",
    "application/x-7z-compressed": b"7z\xbc\xaf\x27\x1c",
    "application/x-tar": b"a".ljust(257, b"\0") + b"ustar",
    "application/vnd.apache.orc": b"ORC",
    "application/vnd.apache.avro": b"Obj\1\4\x16avro.schema",
    "application/x-feather": b"FEA1",
    "application/x-hdf5": b"\x89HDF\r\n\x1a\n",
    "application/vnd.sqlite3": b"SQLite format 3\0",
}


@pytest.mark.parametrize("pages", [10, 100_000, 10_000_000])
@pytest.mark.parametrize("mime", KEPT)
def test_a_document_is_kept_as_it_came(mime: str, pages: int) -> None:
    data = KEPT[mime] + str(pages).encode() + zlib.compress(bytes(pages))
    for _ in range(3):  # nested, as archives are
        data = KEPT[mime] + zlib.compress(data)

    with hold_costs():
        reading = read_blob(data, mime)
    assert not reading.tables
    assert f"no reader for {mime}" in reading.rejected[0][1]


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


def write_keys(form: str, count: int) -> str:
    """So many names, each of which stands once."""
    start, each, between, end = NAMES_ONCE[form]
    return start + between.join(each.replace("#", str(at)) for at in range(count)) + end


NAMES_ONCE = {
    "an object": ("{", '"k#": #', ", ", "}"),
    "objects": ("[", '{"k#": 1}', ",", "]"),
    "JSON lines": ("", '{"k#": 1}', "\n", ""),
    "nested objects": ("{", '"k#": {"a#": 1}', ",", "}"),
    "elements": ("<r>", "<k#>1</k#>", "", "</r>"),
    "rows of elements": ("<r>", "<row><k#>1</k#></row>", "", "</r>"),
    "fields": ("", "k#: #", "\n", ""),
    "YAML items": ("", "- k#: 1", "\n", ""),
    "YAML objects": ("", "k#:\n  a: 1", "\n", ""),
    "a header": ("", "k#", ",", "\n1"),
    "literals": ("[", "{'k#': 1}", ",", "]"),
    "sections": ("", "[k#]\na = 1", "\n", ""),
    "assignments": ("", "k#=1", " ", ""),
    "rows of words": ("", "Row #: k#=1", "\n", ""),
    "bars": ("| ", "k#", " | ", " |\n|---|\n| 1 |"),
    "boxes of digits": ("+--+\n", "|#|#|", "\n", "\n+--+"),
    "open tags": ("", "<td>#", "", ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", NAMES_ONCE)
def test_many_names_take_time_by_their_count(form: str) -> None:
    """Rows that share no names would be a table of their square."""
    seconds_for(write_keys(form, 10))  # what is loaded once
    short = seconds_for(write_keys(form, 2_000))
    long = seconds_for(write_keys(form, 8_000))
    assert long < 8 * max(short, 0.05)


def test_rows_that_share_no_names_are_text_with_a_note() -> None:
    text = write_keys("JSON lines", 20_000)
    reading = read({"content": [{"type": "text", "text": text}]})
    assert not reading.tables
    assert reading.text == text
    assert "400,000,000 cells for 20,000 values" in reading.notes[0]


def test_sixty_thousand_keys_are_read_in_bounded_time() -> None:
    def write(count: int) -> str:
        return "{" + ", ".join(f'"k{at}": {at}' for at in range(count)) + "}"

    short, long = seconds_for(write(15_000)), seconds_for(write(60_000))
    assert long < 8 * max(short, 0.05)
