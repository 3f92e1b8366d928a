"""The local model in a process of its own, which ends when its parent does.

The parent holds the child's standard input open; the child serves until it reads the
end of it. The child's first line on standard output says where it listens; its log goes
to a file.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue

from mcp_notebook.errors import BackendError
from tests.local.server.engine import check_model

# in the environment, not among the arguments that every user can list
KEY_VARIABLE = "MCP_NOTEBOOK_LOCAL_KEY"
START_SECONDS = 180.0
STOP_SECONDS = 5.0
_TAIL = 12  # lines of the log in an error


@dataclass(frozen=True)
class Started:
    """The child's first line."""

    port: int
    label: str


class LocalServer:
    """A running local model: give `base_url` and `api_key` to an Anthropic client.
    `label` names model and engine.
    """

    def __init__(
        self,
        process: "subprocess.Popen[str]",
        started: Started,
        api_key: str,
        log: Path,
    ) -> None:
        self._process = process
        self.base_url = f"http://127.0.0.1:{started.port}"
        self.api_key = api_key
        self.label = started.label
        self.log = log

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make any program with the Anthropic SDK ask this model."""
        return variables(self.base_url, self.api_key, self.label)

    def healthy(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self.base_url}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        """End the process; harmless when it has ended."""
        _end(self._process)

    def __enter__(self) -> "LocalServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def variables(base_url: str, api_key: str, label: str) -> dict[str, str]:
    """What a program with the Anthropic SDK needs to ask a local model; the model is
    named as its file is.
    """
    model = label.partition(" · ")[0]
    return {
        "ANTHROPIC_BASE_URL": base_url,
        "ANTHROPIC_API_KEY": api_key,
        "ANTHROPIC_MODEL": model,
    }


def start_local(
    model: str | Path,
    *,
    port: int = 0,
    threads: int = 0,
    context: int = 0,
    timeout: float = START_SECONDS,
) -> LocalServer:
    """Start a GGUF file as a Messages API on loopback and wait until it answers.

    `port` and `threads` 0: chosen here; `context` in tokens, 0: the default; `timeout`
    in seconds. Raises ConfigError for a missing file or package and BackendError when
    the model does not load, with the log's last lines as detail.
    """
    path = check_model(model)
    key = secrets.token_urlsafe(24)
    options = {"--port": port, "--threads": threads, "--context": context}
    command = [
        sys.executable,
        "-m",
        "tests.local.server",
        "--model",
        str(path),
        "--child",
    ]
    command += [
        part for name, value in options.items() if value for part in (name, str(value))
    ]
    handle, log = tempfile.mkstemp(prefix="mcp-notebook-local-", suffix=".log")
    process = _spawn(command, {**os.environ, KEY_VARIABLE: key}, handle)
    line = _first_line(process, timeout)
    if line is None:
        _end(process)
        raise BackendError(_why(process, path), detail=_tail(Path(log)))
    return LocalServer(process, Started(**json.loads(line)), key, Path(log))


def _spawn(
    command: Sequence[str], environ: dict[str, str], log: int
) -> "subprocess.Popen[str]":
    try:
        return subprocess.Popen(
            command,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    finally:
        os.close(log)


def _first_line(process: "subprocess.Popen[str]", timeout: float) -> str | None:
    lines: Queue[str] = Queue()
    stdout = process.stdout
    assert stdout is not None
    # A pipe cannot be read with a timeout on every system; a thread that reads one line
    # can be waited for.
    threading.Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        return lines.get(timeout=timeout) or None
    except Empty:
        return None


def _end(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        # llama.cpp's threads do not answer a polite signal while a model writes
        process.kill()
    process.wait(STOP_SECONDS)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _why(process: "subprocess.Popen[str]", path: Path) -> str:
    if process.returncode and process.returncode < 0 and process.returncode != -9:
        return f"llama.cpp crashed on {path.name}; is it a chat model for this version?"
    return f"The local model {path.name} did not start; its log has the reason."


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
