"""Recordings are found by what is in them: beside other notebooks, renamed, copied, and
where no notebook's name is known.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbclient
import nbformat
import pytest

from mcp_notebook import cli
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook.current import PlainShell
from mcp_notebook.notebook.options import MCPNotebook
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.replay.transports import RecordTransport, ReplayTransport
from tests.fake_messages import FakeMessages, Reply, text
from tests.replay.conversations import ask, words
from tests.replay.test_record_and_replay import miss


async def record(path: Path, *prompts: str, answers: str) -> None:
    """A recording in which the n-th question is answered with "<answers> n"."""
    with FakeMessages(lambda body, n: Reply([text(f"{answers} {n + 1}")])) as api:
        await ask(RecordTransport(path), *prompts, url=api.url)


def write_notebook(path: Path, *sources: str) -> list[str]:
    """A notebook of these cells; their ids."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return [cell.id for cell in cells]


async def play(*prompts: str, **files: Any) -> tuple[list[str], list[str]]:
    """What was answered, and what was said beside it."""
    player = ReplayTransport(files.pop("own", None), pace=0, **files)
    answers = await ask(player, *prompts)
    notes = [str(drift) for drift in player.drift if drift.kind == "file"]
    return [words(answer) for answer in answers], notes


async def test_of_several_files_the_one_with_the_question_answers(tmp_path: Path):
    files = [tmp_path / f"{name}.claude.json" for name in ("a", "b", "c")]
    for file in files:
        await record(file, f"Question of {file.stem}?", answers=file.stem)
        write_notebook(tmp_path / f"{file.name.partition('.')[0]}.ipynb", "1")

    for file in files:
        wanted = [f"{file.stem} 1"]
        question = f"Question of {file.stem}?"
        found = await play(question, others=files, has_name=False)
        assert found == (wanted, [])


async def test_the_exact_place_in_any_file_goes_before_the_same_question(tmp_path):
    early, exact = tmp_path / "a.claude.json", tmp_path / "b.claude.json"
    await record(early, "Second?", answers="alone")
    await record(exact, "First?", "Second?", answers="in order")
    answers, _ = await play("First?", "Second?", others=[early, exact], has_name=False)
    assert answers == ["in order 1", "in order 2"]


async def test_the_notebooks_own_goes_before_every_other(tmp_path: Path):
    own, other = tmp_path / "z.claude.json", tmp_path / "a.claude.json"
    await record(own, "Same?", answers="own")
    await record(other, "Same?", answers="other")
    assert await play("Same?", own=own, others=[other]) == (["own 1"], [])


async def test_what_the_own_file_does_not_hold_another_answers_with_one_note(
    tmp_path: Path,
):
    own, other = tmp_path / "own.claude.json", tmp_path / "other.claude.json"
    write_notebook(tmp_path / "other.ipynb", "1")
    await record(own, "Mine?", answers="own")
    await record(other, "Theirs?", "And?", answers="other")
    answers, notes = await play("Theirs?", "And?", own=own, others=[other])
    assert answers == ["other 1", "other 2"]
    assert len(notes) == 1
    assert "own.claude.json does not hold this question" in notes[0]
    assert "other.claude.json" in notes[0]


async def test_an_orphan_answers_and_is_named(tmp_path: Path):
    orphan = tmp_path / "old name.claude.json"
    await record(orphan, "Same?", answers="old")
    answers, (note,) = await play("Same?", others=[orphan])
    assert answers == ["old 1"]
    assert "old name.ipynb is gone" in note
    said = {note.rstrip(".")}
    assert await play("Same?", others=[orphan], file_notes=said) == (["old 1"], [])


async def test_files_that_answer_differently_are_named(tmp_path: Path):
    files = [tmp_path / "a.claude.json", tmp_path / "b.claude.json"]
    for file in files:
        await record(file, "Same?", answers=file.name)
        write_notebook(tmp_path / f"{file.name.partition('.')[0]}.ipynb", "1")

    answers, (note,) = await play("Same?", others=files, has_name=False)
    assert answers == ["a.claude.json 1"]
    assert "b.claude.json hold this question with different answers" in note


async def test_a_miss_names_every_file_and_what_cannot_be_read(tmp_path: Path):
    good, bad = tmp_path / "a.claude.json", tmp_path / "b.claude.json"
    await record(good, "Known?", answers="a")
    bad.write_text("{")
    said = await miss(good, "Unknown?", others=[bad])
    assert "a.claude.json holds: 'Known?'" in said
    assert "b.claude.json is not a file of recorded turns" in said


# ---- names that the front end tells, and that change


