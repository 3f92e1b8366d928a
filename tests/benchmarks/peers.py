"""What chatlas and querychat send for one tool result, printed as JSON; runs in their
own environment.

Both talk to a loopback server in place of the model: it asks for the tool, and keeps
the tool result that comes back.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.benchmarks import data


class Model(BaseHTTPRequestHandler):
    """Answers every first message with a call of the server's tool, and a tool result
    with "done".
    """

    server: "Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = [
            part
            for part in body["messages"][-1]["content"]
            if part["type"] == "tool_result"
        ]
        if found:
            self.server.sent = _text(found[0]["content"])
            answer: dict[str, Any] = {"type": "text", "text": "done"}
        else:
            answer = {
                "type": "tool_use",
                "id": "call_1",
                "name": self.server.tool,
                "input": self.server.arguments,
            }
        self._reply(answer, "end_turn" if found else "tool_use")

    def _reply(self, content: dict[str, Any], reason: str) -> None:
        message = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [content],
        }
        message |= {
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 1, "output_tokens": 1},
        }
        data = json.dumps(message).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silent."""


class Server(ThreadingHTTPServer):
    """The model's stand-in: which tool it calls, and what it was sent."""

    tool = ""
    arguments: dict[str, Any] = {}  # noqa: RUF012
    sent = ""


def _text(content: Any) -> str:
    return (
        content
        if isinstance(content, str)
        else "".join(part.get("text", "") for part in content)
    )


@contextmanager
def model(tool: str, arguments: dict[str, Any]) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Model)
    server.tool, server.arguments = tool, arguments
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _chat(server: Server) -> Any:
    from chatlas import ChatAnthropic  # only in the peers' environment

    url = f"http://127.0.0.1:{server.server_port}"
    return ChatAnthropic(
        model="claude-sonnet-4-5", api_key="none", kwargs={"base_url": url}
    )


def chatlas(size: int) -> str:
    """A tool that returns its rows as a list of dicts, registered with chatlas."""
    with model("run_query", {}) as server:
        chat = _chat(server)

        def run_query() -> list[dict]:
            """Run the query."""
            return data.records(size)

        chat.register_tool(run_query)
        chat.chat("Run it.", stream=False, echo="none")
        return server.sent


def querychat(size: int) -> str:
    """querychat's own query tool over the same rows as a DataFrame."""
    import pandas as pd  # only in the peers' environment
    from querychat import QueryChat

    with model(
        "querychat_query", {"query": "SELECT * FROM sales", "_intent": "all"}
    ) as server:
        frame = pd.DataFrame(data.records(size))
        chat = QueryChat(frame, "sales", client=_chat(server), tools="query").client()
        chat.chat("Run it.", stream=False, echo="none")
        return server.sent


if __name__ == "__main__":
    rows = int(sys.argv[1])
    print(json.dumps({"chatlas": chatlas(rows), "querychat": querychat(rows)}))
