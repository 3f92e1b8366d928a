"""Tables in embedded and linked resources; files only below the folders that were given."""

from __future__ import annotations

import base64
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcp_notebook.results import read

TABLE = pa.table({"a": [1, 2], "b": ["x", None]})
ROWS = TABLE.to_pylist()


def arrow_file() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue().to_pybytes()


def arrow_stream() -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue().to_pybytes()


def parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(TABLE, sink)
    return sink.getvalue().to_pybytes()


def embedded(**resource: str) -> dict[str, Any]:
    return {
        "content": [{"type": "resource", "resource": {"uri": "demo://x", **resource}}]
    }


def link(uri: str) -> dict[str, Any]:
    return {"content": [{"type": "resource_link", "uri": uri, "name": "result"}]}


@pytest.mark.parametrize(
    "data", [arrow_file(), arrow_stream(), parquet()], ids=["file", "stream", "parquet"]
)
def test_a_binary_table_is_read_by_its_content_whatever_its_type_says(
    data: bytes,
) -> None:
    reading = read(
        embedded(
            blob=base64.b64encode(data).decode(), mimeType="application/octet-stream"
        )
    )
    assert reading.tables[0].data.to_pylist() == ROWS
    assert reading.tables[0].types["a"] == "declared: int64"


@pytest.mark.parametrize(
    "text", ["a,b\n1,x\n2,\n", '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]']
)
def test_a_text_resource_is_read_like_a_text(text: str) -> None:
    assert (
        read(embedded(text=text, mimeType="text/csv")).tables[0].data.to_pylist()
        == ROWS
    )


def test_other_blobs_stay_what_they_are() -> None:
    reading = read(
        embedded(
            blob=base64.b64encode(b"PK\x03\x04").decode(), mimeType="application/zip"
        )
    )
    assert not reading.tables
    assert "demo://x" in reading.text


def test_a_file_below_an_allowed_folder_is_mapped(tmp_path: Path) -> None:
    for name, data in (
        ("t.arrow", arrow_file()),
        ("t.parquet", parquet()),
        ("s.arrow", arrow_stream()),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        reading = read(link(path.as_uri()), allowed_dirs=(tmp_path,))
        assert reading.tables[0].data.to_pylist() == ROWS


def test_a_path_outside_is_refused_also_through_links_and_dots(tmp_path: Path) -> None:
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "t.arrow").write_bytes(arrow_file())
    (inside / "link.arrow").symlink_to(outside / "t.arrow")
    for uri in (
        (outside / "t.arrow").as_uri(),
        (inside / "link.arrow").as_uri(),
        f"file://{inside}/../outside/t.arrow",
        f"file://{inside}/%2e%2e/outside/t.arrow",
        f"file://elsewhere{inside}/t.arrow",
        f"file://{inside}/missing.arrow",
        f"file://{inside}",
    ):
        reading = read(link(uri), allowed_dirs=(inside,))
        assert not reading.tables, uri
        assert "refused" in reading.notes[0]


def test_a_link_is_read_on_demand() -> None:
    asked = []

    def fetch(uri: str) -> dict[str, Any]:
        asked.append(uri)
        return {"contents": [{"uri": uri, "text": "a,b\n1,x\n2,\n"}]}

    assert read(link("demo://rows"), fetch=fetch).tables[0].data.to_pylist() == ROWS
    assert asked == ["demo://rows"]
    assert not read(link("demo://rows")).tables


def test_a_link_that_fails_leaves_the_rest_of_the_result() -> None:
    def fetch(uri: str) -> object:
        raise OSError("gone")

    result = {
        "content": [
            *link("demo://x")["content"],
            {"type": "text", "text": '[{"a": 1}]'},
        ]
    }
    reading = read(result, fetch=fetch)
    assert len(reading.tables) == 1
    assert "gone" in reading.notes[0]


def test_a_broken_file_is_said_to_be_broken() -> None:
    reading = read(embedded(blob=base64.b64encode(b"ARROW1\0\0" + b"x" * 50).decode()))
    assert not reading.tables
    assert any("broken" in why for _, why in reading.rejected)


def _workbook(*sheets: tuple[str, list[list[object]]]) -> str:
    """A workbook in base64, as small as the format allows."""
    main, office = (
        "http://schemas.openxmlformats.org/spreadsheetml/2006/main",
        "http://schemas.openxmlformats.org/officeDocument/2006/relationships",
    )
    package = "http://schemas.openxmlformats.org/package/2006"

    def cell(value: object) -> str:
        if value is None:
            return "<c/>"
        return (
            f"<c><v>{value}</v></c>"
            if isinstance(value, (int, float))
            else f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        )

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as book:
        numbered = list(enumerate(sheets, start=1))
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        listed = "".join(
            f'<sheet name="{name}" sheetId="{n}" r:id="r{n}"/>'
            for n, (name, _) in numbered
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>{listed}</sheets></workbook>',
        )
        links = "".join(
            f'<Relationship Id="r{n}" Type="{office}/worksheet" Target="worksheets/s{n}.xml"/>'
            for n, _ in numbered
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{package}/relationships">{links}</Relationships>',
        )
        for n, (_, rows) in numbered:
            body = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            book.writestr(
                f"xl/worksheets/s{n}.xml",
                f'<worksheet xmlns="{main}"><sheetData>{body}</sheetData></worksheet>',
            )
    return base64.b64encode(buffer.getvalue()).decode()


def _as_excel(blob: str) -> dict[str, Any]:
    mime = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return {
        "content": [
            {
                "type": "resource",
                "resource": {"uri": "file:///a.xlsx", "mimeType": mime, "blob": blob},
            }
        ]
    }


def test_each_sheet_of_a_workbook_is_a_table() -> None:
    blob = _workbook(
        ("people", [["id", "name", "score"], [1, "Ana", 1.5], [2, None, 2]]),
        ("notes", [[3, 4], [5, 6]]),
    )
    reading = read(_as_excel(blob))
    (table,) = reading.tables
    assert table.data.to_pylist() == [
        {"id": 1, "name": "Ana", "score": 1.5},
        {"id": 2, "name": None, "score": 2.0},
    ]
    assert table.approximate
    assert "taken as the header" in str(table.notes)


def test_text_in_a_workbook_stays_text_and_long_numbers_are_doubted() -> None:
    (table,) = read(
        _as_excel(
            _workbook(("s", [["zip", "big"], ["00501", 9007199254740993], ["12", 1]]))
        )
    ).tables
    assert table.data.column("zip").to_pylist() == ["00501", "12"]
    assert "`big` may be rounded" in str(table.notes)


def test_a_broken_workbook_is_said() -> None:
    blob = base64.b64encode(b"PK\x03\x04 no workbook").decode()
    assert "cannot be read" in str(read(_as_excel(blob)).rejected)


def test_without_its_package_a_workbook_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    assert "pip install 'mcp-notebook[excel]'" in str(
        read(_as_excel(_workbook(("s", [["a"], [1]])))).rejected
    )
