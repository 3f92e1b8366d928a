"""A private folder in which a server of ours on this machine may lay large answers as
Arrow files.

The server is told of it by an environment variable and answers with `resource_link`s to
files below it; we map such a file and remove its name at once, so that nothing is left
when the table is let go of.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mcp_notebook.config import InProcessServer, ServerSpec, StdioServer

VARIABLE = "MCP_NOTEBOOK_HANDOVER"
STANDS_IN = "mcp_notebook/stands_in"  # a text that our server sends beside a file


def offer_folder(spec: ServerSpec) -> ServerSpec:
    """The same server, told of a folder of its own; only a process on this machine can use one."""
    if not isinstance(spec, StdioServer) or VARIABLE in spec.env:
        return spec
    folder = str(new_folder())
    return replace(spec, env={**spec.env, VARIABLE: folder})


def new_folder() -> Path:
    """A folder for the answers of one server."""
    return Path(tempfile.mkdtemp(dir=_base_folder()))


def offered_folders(spec: ServerSpec) -> tuple[Path, ...]:
    """The folder that was handed to this server, if any."""
    if isinstance(spec, InProcessServer) and spec.folder is not None:
        return (spec.folder,)
    if not isinstance(spec, StdioServer) or not spec.env.get(VARIABLE):
        return ()
    return (Path(spec.env[VARIABLE]),)


def remove_handed_files(uris: Iterable[str], allowed: tuple[Path, ...]) -> None:
    """Remove the files that were handed over; what is mapped stays readable until it is
    let go of (not on Windows).
    """
    # Resolved on both sides: a name with .. or a link must not lead out of a folder.
    folders = [folder.resolve() for folder in allowed]
    for uri in uris:
        path = Path(unquote(urlsplit(uri).path))
        if not uri.startswith("file:"):
            continue

        target = path.resolve()
        if any(target.is_relative_to(folder) for folder in folders):
            with suppress(OSError):
                path.unlink()


def without_stand_ins(result: Any) -> Any:
    """A call's result without the words that our server sends for hosts that cannot
    read the file beside them.
    """
    kept = [
        b for b in result.content if not (getattr(b, "meta", None) or {}).get(STANDS_IN)
    ]
    if len(kept) == len(result.content):
        return result
    return result.model_copy(update={"content": kept})


@cache
def _base_folder() -> str:
    """A folder for all servers of this kernel, readable by this user only, gone with the kernel."""
    base = tempfile.mkdtemp(prefix="mcp-notebook-handover-")
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    return base
