"""Servers described wrongly, or that are wrong themselves: each gets one sentence with
the fix, or does no harm.

OWN holds a case for every name below. Where a corpus of such cases stands beside the
checkout, each of its cases runs as well, and one that no test names is a failure. What
only reading a file shows is in tests/test_config_files.py.
"""

import json
import re
import stat
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.agent.toolset import api_name
from mcp_notebook.config import (
    describe,
    discover,
    find_server,
    load_servers,
    spec_fingerprint,
)
from mcp_notebook.errors import ConfigError, ConnectError, NotebookError
from mcp_notebook.policy import Start, Starts
from mcp_notebook.sessions import Sessions
from tests.sessions.support import ATTACKS, SERVERS

CORPUS = ATTACKS / "config_bad.jsonl"


def server(command: str, *args: str, **more: Any) -> dict[str, Any]:
    return {"mcpServers": {"s": {"command": command, "args": list(args), **more}}}


def address(url: str, **more: Any) -> dict[str, Any]:
    return {"mcpServers": {"s": {"url": url, **more}}}


def odd_server(mode: str) -> dict[str, Any]:
    return server("{FAKE}", mode)


SHELL_WORDS = ("$(touch /tmp/pwned)", "&& touch /tmp/pwned", "`touch /tmp/pwned`")
OWN: dict[str, Any] = {
    "missing_command": {"mcpServers": {"s": {"args": ["serve"]}}},
    "command_empty": server(""),
    "command_string_with_args": {"mcpServers": {"s": {"command": "python3 -m server"}}},
    "args_number": {"mcpServers": {"s": {"command": "uvx", "args": [8080]}}},
    "env_not_str": server("uvx", env={"A": True}),
    "unset_var": server("uvx", env={"KEY": "${NO_SUCH_VAR_XYZ}"}),
    "var_in_url": address("https://${HOST}:8443/mcp"),
    "name_injection": {"mcpServers": {"s\n![x](http://x)": {"command": "uvx"}}},
    "not_json": "{servers: 1}",
    "dup_server_key": '{"mcpServers": {"s": {"command": "uvx"}, "s": {"command": "npx"}}}',
    "url_with_credentials": address("https://me:pass@host.example/mcp"),
    "url_http_private": address("http://10.1.2.3:8000/mcp"),
    "url_bad_scheme": address("gopher://host.example/mcp"),
    "header_crlf": address(
        "https://host.example/mcp", headers={"A": "1\r\nHost: other"}
    ),
    "command_is_dir": server("/usr"),
    "crash_at_start": server(
        "python3",
        "-c",
        "import sys; print('boom: no DB', file=sys.stderr); sys.exit(3)",
    ),
    "crash_after_init": odd_server("die_after_init"),
    "exit_zero": server("python3", "-c", "pass"),
    "garbage_stdout": server(
        "python3", "-c", "print('Starting...'); import time; time.sleep(60)"
    ),
    "hang_initialize": server("sleep", "600"),
    "command_shell_meta": server("echo", *SHELL_WORDS),
    "wrong_protocol": odd_server("bad_version"),
    "url_refused": address("http://127.0.0.1:9/mcp"),
    "url_html": address("{HTTP}/html/mcp"),
    "url_404": address("{HTTP}/404/elsewhere"),
    "url_401": address("{HTTP}/401"),
    "url_resource_metadata_ssrf": address("{HTTP}/401-metadata"),
    "url_auth_endpoint_cmd": address("{HTTP}/401-command"),
    "hang_on_sigterm": odd_server("ignore_term"),
    "no_tools_capability": odd_server("no_tools"),
    "dup_tool_names": odd_server("dup_tools"),
    "bad_tool_schema": odd_server("bad_schema"),
    "schema_ref_remote": odd_server("ref_remote"),
    "schema_ref_loop": odd_server("ref_loop"),
    "schema_regex_bomb": odd_server("regex_bomb"),
    "endless_paging": odd_server("endless_cursor"),
    "name_collision": {
        "mcpServers": {"db": {"command": "uvx"}, "DB": {"command": "npx"}}
    },
    "unset_var_default": server("uvx", env={"T": "${NO_SUCH_VAR_XYZ:-d}"}),
    "secret_literal": server("uvx", env={"API_KEY": "sk-" + "ant-0123456789abc"}),
    "env_ld_preload": server("uvx", env={"LD_PRELOAD": "/tmp/other.so"}),
    "url_token_query": address("https://host.example/mcp?token=abc"),
    "name_too_long_for_api": {"mcpServers": {"n" * 60: {"command": "uvx"}}},
    "notebook_metadata_config": server("sh", "-c", "touch /tmp/pwned"),
    "config_changed_after_approval": server("python3", "-c", "print(3)"),
    "project_dir_config": server("touch", "/tmp/pwned"),
}
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
# name -> what the sentence of the ConnectError (or, at the start, ConfigError) says
UNREACHABLE = {
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


READ = ("name_collision", "unset_var_default", "secret_literal", "env_ld_preload", "url_token_query",
        "name_too_long_for_api")  # fmt: skip
NEVER_STARTED = (
    "notebook_metadata_config",
    "config_changed_after_approval",
    "project_dir_config",
)
TESTED = {*REFUSED, *UNREACHABLE, *CONNECTED, *READ, *NEVER_STARTED}


def corpus() -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in CORPUS.read_text().splitlines()]
        if CORPUS.exists()
        else []
    )


