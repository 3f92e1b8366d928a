"""A server with resources, prompts and completions, for tests: `python library.py`."""

import base64

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import Completion, ImageContent, ResourceLink

# A picture of one dot
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ORDERS = "id,country,total\n1,FI,10.5\n2,SE,20.25\n3,FI,\n"


def parquet() -> bytes:
    """A small table as Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"day": ["2026-01-01", "2026-01-02"], "n": [1, 2]}), sink)
    return sink.getvalue().to_pybytes()


def build() -> MCPServer:
    """The server."""
    server = MCPServer("library", log_level="ERROR")

    @server.resource("data://orders.csv", mime_type="text/csv")
    def orders() -> str:
        """Orders as CSV."""
        return ORDERS

    @server.resource("data://customers.json", mime_type="application/json")
    def customers() -> str:
        """Customers as JSON."""
        return '[{"id": 1, "name": "Ada"}, {"id": 2, "name": "Ben"}]'

    @server.resource("data://days.parquet", mime_type="application/vnd.apache.parquet")
    def days() -> bytes:
        """Days as Parquet."""
        return parquet()

    @server.resource("note://rules", mime_type="text/plain")
    def rules() -> str:
        """How totals are counted."""
        return "Totals are in euros. api_key: sk-ant-api03-abcdefghijklmnopqrstuvwxyz0123456789"

    @server.resource("table://{name}", mime_type="text/csv")
    def table(name: str) -> str:
        """Any table."""
        return f"id,name\n1,{name}\n2,{name}\n"

    @server.tool()
    def export() -> list[ResourceLink]:
        """Export the orders; returns a link."""
        return [
            ResourceLink(
                type="resource_link",
                uri="data://orders.csv",
                name="orders",
                mime_type="text/csv",
            )
        ]

    @server.prompt()
    def report(country: str, style: str = "short") -> str:
        """Report on a country."""
        return f"Write a {style} report on {country} from @library:data://orders.csv and @shop:data://secret."

    @server.prompt()
    def look(what: str) -> list[UserMessage]:
        """A question about a picture."""
        data = base64.b64encode(DOT).decode()
        picture = ImageContent(type="image", data=data, mime_type="image/png")
        broken = ImageContent(type="image", data="AAAA", mime_type="image/png")
        return [
            UserMessage(f"What is {what}?"),
            UserMessage(picture),
            UserMessage(broken),
        ]

    @server.completion()
    async def complete(ref, argument, context) -> Completion:
        known = {"country": ["FI", "FR", "SE"], "name": ["orders", "others", "people"]}
        return Completion(
            values=[
                v for v in known.get(argument.name, []) if v.startswith(argument.value)
            ]
        )

    return server


if __name__ == "__main__":
    build().run("stdio")
