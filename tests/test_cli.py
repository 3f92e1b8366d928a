"""The command `mcp-notebook`."""

import json
import os
import sqlite3
import subprocess
import sys
from ast import literal_eval
from contextlib import suppress
from pathlib import Path

import nbformat
import pandas as pd
import pytest

import mcp_notebook
from mcp_notebook.cli import COMMANDS, main
from mcp_notebook.errors import SessionError
from mcp_notebook.notebook_commands import as_test, write_report


@pytest.mark.parametrize("words", [["local"], ["local", "--model", "x.gguf"]])
def test_the_former_command_for_local_models_says_where_to_look(words, capsys):
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "docs/local_models.md" in said
    assert (Path(__file__).parent.parent / "docs" / "local_models.md").exists()


def test_a_word_that_is_no_command_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "demo" in capsys.readouterr().err


def test_help_names_every_command_and_imports_none_of_them():
    code = (
        "import sys; from mcp_notebook.cli import parser; parser().format_help();"
        "print([m for m in sys.modules if m.startswith('mcp_notebook') or m == 'asyncio'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert set(literal_eval(done.stdout)) == {
        "mcp_notebook",
        "mcp_notebook.cli",
        "mcp_notebook.errors",
        "mcp_notebook.secrets",  # an error hides them
    }
    for name in COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([name, "--help"])


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect("shop.db") as database:
        database.execute("create table orders (id integer, day date, note text)")
        rows = [(1, "2026-01-02", "a;b"), (2, None, "é")]
        database.executemany("insert into orders values (?, ?, ?)", rows)
    database.close()
    yield "shop.db"
    with suppress(SessionError):
        mcp_notebook.disconnect("server")


@pytest.mark.slow
def test_a_database_is_asked_in_one_line(shop, capsys):
    assert main(["sql", shop, "select id, note from orders order by id", "--csv"]) == 0
    assert capsys.readouterr().out == "id,note\n1,a;b\n2,é\n"


@pytest.mark.slow
def test_a_table_of_json_keeps_its_days_and_nulls(shop, capsys):
    assert main(["sql", shop, "select id, day from orders order by id", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first == {"id": 1, "day": "2026-01-02"}
    assert second["day"] is None


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_a_table_is_written_as_the_ending_says(shop, capsys, suffix):
    file = Path(f"out{suffix}")
    assert main(["sql", shop, "select id, note from orders", "-o", str(file)]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"2 rows x 2 columns written to {file}" in captured.err
    read = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}
    assert read[suffix](file).values.tolist() == [[1, "a;b"], [2, "é"]]


@pytest.mark.slow
def test_a_tool_is_called_with_words_or_json(shop, capsys):
    words = ["call", shop, "query_database"]
    assert main([*words, "sql=select 1 as one", "--csv"]) == 0
    as_words = capsys.readouterr().out
    mcp_notebook.disconnect("server")
    assert main([*words, '{"sql": "select 1 as one"}', "--csv"]) == 0
    assert capsys.readouterr().out == as_words == "one\n1\n"


@pytest.mark.slow
def test_tools_are_listed_and_found_by_words(shop, capsys):
    assert main(["tools", shop, "sql", "select"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert "query_database" in names
    assert "list_tables" not in names


@pytest.mark.slow
def test_what_cannot_be_done_is_one_line_and_the_code_2(shop, capsys):
    for words in (
        ["sql", "missing.db", "select 1"],
        ["sql", shop, "select 1", "-o", "out.xyz"],
        ["run", "missing.ipynb"],
        ["freeze", "missing.ipynb", "-o", "x.py"],
    ):
        assert main(words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["sql", shop, "selec 1"]) == 2
    assert "syntax error" in capsys.readouterr().err


def test_the_completion_of_a_shell_knows_every_command_and_option(capsys, tmp_path):
    for shell in ("bash", "zsh", "fish"):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert all(name in script for name in COMMANDS)
        assert "offline" in script

    main(["completion", "bash"])
    (tmp_path / "script").write_text(capsys.readouterr().out)
    ask = (
        f". {tmp_path}/script; COMP_WORDS=(mcp-notebook replay --of); COMP_CWORD=2; "
        '_mcp_notebook; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True)
    assert done.stdout.strip() == "--offline", done.stderr


@pytest.mark.slow
def test_a_server_says_what_it_is(shop, capsys):
    assert main(["connect", shop]) == 0
    assert "connected: " in capsys.readouterr().out
    assert main(["connect", shop, "--json"]) == 0
    assert "query_database" in json.loads(capsys.readouterr().out)["tools"]


def test_a_frozen_script_is_one_test():
    script = (
        '"""Frozen.\n\n  Words."""\nimport math\n\ntext = """one\n  two\n"""\n'
        'sql = (\n    "a "\n    "b"\n)\nassert text == "one\\n  two\\n"\nassert sql == "a b"\n'
    )
    names: dict = {}
    exec(as_test(script, "test_a-report"), names)
    names["test_a_report"]()
    assert names["__doc__"].startswith("Frozen")


def test_a_report_says_how_each_cell_went(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("# Title"),
        nbformat.v4.new_code_cell("%%claude\nWhy <b>?", execution_count=1),
        nbformat.v4.new_code_cell("1 / 0 | 2", execution_count=2),
        nbformat.v4.new_code_cell("later"),
    ]
    note = "! 3 rows changed: id 1 | <script>"
    cells[1].outputs = [nbformat.v4.new_output("stream", text=f"ok\n{note}\n")]
    cells[2].outputs = [nbformat.v4.new_output("error", ename="E", evalue="x")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    for suffix in ("md", "html"):
        file = tmp_path / f"n.replay.{suffix}"
        write_report(file, "n.ipynb", notebook, "cell 3: E: x")
        text = file.read_text()
        assert "Stopped at cell 3: E: x" in text
        assert "3 rows changed: id 1" in text
        assert "<script>" not in text
        for word in ("ran", "failed", "not run"):
            assert word in text


@pytest.mark.slow
def test_pytest_runs_shared_notebooks_when_asked(tmp_path):
    """Each notebook that loads the extension is a test; without the option none is."""
    sources = {
        "good": ["%load_ext mcp_notebook", "1"],
        "bad": ["%load_ext mcp_notebook\n1 / 0"],
        "other": ["1 / 0"],
    }
    for name, cells in sources.items():
        made = [nbformat.v4.new_code_cell(source) for source in cells]
        nbformat.write(nbformat.v4.new_notebook(cells=made), tmp_path / f"{name}.ipynb")
    (tmp_path / "broken.ipynb").write_text("{")
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        words = ["-m", "pytest", "-q", "-p", "mcp_notebook.pytest_plugin", *options]
        return subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            # Where the package is installed, pytest finds the plugin by itself, too.
            env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        )

    assert "no tests" in run().stdout
    done = run("--mcp-notebooks").stdout
    assert "1 failed, 1 passed" in done
    assert (
        "bad.ipynb stopped at cell 1 (%load_ext mcp_notebook): ZeroDivisionError"
        in done
    )
