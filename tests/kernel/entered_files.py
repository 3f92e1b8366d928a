"""How many files of the package one warm `%%claude` cell with one tool call enters.

    python -m tests.kernel.entered_files [--list]

The third cell counts: what is loaded or connected once is behind it. The model is
scripted, the server is the bundled one over the sample database, the result has 5 rows.
"""

import os
import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from unittest import mock

import mcp_notebook
from tests.fake_messages import FakeMessages, Reply, text, use

ROOT = Path(mcp_notebook.__file__).parent
SHOP = ROOT.parent / "notebooks" / "data" / "shop.db"
SQL = "select id, status from orders limit 5"


class Trace:
    """Collects the files of the package whose functions are called while it is on."""

    def __init__(self) -> None:
        self.on = False
        self.files: set[str] = set()

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if self.on and event == "call":
            name = frame.f_code.co_filename
            if name.startswith(str(ROOT)):
                self.files.add(str(Path(name).relative_to(ROOT)))


def entered_files() -> list[str]:
    """The files that the third cell enters, sorted."""
    trace = Trace()
    # Before any thread of ours starts: a profile function is a thread's own.
    threading.setprofile(trace)
    sys.setprofile(trace)
    try:
        return _run(trace)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def _run(trace: Trace) -> list[str]:
    from IPython.core.interactiveshell import InteractiveShell

    replies: list[Reply] = []
    with FakeMessages(lambda body, number: replies.pop(0)) as model:
        environment = {
            "ANTHROPIC_BASE_URL": model.url,
            "ANTHROPIC_API_KEY": model.api_key,
            "MCP_NOTEBOOK_CONFIG_DIR": tempfile.mkdtemp(),
        }
        with mock.patch.dict(os.environ, environment):
            shell = InteractiveShell.instance()
            shell.run_line_magic("load_ext", "mcp_notebook")
            command = f"mcp-notebook serve database --url sqlite:///{SHOP}"
            shell.run_line_magic("mcp_connect", f"shop {command}")
            for number in range(3):
                call = use("shop__query_database", {"sql": SQL})
                replies += [
                    Reply([text("I look."), call]),
                    Reply([text("There are 5.")]),
                ]
                trace.on = number == 2
                shell.run_cell(
                    "%%claude --into five\nFive orders, please."
                ).raise_error()
                trace.on = False
            assert len(shell.user_ns["five"]) == 5
            shell.run_line_magic("mcp_disconnect", "shop")
    return sorted(trace.files)


def main() -> int:
    """Print the figure, and with `--list` the files."""
    files = entered_files()
    if "--list" in sys.argv:
        print("\n".join(files))
    total = len(list(ROOT.rglob("*.py")))
    print(f"{len(files)} of {total} files are entered by a warm %%claude with one call")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
