"""`mcp-notebook demo`: which notebook it finds, and what it says when it cannot."""

import shutil
from pathlib import Path

import nbformat
import pytest

from mcp_notebook import cli
from mcp_notebook import notebook_commands as demo
from mcp_notebook.cli import main
from mcp_notebook.errors import ConfigError


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "packaged"
    folder.mkdir()
    (folder / cli.QUICKSTART).write_text("{}")
    monkeypatch.setattr(demo, "PACKAGED", folder)
    return folder


def test_a_checkouts_own_notebook_is_used(packaged: Path, tmp_path: Path):
    (tmp_path / "notebooks").mkdir()
    own = tmp_path / "notebooks" / cli.QUICKSTART
    own.write_text("{}")
    assert demo.find(cli.QUICKSTART, tmp_path) == own


def test_elsewhere_the_packaged_ones_are_copied_once(packaged: Path, tmp_path: Path):
    found = demo.find(cli.QUICKSTART, tmp_path)
    assert found == tmp_path / demo.COPY / cli.QUICKSTART
    found.write_text("edited")
    assert demo.find(cli.QUICKSTART, tmp_path).read_text() == "edited"


def test_an_unknown_notebook_is_one_sentence(packaged: Path, tmp_path: Path):
    with pytest.raises(ConfigError, match="no notebook 'nope"):
        demo.find("nope.ipynb", tmp_path)


def test_a_failing_cell_is_printed_and_makes_the_exit_code_1(tmp_path: Path, capfd):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("print('before')\n1 / 0")]
    )
    nbformat.write(notebook, tmp_path / "n.ipynb")
    assert demo.execute(tmp_path / "n.ipynb", save_to=None) == 1
    captured = capfd.readouterr()
    assert "before" in captured.out
    assert "ZeroDivisionError" in captured.out
    assert captured.err.endswith(
        "n.ipynb stopped at cell 1 (print('before')): ZeroDivisionError: division by zero\n"
    )


def test_what_an_earlier_run_gave_is_not_printed(tmp_path: Path, capfd):
    cells = [nbformat.v4.new_code_cell(code) for code in ("1 / 0", "print('next')")]
    cells[1].outputs = [nbformat.v4.new_output("stream", text="last week's\n")]
    file = tmp_path / "n.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), file)
    assert demo.execute(file, save_to=tmp_path / "out.ipynb") == 1
    assert "last week" not in capfd.readouterr().out
    assert nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[1].outputs == []
    assert "last week" in file.read_text()


@pytest.mark.slow
def test_a_notebook_is_frozen_from_the_command_line(tmp_path: Path, capfd, monkeypatch):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(Path(__file__).parent.parent / "notebooks", tmp_path / "notebooks")
    notebook = str(tmp_path / "notebooks" / "01_quickstart.ipynb")
    script = tmp_path / "frozen.py"
    words = ["freeze", notebook, "by_month", "-o", str(script)]
    assert main(words) == 0, capfd.readouterr()
    assert "by_month = shop.query_database(" in script.read_text()
    assert main(words) == 2  # it is there now, and stays
    assert "--force" in capfd.readouterr().err


def test_saving_writes_the_outputs(tmp_path: Path, capfd):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("6 * 7")])
    nbformat.write(notebook, tmp_path / "n.ipynb")
    assert demo.execute(tmp_path / "n.ipynb", save_to=tmp_path / "n.ipynb") == 0
    saved = nbformat.read(tmp_path / "n.ipynb", as_version=4)
    assert saved.cells[0].outputs[0].data["text/plain"] == "42"


@pytest.mark.slow
def test_the_frozen_cells_of_the_second_notebook_are_what_freezing_gives(
    tmp_path: Path, capfd, monkeypatch
):
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(Path(__file__).parent.parent / "notebooks", tmp_path / "notebooks")
    file = tmp_path / "notebooks" / "02_from_conversation_to_code.ipynb"
    assert demo.execute(file, save_to=file) == 0, capfd.readouterr().out
    cells = [
        c for c in nbformat.read(file, as_version=4).cells if c.cell_type == "code"
    ]
    at = next(
        i for i, cell in enumerate(cells) if cell.source == "%mcp_freeze by_month"
    )
    assert cells[at].outputs[0]["data"]["text/plain"] == cells[at + 1].source
    printed = capfd.readouterr().out
    assert "by_month: as frozen, 11 rows" in printed
    assert "every table is as it was frozen" in printed.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["01_quickstart.ipynb", "02_from_conversation_to_code.ipynb"]
)
def test_a_second_run_saves_what_the_first_did(name: str, tmp_path: Path, monkeypatch):
    for variable in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    shutil.copytree(Path(__file__).parent.parent / "notebooks", tmp_path / "notebooks")
    file = tmp_path / "notebooks" / name
    saved = []
    for _ in range(2):
        assert main(["run", str(file), "--save", "--quiet"]) == 0
        saved.append(file.read_bytes())

    assert saved[0] == saved[1]
