"""The line of %mcp_connect."""

import sys

import pytest

from mcp_notebook.config import HttpServer, StdioServer
from mcp_notebook.config.target import OWN_START
from mcp_notebook.errors import ConfigError
from mcp_notebook.notebook.opening import is_bundled, resolve, sources
from mcp_notebook.notebook.opening import read_line as parse


def test_everything_after_the_name_belongs_to_the_command():
    wanted = parse(
        "shop --allow 'read_*' mcp-notebook serve database --url sqlite:///a.db --timeout 3"
    )
    assert wanted.names == ("shop",)
    assert wanted.allow == ("read_*",)
    assert wanted.words == (
        "mcp-notebook",
        "serve",
        "database",
        "--url",
        "sqlite:///a.db",
        "--timeout",
        "3",
    )
    assert wanted.timeout is None


def test_options_may_stand_before_the_name():
    wanted = parse("--legacy --timeout 5 shop python server.py")
    assert (wanted.legacy, wanted.timeout, wanted.names, wanted.words) == (
        True,
        5.0,
        ("shop",),
        ("python", "server.py"),
    )


def test_a_config_file_takes_names():
    wanted = parse("--config .mcp.json one two")
    assert (wanted.config, wanted.names, wanted.words) == (
        ".mcp.json",
        ("one", "two"),
        (),
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--config",
        "shop --nope x",
        "--timeout soon shop x",
        "--transport pigeon shop x",
        "shop 'open quote",
    ],
)
def test_a_wrong_line_is_one_sentence(line):
    with pytest.raises(ConfigError) as caught:
        resolve(parse(line))
    assert caught.value.message.count("\n") == 0


def test_a_bundled_server_is_known_by_its_command():
    specs = resolve(parse("shop mcp-notebook serve database --url sqlite:///a.db"))
    assert is_bundled(specs["shop"])
    assert not is_bundled(StdioServer(sys.executable, ("-m", "other_server", "serve")))


def test_a_header_takes_its_value_from_the_environment():
    specs = resolve(
        parse("web --header 'Authorization: Bearer ${TOKEN}' https://example.com/mcp"),
        {"TOKEN": "t0"},
    )
    spec = specs["web"]
    assert isinstance(spec, HttpServer)
    assert spec.headers["Authorization"] == "Bearer t0"


def test_an_environment_variable_is_passed_by_name_never_by_value():
    specs = resolve(
        parse(f"db --env DB_PASSWORD {sys.executable} server.py"), {"DB_PASSWORD": "p"}
    )
    assert specs["db"].env["DB_PASSWORD"] == "p"
    with pytest.raises(ConfigError, match="takes a name only"):
        resolve(parse(f"db --env DB_PASSWORD=p {sys.executable} server.py"), {})


def test_the_own_servers_name_is_taken():
    with pytest.raises(ConfigError, match="belongs to the notebook"):
        resolve(parse(f"notebook {sys.executable} server.py"))


def test_options_of_a_url_may_stand_before_it():
    (spec,) = resolve(
        parse("web --oauth --transport http https://example.com/mcp")
    ).values()
    assert isinstance(spec, HttpServer)
    assert (spec.oauth, spec.transport) == ({}, "http")
    (spec,) = resolve(parse("lan --allow-insecure http://192.168.1.5/mcp")).values()
    assert isinstance(spec, HttpServer)
    assert spec.allow_insecure
    with pytest.raises(ConfigError, match="--oauth belongs to a URL"):
        resolve(parse(f"web --oauth {sys.executable} server.py"))


def test_of_several_servers_in_a_file_a_wrong_one_is_its_own_failure(tmp_path):
    path = tmp_path / "mcp.json"
    path.write_text(
        '{"mcpServers": {"bad": {"url": "ws://x"}, "notebook": {"command": "x"}, "good": {"command": "x"}}}'
    )
    found = resolve(parse(f"--config {path}"))
    assert [type(one).__name__ for one in found.values()] == [
        "ConfigError",
        "ConfigError",
        "StdioServer",
    ]
    with pytest.raises(ConfigError, match="'bad'"):
        resolve(parse(f"--config {path} bad"))


def test_a_name_that_another_host_knows_is_answered_with_its_file(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    (tmp_path / ".cursor").mkdir()
    (tmp_path / ".cursor" / "mcp.json").write_text(
        '{"mcpServers": {"shop": {"command": "x"}}}'
    )
    with pytest.raises(
        ConfigError,
        match=r"the one of Cursor does: %mcp_connect --config .*mcp\.json shop",
    ):
        resolve(parse("shop"))
    assert sources(parse("shop")) == {}
    (tmp_path / ".mcp.json").write_text('{"mcpServers": {"shop": {"command": "x"}}}')
    assert sources(parse("shop")) == {"shop": tmp_path / ".mcp.json"}
    assert sources(parse("shop uvx server")) == {}
    with pytest.raises(ConfigError, match="did you mean 'shop'"):
        resolve(parse("shpo"))


def test_only_our_own_code_counts_as_bundled():
    words = (*OWN_START, "serve", "database")
    assert not is_bundled(
        StdioServer(sys.executable, ("-m", "mcp_notebook", *words[2:]))
    )
    assert is_bundled(StdioServer(sys.executable, words))
    assert not is_bundled(
        StdioServer(sys.executable, words, {"PYTHONPATH": "/elsewhere"})
    )
    assert not is_bundled(StdioServer(sys.executable, words, cwd="/elsewhere"))
