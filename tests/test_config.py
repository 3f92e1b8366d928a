"""Servers in config files and on command lines: what is understood, and the one
sentence when it is not.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_notebook.config import (
    ConnectOptions,
    HttpServer,
    ServerSpec,
    StdioServer,
    build_server,
    describe,
    discover,
    find_server,
    load_servers,
    mask,
    resolve_command,
    spec_fingerprint,
)
from mcp_notebook.config.target import OWN_START
from mcp_notebook.errors import ConfigError


def parse_target(
    words: list[str], environ: Mapping[str, str] = os.environ
) -> ServerSpec:
    """The server of `mcp_notebook.connect("s", words)`."""
    return build_server(ConnectOptions.from_call("s", words, {}), environ)


def write(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def servers(tmp_path: Path, **entries: object) -> Path:
    return write(tmp_path / ".mcp.json", {"mcpServers": entries})


def test_a_url_is_a_server() -> None:
    assert parse_target(["https://example.com/mcp"]) == HttpServer(
        "https://example.com/mcp"
    )
    words = [
        "http://localhost:8000/sse",
        "--transport",
        "sse",
        "--header",
        "Authorization: Bearer ${T}",
    ]
    expected = HttpServer(
        "http://localhost:8000/sse", {"Authorization": "Bearer abc"}, "sse"
    )
    assert parse_target(words, {"T": "abc"}) == expected


def test_a_command_line_is_a_server_with_its_environment() -> None:
    spec = parse_target(["TOKEN=${T}", "python3", "-c", "print(1)"], {"T": "abc"})
    assert isinstance(spec, StdioServer)
    assert os.path.isabs(spec.command)
    assert (spec.args, spec.env) == (("-c", "print(1)"), {"TOKEN": "abc"})


def test_our_own_command_is_this_python() -> None:
    spec = parse_target(["mcp-notebook", "serve", "database"])
    assert spec == StdioServer(sys.executable, (*OWN_START, "serve", "database"))


def test_scripts_of_this_environment_are_found_without_a_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        resolve_command(StdioServer(Path(sys.executable).name)).command
        == sys.executable
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "say which server"),
        (
            ["no-such-program-xyz"],
            "no program 'no-such-program-xyz' on PATH.*pip install no-such-program-xyz",
        ),
        (["npx-xyz/npx"], "Install Node.js"),
        (["/tmp"], "is a directory"),
        ([__file__], "is not executable"),
        (["A=1"], "no command after"),
        (
            ["${NO_SUCH_VARIABLE}"],
            "environment variable NO_SUCH_VARIABLE, which is not set",
        ),
        (["file:///etc/passwd"], "only http:// and https://"),
        (["http://192.168.1.10/mcp"], "clear text.*--allow-insecure"),
        (["https://user:pass@example.com/mcp"], "user or password inside its URL"),
        (["https://example.com/mcp", "--colour"], "Unknown option --colour"),
        (
            ["https://example.com/mcp", "--header", "A: b\r\nX: y"],
            "line break in the header 'A'",
        ),
    ],
)
def test_what_cannot_be_a_server_gets_one_sentence(
    words: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence) as error:
        parse_target(words)
    assert "\n" not in error.value.message
    assert "pass@" not in error.value.message


def test_a_file_with_comments_and_trailing_commas_is_read(tmp_path: Path) -> None:
    text = """{
      // VS Code writes this
      "servers": {
        "a": {"type": "stdio", "command": "x", "args": ["https://no//comment", "/* nor this */",], },
        "b": {"type": "sse", "url": "https://example.com/sse", /* here */ },
      },
    }"""
    assert load_servers(write(tmp_path / "mcp.json", text)) == {
        "a": StdioServer("x", ("https://no//comment", "/* nor this */")),
        "b": HttpServer("https://example.com/sse", transport="sse"),
    }


def test_variables_are_expanded_with_their_defaults_and_folders(tmp_path: Path) -> None:
    args = ["${A}", "${B:-b}", "${env:A}", "${workspaceFolder}/x", "$A"]
    path = write(
        tmp_path / ".vscode" / "mcp.json",
        {"servers": {"s": {"command": "x", "args": args}}},
    )
    spec = load_servers(path, {"A": "1"})["s"]
    assert spec == StdioServer("x", ("1", "b", "1", f"{tmp_path}/x", "$A"))


def test_an_input_of_vs_code_names_the_way_out(tmp_path: Path) -> None:
    path = servers(tmp_path, s={"command": "x", "env": {"KEY": "${input:api-key}"}})
    with pytest.raises(
        ConfigError, match=r"server 's'.*input 'api-key'.*write \$\{API_KEY\}"
    ):
        load_servers(path)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("x", 'should be an object with "command"'),
        ({"args": ["x"]}, 'has neither "command" nor "url"'),
        (
            {"command": "x", "url": "https://example.com"},
            'has both "command" and "url"',
        ),
        ({"command": ""}, 'empty "command"'),
        ({"command": 3}, '"command" should be a string, it is a number'),
        (
            {"command": "python -m server"},
            r'write "command": "python", "args": \["-m", "server"\]',
        ),
        (
            {"command": "x", "args": "y"},
            '"args" should be a list of strings, it is a string',
        ),
        ({"command": "x", "args": [1]}, '"args" holds a number; write it in quotes'),
        ({"command": "x", "env": {"A": 1}}, 'A in "env" is a number'),
        (
            {"command": "x", "env": {"A": "${NOPE_XYZ}"}},
            "variable NOPE_XYZ, which is not set",
        ),
        ({"url": "https://${NOPE_XYZ}/mcp"}, "variable NOPE_XYZ"),
        ({"url": "http://10.0.0.1/mcp"}, '"allowInsecure": true'),
        ({"url": "https://example.com", "type": "smoke"}, "type 'smoke'"),
    ],
)
def test_a_wrong_entry_gets_one_sentence_with_its_name_and_file(
    tmp_path: Path, entry: object, sentence: str
) -> None:
    path = servers(tmp_path, s=entry)
    with pytest.raises(ConfigError, match=sentence) as error:
        load_servers(path)
    assert "server 's'" in error.value.message
    assert str(path) in error.value.message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"mcpServers": {\n "a": }}', "line 2, column 7"),
        ('{"mcpServers": {"s": {"command": "a"}, "s": {"command": "b"}}}', "'s' twice"),
        ("[]", "should hold an object"),
        ("{}", "neither"),
        ('{"mcpServers": []}', "one entry a server"),
        ("[" * 100_000, "nested too deeply|not valid JSON"),
    ],
)
def test_a_wrong_file_gets_one_sentence(
    tmp_path: Path, text: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        load_servers(write(tmp_path / "mcp.json", text))


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        load_servers(tmp_path / "nothing.json")


def test_a_server_is_found_in_the_nearest_file_and_a_wrong_neighbour_does_not_matter(
    tmp_path: Path,
) -> None:
    servers(tmp_path, outer={"command": "o"}, both={"command": "far"})
    servers(tmp_path / "in" / "side", both={"command": "near"}, wrong={"command": 1})
    start = tmp_path / "in" / "side"
    assert find_server("both", start, {}) == StdioServer("near")
    assert find_server("outer", start, {}) == StdioServer("o")
    assert find_server("nonesuch", start, {}) is None
    with pytest.raises(ConfigError):
        find_server("wrong", start, {})


def test_secrets_do_not_show(tmp_path: Path) -> None:
    key = "sk-ant-api03-AAAAAAAAAAAA"
    path = servers(
        tmp_path,
        s={
            "command": "x",
            "args": ["--token", key, f"--api-key={key}"],
            "env": {"API_KEY": key},
        },
    )
    spec = load_servers(path)["s"]
    assert key not in repr(spec) + describe(spec) + mask(
        f"failed with postgres://me:{key}@host/db?token={key}"
    )
    assert isinstance(spec, StdioServer)
    assert any("API_KEY stands in the file" in note for note in spec.notes)


def test_what_can_hijack_a_server_is_noted(tmp_path: Path) -> None:
    entry = {"command": "sudo", "args": ["sh"], "env": {"LD_PRELOAD": "/tmp/evil.so"}}
    spec = load_servers(servers(tmp_path, s=entry))["s"]
    assert isinstance(spec, StdioServer)
    assert len(spec.notes) == 2
    assert "LD_PRELOAD" in describe(spec)


def test_an_edited_config_has_another_fingerprint() -> None:
    spec = StdioServer("python3", ("-c", "print(1)"), {"A": "1"})
    assert spec_fingerprint(spec) == spec_fingerprint(
        StdioServer("python3", ("-c", "print(1)"), {"A": "1"})
    )
    assert spec_fingerprint(spec) != spec_fingerprint(
        StdioServer("python3", ("-c", "print(1)"), {"A": "2"})
    )
    assert spec_fingerprint(spec) != spec_fingerprint(
        StdioServer("python3", ("-c", "print(2)"), {"A": "1"})
    )


def test_discover_lists_the_files_of_every_host_and_what_is_wrong_with_them(
    tmp_path: Path,
) -> None:
    home, project = tmp_path / "home", tmp_path / "home" / "project"
    servers(project, ours={"command": "x"})
    write(
        project / ".vscode" / "mcp.json",
        {"servers": {"code": {"command": "y", "args": ["--key-token", "hidden"]}}},
    )
    write(home / ".cursor" / "mcp.json", "{broken")
    here = {"mcpServers": {"scoped": {"url": "https://example.com/mcp"}}}
    write(
        home / ".claude.json",
        {"mcpServers": {"user": {"command": 3}}, "projects": {str(project): here}},
    )
    found = {(entry.host, entry.name): entry for entry in discover(project, home, {})}
    assert found["project", "ours"].what == "x"
    assert "hidden" not in found["VS Code", "code"].what
    assert "not valid JSON" in found["Cursor", ""].problem
    assert "should be a string" in found["Claude Code", "user"].problem
    assert (
        found["Claude Code (this project)", "scoped"].what == "https://example.com/mcp"
    )
