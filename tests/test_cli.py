"""The command `mcp-notebook`."""

from pathlib import Path

import pytest

from mcp_notebook.cli import main


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
