"""A web server with bad manners on loopback: one path a kind of answer."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HTML = (
    "<html><head><title>T</title><style>x{}</style></head><body><!-- secret --><h1>Hello</h1>"
    "<script>steal()</script><p>a&amp;b</p><p>meta <b>bold</b></p></body></html>"
)


def answer(
    body: bytes, kind: str = "text/plain", status: int = 200, **headers: str
) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


ANSWERS: dict[str, bytes] = {
    "/small": answer(HTML.encode(), "text/html; charset=utf-8"),
    "/plain": answer(("é" * 30_000).encode(), "text/plain"),
    "/bomb": answer(gzip.compress(b"0" * 1_000_000), Content_Encoding="gzip"),
    "/multi": answer(b"x", Content_Encoding="gzip, gzip"),
    "/br": answer(b"x", Content_Encoding="br"),
    "/img.png": answer(b"\x89PNG", "image/png"),
    "/octet": answer(b"\x00", "application/octet-stream"),
    "/notype": answer(b"just text", ""),
    "/notype-binary": answer(b"\xff\xfe\xfa", ""),
    "/utf7": answer(b"+ADw-script+AD4-", "text/html; charset=utf-7"),
    "/html-script": answer(HTML.encode(), "text/html"),
    "/meta-refresh": answer(
        b'<meta http-equiv="refresh" content="0;url=/small">stay', "text/html"
    ),
    "/set-cookie": answer(b"ok", Set_Cookie="a=b"),
    "/status500": answer(b"broken", status=500),
    "/204": b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    "/2000-headers": b"HTTP/1.1 200 OK\r\n"
    + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(2000))
    + b"\r\n",
    "/loop": answer(b"", status=302, Location="/loop"),
    "/to-small": answer(b"", status=302, Location="/small"),
    "/to-file": answer(b"", status=302, Location="file:///etc/passwd"),
}
ENDLESS = {
    "/huge": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n",
        b"x" * 100_000,
        0.0,
    ),
    "/liar": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n",
        b"x" * 100_000,
        0.0,
    ),
    "/chunk-forever": (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"fa0\r\n" + b"x" * 4_000 + b"\r\n",
        0.0,
    ),
    "/slow-headers": (b"HTTP/1.1 200 OK\r\n", b"X", 0.05),
    "/no-reply": (b"", b"", 0.05),
}


@dataclass
class Web:
    """The server's port and the requests that it got, as text."""

    port: int = 0
    requests: list[str] = field(default_factory=list)

    async def handle(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.requests.append(request)
            await self._reply(request.split()[1], writer)
        writer.close()

    async def _reply(self, target: str, writer: asyncio.StreamWriter) -> None:
        path, _, wanted = target.partition("?to=")
        if path == "/redirect":
            writer.write(answer(b"", status=302, Location=wanted))
        elif path in ENDLESS:
            await self._endless(writer, *ENDLESS[path])
        else:
            writer.write(ANSWERS.get(path, answer(b"not here", status=404)))
        await writer.drain()

    async def _endless(
        self, writer: asyncio.StreamWriter, head: bytes, piece: bytes, pause: float
    ) -> None:
        writer.write(head)
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)


@asynccontextmanager
async def serving(make: Callable[[], Web] = Web) -> AsyncIterator[Web]:
    """Run the server for the block."""
    web = make()
    server = await asyncio.start_server(web.handle, "127.0.0.1", 0, limit=1 << 20)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
