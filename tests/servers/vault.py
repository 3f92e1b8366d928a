"""A server of somebody else's for tests of approvals: `python vault.py`; it says which
of its tools only read.
"""

from mcp.server import MCPServer
from mcp.types import ToolAnnotations

server = MCPServer("vault", log_level="ERROR")
READS = ToolAnnotations(read_only_hint=True)


@server.tool(annotations=READS)
def login(user: str, password: str) -> str:
    """Sign in and say who it is."""
    return f"signed in as {user} with {len(password)} characters"


@server.tool(annotations=READS)
def query(sql: str) -> list[dict[str, int]]:
    """Run one statement."""
    return [{"n": len(sql)}]


@server.tool()
def purge(table: str) -> str:
    """Delete everything."""
    return f"{table} is empty"


if __name__ == "__main__":
    server.run("stdio")