def cases(names: Iterable[str]) -> list[Any]:
    """Our own cases of these names, and the corpus's."""
    wanted = set(names)
    own = [
        pytest.param({"name": name, "config": OWN[name]}, id=name)
        for name in OWN
        if name in wanted
    ]
    more = [
        pytest.param(case, id=f"{case['name']}-corpus")
        for case in corpus()
        if case["name"] in wanted
    ]
    return own + more


def test_every_case_is_named_by_a_test() -> None:
    assert set(OWN) == TESTED
    assert {case["name"] for case in corpus()} <= TESTED


@pytest.fixture
def config(tmp_path: Path, odd: tuple[str, list[str]]) -> Any:
    """Writes a case's config as a file, with our misbehaving servers in their places."""
    fake = tmp_path / "fake"
    fake.write_text(
        f'#!/bin/sh\nexec {sys.executable} -S {SERVERS / "misbehaving.py"} "$@"\n'
    )
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)

    def write(case: Mapping[str, Any]) -> Path:
        text = (
            case["config"]
            if isinstance(case["config"], str)
            else json.dumps(case["config"])
        )
        path = tmp_path / ".mcp.json"
        path.write_text(text.replace("{FAKE}", str(fake)).replace("{HTTP}", odd[0]))
        return path

    return write


@pytest.mark.parametrize("case", cases(REFUSED))
def test_a_wrong_description_is_refused_before_anything_starts(
    case: Mapping[str, Any], config: Any
) -> None:
    with pytest.raises(ConfigError, match=REFUSED[case["name"]]) as error:
        load_servers(config(case), {})
    assert "\n" not in error.value.message
    assert "pass@" not in error.value.message


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(UNREACHABLE))
async def test_a_server_that_cannot_be_reached_says_why(
    case: Mapping[str, Any], config: Any, sessions: Sessions, odd: tuple[str, list[str]]
) -> None:
    (spec,) = load_servers(config(case)).values()
    slow = case["name"] in ("garbage_stdout", "hang_initialize")
    if case["name"] == "garbage_stdout":
        # what stays in the server's own buffer, nobody can quote
        spec = replace(spec, args=("-u", *spec.args))
    with pytest.raises(
        (ConnectError, ConfigError), match=UNREACHABLE[case["name"]]
    ) as error:
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


@pytest.mark.parametrize("case", cases(READ))
def test_what_is_only_unusual_is_read_with_a_word_and_nothing_secret_shows(
    case: Mapping[str, Any], config: Any
) -> None:
    specs = load_servers(config(case), {})
    assert len(specs) == (2 if case["name"] == "name_collision" else 1)
    spec = next(iter(specs.values()))
    assert "sk-ant" not in repr(specs)
    assert "abc" not in repr(specs)
    said = " ".join(spec.notes)
    assert (said == "") == (case["name"] not in ("secret_literal", "env_ld_preload"))
    assert "sk-ant" not in said
    if case["name"] == "unset_var_default":
        assert spec.env == {"T": "d"}
    server_name, names = next(iter(specs)), set[str]()
    for number in range(3):
        names.add(api_name(server_name, f"{'t' * 120}{number}", names))
    assert len(names) == 3
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) for name in names)


@pytest.mark.parametrize("case", cases(NEVER_STARTED))
def test_nothing_starts_by_being_there(
    case: Mapping[str, Any], config: Any, tmp_path: Path
) -> None:
    path = config(case)
    # a notebook that brings a config is no config
    if case["name"] == "notebook_metadata_config":
        path.rename(tmp_path / "evil.ipynb")
        (tmp_path / "evil.ipynb").write_text(
            json.dumps({"cells": [], "metadata": case["config"], "nbformat": 4})
        )
        assert find_server("s", tmp_path) is None
        assert not any(found.name == "s" for found in discover(tmp_path, tmp_path))
        return
    assert [found.name for found in discover(tmp_path, tmp_path)] == ["s"]
    assert not Path("/tmp/pwned").exists()
    (spec,) = load_servers(path).values()
    starts, seen = (
        Starts(tmp_path / "starts.json"),
        Start(path, "s", describe(spec), spec_fingerprint(spec)),
    )
    assert starts.is_new(seen)
    starts.keep(seen)
    assert not starts.is_new(seen)
    assert starts.before(seen) is None
    other = replace(spec, args=("-c", "print(1)"))
    changed = Start(path, "s", describe(other), spec_fingerprint(other))
    # another kernel knows it too
    assert Starts(tmp_path / "starts.json").before(changed) == seen.what


async def test_a_server_for_the_older_sdk_gets_the_remedy(
    tmp_path: Path, sessions: Sessions
) -> None:
    old = tmp_path / "old.py"
    old.write_text(
        "raise ImportError(\"cannot import name 'FastMCP' from 'mcp.server'\")"
    )
    (tmp_path / ".mcp.json").write_text(
        json.dumps(
            {"mcpServers": {"s": {"command": sys.executable, "args": [str(old)]}}}
        )
    )
    (spec,) = load_servers(tmp_path / ".mcp.json").values()
    with pytest.raises(
        NotebookError, match=r"written for mcp 1\.x.*uvx --with 'mcp<2'"
    ):
        await sessions.connect("s", spec)
