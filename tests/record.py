"""Record the model's turns of a notebook from a local model, on demand: the demo's
replay is made with it.

    python -m tests.record MODEL.gguf [notebooks/01_quickstart.ipynb]

Runs the notebook against the model with recording on, prints every cell, and leaves
NAME.claude.json beside it; the notebook itself is not changed. `mcp-notebook demo --run
--save` then writes the outputs of a replay into it. Read the answers and check them
against the data before they are shown to anyone.
"""

import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from mcp_notebook import cli, notebook_commands
from mcp_notebook.replay.sidecar import sidecar_for
from tests.local.server import start_local

SECONDS = 1800  # a cell, on a small machine


def main(model: str, notebook: Path = Path("notebooks") / cli.QUICKSTART) -> int:
    """Record; returns the exit code."""
    sidecar = sidecar_for(notebook)
    sidecar.unlink(missing_ok=True)
    content = nbformat.read(notebook, as_version=4)
    with start_local(model) as server:
        name, _, engine = server.label.partition(" · ")
        setup = (
            "%load_ext mcp_notebook\n"
            f"%config MCPNotebook.record_source = {server.label!r}\n"
            "%config MCPNotebook.max_seconds = 1800\n"
            f"%claude_record on {sidecar.name}"
        )
        content.cells.insert(0, nbformat.v4.new_code_cell(setup))
        client = NotebookClient(
            content,
            timeout=SECONDS,
            resources={"metadata": {"path": str(notebook.parent)}},
        )
        client.execute(env={**os.environ, **server.environment})
    for cell in content.cells:
        if cell.cell_type == "code":
            notebook_commands.show(cell)

    print(f"recorded {sidecar} from {name} ({engine})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(Path, sys.argv[2:3])))
