"""What stands behind an @ in a question: found where it is a name, told within bounds,
never with a secret or a masked value, an unknown one refused before anything is sent.
"""

import base64
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mcp_notebook
from mcp_notebook import loop
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook import compose, mentions, resources
from mcp_notebook.notebook.options import AskOptions
from mcp_notebook.notebook.state import Notebook
from mcp_notebook.replay.keys import fingerprint
from tests.fake_messages import FakeMessages, Reply, text
from tests.notebook.scripted import notebook

SECRET = "sk-ant-api03-" + "Ab3dE6gH9" * 9
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n%%EOF"


@pytest.fixture(scope="module")
def model() -> Iterator[FakeMessages]:
    with FakeMessages(lambda body, n: Reply([text("fine")])) as running:
        yield running


@pytest.fixture
def state(
    model: FakeMessages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Notebook]:
    monkeypatch.chdir(tmp_path)
    model.requests.clear()
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    with notebook(tmp_path, environ) as made:
        yield made


class History:
    """As much of IPython's history as is looked at."""

    def __init__(self, *cells: str) -> None:
        self.input_hist_raw = ["", *cells]


def composed(state: Notebook, prompt: str) -> tuple[list[str], list[dict[str, Any]]]:
    """What the person is told, and the blocks that would be sent."""
    options = AskOptions(prompt).settle(state.settings)
    made = loop.run(compose.compose(state, options))
    return [note.text for note in made.notes], made.prompt


def words_of(blocks: list[dict[str, Any]]) -> str:
    return "\n".join(block.get("text", "") for block in blocks)


NO_NAMES = [
    "Write to ann.lee+x@example.org about it.",
    "See https://medium.com/@someone/post.",
    "```python\n@app.route('/')\ndef f(): ...\n```",
    "~~~\n@ordrs\n~~~",
    "@functools.cache\ndef f(): ...",
    "@a.b\n@c\nclass X: ...",
    "@media (min-width: 3em) { }",
    "Install @angular/core.",
    "The word `@ordrs` as it stands.",
    "SELECT @@version",
    "3 @ 4 and @ alone, @5",
]


