"""`python -m tests.local.server --model FILE.gguf`: serve a local model and say which
variables to set.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shlex
import socket
import sys
import threading
from collections.abc import Sequence

from mcp_notebook.errors import NotebookError
from tests.local.server.engine import CONTEXT, Engine, check_model, label_of
from tests.local.server.process import KEY_VARIABLE, Started, variables


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", required=True, metavar="FILE.gguf", help="a chat model in GGUF form"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="port on this machine (default: a free one)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        default=0,
        help="threads that compute (default: one a core, at most 8)",
    )
    parser.add_argument(
        "--context",
        type=int,
        default=CONTEXT,
        help="tokens of context (default: %(default)s)",
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted, or as a child until the parent's end of the pipe closes;
    the exit code.
    """
    try:
        model = check_model(args.model)
        listener = socket.create_server(("127.0.0.1", args.port))
        engine = Engine(model, threads=args.threads, context=args.context)
        label = label_of(model)
    except (NotebookError, OSError) as error:
        print(f"tests.local.server: {error}", file=sys.stderr)
        return 1
    key = os.environ.pop(KEY_VARIABLE, "") or secrets.token_urlsafe(24)
    _announce(Started(listener.getsockname()[1], label), key, child=args.child)
    if args.child:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(engine, listener, key, label))
    # llama.cpp's threads hold up an ordinary exit.
    sys.stdout.flush()
    os._exit(0)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the words and serve."""
    parser = argparse.ArgumentParser(prog="tests.local.server", description=__doc__)
    _add_arguments(parser)
    return run(parser.parse_args(argv))


async def _serve(engine: Engine, listener: socket.socket, key: str, label: str) -> None:
    # The web server is loaded after the model: a wrong file is told at once.
    import uvicorn

    from tests.local.server.api import LocalApi

    app = LocalApi(engine, api_key=key, label=label).app
    config = uvicorn.Config(
        app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1
    )
    await uvicorn.Server(config).serve([listener])
    await engine.close()


def _announce(started: Started, key: str, *, child: bool) -> None:
    if child:
        line = json.dumps({"port": started.port, "label": started.label})
    else:
        needed = variables(f"http://127.0.0.1:{started.port}", key, started.label)
        line = "\n".join(
            [
                f"# {started.label}",
                *(f"export {k}={shlex.quote(v)}" for k, v in needed.items()),
            ]
        )
    print(line, flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
