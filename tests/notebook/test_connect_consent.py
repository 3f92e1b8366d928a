"""What a person is shown, and asked, before a project's server starts."""

import json
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_notebook.config import (
    StdioServer,
    describe,
    load_servers,
    spec_fingerprint,
)
from mcp_notebook.display.questions import Question
from mcp_notebook.errors import ConnectError
from mcp_notebook.events import Reply
from mcp_notebook.notebook.opening import may_start, unpack_bundle_of
from mcp_notebook.policy import Start, Starts


def start(folder: Path, *args: str) -> Start:
    spec = StdioServer("python", args, {"API_KEY": "hidden-value"})
    return Start(folder / ".mcp.json", "shop", describe(spec), spec_fingerprint(spec))


def begin(folder: Path, one: Start, answer: str | None) -> list[str]:
    """Start it in a kernel of its own; `answer` None: nobody is there. Returns what was shown."""
    said: list[str] = []

    def ask(question: Question) -> Reply:
        if answer is None:
            return Reply("deny")
        said.append(question.prompt)
        return question.understand(answer) or Reply("deny")

    notebook: Any = SimpleNamespace(starts=Starts(folder / "user" / "starts.json"))
    may_start(notebook, one, say=said.append, ask=ask)
    return said


def test_the_first_start_shows_the_whole_command_and_the_next_says_nothing(
    tmp_path: Path,
) -> None:
    one = start(tmp_path, "-m", "shop")
    assert begin(tmp_path, one, None) == [
        f"shop: {tmp_path}/.mcp.json starts API_KEY=••• python -m shop"
    ]
    assert begin(tmp_path, one, None) == []


def test_a_command_that_became_another_one_is_shown_and_needs_a_yes(
    tmp_path: Path,
) -> None:
    begin(tmp_path, start(tmp_path, "-m", "shop"), None)
    other = start(tmp_path, "-c", "import os; os.system('x')")
    with pytest.raises(ConnectError, match="is not what it was"):
        begin(tmp_path, other, None)
    with pytest.raises(ConnectError, match="was not accepted"):
        begin(tmp_path, other, "n")
    shown, question = begin(tmp_path, other, "y")
    assert "- API_KEY=••• python -m shop" in shown
    assert "+ API_KEY=••• python -c" in shown
    assert "Start it as it is now?" in question
    assert begin(tmp_path, other, None) == []


def test_the_same_name_in_another_folder_is_another_server(tmp_path: Path) -> None:
    begin(tmp_path, start(tmp_path / "a", "-m", "shop"), None)
    assert "starts" in begin(tmp_path, start(tmp_path / "b", "-m", "other"), None)[0]


def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "starts.json").write_text("[broken")
    assert "starts" in begin(tmp_path, start(tmp_path, "-m", "shop"), None)[0]


def test_a_bundle_is_unpacked_after_a_yes_that_shows_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MCP_NOTEBOOK_CONFIG_DIR", str(tmp_path / "settings"))
    start_with = {"command": "node", "args": ["${__dirname}/index.js"]}
    manifest = {"name": "b", "version": "1", "server": {"mcp_config": start_with}}
    path = tmp_path / "b.mcpb"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("manifest.json", json.dumps(manifest))
        packed.writestr("index.js", "//")

    (spec,) = load_servers(path, {}).values()
    assert isinstance(spec, StdioServer)
    said: list[str] = []
    with pytest.raises(ConnectError, match="was not unpacked"):
        unpack_bundle_of(path, spec, say=said.append, ask=lambda _: Reply("deny"))

    assert said == [f"{path} starts {describe(spec)}"]
    assert not Path(spec.args[0]).exists()
    unpack_bundle_of(path, spec, say=said.append, ask=lambda _: Reply("once"))
    assert Path(spec.args[0]).read_text() == "//"
