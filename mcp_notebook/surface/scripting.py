"""The features without magics: the state that functions work on, and servers connected by a call."""

import atexit
import functools
import shlex
import sys
from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from mcp_notebook import loop
from mcp_notebook.errors import ConfigError, ConnectError

if TYPE_CHECKING:
    from mcp_notebook.sessions import Session
    from mcp_notebook.surface.notebook import Notebook


def current() -> "Notebook":
    """The notebook's state; in a plain script one of its own, whose tables are names in the script's answers."""
    from mcp_notebook.surface import extension

    shell = _shell()
    if shell is None:
        return _script()
    extension.load(shell)
    notebook = extension.notebook_of(shell)
    assert notebook is not None
    return notebook


def _shell() -> Any:
    # Asked of the module that is there already: a script that has no IPython loads none.
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


@functools.cache
def _script() -> "Notebook":
    from mcp_notebook.surface.notebook import Notebook
    from mcp_notebook.surface.settings import MCPNotebook

    notebook = Notebook(SimpleNamespace(user_ns={}), MCPNotebook())
    atexit.register(lambda: loop.run(notebook.sessions.close_all()))
    return notebook


class Server:
    """A connected server: its tools, called by hand, and its end."""

    def __init__(self, notebook: "Notebook", name: str) -> None:
        self._notebook, self.name = notebook, name

    @property
    def tools(self) -> tuple[str, ...]:
        """The names of its tools."""
        return tuple(tool.name for tool in self._session.tools)

    def call(self, tool: str, arguments: dict[str, Any] | None = None, *, into: str = "") -> Any:
        """Call a tool: its first table as a DataFrame, else its text. Raises CallError where the tool says no."""
        from mcp_notebook.surface import byhand

        _, value = loop.run(byhand.call(self._notebook, self.name, tool, arguments or {}, into=into))
        return value

    def close(self) -> None:
        """Close the session."""
        loop.run(self._notebook.sessions.disconnect(self.name))

    def __repr__(self) -> str:
        return f"<Server {self.name}: {', '.join(self.tools)}>"

    @property
    def _session(self) -> "Session":
        return self._notebook.sessions.get(self.name)


def connect(name: str, target: str | Sequence[str] = (), *, allow: Sequence[str] = (), config: str = "") -> Server:
    """Connect a server and keep its session: `%mcp_connect` as a function.

        shop = mcp_notebook.connect("shop", "mcp-notebook serve database --url sqlite:///data/shop.db")
        web = mcp_notebook.connect("web", ["https://example.com/mcp", "--header", "Authorization: Bearer ${TOKEN}"])
        shop = mcp_notebook.connect("shop")                      # by its name in .mcp.json, or in the file `config`

    `target`: a command or a URL, as words or as one text; options as in the magic. `allow`: patterns of tools that run
    without asking. Raises ConfigError or ConnectError in one sentence.
    """
    from mcp_notebook.surface import arrival, connecting, opening
    from mcp_notebook.surface.presence import is_attended

    notebook = current()
    words = shlex.split(target) if isinstance(target, str) else list(target)
    options = [word for pattern in allow for word in ("--allow", pattern)] + (["--config", config] if config else [])
    wanted = connecting.parse(shlex.join([*options, name, *words]))
    spec, timeout = connecting.resolve(wanted)[name], notebook.settings.connect_timeout
    if isinstance(spec, ConfigError):
        raise spec
    with notebook.desk.staffed(attended=is_attended(notebook.shell), forms=False):
        work = loop.submit(opening.opened(notebook, name, spec, wanted, timeout, {}))
        session = loop.wait(work, notebook.desk.pump)
    try:
        arrival.accept(session, attended=is_attended(notebook.shell), say=print, ask=input)
    except ConnectError:
        loop.run(notebook.sessions.disconnect(name))
        raise
    return Server(notebook, name)
