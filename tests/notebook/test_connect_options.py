"""The options of a connection are one record: whatever way they are written, they are
the same, and no way forgets one.
"""

import ast
import inspect
import string
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

import mcp_notebook
from mcp_notebook.config import ConnectOptions, HttpServer, StdioServer
from mcp_notebook.config.options import (
    FLAGS,
    OPTIONS,
    Headers,
    Seconds,
    Switch,
    Texts,
    VariableNames,
)
from mcp_notebook.errors import ConfigError
from mcp_notebook.freeze.call_log import Facts
from mcp_notebook.magics.completion import complete
from mcp_notebook.magics.connections import MCPMagics
from mcp_notebook.notebook.opening import resolve
from tests.freeze.trails import Made
from tests.reference import options_table

README = Path(__file__).parents[2] / "README.md"
# Letters that a shell, IPython or Python could take for something else
TEXT = st.text("ab Z9é-_=:/.,'\"\\$%!?#*~\n(){}", max_size=8)
WORD = TEXT.filter(lambda word: not word.startswith("-") and "://" not in word)
NAME = st.text(string.ascii_lowercase, min_size=1, max_size=8)
# A busy machine may take long for the first example.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
HEADER_NAME = st.text(string.ascii_letters + "-", min_size=1, max_size=6)


def values_of(name: str) -> st.SearchStrategy[Any]:
    """Any value that a field may have."""
    kind = OPTIONS[name].kind
    if isinstance(kind, Switch):
        return st.booleans()
    if isinstance(kind, Seconds):
        return st.none() | st.floats(0.001, 1e6)
    if isinstance(kind, Headers):
        header = st.dictionaries(HEADER_NAME, TEXT.map(str.strip), max_size=2)
        return header.map(lambda found: kind.from_python(found, name))
    if isinstance(kind, VariableNames):
        return st.lists(NAME, max_size=2).map(tuple)
    if isinstance(kind, Texts):
        return st.lists(TEXT, max_size=2).map(tuple)
    return st.sampled_from(kind.choices) if kind.choices else TEXT


@st.composite
def connections(draw: st.DrawFn) -> ConnectOptions:
    """A command, a URL, a file or a bare name, with any options."""
    values = {name: draw(values_of(name)) for name in OPTIONS}
    command = st.lists(TEXT, max_size=3).flatmap(
        lambda rest: WORD.map(lambda first: (first, *rest))
    )
    url = st.just(("https://example.com/mcp",))
    words = () if values["config"] else draw(command | url | st.just(()))
    return ConnectOptions((draw(NAME),), words, **values)


@PATIENT
@given(connections())
def test_a_line_is_read_as_the_options_that_it_was_made_of(options):
    line = options.to_line().removeprefix("%mcp_connect ")
    assert ConnectOptions.from_line(line) == options


@PATIENT
@given(connections())
def test_a_call_is_read_as_the_options_that_it_was_made_of(options):
    target, keywords = options.to_call()
    assert ConnectOptions.from_call(options.name, target, keywords) == options


@PATIENT
@given(connections())
def test_frozen_code_connects_with_the_same_options(options):
    made = Made()
    made.trail.note_connection(options)
    made.call("q", {"a": 1}, "t", server=options.name, facts=Facts(reads=True))
    assert connected_by(made.script("t")) == [options]
    cell = made.cells("t")[1].source
    assert connected_by(TransformerManager().transform_cell(cell)) == [options]


