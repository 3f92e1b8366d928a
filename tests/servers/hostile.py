"""An HTTP server that speaks MCP (2025-06-18) and misbehaves in the way its path names:
`with Hostile() as server`.

`/NAME/mcp` initializes and lists as it should unless NAME says otherwise; a call gets
what NAME says.
"""

import json
import threading
import time
import zlib
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON, SSE = "application/json", "text/event-stream"
OK = {"content": [{"type": "text", "text": "ok"}]}
OBJECT: dict[str, Any] = {"type": "object"}
ORDER = {"type": "object", "properties": {"n": {"type": "integer"}}}
CYCLE = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/a"}},
    "$defs": {"a": {"$ref": "#/$defs/a"}},
}
STORM = 1000
TOOLS: dict[str, list[dict[str, Any]]] = {
    "names": [
        {"name": name, "inputSchema": OBJECT}
        for name in (
            "t",
            "x" * 300,
            "x" * 299 + "y",
            "продажи",
            "a b",
            "a\nb",
            "",
            "🙂",
            "t",
            "t​",
            "../t",
            "__",
        )
    ],
    "schemas": [
        {"name": "t", "inputSchema": CYCLE, "outputSchema": CYCLE},
        {"name": "huge", "inputSchema": {**OBJECT, "description": "x" * 1_000_000}},
        {
            "name": "deep",
            "inputSchema": json.loads('{"type":"object","not":' * 90 + "{}" + "}" * 90),
        },
        {"name": "list", "inputSchema": []},
        {"name": "bool", "inputSchema": True},
        {"name": "number", "inputSchema": {"type": "number"}},
        {"name": "null", "inputSchema": None},
        {
            "name": "remote",
            "inputSchema": {"type": "object", "$ref": "http://169.254.169.254/schema"},
        },
    ],
    "described": [{"name": "t", "description": "x" * 2_000_000, "inputSchema": OBJECT}],
}


