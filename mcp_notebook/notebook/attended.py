"""Whether a person is there to answer, and how they can."""

import sys
from typing import Any


def is_attended(shell: Any) -> bool:
    """Whether a person can answer a question: frontends send `allow_stdin`, nbclient
    and papermill do not.
    """
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return bool(sys.stdin and sys.stdin.isatty())

    return bool(getattr(kernel, "_allow_stdin", False))


def buttons_work(shell: Any) -> bool:
    """Whether clicks arrive while a cell is awaited: ipykernel 7.4 and later
    (ipython/ipykernel#1565).
    """
    if getattr(shell, "kernel", None) is None:
        return False

    parts = getattr(sys.modules.get("ipykernel"), "__version__", "0.0").split(".")
    return (
        parts[0].isdigit()
        and parts[1].isdigit()
        and (int(parts[0]), int(parts[1])) >= (7, 4)
    )
