"""The tests. `MCP_NOTEBOOK_SWEEP=1 pytest --all` asks for every example of the long random
ones; without it a fixed part of them runs each time.
"""

import os

SWEEP = bool(os.environ.get("MCP_NOTEBOOK_SWEEP"))
