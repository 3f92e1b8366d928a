"""`--help` of every magic, options that do not exist, and what completes after a dash."""

import subprocess
import sys

import pytest

from mcp_notebook.errors import unknown_option
from mcp_notebook.magics.extension import LINE_MAGICS

SAID = """
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_line_magic("load_ext", "mcp_notebook")
for cell in {cells!r}:
    print("###")
    shell.run_cell(cell)
"""
COMPLETED = """
from types import SimpleNamespace
from IPython.core.interactiveshell import InteractiveShell
from mcp_notebook.errors import unknown_option
from mcp_notebook.magics.extension import notebook_of
from mcp_notebook.magics.completion import complete
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "mcp_notebook")
for text in {cells!r}:
    print("###")
    found = complete(notebook_of(shell), text, 0, len(text))["completions"]
    print([one.text for one in found])
"""


def said(script: str, cells: list[str]) -> list[str]:
    """What each cell printed, in one shell."""
    command = [sys.executable, "-c", script.format(cells=cells)]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=120
    )
    return ended.stdout.split("###\n")[1:]


def test_every_line_magic_answers_help_with_its_own_words():
    answers = said(SAID, [f"%{name} --help" for name in LINE_MAGICS])
    for name, answer in zip(LINE_MAGICS, answers, strict=True):
        assert "Error" not in answer, answer
        assert len(answer) > 20, name
        assert "::" not in answer


def test_what_is_not_understood_is_a_sentence_that_says_where_to_look():
    modle, server, seconds, alow, nothing, json, freeze = said(
        SAID,
        ["%%claude --modle x\nhi", "%%mcp_sql\nselect 1", "%%mcp_sql s --timeout x\nselect 1",
         "%mcp_connect --alow y shop cmd", "%mcp_connect", "%mcp_call a.b {x}", "%mcp_freeze --no-check"],
    )  # fmt: skip
    assert (
        "ConfigError: Unknown option --modle; did you mean --model? %%claude? lists what there is."
        in modle
    )
    assert (
        "ConfigError: Name the server: %%mcp_sql SERVER [--into NAME]; there are notebook."
        in server
    )
    assert "invalid float value" in seconds
    assert "Unknown option --alow; did you mean --allow?" in alow
    assert "%mcp_connect --help says more." in nothing
    assert 'write them as {"sql": "select 1"}' in json
    assert "Nothing to freeze yet" in freeze, (
        "argparse takes what an option begins with"
    )
    assert "Traceback" not in "".join(
        (modle, server, seconds, alow, nothing, json, freeze)
    )


def test_options_complete_after_a_dash():
    claude, connect, sql, other, below = said(
        COMPLETED,
        [
            "%%claude --ma",
            "%mcp_connect --al",
            "%%mcp_sql shop --t",
            "%mcp_log -",
            "%nothing -",
        ],
    )
    assert (
        claude.strip()
        == "['--max-calls', '--max-cell-tokens', '--max-iterations', '--max-seconds', '--max-tokens', '--max-usd']"
    )
    assert connect.strip() == "['--allow', '--allow-insecure']"
    assert sql.strip() == "['--timeout', '--tool']"
    assert other.strip() == below.strip() == "[]"


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--modle", "did you mean --model?"),
        ("--modle=x", "did you mean --model?"),
        ("--xyz", "Unknown option --xyz."),
    ],
)
def test_an_option_that_is_near_is_named(option, words):
    assert words in unknown_option(option, ["--model", "--new"])
