"""`mcp-notebook doctor`: each planted fault gets the right sentence, with what to do."""

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mcp_notebook import doctor
from mcp_notebook.cli import main
from mcp_notebook.sessions.tools import ToolInfo

DUMB_SERVER = """
import sys
print("ModuleNotFoundError: No module named 'pandas_of_old'", file=sys.stderr)
sys.exit(1)
"""


def only(findings) -> doctor.Finding:
    (finding,) = [finding for finding in findings if finding.level != "ok"]
    return finding


def distribution(folder: Path, name: str, version: str, *requires: str) -> None:
    """An installed package that is metadata alone."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A place for packages that goes before all others."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield lambda *words: (distribution(folder, *words), importlib.invalidate_caches())
    importlib.invalidate_caches()


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    found = only(doctor.check_python())
    assert (found.level, found.advice) == ("wrong", "Use Python 3.11 or newer.")


def test_a_package_that_is_too_old(installed):
    installed("pandas", "2.0.3")
    found = only(doctor.check_packages())
    assert found.level == "wrong"
    assert "pandas is 2.0.3" in found.what
    assert "pip install" in found.advice


def test_a_package_that_is_missing(monkeypatch):
    needs = [doctor.Requirement("a-package-that-nobody-has>=2")]
    monkeypatch.setattr(doctor, "requirements_of", lambda name: iter(needs))
    found = only(doctor.check_packages())
    assert found.what == "a-package-that-nobody-has is not installed"
    assert 'pip install "a-package-that-nobody-has>=2"' in found.advice


def test_nothing_that_is_looked_for_is_installed(monkeypatch):
    def missing(name: str):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "distribution", missing)
    monkeypatch.setattr(doctor.metadata, "version", missing)
    found = only(doctor.check_packages())
    assert found.what == "mcp-notebook itself is not installed here"
    assert list(doctor.check_neighbours()) == []


def test_a_neighbour_that_wants_another_sdk(installed):
    installed("a-neighbour", "1.0", "mcp<2", "anthropic<9; extra == 'never'")
    found = [f for f in doctor.check_neighbours() if "a-neighbour" in f.what]
    assert [f.level for f in found] == ["wrong"]
    assert "wants mcp<2" in found[0].what
    assert "ipykernel install" in found[0].advice


def test_a_lab_without_what_draws_widgets(monkeypatch):
    there = {"jupyterlab": "4.6.1", "ipywidgets": "8.1.9"}

    def version(name: str) -> str:
        if name in there:
            return there[name]
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "version", version)
    found = only(doctor.check_jupyter())
    assert found.level == "wrong"
    assert "pip install jupyterlab_widgets" in found.advice
    there["jupyterlab_widgets"] = "3.0.16"
    (fine,) = doctor.check_jupyter()
    assert "jupyterlab 4.6.1" in fine.what
    there.clear()
    assert only(doctor.check_jupyter()).level == "note"


def test_a_machine_on_which_nothing_may_listen(monkeypatch):
    (fine,) = doctor.check_ports()
    assert fine.level == "ok"

    def refuse(address: tuple[str, int]):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(doctor.socket, "create_server", refuse)
    found = only(doctor.check_ports())
    assert found.level == "wrong"
    assert "Operation not permitted" in found.what
    assert "mcp-notebook serve" in found.advice


def test_no_key_and_a_key_whose_value_is_not_told():
    assert only(doctor.check_model({})).level == "note"
    (found,) = doctor.check_model({"ANTHROPIC_API_KEY": "sk-ant-canary"})
    assert found.level == "ok"
    assert "canary" not in str(found)


def test_starters_that_are_missing(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    found = list(doctor.check_starters())
    assert {f.level for f in found} == {"note"}
    assert all(f.advice for f in found)


def test_a_settings_folder_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(doctor, "user_folder", lambda: tmp_path / "file" / "settings")
    found = only(doctor.check_folders())
    assert found.level == "wrong"
    assert "cannot be written" in found.what


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "is not valid JSON"),
        ('{"mcpServers": {"a": {"command": "no-such-program"}}}', "no-such-program"),
        ('{"mcpServers": {"a": {"url": 7}}}', "url"),
    ],
)
def test_a_configuration_with_a_fault(tmp_path, text, what):
    (tmp_path / ".mcp.json").write_text(text)
    (tmp_path / "below").mkdir()
    found = only(doctor.check_configuration(tmp_path / "below"))
    assert found.level == "wrong"
    assert what in found.what


def test_a_server_that_does_not_start(tmp_path, capsys):
    script = tmp_path / "dumb.py"
    script.write_text(DUMB_SERVER)
    assert main(["doctor", f"{sys.executable} {script}"]) == 1
    assert "pandas_of_old" in capsys.readouterr().out


def test_a_server_that_is_well_is_told_with_its_times(capsys):
    script = Path(__file__).parent / "servers" / "plain.py"
    assert main(["doctor", f"{sys.executable} {script}"]) == 0
    told = capsys.readouterr().out
    assert "connects in" in told
    assert "it lists its tools in" in told
    assert "it offers " in told
    assert "tools" in told.split("it offers ")[1].split("\n")[0]
    assert "tokens of descriptions" in told


def tool(name: str, description: str, size: int = 10) -> ToolInfo:
    schema = {"type": "object", "description": "x" * size}
    return ToolInfo(
        server="s",
        name=name,
        title="",
        description=description,
        input_schema=schema,
        output_schema=None,
        annotations={},
        fingerprint=name,
    )


def session(*tools: ToolInfo) -> SimpleNamespace:
    return SimpleNamespace(
        name="s", tools=list(tools), trusted=False, spec=None, notices=[]
    )


def test_a_server_whose_tools_are_odd():
    assert "no tools" in only(doctor.examine_session(session())).what
    silent = session(tool("a", "Does a."), tool("b", " "))
    assert only(doctor.examine_session(silent)).what == "b has no description"
    heavy = session(tool("a", "Does a.", size=200_000))
    assert "tokens" in only(doctor.examine_session(heavy)).what


def test_the_report_as_json(monkeypatch, capsys):
    found = [doctor.Finding("ok", "fine"), doctor.Finding("wrong", "bad", "mend it")]
    monkeypatch.setattr(doctor, "examine", lambda server: iter(found))
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[1]["advice"] == "mend it"


def test_a_terminal_says_where_questions_are_asked():
    (found,) = doctor.check_shell(SimpleNamespace())
    assert "terminal" in found.what