@pytest.mark.parametrize("prompt", NO_NAMES)
def test_what_is_no_name_goes_as_it_stands(state: Notebook, prompt: str) -> None:
    assert mentions.find_named(state, prompt) == ([], [])


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Sum @ordrs.", "Did you mean @orders?"),
        ("Sum @ordrs, please", "nothing was sent"),
        ("Ask @nobody_at_all", "is written in backticks"),
        ("@noteboook:data://x", "Did you mean @notebook?"),
        ("Look at @./gone.png", "There is no file ./gone.png"),
        ("Look at @./plt.png", "Did you mean plot.png?"),
        ("@cell", "no code cell @cell"),
        ("@data.csv", "%mcp_share data.csv"),
        ("@thing", "tells nothing in words"),
        ("@blob.bin", "neither a picture nor a PDF nor text"),
    ],
)
def test_an_unknown_name_is_refused_before_anything_is_sent(
    state: Notebook, model: FakeMessages, prompt: str, said: str
) -> None:
    loop.run(state.own_session())
    Path("plot.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    Path("data.csv").write_text("a\n1\n")
    Path("blob.bin").write_bytes(b"\0\1")
    state.shell.user_ns["thing"] = object()
    with pytest.raises(ConfigError) as caught:
        composed(state, prompt)
    assert said in str(caught.value)
    assert model.requests == []


def test_a_programs_prompt_may_hold_any_handle(
    state: Notebook, model: FakeMessages
) -> None:
    assert mcp_notebook.ask("Is this rude? '@zaphod was here'", new=True).text == "fine"
    with pytest.raises(ConfigError, match="Did you mean @orders"):
        _ = mcp_notebook.ask("Sum @ordrs.", new=True).text
    assert len(model.requests) == 1


def test_a_programs_prompt_reaches_no_file_elsewhere(
    state: Notebook, model: FakeMessages, tmp_path: Path
) -> None:
    """Others' words may stand in such a prompt."""
    folder = tmp_path / "inside"
    folder.mkdir()
    (tmp_path / "private.txt").write_text("outside words")
    (folder / "link.txt").symlink_to(tmp_path / "private.txt")
    (folder / "near.txt").write_text("inside words")
    os.chdir(folder)
    places = ("../private.txt", f"{tmp_path}/private.txt", "./link.txt", "./near.txt")
    for place in places:
        _ = mcp_notebook.ask(f"Is this rude? 'see @{place}'", new=True).text
    asked = [str(body["messages"]) for body in model.requests]
    assert ["outside words" in one for one in asked] == [False] * 4
    assert "inside words" in asked[-1]


@pytest.mark.parametrize(
    "words",
    ["@orders", "@~/.ssh/id_rsa", "@error", '@"a b.txt"', "@other:data://x", "(@cell)"],
)
def test_a_servers_prompt_names_nothing_of_the_notebook(
    state: Notebook, words: str
) -> None:
    neutral = resources.neutralize_mentions("shop", f"Look at {words}, please.")
    assert mentions.find_named(state, neutral) == ([], [])
    own = "See @shop:data://x and me@shop.org"
    assert resources.neutralize_mentions("shop", own) == own


def test_values_code_and_files_go_and_are_said(state: Notebook) -> None:
    space = state.shell.user_ns
    space["limit"] = 3
    space["names"] = ["ann", "bob"]
    space["clean"] = mentions.without_code
    space["Path"] = Path
    space["s"] = pd.Series([1, 2, 3], name="n")
    Path("note.md").write_text("Rules of the house.")
    Path("my file.pdf").write_bytes(PDF)
    prompt = (
        "Use @limit, @names (@clean), @orders and @orders again; @s. "
        '@note.md @./note.md @"my file.pdf"!'
    )
    notes, blocks = composed(state, prompt)
    (said,) = notes
    assert said.startswith(
        "sent: @limit = 3, @names = ['ann', 'bob'], @clean (source, "
    )
    assert said.count("@orders (1 columns, names and types, no rows)") == 1
    assert said.endswith(f"@my file.pdf (PDF, {len(PDF)} bytes)")
    words = words_of(blocks)
    assert "orders(n int64)" in words
    assert "def without_code(prompt: str)" in words
    assert words.count("Rules of the house.") == 2
    (document,) = [block for block in blocks if block["type"] == "document"]
    assert base64.b64decode(document["source"]["data"]) == PDF


def test_a_cell_and_the_last_error(state: Notebook) -> None:
    state.shell.history_manager = History(
        "x = 1", "%%claude\nWhat?", "class Odd:\n    y = 2", "%%claude @cell"
    )
    notes, blocks = composed(state, "@cell @cell:-2 @cell:1")
    assert notes == [
        "sent: @cell (In [3], 2 lines), @cell:-2 (In [1], 1 lines), @cell:1 (In [1], 1 lines)"
    ]
    assert "class Odd:\n    y = 2" in words_of(blocks)
    with pytest.raises(ConfigError, match=r"those that ran: In \[1\] to In \[3\]"):
        composed(state, "@cell:-3")

    sys.last_value = None
    with pytest.raises(ConfigError, match="no cell has failed"):
        composed(state, "@error")
    try:
        raise ValueError(f"no such key {SECRET}")
    except ValueError as error:
        sys.last_value = error
    try:
        (said,), blocks = composed(state, "fix this: @error")
    finally:
        sys.last_value = None
    assert said.startswith("sent: @error (ValueError, ")
    assert "test_mentions.py" in words_of(blocks)
    assert SECRET not in words_of(blocks)


def test_a_server_and_its_tool_are_preferred(state: Notebook) -> None:
    loop.run(state.own_session())
    notes, blocks = composed(state, "Use @notebook.query, then @notebook.")
    assert notes == ["sent: @notebook.query (preferred), @notebook (preferred)"]
    assert "prefers the tool notebook__query" in words_of(blocks)
    with pytest.raises(ConfigError, match=r"Did you mean .*@notebook"):
        composed(state, "Use @notebok.query")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text(max_size=9), inner, max_size=5)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


