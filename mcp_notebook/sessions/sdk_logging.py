"""Nothing of the SDK's prints into a cell: its loggers, its deprecation warnings, its
habit of configuring logging.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from mcp_notebook.config import mask

_done = False


def quiet_sdk() -> None:
    """Keep the SDK's log lines and deprecation notices away from cells, once.

    The stdio client logs clips of lines it could not read, and those have held
    passwords. To see the SDK's log: `logging.getLogger("mcp").propagate = True`.
    """
    global _done
    if _done:
        return

    _done = True
    # Without a handler of its own, Python prints warnings of a logger to stderr.
    # "client" and "server" are what mcp.client.session and mcp.server.mcpserver call theirs.
    for name in ("mcp", "client", "server", "mcp_notebook", "uvicorn", "sse_starlette"):
        logging.getLogger(name).addHandler(logging.NullHandler())

    for name in ("mcp", "client"):
        logging.getLogger(name).propagate = False

    logging.getLogger("httpx2").addFilter(_mask_address)
    warnings.filterwarnings(
        "ignore", module=r"mcp(_notebook)?(\.|$)", category=UserWarning
    )


def _mask_address(record: logging.LogRecord) -> bool:
    # It logs every request with its whole URL, and some servers take their token there.
    record.msg, record.args = mask(record.getMessage()), ()
    return True


@contextmanager
def root_logger_kept() -> Iterator[None]:
    """Undo what happens to the root logger inside: building an MCPServer installs a
    handler that prints.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
