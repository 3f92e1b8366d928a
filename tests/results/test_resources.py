"""Tables in embedded and linked resources; files only below the folders that were given."""

from __future__ import annotations

import base64
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
    return {"content": [{"type": "resource", "resource": {"uri": "demo://x", **resource}}]}


def link(uri: str) -> dict[str, Any]:
    return {"content": [{"type": "resource_link", "uri": uri, "name": "result"}]}


@pytest.mark.parametrize("data", [arrow_file(), arrow_stream(), parquet()], ids=["file", "stream", "parquet"])
def test_a_binary_table_is_read_by_its_content_whatever_its_type_says(data: bytes) -> None:
    reading = read(embedded(blob=base64.b64encode(data).decode(), mimeType="application/octet-stream"))
    assert reading.tables[0].data.to_pylist() == ROWS
    assert reading.tables[0].types["a"] == "declared: int64"


@pytest.mark.parametrize("text", ["a,b\n1,x\n2,\n", '[{"a": 1, "b": "x"}, {"a": 2, "b": null}]'])
def test_a_text_resource_is_read_like_a_text(text: str) -> None:
    assert read(embedded(text=text, mimeType="text/csv")).tables[0].data.to_pylist() == ROWS


def test_other_blobs_stay_what_they_are() -> None:
    reading = read(embedded(blob=base64.b64encode(b"PK\x03\x04").decode(), mimeType="application/zip"))
    assert not reading.tables
    assert "demo://x" in reading.text


def test_a_file_below_an_allowed_folder_is_mapped(tmp_path: Path) -> None:
    for name, data in (("t.arrow", arrow_file()), ("t.parquet", parquet()), ("s.arrow", arrow_stream())):
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

    result = {"content": [*link("demo://x")["content"], {"type": "text", "text": '[{"a": 1}]'}]}
    reading = read(result, fetch=fetch)
    assert len(reading.tables) == 1
    assert "gone" in reading.notes[0]


def test_a_broken_file_is_said_to_be_broken() -> None:
    reading = read(embedded(blob=base64.b64encode(b"ARROW1\0\0" + b"x" * 50).decode()))
    assert not reading.tables
    assert any("broken" in why for _, why in reading.rejected)
