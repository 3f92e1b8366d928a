"""A server whose tool gives any kind of content: `python studio.py`, over stdio."""

import base64
import io
import math
import struct
import wave
import zlib
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="160" height="60">'
    '<rect x="5" y="20" width="30" height="35" fill="#4a7"/>'
    '<rect x="45" y="5" width="30" height="50" fill="#47a"/>'
    '<text x="90" y="35" font-size="14" fill="#888">by month</text></svg>'
)
# 64 x 24, blue to grey
JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACAWGBwYFCAcGhwkIiAmMFA0MCwsMGJGSjpQdGZ6eHJmcG6A"
    "kLicgIiuim5woNqirr7EztDOfJri8uDI8LjKzsb/2wBDASIkJDAqMF40NF7GhHCExsbGxsbGxsbGxsbG"
    "xsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsbGxsb/wAARCAAYAEADASIAAhEBAxEB/8QA"
    "FgABAQEAAAAAAAAAAAAAAAAAAQAC/8QAFRABAQAAAAAAAAAAAAAAAAAAABH/xAAWAQEBAQAAAAAAAAAA"
    "AAAAAAADBAX/xAAVEQEBAAAAAAAAAAAAAAAAAAABAP/aAAwDAQACEQMRAD8AzDDDCrEMRRqGCWQbMMMM"
    "EsgxFGoYJZRsQxJa2eVDEhMhMUSEykwxITIX/9k="
)


def draw_png(width: int = 160, height: int = 60) -> str:
    """A gradient, as base64."""
    rows = [
        b"\0" + b"".join(bytes((x, 90 + y, 200 - x)) for x in range(width))
        for y in range(height)
    ]

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return (
            struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packed = zlib.compress(b"".join(rows))
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", packed), chunk(b"IEND", b"")]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


def play_tone() -> str:
    """A fifth of a second of 440 Hz, as base64."""
    held = io.BytesIO()
    with wave.open(held, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        waves = (math.sin(at * 440 * 2 * math.pi / 8000) for at in range(1600))
        sound.writeframes(b"".join(struct.pack("<h", int(9000 * w)) for w in waves))

    return base64.b64encode(held.getvalue()).decode()


def _text(words: str) -> TextContent:
    return TextContent(type="text", text=words)


def _file(uri: str, mime: str, data: bytes) -> EmbeddedResource:
    blob = base64.b64encode(data).decode()
    held = BlobResourceContents(uri=uri, mime_type=mime, blob=blob)
    return EmbeddedResource(type="resource", resource=held)


NOTES = TextResourceContents(
    uri="file:///out/notes.md", mime_type="text/markdown", text="# Notes\n\nAll well."
)
ROWS = "city,people,founded\nOslo,709037,1048-01-01\nBergen,291940,1070-01-01\n"
TABLES = '{"cities": [{"id": 1, "name": "Oslo"}, {"id": 2, "name": "Bergen"}], "roads": [{"from": 1, "to": 2, "km": 463.0}]}'
FAILED = '{"error": {"code": -32001, "message": "No such layer: roads_2", "data": {"layers": ["roads", "cities"]}}}'
CONTENT: dict[str, list[Any]] = {
    "table": [_text(ROWS)],
    "several tables": [_text(TABLES)],
    "text": [_text("The index was built in 3 s; nothing had to be moved.")],
    "png": [ImageContent(type="image", data=draw_png(), mime_type="image/png")],
    "jpeg": [ImageContent(type="image", data=JPEG, mime_type="image/jpeg")],
    "svg": [_text(SVG)],
    "table and image": [
        _text(ROWS),
        ImageContent(type="image", data=draw_png(), mime_type="image/png"),
    ],
    "audio": [AudioContent(type="audio", data=play_tone(), mime_type="audio/wav")],
    "pdf": [_file("file:///out/report.pdf", "application/pdf", b"%PDF-1.7 a page")],
    "link": [ResourceLink(type="resource_link", uri="data://notes.bin", name="notes.bin", mime_type="application/octet-stream", size=8)],
    "embedded text": [EmbeddedResource(type="resource", resource=NOTES)],
    "empty list": [_text('{"cities": []}')],
    "nothing": [],
}  # fmt: skip

server = MCPServer("studio", log_level="ERROR")


@server.tool()
def give(what: str) -> CallToolResult:
    """Content of a kind."""
    return CallToolResult(content=CONTENT[what])


@server.tool()
def fail() -> CallToolResult:
    """An error with data."""
    return CallToolResult(content=[_text(FAILED)], is_error=True)


@server.tool()
def count() -> int:
    """A number."""
    return 7


@server.tool()
def query(sql: str) -> list[dict[str, Any]]:
    """Rows for any statement."""
    return [{"n": 1, "said": sql}, {"n": 2, "said": None}]


@server.resource("data://notes.bin", mime_type="application/octet-stream")
def notes() -> bytes:
    """Some bytes."""
    return b"\x00\x01 notes"


@server.resource("data://cities.csv", mime_type="text/csv")
def cities() -> str:
    """A table."""
    return ROWS


if __name__ == "__main__":
    server.run("stdio")
