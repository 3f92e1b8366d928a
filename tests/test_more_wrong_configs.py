"""More ways to describe a server wrongly in a file: each is one sentence that names the
server and the fix.

NOTED are not wrong enough to refuse: the server is there, with a word about what is not used.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.config import load_servers
from mcp_notebook.errors import ConfigError

WEB = "https://a.example/mcp"
REFUSED: dict[str, tuple[Any, str]] = {
    "entry is null": (None, "should be an object with .*it is null"),
    "entry is a command line": (
        "uvx mcp-server",
        "should be an object with .*it is a string",
    ),
    "entry is a list": (["uvx", "x"], "should be an object with .*it is a list"),
    "entry is empty": ({}, 'neither "command" nor "url"'),
    "command is null": ({"command": None}, '"command" should be a string, it is null'),
    "command is a number": (
        {"command": 5},
        '"command" should be a string, it is a number',
    ),
    "command is blank": ({"command": "  "}, "write the program that starts it"),
    "command holds a NUL": ({"command": "a\0b"}, "remove it"),
    "command is misspelt": (
        {"comand": "uvx"},
        "has 'comand', and the key is \"command\"",
    ),
    "command is called cmd": ({"cmd": "uvx"}, "has 'cmd', and the key is \"command\""),
    "args are a text": ({"command": "uvx", "args": "-m x"}, r'write \["-m", "x"\]'),
    "args are an object": (
        {"command": "uvx", "args": {"a": 1}},
        "should be a list of strings, it is an object",
    ),
    "args are nested": ({"command": "uvx", "args": [["a"]]}, "each should be a string"),
    "args hold true": (
        {"command": "uvx", "args": [True]},
        "holds true; write it in quotes",
    ),
    "args hold a NUL": ({"command": "uvx", "args": ["a\0"]}, "remove it"),
    "env is a list": (
        {"command": "uvx", "env": ["A=1"]},
        r"should be an object of strings \(\{.NAME",
    ),
    "env is a text": (
        {"command": "uvx", "env": "A=1"},
        r"should be an object of strings \(\{.NAME",
    ),
    "env holds null": (
        {"command": "uvx", "env": {"A": None}},
        "A in .env. is null; it should be a string",
    ),
    "env holds an object": (
        {"command": "uvx", "env": {"A": {}}},
        "A in .env. is an object; it should be a string",
    ),
    "env has = in a name": (
        {"command": "uvx", "env": {"A=B": "1"}},
        "no name of a variable; rename it",
    ),
    "env has no name": (
        {"command": "uvx", "env": {"": "1"}},
        "no name of a variable; rename it",
    ),
    "env variable unclosed": (
        {"command": "uvx", "env": {"A": "${HOME"}},
        r"write \$\{NAME\}",
    ),
    "env variable without a name": (
        {"command": "uvx", "env": {"A": "${}"}},
        r"write \$\{NAME\}",
    ),
    "env asks the editor": (
        {"command": "uvx", "env": {"A": "${input:key}"}},
        r"write \$\{KEY\} instead",
    ),
    "default names another": (
        {"command": "uvx", "env": {"A": "${A_:-${NO_B}}"}},
        r"%env NO_B=.*\$\{NO_B:-default\}",
    ),
    "both": ({"command": "uvx", "url": WEB}, "one of the two says how to reach it"),
    "url is null": ({"url": None}, '"url" should be a string, it is null'),
    "url is empty": ({"url": ""}, "begins with https://"),
    "url without a scheme": ({"url": "a.example/mcp"}, "begins with https://"),
    "url without a host": (
        {"url": "https:///mcp"},
        "should look like https://host/mcp",
    ),
    "url with a space": (
        {"url": "https://a.example/m cp"},
        "should look like https://host/mcp",
    ),
    "url with a line break": (
        {"url": f"{WEB}\nX: y"},
        "should look like https://host/mcp",
    ),
    "url with a backslash": (
        {"url": "https://a.example\\@b.example/mcp"},
        "should look like https://host/mcp",
    ),
    "url with half an IPv6": (
        {"url": "https://[::1/mcp"},
        "should look like https://host/mcp",
    ),
    "url with a large port": (
        {"url": "https://a.example:99999/mcp"},
        "port is no number from 1 to 65535",
    ),
    "url with a port in words": (
        {"url": "https://a.example:abc/mcp"},
        "port is no number from 1 to 65535",
    ),
    "url of a web socket": (
        {"url": "wss://a.example/mcp"},
        "speak http:// or https://",
    ),
    "url of a script": ({"url": "javascript:alert(1)"}, "begins with https://"),
    "url of a cloud's metadata": (
        {"url": "http://169.254.169.254/latest"},
        "use https://, or allow it with",
    ),
    "url with a number for a host": (
        {"url": "http://2130706433/mcp"},
        "use https://, or allow it with",
    ),
    "type unknown": (
        {"type": "grpc", "url": WEB},
        'possible are "stdio", "http" and "sse"',
    ),
    "type stdio with a url": (
        {"type": "stdio", "url": WEB},
        'with a url the type is "http"',
    ),
    "type http with a command": (
        {"type": "http", "command": "uvx"},
        'with that type it needs a "url"',
    ),
    "type is a number": (
        {"type": 5, "command": "uvx"},
        'should be "stdio", "http" or "sse"',
    ),
    "headers are a list": (
        {"url": WEB, "headers": ["A: b"]},
        "should be an object of strings",
    ),
    "headers hold a number": ({"url": WEB, "headers": {"A": 1}}, "write it in quotes"),
    "header with a space": (
        {"url": WEB, "headers": {"A b": "c"}},
        "letters, digits and - make one",
    ),
    "header without a name": (
        {"url": WEB, "headers": {"": "c"}},
        "letters, digits and - make one",
    ),
    "header in Cyrillic": ({"url": WEB, "headers": {"A": "\u043a"}}, "use ASCII"),
    "cwd is a number": ({"command": "uvx", "cwd": 5}, '"cwd" should be a string'),
    "cwd is not there": ({"command": "uvx", "cwd": "/no/such"}, "is no folder"),
    "disabled in words": (
        {"command": "uvx", "disabled": "yes"},
        "should be true or false, it is a string",
    ),
    "enabled as a number": (
        {"command": "uvx", "enabled": 1},
        "should be true or false, it is a number",
    ),
    "oauth in words": ({"url": WEB, "oauth": "yes"}, "should be true or an object"),
    "certificate is not there": (
        {"url": WEB, "certificate": "/no/such"},
        "it is the path of a PEM file",
    ),
}
NOTED: dict[str, tuple[Any, str]] = {
    "headers of a program": (
        {"command": "uvx", "headers": {"A": "b"}},
        '"headers" is only for a server with a "url"',
    ),
    "oauth of a program": (
        {"command": "uvx", "oauth": True},
        '"oauth" is only for a server with a "url"',
    ),
    "env of an address": (
        {"url": WEB, "env": {"A": "b"}},
        '"env" is only for a server with a "command"',
    ),
    "args of an address": (
        {"url": WEB, "args": ["x"]},
        '"args" is only for a server with a "command"',
    ),
    "a key misspelt": ({"url": WEB, "header": {"A": "b"}}, "did you mean 'headers'?"),
    "an oauth key misspelt": (
        {"url": WEB, "oauth": {"clientid": "a"}},
        "did you mean 'client",
    ),
}
WHOLE = {
    "a list": ("[]", "should hold an object"),
    "nothing": ("", "is empty; it should hold"),
    "servers in a list": ('{"mcpServers": []}', "one entry a server"),
    "another key": ('{"mcp_servers": {}}', 'stand under "mcpServers"'),
    "two documents": ('{"mcpServers": {}} {}', "line 1, column 20"),
    "single quotes": ("{'mcpServers': {}}", "double quotes only"),
    "a key twice in an entry": (
        '{"mcpServers": {"s": {"command": "a", "command": "b"}}}',
        "remove one of them",
    ),
    "nested without end": ("[" * 100_000, "nested too deeply"),
    "TOML": ('[mcpServers.s]\ncommand = "uvx"\n', "looks like TOML"),
    "YAML": ("mcpServers:\n  s:\n", "it should hold"),
}


def written(folder: Path, text: str) -> Path:
    path = folder / ".mcp.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_entry_is_refused_with_its_name_and_the_fix(
    name: str, tmp_path: Path
) -> None:
    entry, sentence = REFUSED[name]
    with pytest.raises(ConfigError, match=sentence) as failure:
        load_servers(written(tmp_path, json.dumps({"mcpServers": {"shop": entry}})), {})
    assert "server 'shop'" in failure.value.message
    assert "\n" not in failure.value.message


@pytest.mark.parametrize("name", NOTED)
def test_what_is_not_used_is_said(name: str, tmp_path: Path) -> None:
    entry, sentence = NOTED[name]
    (spec,) = load_servers(
        written(tmp_path, json.dumps({"mcpServers": {"shop": entry}})), {}
    ).values()
    assert sentence in " ".join(spec.notes)


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_that_is_none_is_refused_with_what_it_should_hold(
    name: str, tmp_path: Path
) -> None:
    text, sentence = WHOLE[name]
    with pytest.raises(ConfigError, match=sentence) as failure:
        load_servers(written(tmp_path, text), {})
    assert "\n" not in failure.value.message
