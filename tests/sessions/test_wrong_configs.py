"""The corpus of wrong configs: each gets one sentence with the server and the fix, or does no harm."""

import json
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.config import load_servers
from mcp_notebook.errors import ConfigError, ConnectError, NotebookError
from mcp_notebook.sessions import Sessions
from tests.sessions.support import ATTACKS, SERVERS

CORPUS = ATTACKS / "config_bad.jsonl"
REFUSED = {  # name -> what the sentence of the ConfigError says
    "missing_command": '"s".*neither "command" nor "url"|neither "command" nor "url"',
    "command_empty": 'empty "command"',
    "command_string_with_args": r'"args": \["-m", "server"\]',
    "args_number": '"args" holds a number',
    "env_not_str": "A in",
    "unset_var": "NO_SUCH_VAR_XYZ",
    "var_in_url": "HOST",
    "name_injection": r"A-Za-z0-9_-\]\{1,64\}",
    "not_json": "line 1, column 2",
    "dup_server_key": "'s' twice",
    "url_with_credentials": "remove it and send a header",
    "url_http_private": "clear text",
    "url_bad_scheme": "only http:// and https://",
    "header_crlf": "line break in the header 'A'",
}
UNREACHABLE = {  # name -> what the sentence of the ConnectError (or, at the start, ConfigError) says
    "command_is_dir": "is a directory",
    "crash_at_start": r"exited with code 3",
    "crash_after_init": r"exited with code 4|closed its connection",
    "exit_zero": r"exited with code 0 before it answered",
    "garbage_stdout": r"1 line\(s\) that are not MCP: 'Starting\.\.\.'",
    "hang_initialize": r"did not answer within",
    "command_shell_meta": "before it answered",
    "wrong_protocol": "1999-01-01",
    "url_refused": r"127\.0\.0\.1:9 was refused",
    "url_html": "not an MCP server",
    "url_404": r"HTTP 404.*/mcp",
    "url_401": "asks for authorization",
    "url_resource_metadata_ssrf": "asks for authorization",
    "url_auth_endpoint_cmd": "asks for authorization",
}
CONNECTED = {  # name -> how many tools, and whether something is said about them
    "hang_on_sigterm": (1, False),
    "no_tools_capability": (0, False),
    "dup_tool_names": (1, True),
    "bad_tool_schema": (1, True),
    "schema_ref_remote": (1, False),
    "schema_ref_loop": (1, False),
    "schema_regex_bomb": (1, False),
    "endless_paging": (100, True),
}


def cases(names: Mapping[str, Any]) -> list[Any]:
    if not CORPUS.exists():
        return [pytest.param({}, marks=pytest.mark.skip(reason="the attack corpus is not beside the checkout"))]
    found = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    return [pytest.param(case, id=case["name"]) for case in found if case["name"] in names]


@pytest.fixture
def config(tmp_path: Path, odd: tuple[str, list[str]]) -> Any:
    """Writes a case's config as a file, with our misbehaving servers in their places."""
    fake = tmp_path / "fake"
    fake.write_text(f'#!/bin/sh\nexec {sys.executable} -S {SERVERS / "misbehaving.py"} "$@"\n')
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)

    def write(case: Mapping[str, Any]) -> Path:
        text = case["config"] if isinstance(case["config"], str) else json.dumps(case["config"])
        path = tmp_path / ".mcp.json"
        path.write_text(text.replace("{FAKE}", str(fake)).replace("{HTTP}", odd[0]))
        return path

    return write


@pytest.mark.parametrize("case", cases(REFUSED))
def test_a_wrong_description_is_refused_before_anything_starts(case: Mapping[str, Any], config: Any) -> None:
    with pytest.raises(ConfigError, match=REFUSED[case["name"]]) as error:
        load_servers(config(case), {})
    assert "\n" not in error.value.message
    assert "pass@" not in error.value.message


@pytest.mark.parametrize("case", cases(UNREACHABLE))
async def test_a_server_that_cannot_be_reached_says_why(
    case: Mapping[str, Any], config: Any, sessions: Sessions, odd: tuple[str, list[str]]
) -> None:
    (spec,) = load_servers(config(case)).values()
    slow = case["name"] in ("garbage_stdout", "hang_initialize")
    if case["name"] == "garbage_stdout":
        spec = replace(spec, args=("-u", *spec.args))  # what stays in the server's own buffer, nobody can quote
    with pytest.raises((ConnectError, ConfigError), match=UNREACHABLE[case["name"]]) as error:
        await sessions.connect("s", spec, timeout=2 if slow else 20)
    assert "'s'" in error.value.message
    assert not Path("/tmp/pwned").exists()
    if case["name"] == "crash_at_start":
        assert error.value.detail == "boom: no DB"


@pytest.mark.parametrize("case", cases(CONNECTED))
async def test_a_server_with_odd_tools_is_connected_with_the_good_ones(
    case: Mapping[str, Any], config: Any, sessions: Sessions
) -> None:
    (spec,) = load_servers(config(case)).values()
    session = await sessions.connect("s", spec)
    tools, noted = CONNECTED[case["name"]]
    assert (len(session.tools), bool(session.notices)) == (tools, noted)


@pytest.mark.parametrize("case", cases({"name_collision": 2, "unset_var_default": 1, "secret_literal": 1}))
def test_what_is_only_unusual_is_read(case: Mapping[str, Any], config: Any) -> None:
    specs = load_servers(config(case), {})
    assert len(specs) == (2 if case["name"] == "name_collision" else 1)
    assert "sk-ant" not in repr(specs)


@pytest.mark.parametrize("case", cases({"url_token_query": 1}))
async def test_a_token_in_an_address_is_never_shown(case: Mapping[str, Any], config: Any) -> None:
    specs = load_servers(config(case))
    assert "abc" not in repr(specs)


async def test_a_server_for_the_older_sdk_gets_the_remedy(tmp_path: Path, sessions: Sessions) -> None:
    old = tmp_path / "old.py"
    old.write_text("raise ImportError(\"cannot import name 'FastMCP' from 'mcp.server'\")")
    (tmp_path / ".mcp.json").write_text(
        json.dumps({"mcpServers": {"s": {"command": sys.executable, "args": [str(old)]}}})
    )
    (spec,) = load_servers(tmp_path / ".mcp.json").values()
    with pytest.raises(NotebookError, match=r"written for mcp 1\.x.*uvx --with 'mcp<2'"):
        await sessions.connect("s", spec)
