"""A server that does what servers should not: `python misbehaving.py MODE`, standard library only.

MODE decides how it starts and lists; the argument `do` of its tool `t` decides what one
call does. Process ids of the server and of what it starts are appended to the file
named by PID_FILE.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time

MODE = sys.argv[1] if len(sys.argv) > 1 else "ok"
OBJECT = {"type": "object"}
ENDLESS = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/a"}},
    "$defs": {"a": {"$ref": "#/$defs/a"}},
}
OUTPUTS = {
    "ref_remote": {
        "type": "object",
        "properties": {"a": {"$ref": "http://169.254.169.254/schema.json"}},
    },
    "ref_loop": ENDLESS,
    "regex_bomb": {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}},
    },
    "mismatch": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["b"],
    },
}
LISTINGS = 0


def note_pid(pid: int) -> None:
    if os.environ.get("PID_FILE"):
        with open(os.environ["PID_FILE"], "a") as file:
            file.write(f"{pid}\n")


def raw(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def send(message: dict) -> None:
    raw(json.dumps(message).encode() + b"\n")


def reply(number: object, result: dict) -> None:
    send({"jsonrpc": "2.0", "id": number, "result": result})


def refuse(number: object, code: int, message: str) -> None:
    send({"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}})


def text(value: str) -> dict:
    return {"content": [{"type": "text", "text": value}]}


def tools() -> list:
    tool = {
        "name": "t",
        "description": f"a tool, version {LISTINGS}"
        if MODE == "rug_pull"
        else "a tool",
    }
    tool["inputSchema"] = ENDLESS if MODE == "ref_loop" else OBJECT
    if MODE in OUTPUTS:
        tool["outputSchema"] = OUTPUTS[MODE]
    if MODE == "dup_tools":
        return [tool, {**tool, "description": "another"}]
    if MODE == "bad_schema":
        return [
            tool,
            {"name": "untyped", "inputSchema": {}},
            {"name": "text", "inputSchema": "x"},
            {"name": "none"},
        ]
    return [tool]


def initialize(number: object, params: dict) -> None:
    if MODE == "hang_init":
        time.sleep(3600)
    version = "1999-01-01" if MODE == "bad_version" else "2025-06-18"
    capabilities = {} if MODE == "no_tools" else {"tools": {"listChanged": True}}
    info = {"name": "misbehaving", "version": "1"}
    reply(
        number,
        {"protocolVersion": version, "capabilities": capabilities, "serverInfo": info},
    )


def list_tools(number: object, params: dict) -> None:
    global LISTINGS
    LISTINGS += 1
    if MODE == "endless_cursor":
        page = int(params.get("cursor") or 0)
        listed = [{"name": f"t{page}", "inputSchema": OBJECT}]
        reply(number, {"tools": listed, "nextCursor": str(page + 1)})
    else:
        reply(number, {"tools": tools()})


def call(number: int, params: dict) -> None:
    arguments = params.get("arguments") or {}
    action = ACTIONS.get(arguments.get("do", "ok"))
    if action is None or action(number, arguments) is not False:
        reply(
            number,
            {
                **text("ok"),
                **(
                    {"structuredContent": arguments["give"]}
                    if "give" in arguments
                    else {}
                ),
            },
        )


def hang(number: int, arguments: dict) -> None:
    time.sleep(arguments.get("seconds", 3600))


def die(number: int, arguments: dict) -> None:
    sys.stderr.write(arguments.get("last_words", ""))
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def leave(number: int, arguments: dict) -> None:
    sys.exit(arguments.get("code", 0))


def flood(number: int, arguments: dict) -> None:
    params = {"level": "info", "data": "x" * 100}
    line = json.dumps(
        {
            "jsonrpc": "2.0",
            "method": arguments.get("method", "notifications/message"),
            "params": params,
        }
    )
    raw((line + "\n").encode() * arguments["count"])


def drip(number: int, arguments: dict) -> bool:
    for byte in (
        json.dumps({"jsonrpc": "2.0", "id": number, "result": text("ok")}) + "\n"
    ):
        raw(byte.encode())
        time.sleep(arguments["gap"])
    return False


def big(number: int, arguments: dict) -> bool:
    reply(number, text("x" * arguments["size"]))
    return False


def send_raw(number: int, arguments: dict) -> bool:
    """The line of a case of the attack corpus, with $ID for the request's id."""
    own = str(number).encode()
    if "base64" in arguments:
        raw(base64.b64decode(arguments["base64"]).replace(b"$ID", own) + b"\n")
    elif "parts" in arguments:
        for piece, count in arguments["parts"]:
            raw(piece.encode("utf-8", "surrogatepass").replace(b"$ID", own) * count)
        raw(b"\n")
    else:
        raw(
            arguments["body"].encode("utf-8", "surrogatepass").replace(b"$ID", own)
            + b"\n"
        )
    return bool(arguments.get("then_ok"))


