"""Nothing of the SDK's prints into a cell: its loggers, its deprecation warnings, its habit of configuring logging."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_done = False


def quiet_sdk() -> None:
    """Keep the SDK's log lines and deprecation notices away from cells, once.

    The stdio client logs clips of lines it could not read, and those have held passwords. To see the SDK's log:
    `logging.getLogger("mcp").propagate = True`.
    """
    global _done
    if _done:
        return
    _done = True
    # Without a handler of its own, Python prints warnings of a logger to stderr.
    for name in ("mcp", "mcp_notebook", "uvicorn", "sse_starlette"):
        logging.getLogger(name).addHandler(logging.NullHandler())
    logging.getLogger("mcp").propagate = False
    warnings.filterwarnings("ignore", module=r"mcp(_notebook)?(\.|$)", category=UserWarning)


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Undo what happens to the root logger inside: building an MCPServer installs a handler that prints."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
