"""`python -m mcp_notebook.local --model FILE.gguf`."""

import sys

from mcp_notebook.local.command import main

sys.exit(main())
