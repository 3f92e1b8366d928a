"""The first line of `%%claude`, and names that a person gives."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.errors import ConfigError
from mcp_notebook.magics.claude import split_line
from mcp_notebook.magics.extension import AwaitTransformer, ask_in_line
from mcp_notebook.notebook.options import AskOptions, check_name

LINES = {
    "How many orders?": ([], "How many orders?"),
    "--new How many orders?": (["--new"], "How many orders?"),
    "What's in orders?": ([], "What's in orders?"),
    "'How many?'": ([], "How many?"),
    'say "hi  there" to  me': ([], 'say "hi  there" to  me'),
    "--into a, b How many?": (["--into", "a,b"], "How many?"),
    "--into a How many, please?": (["--into", "a"], "How many, please?"),
    "--allow 'shop.*' go --new": (["--allow", "'shop.*'", "--new"], "go"),
    "--max-calls=3 -m x go": (["--max-calls=3", "-m", "x"], "go"),
    "revenue - cost -- per month": ([], "revenue - cost -- per month"),
    "--unknown": (["--unknown"], ""),
    "": ([], ""),
}


@pytest.mark.parametrize("line", LINES)
def test_what_is_no_option_is_the_question_as_it_is_written(line):
    assert split_line(line) == LINES[line]


@pytest.mark.parametrize("name", ["class", "None", "print", "list", "two words", "1st"])
def test_a_name_that_python_has_is_refused(name):
    with pytest.raises(ConfigError, match="name"):
        check_name(name)
    with pytest.raises(ConfigError, match="name"):
        AskOptions("go", into=f"good, {name}")


CELLS = {
    "%%claude How many orders?": "run_line_magic('claude', 'How many orders?')",
    "%%claude How many orders?\n": "run_line_magic('claude', 'How many orders?')",
    "%claude How many orders?": "run_line_magic('claude', 'How many orders?')",
    "%%claude\nHow many?": "run_cell_magic('claude', '', 'How many?",
    "%claude briefly": "run_line_magic('claude', 'briefly')",
}


@pytest.mark.parametrize("cell", CELLS)
def test_a_question_on_the_line_is_asked_and_awaited(cell):
    manager = TransformerManager()
    manager.cleanup_transforms.append(ask_in_line)
    written = manager.transform_cell(cell).splitlines(keepends=True)
    (rewritten,) = ["".join(AwaitTransformer()(written))]
    assert rewritten.startswith("await get_ipython().")
    assert CELLS[cell] in rewritten


def test_other_lines_are_left_alone():
    lines = ["x = 1\n", "  %claude go?\n", "%claude_history\n", "print?\n"]
    assert ask_in_line(lines) == lines
