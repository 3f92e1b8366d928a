"""`python -m mcp_notebook`, the same as the command `mcp-notebook`.

Also started as a file by an isolated Python (`config/target.py`), which knows neither
the folder of a checkout nor the person's own site-packages.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def use_own_package() -> None:
    """Let `mcp_notebook` be the package that this file is part of."""
    here = Path(__file__).resolve()
    found = find_spec(here.parent.name)
    origin = found.origin if found is not None else None
    if origin is None or Path(origin).resolve().parent != here.parent:
        sys.path.insert(0, str(here.parents[1]))


if not __package__:
    use_own_package()

from mcp_notebook.cli import main  # noqa: E402 - only now is it surely this package

if __name__ == "__main__":
    sys.exit(main())