@given(value=VALUES, at=st.integers(0, 3))
@settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_value_tells_a_secret_or_is_long(
    state: Notebook, value: Any, at: int
) -> None:
    forms = [
        [value, SECRET],
        {"password": "hunter2hunter2", "x": (value, SECRET)},
        (value, {SECRET}),
        f"{value} {SECRET} " * 50,
    ]
    state.shell.user_ns["thing"] = forms[at]
    notes, blocks = composed(state, "What is @thing?")
    leaving = " ".join(notes) + words_of(blocks)
    assert SECRET not in leaving
    assert "hunter2hunter2" not in leaving
    assert len(leaving) < 3 * mentions.MOST_VALUE


def test_masked_values_and_secret_names_stay(state: Notebook) -> None:
    state.settings.mask = ["email"]
    space = state.shell.user_ns
    state.bind("people", pd.DataFrame({"email": ["ada.lovelace@example.org"]}))
    space["who"] = "ada.lovelace@example.org"
    space["row"] = {"email": "short@x.org", "n": 1}
    space["email"] = "other@x.org"
    space["api_key"] = "abc-def-ghi"
    space["column"] = space["people"]["email"]
    notes, blocks = composed(state, "@who @row @email @api_key @column")
    leaving = " ".join(notes) + words_of(blocks[1:])
    for hidden in ("ada.lovelace", "short@x.org", "other@x.org", "abc-def-ghi"):
        assert hidden not in leaving


def test_figures_charts_and_pictures_are_drawn(state: Notebook) -> None:
    figures = pytest.importorskip("matplotlib.figure")
    images = pytest.importorskip("PIL.Image")
    space = state.shell.user_ns
    figure = figures.Figure(figsize=(80, 40))
    space["fig"], space["ax"] = figure, figure.subplots()
    space["grid"] = figures.Figure().subplots(2, 2)
    space["photo"] = images.new("RGB", (20, 10), "red")
    names = "@fig @ax @grid @photo"
    if "altair" in sys.modules or _has("altair"):
        import altair

        space["chart"] = altair.Chart(pd.DataFrame({"a": [1]})).mark_bar()
        names += " @chart"
    notes, blocks = composed(state, names)
    drawn = [block for block in blocks if block["type"] == "image"]
    assert len(drawn) == len(names.split())
    assert notes[0].count("(picture, ") == len(drawn)
    for block in drawn:
        raw = base64.b64decode(block["source"]["data"])
        assert raw.startswith(b"\x89PNG")
        assert max(int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])) < 2000


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None and find_spec("vl_convert") is not None


def test_what_cannot_be_drawn_says_so_in_a_sentence(state: Notebook) -> None:
    class Figure:
        def savefig(self, *args: Any, **options: Any) -> None:
            raise RuntimeError(f"no kaleido, {SECRET}")

    state.shell.user_ns["fig"] = Figure()
    with pytest.raises(ConfigError, match=r"@fig \(Figure\) cannot be drawn") as caught:
        composed(state, "Describe @fig")
    assert SECRET not in str(caught.value)


def test_a_request_with_pictures_and_documents_is_valid_and_replays(
    state: Notebook, model: FakeMessages
) -> None:
    images = pytest.importorskip("PIL.Image")
    state.shell.user_ns["photo"] = images.new("RGB", (20, 10), "red")
    Path("a.pdf").write_bytes(PDF)
    prompt = "What is on @photo and in @a.pdf?"
    assert mcp_notebook.ask(prompt, new=True).text == "fine"
    state.shell.user_ns["photo"] = images.new("RGB", (30, 10), "blue")
    assert mcp_notebook.ask(prompt, new=True).text == "fine"
    one, other = map(fingerprint, model.requests)
    assert one.key == other.key
    assert one.setup.tables != other.setup.tables
    plain = {
        **model.requests[0],
        "messages": [{"role": "user", "content": [{"type": "text", "text": prompt}]}],
    }
    assert fingerprint(plain).key == one.key


def test_completion_offers_what_can_be_named(state: Notebook) -> None:
    loop.run(state.own_session())
    assert {"orders", "notebook", "cell", "error"} <= set(mentions.known_names(state))
