"""Whose answers no longer stand: cells that went on from an older run, and cells whose
tables were changed, rebound or made anew with other rows since.
"""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from mcp_notebook.errors import BackendError
from mcp_notebook.events import Note
from mcp_notebook.magics.claude import rerun_stale, show_history
from mcp_notebook.notebook.cell import CellRun
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.notebook.stale import SMALL, mark_table, stale_cells
from mcp_notebook.notebook.state import Notebook
from tests.fake_messages import FakeMessages, Reply, text, use
from tests.notebook.scripted import notebook

TOTAL = {"sql": "select sum(n) as total from orders"}


def answer(body: dict[str, Any], number: int) -> Any:
    asked = questions_of(body)
    if "break" in asked[-1]:
        return 400
    if "query" in asked[-1] and body["messages"][-1]["content"][0]["type"] == "text":
        return Reply([use("notebook__query", TOTAL)])
    return Reply([text(f"Answer {number} after {len(asked) - 1} others.")])


def questions_of(body: dict[str, Any]) -> list[str]:
    """The questions that a request shows, in their order."""
    users = [m["content"] for m in body["messages"] if m["role"] == "user"]
    texts = [b["text"] for content in users for b in content if b["type"] == "text"]
    return [words for words in texts if words.startswith("Q")]


@pytest.fixture(scope="module")
def model() -> Iterator[FakeMessages]:
    with FakeMessages(answer) as running:
        yield running


@pytest.fixture
def state(model: FakeMessages, tmp_path: Path) -> Iterator[Notebook]:
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    with notebook(tmp_path, environ) as made:
        yield made


def run(state: Notebook, cell: str, *prompts: str, **options: Any) -> list[str]:
    """One execution of a cell with its questions; the notes below the answers."""
    execution = str(random.random())
    notes = []
    for prompt in prompts or (f"Q {cell}",):
        asked = AskOptions(prompt, **options)
        one = CellRun(state, asked, owner=cell, execution=execution)
        one.in_blocking_cell()
        notes += [event.text for event in one.seen if isinstance(event, Note)]

    return [note for note in notes if "Stale" in note]


