"""What a server says reaches no terminal as a command: every sign that hides, reorders
or is obeyed, by every exit that prints.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mcp_notebook.cli import main
from mcp_notebook.errors import NotebookError
from mcp_notebook.untrusted_text import visible_json

# C0 but the end of a line and the tab, C1, what reorders, OSC 8 (a link) and 52 (the
# clipboard), a return that overwrites the line
SIGNS = [
    chr(code) for code in (*range(32), *range(0x7F, 0xA0)) if chr(code) not in "\n\t"
]
SIGNS += [chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x61C)]
SEQUENCES = [
    "\x1b]8;;http://e/\x07x\x1b]8;;\x07",
    "\x1b]52;c;eA==\x1b\\",
    "\x1b[2J",
    "a\rb",
]
ATTACK = "".join([*SIGNS, *SEQUENCES])

SERVER = """
import json, sys
ATTACK = json.loads(sys.argv[1])
sys.stderr.buffer.write(("dying" + ATTACK).encode("utf-8", "replace") + b"\\n")
sys.stderr.flush()
TOOLS = [
    {"name": name + ATTACK[:end], "title": "t" + ATTACK, "description": "d" + ATTACK,
     "inputSchema": {"type": "object", "properties": {"sql": {"type": "string"}}}}
    for name, end in (("text", 0), ("rows", 0), ("fail", 0), ("odd", None), ("query", 0))
]
ROWS = json.dumps([{"c" + ATTACK: "v" + ATTACK}, {"c" + ATTACK: "w"}])
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked:
        continue
    method, params = asked["method"], asked.get("params") or {}
    answer = {"jsonrpc": "2.0", "id": asked["id"]}
    if method == "initialize":
        answer["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
            "serverInfo": {"name": "n" + ATTACK, "title": "T" + ATTACK, "version": "1" + ATTACK},
            "instructions": "i" + ATTACK}
    elif method == "tools/list":
        answer["result"] = {"tools": TOOLS}
    elif method == "tools/call":
        name = params["name"]
        text = ROWS if name in ("rows", "query") else "said" + ATTACK
        answer["result"] = {"content": [{"type": "text", "text": text}], "isError": name == "fail"}
    else:
        answer["error"] = {"code": -32601, "message": "no" + ATTACK}
    print(json.dumps(answer), flush=True)
"""


def assert_harmless(text: str) -> None:
    found = {sign for sign in text if sign in SIGNS}
    assert not found, (sorted(map(ascii, found)), ascii(text[:400]))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "hostile.py"
    script.write_text(SERVER.replace("json.loads(sys.argv[1])", repr(ATTACK)))
    return [sys.executable, str(script)]


@pytest.mark.parametrize(
    "words",
    [
        ["tools", "-"],
        ["tools", "-", "--json"],
        ["call", "-", "text"],
        ["call", "-", "text", "--json"],
        ["call", "-", "rows"],
        ["call", "-", "rows", "--json"],
        ["call", "-", "fail"],
        ["call", "-", "none"],
        ["sql", "-", "select 1"],
        ["doctor", "-"],
        ["doctor", "-", "--json"],
    ],
    ids=" ".join,
)
def test_the_command_line(words: list[str], server: list[str], capsys: Any) -> None:
    words = [" ".join(server) if word == "-" else word for word in words]
    with contextlib.suppress(SystemExit):
        main(words)
    said = capsys.readouterr()
    assert said.out + said.err
    assert_harmless(said.out + said.err)


def test_json_says_the_same_with_its_own_escapes() -> None:
    value = {"a" + ATTACK: ["\n\t\u2028" + ATTACK, "\U000e0041é"]}
    text = visible_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert_harmless(text)
    assert json.loads(text) == value


@pytest.mark.parametrize("sign", [*SIGNS, *SEQUENCES], ids=ascii)
def test_an_exception(sign: str) -> None:
    error = NotebookError(f"a{sign}b", detail=f"c{sign}d\n{sign}")
    shown = "\n".join([str(error), *error._render_traceback_()])
    assert_harmless(shown)


LINES = [
    "%mcp_status",
    "%mcp_tools bad",
    "%mcp_tools",
    "%mcp_log bad",
    "%mcp_call bad.text",
    # the frame itself is drawn by pandas, with what the server sent
    "rows = mcp_notebook.call('bad.rows')",
    "%mcp_call bad.fail",
    "%mcp_call bad.none",
    "%mcp_log",
    "%mcp_disconnect bad",
]
TERMINAL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance(colors="nocolor")
shell.run_line_magic("load_ext", "mcp_notebook")
import mcp_notebook
mcp_notebook.connect("bad", sys.argv[2:])
for line in sys.argv[1].split(";"):
    print("\\n>>>", line)
    shell.run_cell(line)
"""


@pytest.mark.slow
def test_what_magics_print_in_a_terminal(server: list[str]) -> None:
    command = [sys.executable, "-c", TERMINAL, ";".join(LINES), *server]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    said = done.stdout.decode() + done.stderr.decode()
    assert all(f">>> {line}" in said for line in LINES), said[-500:]
    for part in said.split(">>> "):
        assert_harmless(part)
