"""Only a cell that is nothing but `%%claude` is awaited."""

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from mcp_notebook.magics.extension import AwaitTransformer


def transformed(cell, awaiting):
    manager = TransformerManager()
    lines = manager.transform_cell(cell).splitlines(keepends=True)
    return "".join(awaiting(lines))


def test_a_whole_claude_cell_is_awaited_once():
    awaiting = AwaitTransformer()
    assert transformed("%%claude --new\nHow many {orders}?", awaiting).startswith(
        "await get_ipython()"
    )
    assert awaiting.take()
    assert not awaiting.take()


@pytest.mark.parametrize(
    "cell",
    [
        "%%time\n%%claude\nhi",
        "%%capture out\nx = 1",
        "x = 1",
        "%%mcp_sql shop\nselect 1",
    ],
)
def test_other_cells_stay_as_they_are(cell):
    awaiting = AwaitTransformer()
    assert "await" not in transformed(cell, awaiting)


def test_nothing_is_rewritten_while_a_cell_runs():
    awaiting = AwaitTransformer()
    awaiting.before_cell()
    assert "await" not in transformed("%%claude\nhi", awaiting)
    awaiting.after_cell()
    assert "await" in transformed("%%claude\nhi", awaiting)
