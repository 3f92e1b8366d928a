"""What tools gave, kept beside a recording: also while another kernel keeps its own."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from mcp_notebook.events import ToolAnswer, ToolResult
from mcp_notebook.notebook import tape as tape_module
from mcp_notebook.notebook.tape import Tape
from mcp_notebook.replay.sidecar import TABLES, read_sidecar
from mcp_notebook.results.reading import Reading, Table
from mcp_notebook.veil import Veil


def keep(file: Path, first: int) -> str:
    """Keep a result that is too large for the JSON; what is said of it."""
    tape: Any = Tape(Veil(), (), lambda: file, lambda: (file, ()))
    tape.start_keeping()
    data = pa.table({"n": range(first, first + 5_000)})
    answer = ToolAnswer(Reading(tables=(Table(data),)))
    session = SimpleNamespace(name="shop", spec=None)
    call = SimpleNamespace(
        session=session, tool=SimpleNamespace(name="get"), arguments={"first": first}
    )
    return tape.take(call, ToolResult(f"c{first}", "ok", "", 0.0, answer=answer))


def files_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / TABLES).iterdir()}


def test_another_kernel_does_not_remove_what_is_being_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cleans up just when a table is written and its recording does not name it yet."""
    write = tape_module.write_whole
    others: list[threading.Thread] = []

    def write_and_be_disturbed(path: Path, data: bytes) -> None:
        write(path, data)
        if path.parent.name == TABLES:
            clean = tape_module._remove_unused
            others.append(threading.Thread(target=clean, args=(tmp_path,)))
            others[-1].start()
            others[-1].join(0.3)

    monkeypatch.setattr(tape_module, "write_whole", write_and_be_disturbed)
    assert keep(tmp_path / "a.claude.json", 1) == ""
    assert keep(tmp_path / "b.claude.json", 2) == ""
    for other in others:
        other.join()

    assert len(files_of(tmp_path)) == 2
    for name in ("a", "b"):
        (call,) = read_sidecar(tmp_path / f"{name}.claude.json").calls
        assert any(file in str(call) for file in files_of(tmp_path))


def test_what_no_recording_names_is_removed_and_what_a_damaged_one_names_stays(
    tmp_path: Path,
) -> None:
    assert keep(tmp_path / "a.claude.json", 1) == ""
    (damaged,) = files_of(tmp_path)
    broken = (tmp_path / "a.claude.json").read_bytes()[:-20] + b"\xff"
    (tmp_path / "a.claude.json").write_bytes(broken)
    (tmp_path / TABLES / f"{'0' * 16}.parquet").write_bytes(b"nobody's")
    (tmp_path / TABLES / "mine.parquet").write_bytes(b"the person's own")
    assert keep(tmp_path / "b.claude.json", 2) == ""
    left = files_of(tmp_path)
    assert {damaged, "mine.parquet"} < left
    assert f"{'0' * 16}.parquet" not in left
    assert len(left) == 3
