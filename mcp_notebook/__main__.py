"""`python -m mcp_notebook`, the same as the command `mcp-notebook`."""

import sys

from mcp_notebook.cli import main

sys.exit(main())
