"""Another Messages API: `@copilotkit/aimock` from npm, which shares no code with this
project or with the SDK.
"""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACKAGE = "@copilotkit/aimock@1.43.0"
API_KEY = "aimock-test-key"
START_SECONDS = 30.0


def install(folder: Path) -> Path:
    """npm-install the package into a folder; the path of its command. Raises
    RuntimeError with npm's words.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError("npm is not installed")
    (folder / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=180
    )
    if done.returncode:
        raise RuntimeError(f"npm cannot install {PACKAGE}: {done.stderr[-300:]}")
    return folder / "node_modules" / ".bin" / "llmock"


@contextmanager
def running(
    command: Path, fixtures: list[dict[str, Any]], folder: Path, *options: str
) -> Iterator[str]:
    """Serve the fixtures; yields the base URL."""
    file = folder / "fixtures.json"
    file.write_text(json.dumps({"fixtures": fixtures}))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [
            str(command),
            "-p",
            str(port),
            "-f",
            str(file),
            "--log-level",
            "warn",
            *options,
        ]
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)  # it says on no channel when it listens
            continue
        return
    raise RuntimeError(f"aimock did not start (exit code {process.poll()})")
