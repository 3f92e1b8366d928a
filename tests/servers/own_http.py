"""A server that starts HTTP of its own and says where, as many do that were written for
one transport only: `python own_http.py PORT [http|sse]`.
"""

import os
import sys

import uvicorn
from mcp.server import MCPServer
from starlette.applications import Starlette

server = MCPServer("own-http")


@server.tool()
def pid() -> str:
    """The number of its process."""
    return str(os.getpid())


@server.tool()
def die() -> str:
    """End without a word."""
    os._exit(3)


port = int(sys.argv[1])
if sys.argv[2:] == ["sse"]:
    app: Starlette = server.sse_app()
else:
    app = server.streamable_http_app()

# uvicorn says `Uvicorn running on http://127.0.0.1:PORT (Press CTRL+C to quit)`.
uvicorn.run(app, port=port, host="127.0.0.1")
