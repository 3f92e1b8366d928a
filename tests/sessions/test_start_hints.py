"""The last words of servers that did not start, and what the person is told to do."""

import sys

import pytest

from mcp_notebook.config import HttpServer, StdioServer
from mcp_notebook.errors import ConnectError
from mcp_notebook.sessions import Sessions
from mcp_notebook.sessions.opening import find_cause, find_start_hint

UVX = StdioServer("/usr/bin/uvx", ("some-server", "--db", "a b.db"))
NPX = StdioServer("/usr/bin/npx", ("-y", "some-server"))
# As uv 0.11, npm 10, Node 20 and Python 3.11 write them, shortened.
WORDS = [
    (
        UVX,
        "AttributeError: 'Server' object has no attribute 'list_tools'",
        "uvx --with 'mcp<2' some-server --db 'a b.db'",
    ),
    (
        StdioServer("python3", ("-m", "my_server", "-v")),
        "ImportError: cannot import name 'FastMCP' from 'mcp.server'",
        "uvx --with 'mcp<2' my-server -v",
    ),
    (UVX, "ModuleNotFoundError: No module named 'pytz.tz'", "lacks the package 'pytz'"),
    (
        UVX,
        "/usr/bin/python3: No module named my_server.main",
        "has no module 'my_server.main'; install it (pip install my-server)",
    ),
    (
        UVX,
        "python: can't open file '/x/y.py': [Errno 2] No such file or directory",
        "There is no file /x/y.py",
    ),
    (
        UVX,
        "cause: Because zz-server was not found in the package registry and you require zz-server",
        "no Python package zz-server",
    ),
    (
        UVX,
        "An executable named `nope` is not provided by package `mcp-server-time`.",
        "has no program nope: write uvx --from",
    ),
    (
        UVX,
        "the current Python version (3.11.7) does not satisfy Python>=3.13",
        "uvx --python 3.13 some-server",
    ),
    (
        UVX,
        "error: Failed to fetch: https://h/simple/x/\n cause: error sending request for url (https://h)",
        "--env HTTPS_PROXY",
    ),
    (NPX, "npm error If you are behind a proxy, please make sure", "--env HTTPS_PROXY"),
    (
        NPX,
        "npm error 404  The requested resource '@a/zz@*' could not be found or you do not have",
        "no npm package @a/zz",
    ),
    (
        NPX,
        "npm ERR! 404  'zz-server@latest' is not in this registry.",
        "no npm package zz-server",
    ),
    (
        NPX,
        "npm error could not determine executable to run",
        "name one: npx -y -p PACKAGE PROGRAM",
    ),
    (NPX, "npm error code EACCES\nnpm error syscall mkdir", "npm_config_cache=/folder"),
    (
        NPX,
        "Error: Cannot find module 'pg/lib/x'\nRequire stack:",
        "lacks the npm package 'pg'",
    ),
    (
        NPX,
        "Error [ERR_MODULE_NOT_FOUND]: Cannot find package '@a/b' imported from /x.mjs",
        "-p @a/b after npx -y",
    ),
    (NPX, "Error: Cannot find module '/x/dist/index.js'", "is the server built"),
    (
        NPX,
        "Error [ERR_UNKNOWN_BUILTIN_MODULE]: No such built-in module: node:sqlite",
        "newer Node.js",
    ),
    (NPX, "SyntaxError: Unexpected token '??='", "newer Node.js"),
    (NPX, "ReferenceError: fetch is not defined", "newer Node.js"),
    (
        NPX,
        "was compiled against a different Node.js version using\nNODE_MODULE_VERSION 108",
        "npm rebuild",
    ),
    (
        NPX,
        "Error: Could not locate the bindings file. Tried:",
        "install a C++ compiler",
    ),
    (
        NPX,
        "Error: listen EADDRINUSE: address already in use 127.0.0.1:3000",
        "Its port is taken",
    ),
    (
        StdioServer("docker", ("run",)),
        "docker: Cannot connect to the Docker daemon at unix:///",
        "start it",
    ),
    (StdioServer("docker", ("run",)), "the input device is not a TTY", "-i alone"),
    (
        StdioServer("java", ()),
        "Error: Unable to access jarfile s.jar",
        "There is no file s.jar",
    ),
    (
        UVX,
        "server.py: error: the following arguments are required: --db-path",
        "it asks for: --db-path.",
    ),
    (NPX, "Error: GITHUB_TOKEN environment variable is not set", "--env GITHUB_TOKEN"),
    (UVX, "  File \"/x.py\", line 3\nKeyError: 'BRAVE_API_KEY'", "--env BRAVE_API_KEY"),
    (
        NPX,
        "Missing required environment variables: NOTION_API_TOKEN",
        "--env NOTION_API_TOKEN",
    ),
]


@pytest.mark.parametrize(
    ("spec", "words", "says"), WORDS, ids=[says for _, _, says in WORDS]
)
def test_known_last_words_come_with_a_remedy(
    spec: StdioServer, words: str, says: str
) -> None:
    assert says in find_start_hint(spec, f"before\n{words}\nafter")


@pytest.mark.parametrize(
    "words",
    [
        "",
        "Traceback (most recent call last):\nValueError: 5",
        "listening on stdio {0} {x}",
    ],
)
def test_other_words_get_none(words: str) -> None:
    assert find_start_hint(UVX, words) == ""
    assert (
        find_start_hint(HttpServer("https://example.com"), "Cannot find module 'x'")
        == ""
    )


async def test_a_server_that_did_not_start_says_what_to_do(sessions: Sessions) -> None:
    with pytest.raises(
        ConnectError,
        match=r"exited with code 1 before it answered\. That Python has no module 'no_such",
    ):
        await sessions.connect(
            "s", StdioServer(sys.executable, ("-m", "no_such_server"))
        )


CAUSES = [
    (
        "Traceback (most recent call last):\n"
        '  File "x.py", line 3, in <module>\n'
        "    raise ValueError('no database')\n"
        "ValueError: no database",
        "ValueError: no database.",
    ),
    (
        "Error: DATABASE_URL is required\n"
        "Usage: server [options]\n"
        "Options:\n  --help  show this and exit",
        "Error: DATABASE_URL is required.",
    ),
    (
        "node:internal/modules/cjs/loader:1148\n  throw err;\n  ^\n\n"
        "Error: Cannot find module '/x/index.js'\n"
        "    at Module._resolveFilename (node:internal:1145:15)\n"
        "Node.js v20.20.0",
        "Error: Cannot find module '/x/index.js'.",
    ),
    (
        "usage: s [-h] --db DB\ns: error: the following arguments are required: --db",
        "s: error: the following arguments are required: --db.",
    ),
    ("thread 'main' panicked at src/main.rs:3:5:\nno key", "thread 'main' panicked"),
    ("\x1b[31mfatal: cannot open shop.db\x1b[0m\nbye", "fatal: cannot open shop.db."),
    ("listening\ngood bye", ""),
    ("", ""),
]


@pytest.mark.parametrize(("words", "cause"), CAUSES)
def test_the_line_that_says_why_is_found_among_the_last_words(
    words: str, cause: str
) -> None:
    found = find_cause(words)
    assert found.startswith(cause) if cause else found == ""
