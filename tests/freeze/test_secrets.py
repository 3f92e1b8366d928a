"""Secrets never reach a frozen file: a variable stands in their place, or the call is
commented out.
"""

import json

import pytest

from mcp_notebook.freeze.call_log import Facts
from mcp_notebook.freeze.writer import document
from tests.freeze.trails import Made

KEY = "abcdef1234567890abcdef"  # of no known shape
SHAPED = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2"
READS = Facts(reads=True)


def made(**environ: str) -> Made:
    notebook = Made(environ)
    notebook.ask("one")
    return notebook


def everything(notebook: Made, *names: str) -> str:
    """All that could be written."""
    parts = [notebook.script(*names, checks=True, answers=True), notebook.cell(*names)]
    return "\n".join(
        [*parts, document(notebook.cells(*names, checks=True, answers=True))]
    )


def test_an_argument_that_a_variable_holds_is_read_from_it():
    notebook = made(SHOP_API_KEY=KEY)
    notebook.call(
        "find", {"api_key": KEY, "q": f"with {KEY} inside"}, "found", facts=READS
    )
    source = notebook.script("found")
    assert 'api_key=os.environ["SHOP_API_KEY"]' in source
    assert 'q="with " + os.environ["SHOP_API_KEY"] + " inside"' in source
    assert source.index("import os") < source.index("import mcp_notebook")
    assert KEY not in everything(notebook, "found")


def test_a_secret_in_a_statement_is_read_from_its_variable_and_the_magic_is_not_used():
    notebook = made(DB_PASSWORD=KEY)
    notebook.query(f"select * from login('u', '{KEY}')", "rows")
    assert (
        'sql="select * from login(\'u\', \'" + os.environ["DB_PASSWORD"]'
        in notebook.cells("rows")[-1].source
    )
    assert KEY not in everything(notebook, "rows")


@pytest.mark.parametrize(
    "arguments",
    [
        {"password": "hunter2"},
        {"token": "abc123"},
        {"options": {"headers": {"authorization": "Bearer xyzzy-0815"}}},
        {"q": f"key {SHAPED}"},
        {"items": [{"client_secret": "s3cr3t!"}]},
        {"sql": "select * from users where password = 'hunter2'"},
        {"sql": "create user u identified by 'hunter2'"},
        {"url": "postgres://me:hunter2@host/db"},
    ],
)
def test_a_secret_that_no_variable_holds_comments_the_call_out(arguments):
    notebook = made()
    notebook.call("find", arguments, "found", facts=Facts(reads=True, sql="sql"))
    written = everything(notebook, "found")
    for secret in ("hunter2", "abc123", "xyzzy-0815", SHAPED, "s3cr3t!"):
        assert secret not in written
    assert "***" not in written
    assert (
        "# Not run: a secret stood in it that no environment variable holds: set SHOP_"
        in written
    )
    assert "os.environ[" in written


def test_an_exact_value_of_a_secret_variable_is_found_however_short():
    notebook = made(PASSWORD="x7")
    notebook.call("find", {"password": "x7"}, "found", facts=READS)
    assert 'password=os.environ["PASSWORD"]' in notebook.script("found")


@pytest.mark.parametrize(
    ("words", "options", "secret", "written"),
    [
        (("uvx", "srv", "--token", KEY), {}, KEY, "--token ${SHOP_TOKEN}"),
        (("TOKEN=" + KEY, "uvx", "srv"), {}, KEY, "TOKEN=${TOKEN} uvx srv"),
        (("https://example.com/mcp?api_key=" + KEY,), {}, KEY, "?api_key=${SHOP_API_KEY}"),
        (("uvx", "srv", "postgres://me:pw0815@h/db"), {}, "pw0815", "postgres://me:${SHOP_PASSWORD}@h/db"),
        (("https://example.com/mcp",), {"headers": (f"Authorization: Bearer {KEY}",)}, KEY, "Bearer ${SHOP_AUTHOR"),
        (("https://example.com/mcp",), {"headers": ("X-Api-Key: " + KEY,)}, KEY, "${SHOP_X_API_KEY}"),
        (("uvx", "srv", SHAPED), {}, SHAPED, "uvx srv ${SHOP_SECRET}"),
    ],
)  # fmt: skip
def test_a_secret_in_the_connect_line_becomes_a_variable_to_set(
    words, options, secret, written
):
    notebook = made()
    notebook.connect("shop", *words, **options)
    notebook.query("select 1", "rows")
    source = everything(notebook, "rows")
    assert secret not in source
    assert written in notebook.script("rows")
    assert "# Set " in notebook.script("rows")


def test_a_variable_of_the_connect_line_stays_as_it_was_written():
    notebook = made(TOKEN=KEY)
    notebook.connect(
        "shop", "https://example.com/mcp", headers=("Authorization: Bearer ${TOKEN}",)
    )
    notebook.query("select 1", "rows")
    assert "Bearer ${TOKEN}" in notebook.script("rows")
    assert "# Set" not in notebook.script("rows")


def test_a_connect_line_whose_secret_a_variable_holds_names_that_one():
    notebook = made(MY_TOKEN=KEY)
    notebook.connect("shop", "uvx", "srv", "--key", KEY)
    notebook.query("select 1", "rows")
    assert "--key ${MY_TOKEN}" in notebook.script("rows")
    assert "# Set" not in notebook.script("rows")


def test_questions_and_answers_are_masked():
    notebook = made()
    notebook.trail.runs["one"].prompt = f"my password: hunter2 and {SHAPED}"
    notebook.trail.runs["one"].words = f"Your key is {SHAPED}"
    notebook.query("select 1", "rows")
    written = everything(notebook, "rows")
    assert "hunter2" not in written
    assert SHAPED not in written


def test_ordinary_words_are_no_secrets():
    notebook = made(HOME="/root", LANG="C.UTF-8", EDITOR="vi")
    notebook.query(
        "select '/root', 'C.UTF-8' from tokens where keyword = 'x' and author = 'y'",
        "rows",
    )
    assert "os.environ" not in notebook.script("rows")
    assert json.dumps(
        "select '/root', 'C.UTF-8' from tokens where keyword = 'x' and author = 'y'"
    ) in notebook.script("rows")
