"""A server whose tools are no SQL: a table by choice, a text, two tables at once, a
write. `python office.py`.
"""

from typing import Literal

from mcp.server.mcpserver import MCPServer
from mcp.types import CallToolResult, TextContent, ToolAnnotations

READS = ToolAnnotations(read_only_hint=True)


def build() -> MCPServer:
    """The server."""
    server = MCPServer("office", log_level="ERROR")
    notes: list[str] = []

    @server.tool(annotations=READS)
    def list_people(
        status: Literal["active", "left"] = "active", limit: int = 10
    ) -> list[dict[str, object]]:
        """The people of the office."""
        people = [
            {"name": "Ána", "country": "Spain"},
            {"name": "Bo", "country": "Sweden"},
            {"name": "Cy", "country": "Japan"},
        ]
        return [{**person, "status": status} for person in people[:limit]]

    @server.tool(name="get-rooms.v2", annotations=READS)
    def rooms(floor: int) -> list[dict[str, object]]:
        """The rooms of a floor."""
        return [{"room": f"R{floor}0{n}", "seats": n * 2} for n in (1, 2)]

    @server.tool(annotations=READS)
    def motto(token: str = "") -> str:
        """What the office says."""
        return "We open at nine."

    @server.tool(annotations=READS)
    def report() -> CallToolResult:
        """Two tables."""
        texts = ["a,b\n1,x\n2,y\n", "total\n3\n4\n"]
        return CallToolResult(
            content=[TextContent(type="text", text=text) for text in texts]
        )

    @server.tool()
    def add_note(text: str) -> list[dict[str, object]]:
        """Keep a note."""
        notes.append(text)
        return [{"id": i, "text": note} for i, note in enumerate(notes)]

    @server.resource("data://desks.csv", mime_type="text/csv")
    def desks() -> str:
        """Desks as CSV."""
        return "desk,floor\nD1,1\nD2,2\n"

    return server


if __name__ == "__main__":
    build().run("stdio")
