"""Data that tests read: attack cases, one JSON object a line, and captured results.

`captures.tar.xz` holds what 57 SQL servers by others answered to the same statements, and
the rows as the databases' own drivers gave them (`tests/corpus` says in which layout); it
is unpacked once a machine. Both folders can be replaced by others, with
`MCP_NOTEBOOK_ATTACKS` and `MCP_NOTEBOOK_CAPTURES`.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ATTACKS = Path(os.environ.get("MCP_NOTEBOOK_ATTACKS", HERE / "attacks"))


def captures_folder() -> Path:
    """The folder of captured results, unpacked if it was not yet."""
    chosen = os.environ.get("MCP_NOTEBOOK_CAPTURES")
    if chosen:
        return Path(chosen)
    archive = HERE / "captures.tar.xz"
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"mcp-notebook-captures-{digest}"
    if folder.is_dir():
        return folder / "captures"
    # Two test processes may come here at once: each unpacks on its own, one wins.
    fresh = Path(tempfile.mkdtemp(prefix="mcp-notebook-captures-"))
    with tarfile.open(archive) as tar:
        tar.extractall(fresh, filter="data")
    try:
        fresh.rename(folder)
    except OSError:
        shutil.rmtree(fresh)
    return folder / "captures"