def unended(number: int, arguments: dict) -> bool:
    raw(b"x" * arguments["size"])
    time.sleep(3600)
    return False


def shout(number: int, arguments: dict) -> None:
    sys.stderr.write("e" * arguments["size"])
    sys.stderr.flush()


def offspring(number: int, arguments: dict) -> None:
    code = "import time; time.sleep(600)"
    if MODE == "grandchild_session":
        child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
        note_pid(child.pid)
    elif MODE in ("grandchild_forks_twice", "grandchild_forgets"):
        forking = (
            "import os, signal, sys, time\n"
            "os.setsid()\n"
            "if os.fork(): os._exit(0)\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')\n" + code
        )
        environ = None if MODE == "grandchild_forks_twice" else {}
        command = [
            sys.executable,
            "-c",
            forking,
            os.environ.get("PID_FILE", os.devnull),
        ]
        subprocess.run(command, env=environ, check=True)
    else:
        child = subprocess.Popen([sys.executable, "-c", code])
        note_pid(child.pid)


def print_line(number: int, arguments: dict) -> None:
    raw(arguments["line"].encode() + b"\n")


def error(number: int, arguments: dict) -> bool:
    refuse(number, arguments.get("code", -32603), arguments.get("message", "no"))
    return False


def own_pid(number: int, arguments: dict) -> bool:
    reply(number, text(str(os.getpid())))
    return False


def change(number: int, arguments: dict) -> None:
    send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})


ACTIONS = {
    "hang": hang,
    "die": die,
    "exit": leave,
    "flood": flood,
    "drip": drip,
    "big": big,
    "raw": send_raw,
    "unended": unended,
    "shout": shout,
    "offspring": offspring,
    "print": print_line,
    "error": error,
    "pid": own_pid,
    "change": change,
}
METHODS = {
    "initialize": initialize,
    "tools/list": list_tools,
    "tools/call": call,
    "ping": lambda n, p: reply(n, {}),
}


def main() -> None:
    note_pid(os.getpid())
    if MODE == "crash_start":
        sys.exit("boom: no database")
    if MODE == "banner":
        raw(b"Starting server v1.0\n\x1b[32mlistening, DB_PASSWORD=hunter22\x1b[0m\n\n")
    if MODE in ("ignore_term", "grandchild_ignores"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if MODE.startswith("grandchild"):
        offspring(0, {})
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == "server/discover" and MODE == "die_on_probe":
            sys.exit(1)
        if message.get("method") == "tools/list" and MODE == "die_after_init":
            sys.exit(4)
        known = METHODS.get(message.get("method"))
        if known is not None:
            known(message["id"], message.get("params") or {})
        elif "id" in message and "method" in message:
            refuse(message["id"], -32601, "Method not found")
    while MODE in ("ignore_term", "ignore_eof", "grandchild_ignores"):
        time.sleep(1)


main()