@pytest.fixture
def state(tmp_path: Path, monkeypatch) -> Notebook:
    """A state whose kernel was started for analysis.ipynb."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "analysis.ipynb"))
    return Notebook(PlainShell(), MCPNotebook())


def run_cell(state: Notebook, source: str, cell: str = "") -> None:
    """Let a cell be the one that runs."""
    parent = {"metadata": {"cellId": cell}}
    shell: Any = state.shell
    shell.get_parent = lambda: parent
    shell.history_manager = SimpleNamespace(input_hist_raw=["", source])


def test_a_recording_follows_its_notebook_to_a_new_name(state, tmp_path: Path):
    (cell,) = write_notebook(tmp_path / "analysis.ipynb", "%%claude\nWhy?")
    write_notebook(tmp_path / "another.ipynb", "%%claude\nWhy?")
    run_cell(state, "%%claude\nWhy?", cell)
    state.recording = state.record_file()
    assert state.recording == Path("analysis.claude.json")
    state.recording.write_text("recorded")
    assert state.follow_rename() == ""

    for name in ("report", "final"):
        before = state.path()
        assert before is not None
        before.rename(tmp_path / f"{name}.ipynb")
        said = state.follow_rename()
        assert f"{name}.ipynb now" in said
        assert state.recording == Path(f"{name}.claude.json")
        assert state.recording.read_text() == "recorded"
        assert state.follow_rename() == ""

    assert sorted(p.name for p in tmp_path.glob("*.json")) == ["final.claude.json"]


def test_a_renamed_notebook_is_known_by_its_source_too(state, tmp_path: Path):
    write_notebook(tmp_path / "report.ipynb", "%%claude\nWhy?", "1")
    write_notebook(tmp_path / "other.ipynb", "2")
    run_cell(state, "%%claude\nWhy?\n")
    assert state.record_file() == Path("report.claude.json")


def test_of_two_copies_none_is_taken_for_the_notebook(state, tmp_path: Path):
    for name in ("one", "two"):
        write_notebook(tmp_path / f"{name}.ipynb", "%%claude\nWhy?")

    run_cell(state, "%%claude\nWhy?")
    assert state.record_file() == Path("analysis.claude.json")


def test_the_recording_of_a_renamed_notebook_overwrites_none(state, tmp_path: Path):
    run_cell(state, "ask")
    state.recording = state.record_file()
    state.recording.write_text("old")
    (tmp_path / "report.claude.json").write_text("there already")
    write_notebook(tmp_path / "report.ipynb", "ask")
    assert "analysis.claude.json stays as it is" in state.follow_rename()
    assert (tmp_path / "report.claude.json").read_text() == "there already"


def test_a_file_that_the_person_named_is_not_renamed(state, tmp_path: Path):
    state.recording = Path("shared.claude.json")
    write_notebook(tmp_path / "report.ipynb", "ask")
    run_cell(state, "ask")
    assert state.follow_rename() == ""
    assert state.recording == Path("shared.claude.json")


def test_without_a_name_a_recording_asks_for_one(state, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    with pytest.raises(ConfigError, match="say where to record: %claude_record on"):
        state.record_file()


def test_the_settings_file_stands_alone(state, tmp_path: Path):
    for name in ("chosen", "analysis", "other"):
        (tmp_path / f"{name}.claude.json").write_text("{}")

    state.settings.replay_file = "chosen.claude.json"
    assert state.replay_files() == (Path("chosen.claude.json"), ())
    state.settings.replay_file = ""
    own, others = state.replay_files()
    assert own == tmp_path / "analysis.claude.json"
    assert [path.name for path in others] == ["chosen.claude.json", "other.claude.json"]


# ---- whoever runs the notebook


def by_nbclient(notebook: Path) -> Any:
    content = nbformat.read(notebook, as_version=4)
    folder = {"metadata": {"path": str(notebook.parent)}}
    nbclient.NotebookClient(content, resources=folder, timeout=120).execute()
    return content


def by_nbconvert(notebook: Path) -> Any:
    words = ["-m", "nbconvert", "--to", "notebook", "--execute", str(notebook)]
    out = notebook.parent.parent / "ran.ipynb"
    _run([*words, "--output", str(out)], notebook.parent)
    return nbformat.read(out, as_version=4)


def by_papermill(notebook: Path) -> Any:
    out = notebook.parent.parent / "ran.ipynb"
    words = ["-m", "papermill", "-k", "python3", "--no-progress-bar"]
    words += ["--cwd", str(notebook.parent)]
    _run([*words, str(notebook), str(out)], notebook.parent)
    return nbformat.read(out, as_version=4)


def by_replay(notebook: Path) -> Any:
    out = notebook.parent.parent / "ran.ipynb"
    assert cli.main(["replay", str(notebook), "-o", str(out)]) == 0
    return nbformat.read(out, as_version=4)


def _run(words: list[str], folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize(
    "run",
    [by_nbclient, by_nbconvert, by_papermill, by_replay],
    ids=lambda f: f.__name__,
)
async def test_moved_renamed_and_copied_notebooks_replay_beside_others(
    run: Any, tmp_path: Path, monkeypatch
):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    for name in ("one", "two", "three"):
        question = f"What of {name}?"
        await record(here / f"{name}.claude.json", question, answers=f"That is {name}:")
        sources = ["%load_ext mcp_notebook", f"%%claude\n{question}"]
        write_notebook(here / f"{name}.ipynb", *sources)

    moved = tmp_path / "moved"
    shutil.move(here, moved)
    (moved / "two.ipynb").rename(moved / "second.ipynb")
    shutil.copy(moved / "three.ipynb", moved / "three-Copy1.ipynb")
    wanted = {"one": "one", "second": "two", "three-Copy1": "three"}
    for notebook, name in wanted.items():
        shown = str(run(moved / f"{notebook}.ipynb").cells[-1].outputs)
        assert f"That is {name}: 1" in shown
        assert ("two.ipynb is gone" in shown) == (name == "two")