def connected_by(source: str) -> list[ConnectOptions]:
    """What a piece of Python connects, by function or by magic."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        arguments = [ast.literal_eval(value) for value in node.args]
        if node.func.attr == "connect":
            name, target = (*arguments, "")[:2]
            given = {k.arg: ast.literal_eval(k.value) for k in node.keywords}
            found.append(ConnectOptions.from_call(name, target, given))
        elif arguments[:1] == ["mcp_connect"]:
            found.append(ConnectOptions.from_line(arguments[1]))
    return found


EXAMPLES: dict[str, Any] = {
    "allow": ("read_*",),
    "safe": ("read_*",),
    "env": ("HOME",),
    "headers": ("X-Team: data",),
    "oauth": True,
    "allow_insecure": True,
    "transport": "sse",
    "cwd": "/tmp",
    "timeout": 90.0,
    "legacy": True,
    "config": "servers.json",
}


def test_every_option_has_an_example_here_and_a_place_in_the_record():
    own = {"names", "words", "in_process"}
    assert (
        set(EXAMPLES) == set(OPTIONS) == {f.name for f in fields(ConnectOptions)} - own
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_comes_through_every_door(name):
    option = OPTIONS[name]
    words = {"URL": ("https://example.com/mcp",), "command": ("python", "server.py")}
    target = () if name == "config" else words.get(option.belongs, words["command"])
    options = ConnectOptions(("s",), target, **{name: EXAMPLES[name]})
    assert option.flag in options.to_line()
    assert name in options.to_call()[1]
    made = Made()
    made.trail.note_connection(options)
    made.call("q", {"a": 1}, "t", server="s", facts=Facts(reads=True))
    assert f"{name}=" in made.script("t")
    assert option.flag in made.cells("t")[1].source
    for door in (mcp_notebook.connect, mcp_notebook.aconnect):
        assert name in inspect.signature(door).parameters
        assert f"{name}: {option.about}" in inspect.getdoc(door)
    assert f"{option.usage} " in MCPMagics.mcp_connect.__doc__


def test_every_option_is_completed():
    magics = SimpleNamespace(magics={"line": {}, "cell": {}})
    notebook: Any = SimpleNamespace(shell=SimpleNamespace(magics_manager=magics))
    line = "%mcp_connect --"
    found = complete(notebook, line, 0, len(line))["completions"]
    assert set(FLAGS) <= {one.text for one in found}


def test_the_readme_has_the_table_of_the_options():
    assert options_table() in README.read_text()


def test_signing_in_and_plain_http_are_kept_when_frozen():
    for flag, keyword in (("--oauth", "oauth"), ("--allow-insecure", "allow_insecure")):
        made = Made()
        made.trail.note_connection(
            ConnectOptions.from_line(f"web {flag} http://10.0.0.1/mcp")
        )
        made.call("q", {"a": 1}, "t", server="web", facts=Facts(reads=True))
        assert f"%mcp_connect web {flag} http" in made.cells("t")[1].source
        assert f"{keyword}=True" in made.script("t")


def test_signing_in_and_plain_http_are_there_without_magics():
    (spec,) = resolve(
        ConnectOptions.from_call(
            "lan", "http://10.0.0.1/mcp", {"oauth": True, "allow_insecure": True}
        )
    ).values()
    assert isinstance(spec, HttpServer)
    assert (spec.oauth, spec.allow_insecure) == ({}, True)


def test_options_after_a_url_are_the_same_as_before_it():
    after = ConnectOptions.from_line("web https://x.example/mcp --oauth --timeout 9")
    before = ConnectOptions.from_line("web --oauth --timeout 9 https://x.example/mcp")
    assert after == before
    call = ConnectOptions.from_call("web", "https://x.example/mcp --oauth", {})
    assert call == replace(before, timeout=None)


def test_options_after_a_url_that_a_variable_holds_count_too():
    options = ConnectOptions.from_line("web ${PLACE} --oauth")
    (spec,) = resolve(options, {"PLACE": "https://x.example/mcp"}).values()
    assert isinstance(spec, HttpServer)
    assert (spec.url, spec.oauth) == ("https://x.example/mcp", {})


def test_options_of_the_person_go_before_those_of_a_file(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_text(
        '{"mcpServers": {"web": {"url": "http://10.0.0.1/mcp", "headers": {"A": "1", "B": "2"}},'
        ' "run": {"command": "x"}}}'
    )
    line = f"--config {path} --allow-insecure --header 'B: 3' --env E --cwd {tmp_path}"
    found = resolve(ConnectOptions.from_line(line), {"E": "e"})
    web, run = found["web"], found["run"]
    assert isinstance(web, HttpServer)
    assert (web.headers, web.allow_insecure) == ({"A": "1", "B": "3"}, True)
    assert isinstance(run, StdioServer)
    assert (run.env, run.cwd) == ({"E": "e"}, str(tmp_path))


def test_secrets_of_any_option_become_variables():
    environ = {"SHOP_TOKEN": "t0ps3cret-value", "SECRET_PLACE": "s3cret-folder"}
    made = Made(environ)
    made.trail.note_connection(
        ConnectOptions(
            ("web",),
            ("https://x.example/mcp?api_key=t0ps3cret-value",),
            headers=("Authorization: Bearer t0ps3cret-value",),
            cwd="/data/s3cret-folder",
        )
    )
    made.call("q", {"a": 1}, "t", server="web", facts=Facts(reads=True))
    for source in (made.script("t"), made.cells("t")[1].source):
        assert not [value for value in environ.values() if value in source]
        assert "Bearer ${SHOP_TOKEN}" in source
        assert "/data/${SECRET_PLACE}" in source


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("s --alow x y", "Unknown option --alow; did you mean --allow?"),
        ("s --header nothing https://x.example", "--header takes 'Name: value'"),
        ("s --env A=b x", "--env takes a name only, --env A;"),
        ("s --transport pigeon https://x.example", "--transport takes one of auto"),
        ("s --timeout soon x", "--timeout takes seconds, not 'soon'"),
        ("s --timeout -1 x", "--timeout takes seconds, not -1"),
        ("s --timeout inf x", "--timeout takes seconds, not inf"),
        ("s --cwd", "--cwd needs a value"),
        ("s https://x.example y", "'y' is not understood after a URL"),
        (
            "s --oauth python x.py",
            "--oauth belongs to a URL, and 'python' is a command",
        ),
        ("s --cwd /tmp https://x.example", "--cwd belongs to a command"),
    ],
)
def test_a_wrong_line_is_one_sentence_about_its_option(line, sentence):
    with pytest.raises(ConfigError) as caught:
        resolve(ConnectOptions.from_line(line))
    assert sentence in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"header": {}}, "connect has no option 'header'; did you mean 'headers'?"),
        ({"headers": "A: b"}, "headers takes a dict"),
        ({"headers": {"A:": "b"}}, "headers takes a dict"),
        ({"timeout": "soon"}, "timeout takes seconds, not 'soon'"),
        ({"timeout": True}, "timeout takes seconds, not True"),
        ({"allow": [1]}, "allow takes a text or a list of texts"),
        ({"cwd": 3}, "cwd takes a text, not 3"),
        ({"env": "A=b"}, "env takes a name only"),
        ({"config": "mcp.json"}, "both a target and a config file"),
    ],
)
def test_a_wrong_keyword_is_one_sentence(given, sentence):
    with pytest.raises(ConfigError) as caught:
        ConnectOptions.from_call("s", "python x.py", given)
    assert sentence in caught.value.message


def test_a_server_object_has_no_url_and_no_command():
    with pytest.raises(ConfigError, match="--oauth belongs to a URL"):
        mcp_notebook.connect("s", object(), oauth=True)