def note(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def ask(number: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def elicit(number: Any) -> dict[str, Any]:
    return ask(number, "elicitation/create", message="How many?", requestedSchema=ORDER)


def sample(number: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": {"type": "text", "text": "hi"}}]
    return ask(number, "sampling/createMessage", messages=said, maxTokens=5)


class Handler(BaseHTTPRequestHandler):
    """One request; `server` is the Hostile one."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path, dict(self.headers.items()), None))
        self.whole(405, "text/plain", b"")

    def do_DELETE(self) -> None:
        self.whole(200, "text/plain", b"")

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> Any:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        name, method = self.path.split("/")[1], body.get("method")
        self.server.asked.append(
            ("POST", self.path, dict(self.headers.items()), method)
        )
        # a notification, or an answer to what was asked here
        if "id" not in body or method is None:
            return self.whole(202, "text/plain", b"")
        self.id = body["id"]
        self.token = ((body.get("params") or {}).get("_meta") or {}).get(
            "progressToken"
        )
        if method == "server/discover":
            return self.reply(error={"code": -32601, "message": "Method not found"})
        if method == "initialize":
            info = {"name": "hostile", "version": "1"}
            told = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {"listChanged": True}},
            }
            return self.reply(
                {**told, "serverInfo": info}, session=self.server.session()
            )
        if method == "tools/list":
            return self.list(name, (body.get("params") or {}).get("cursor"))
        self.server.calls += 1
        return getattr(self, name, self.ok)()

    def list(self, name: str, cursor: str | None) -> Any:
        tools = TOOLS.get(name, [{"name": "t", "inputSchema": OBJECT}])
        if name == "cursor_same":
            return self.reply({"tools": tools, "nextCursor": "again"})
        if name == "cursor_odd":
            return self.reply({"tools": tools, "nextCursor": 7})
        return self.reply({"tools": tools})

    def ok(self) -> None:
        self.reply(OK)

    def id_other(self) -> None:
        self.message({"jsonrpc": "2.0", "id": 424242, "result": OK})

    def id_text(self) -> None:
        self.message({"jsonrpc": "2.0", "id": str(self.id), "result": OK})

    def id_null(self) -> None:
        self.message({"jsonrpc": "2.0", "id": None, "result": OK})

    def twice(self) -> None:
        wrong = {"content": [{"type": "text", "text": "second"}]}
        self.stream(
            *(
                {"jsonrpc": "2.0", "id": self.id, "result": result}
                for result in (OK, wrong)
            )
        )

    def null_result(self) -> None:
        self.message({"jsonrpc": "2.0", "id": self.id, "result": None})

    def no_content(self) -> None:
        self.whole(204, "", b"")

    def accepted(self) -> None:
        self.whole(202, "text/plain", b"")

    def empty(self) -> None:
        self.whole(200, JSON, b"")

    def big_error(self) -> None:
        self.reply(
            error={
                "code": -1,
                "message": "no " * 500_000,
                "data": {"x": ["y" * 1000] * 1000},
            }
        )

    def login_page(self) -> None:
        self.whole(200, "text/html", b"<html><form action=/login>Sign in</form></html>")

    def wrong_type(self) -> None:
        self.whole(
            200,
            "text/plain",
            json.dumps({"jsonrpc": "2.0", "id": self.id, "result": OK}).encode(),
        )

    def not_json(self) -> None:
        self.whole(200, JSON, b"Internal error: see /var/log")

    def batch(self) -> None:
        self.whole(
            200,
            JSON,
            json.dumps([{"jsonrpc": "2.0", "id": self.id, "result": OK}]).encode(),
        )

    def redirect(self) -> None:
        self.whole(307, "text/plain", b"", ("location", f"{self.server.other}/ok/mcp"))

    def redirect_loop(self) -> None:
        self.whole(307, "text/plain", b"", ("location", self.path))

    def gzip_bomb(self) -> None:
        self.whole(200, JSON, self.server.bomb, ("content-encoding", "gzip"))

    def gzip_lie(self) -> None:
        self.whole(200, JSON, b"not gzip at all", ("content-encoding", "gzip"))

    def session_moves(self) -> None:
        self.reply(OK, session=f"other-{self.server.calls}")

    def session_gone(self) -> Any:
        if self.headers.get("mcp-session-id") == "session-1":
            return self.whole(
                404,
                JSON,
                b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"gone"}}',
            )
        return self.reply(OK)

    def session_always_gone(self) -> None:
        self.whole(404, "text/plain", b"no such session")

    def half_line(self) -> None:
        self.open_stream()
        self.piece(b'data: {"jsonrpc":"2.0","id":%d,"res' % self.id)
        self.close_connection = True

    def slow_lines(self) -> None:
        self.open_stream()
        text = f"id: 1\nevent: message\ndata: {json.dumps({'jsonrpc': '2.0', 'id': self.id, 'result': OK})}\n\n"
        for number in range(0, len(text), 7):
            self.piece(text[number : number + 7].encode())
            time.sleep(0.001)
        self.piece(b"")

    def odd_events(self) -> None:
        self.open_stream()
        self.piece(
            b": comment\r\n\r\nevent: strange\ndata: {}\n\nretry: never\ndata\n\ndata: not json\n\n\xff\xfe\n\n"
        )
        self.piece(
            f"data: {json.dumps({'jsonrpc': '2.0', 'id': self.id, 'result': OK})}\n\n".encode()
        )
        self.piece(b"")

    def silent_stream(self) -> None:
        self.open_stream()
        while not self.server.over.wait(0.2):
            self.piece(b": still here\n\n")

    def progress_back(self) -> None:
        told = [note("notifications/progress", progressToken=self.token, progress=p, total=t)
                for p, t in ((9, 10), (3, 10), (-5, 10), (1e308, 1), (5, 0), (5, -1), (2, 1))]  # fmt: skip
        foreign = note("notifications/progress", progressToken="another's", progress=1)
        self.stream(*told, foreign, {"jsonrpc": "2.0", "id": self.id, "result": OK})

    def changed_storm(self) -> None:
        storm = [note("notifications/tools/list_changed")] * STORM
        self.stream(*storm, {"jsonrpc": "2.0", "id": self.id, "result": OK})

    def elicit_storm(self) -> None:
        self.stream(
            *(elicit(n) for n in range(200)),
            {"jsonrpc": "2.0", "id": self.id, "result": OK},
        )

    def sample_storm(self) -> None:
        self.stream(
            *(sample(n) for n in range(200)),
            {"jsonrpc": "2.0", "id": self.id, "result": OK},
        )

    def reply(
        self, result: Any = None, *, error: Any = None, session: str = ""
    ) -> None:
        what = {"error": error} if error is not None else {"result": result}
        self.message(
            {"jsonrpc": "2.0", "id": self.id, **what},
            *([("mcp-session-id", session)] if session else []),
        )

    def message(self, message: Any, *headers: tuple[str, str]) -> None:
        self.whole(200, JSON, json.dumps(message).encode(), *headers)

    def whole(
        self, status: int, kind: str, body: bytes, *headers: tuple[str, str]
    ) -> None:
        self.send_response(status)
        for name, value in (
            ("content-type", kind),
            ("content-length", str(len(body))),
            *headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, *messages: Any) -> None:
        self.open_stream()
        for message in messages:
            self.piece(f"data: {json.dumps(message)}\n\n".encode())
        self.piece(b"")

    def open_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", SSE)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def piece(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, *arguments: Any) -> None:
        return


class Hostile(ThreadingHTTPServer):
    """The server on a loopback port; `asked` are (verb, path, headers, JSON-RPC method)
    in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, dict[str, str], str | None]] = []
        self.calls, self.sessions, self.other = 0, 0, ""
        self.over = threading.Event()

    @cached_property
    def bomb(self) -> bytes:
        """200 KB of gzip that are 200 MB, made piece by piece."""
        packed = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
        pieces = [
            packed.compress(
                b'{"jsonrpc":"2.0","id":4,"result":{"content":[{"type":"text","text":"'
            )
        ]
        pieces += [packed.compress(b"x" * 1_000_000) for _ in range(200)]
        return b"".join([*pieces, packed.compress(b'"}]}}'), packed.flush()])

    def session(self) -> str:
        self.sessions += 1
        return f"session-{self.sessions}"

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{name}/mcp"

    def handle_error(self, request: Any, client_address: Any) -> None:
        return  # clients that hang up are none of our worries

    def __enter__(self) -> "Hostile":
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        self.shutdown()
        self.server_close()