def _set(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[0, "n"] = 99
    return frame


def _add(frame: pd.DataFrame) -> pd.DataFrame:
    frame["m"] = frame["n"] * 2
    return frame


CHANGES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a cell of it": (_set, "has changed"),
    "a column more": (_add, "has changed"),
    "other rows": (lambda frame: frame[frame["n"] > 1], "is another table now"),
    "another name": (lambda f: f.rename(columns={"n": "k"}), "is another table now"),
    "another type": (lambda frame: frame.astype("str"), "is another table now"),
    "no table": (lambda frame: 5, "is no table any more"),
    "Arrow": (lambda frame: pa.table({"n": [1, 2]}), "is another table now"),
}
SAME: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda frame: frame,
    "a copy": lambda frame: frame.copy(),
    "the same rows once more": lambda frame: pd.DataFrame({"n": [1, 2, 3]}),
    "the rows in another order": lambda frame: pd.DataFrame({"n": [3, 1, 2]}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("asks", ["Q of @orders", "Q query"])
def test_a_table_that_changed_makes_the_answer_stale(
    state: Notebook, change: str, asks: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(state, "first", asks)
    assert stale_cells(state, state.conversation) == {}
    space, (changed, said) = state.shell.user_ns, CHANGES[change]
    space["orders"] = changed(space["orders"])
    assert stale_cells(state, state.conversation) == {"first": f"orders {said}"}
    show_history(state)
    assert f"stale: {asks} (orders {said})" in capsys.readouterr().out
    (note,) = run(state, "second", "Q two")
    assert f"{asks} (orders {said})" in note
    assert run(state, "third", "Q three") == []  # said once


@pytest.mark.parametrize("change", SAME)
def test_the_same_rows_leave_the_answer_as_it_is(state: Notebook, change: str) -> None:
    run(state, "first", "Q of @orders")
    space = state.shell.user_ns
    # the old table is gone where the new one is no copy of it
    space["orders"] = SAME[change](space["orders"])
    same = stale_cells(state, state.conversation)
    assert same == {}
    del space["orders"]
    assert stale_cells(state, state.conversation) == {}


def test_a_table_that_the_answer_made_counts_too(state: Notebook) -> None:
    run(state, "first", "Q query", into="total")
    space = state.shell.user_ns
    assert space["total"]["total"].tolist() == [6]
    space["total"] = space["total"] * 2
    assert stale_cells(state, state.conversation) == {
        "first": "total is another table now"
    }


def test_the_stale_are_asked_again_once_and_what_follows_from_them(
    state: Notebook, model: FakeMessages, capsys: pytest.CaptureFixture[str]
) -> None:
    run(state, "a")
    run(state, "b", "Q query")
    run(state, "c")
    state.shell.user_ns["orders"].loc[0, "n"] = 5
    before = len(model.requests)
    rerun_stale(state)
    # b calls once more and answers, c goes on from its new run
    assert len(model.requests) == before + 3
    assert questions_of(model.requests[-1]) == ["Q a", "Q query", "Q c"]
    assert stale_cells(state, state.conversation) == {}
    rerun_stale(state)
    assert "No cell is stale." in capsys.readouterr().out


def test_a_large_column_of_objects_and_one_that_pandas_moves(state: Notebook) -> None:
    frame = pd.DataFrame({"o": [f"x{n}" for n in range(SMALL)]}, dtype=object)
    for number in range(8):
        frame[f"c{number}"] = number
    mark = mark_table(frame)
    assert mark is not None
    assert mark.fingerprint == ""
    frame._consolidate_inplace()
    assert mark.describe_change(frame) == ""
    frame.loc[7, "o"] = "y"
    assert mark.describe_change(frame) == "has changed"
    del frame
    assert mark.held is None


def test_a_file_that_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("a\n1\n")
    mark = mark_table(path)
    assert mark is not None
    assert mark.describe_change(path) == ""
    path.write_text("a\n1\n2\n")
    assert mark.describe_change(path) == "has changed"


def test_the_questions_of_one_cell_are_one_run_of_it(
    state: Notebook, model: FakeMessages
) -> None:
    run(state, "a", "Q a1", "Q a2")
    run(state, "b")
    assert questions_of(model.requests[-1]) == ["Q a1", "Q a2", "Q b"]
    (note,) = run(state, "a", "Q a1", "Q a3")
    assert "Q b" in note
    assert "Q a" not in note
    rerun_stale(state)
    assert questions_of(model.requests[-1]) == ["Q a1", "Q a3", "Q b"]


def test_a_cell_that_fails_leaves_the_conversation_where_it_was(
    state: Notebook, model: FakeMessages
) -> None:
    for cell in "abc":
        run(state, cell)
    with pytest.raises(BackendError):
        run(state, "b", "Q break")
    run(state, "d")
    assert questions_of(model.requests[-1]) == ["Q a", "Q b", "Q c", "Q d"]
    assert state.conversation.runs["d"].parent == "c"


def test_a_new_conversation_leaves_earlier_cells_their_own(
    state: Notebook, model: FakeMessages
) -> None:
    run(state, "a")
    run(state, "b")
    run(state, "c", new=True)
    assert questions_of(model.requests[-1]) == ["Q c"]
    run(state, "d")
    assert questions_of(model.requests[-1]) == ["Q c", "Q d"]
    run(state, "b")
    assert questions_of(model.requests[-1]) == ["Q a", "Q b"]
    (note,) = run(state, "c", new=True)
    assert "Q d" in note
    assert questions_of(model.requests[-1]) == ["Q c"]


@pytest.mark.parametrize("seed", range(3))
def test_twelve_cells_in_any_order_say_what_their_history_is(
    state: Notebook, model: FakeMessages, seed: int
) -> None:
    """In order, each twice, shuffled, edited, some anew: a model of it says what each
    request shows.
    """
    chance = random.Random(seed)
    cells = [f"c{number}" for number in range(12)]
    order = [cell for cell in cells for _ in range(2)]
    order += chance.sample(cells, 12) + chance.choices(cells, k=8)
    parents: dict[str, str] = {}
    said: dict[str, list[str]] = {"": []}
    last = ""
    for number, cell in enumerate(order):
        words = f"Q {cell} {number if chance.random() < 0.3 else ''}".strip()
        new = chance.random() < 0.05
        parents[cell] = "" if new else parents.get(cell, last)
        said[cell] = [*said[parents[cell]], words]
        last = cell
        run(state, cell, words, new=new)
        assert questions_of(model.requests[-1]) == said[cell]
