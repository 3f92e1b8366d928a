"""A real kernel driven by a real client: cells run, messages are collected, interrupts are sent."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.manager import KernelManager

GUARD = 120.0  # seconds; a hang guard, nothing here needs it


@dataclass
class Ran:
    """What one cell gave."""

    status: str = ""
    outputs: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """All its text, the last state of each display."""
        return "\n".join(_text(o) for o in self.outputs)

    @property
    def data(self) -> list[dict[str, Any]]:
        """The mime bundles that it shows at its end."""
        return [o["data"] for o in self.outputs if "data" in o]


def _text(output: Mapping[str, Any]) -> str:
    if "traceback" in output:
        return "\n".join(output["traceback"])
    if "data" in output:
        return (
            output["data"].get("text/markdown")
            or output["data"].get("text/plain")
            or ""
        )
    return output.get("text", "")


class Kernel:
    """One running kernel."""

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        # how other cells than the one that is collected ended
        self.replies: dict[str, str] = {}
        self.client = manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=GUARD)

    def start(self, code: str, *, stdin: bool = False) -> str:
        """Send a cell without waiting for it."""
        return self.client.execute(code, allow_stdin=stdin)

    def finish(
        self, message_id: str, *, on_output: Any = None, answer: str | None = None
    ) -> Ran:
        """Collect a cell's outputs until it is idle and answered; `on_output(kernel,
        ran)` sees each as it comes.
        """
        ran, began, displays = Ran(), time.monotonic(), {}
        idle = False
        while time.monotonic() - began < GUARD and not (idle and ran.status):
            idle = self._one_output(message_id, ran, displays, on_output) or idle
            if answer is not None and self.client.stdin_channel.msg_ready():
                self.client.stdin_channel.get_msg(timeout=1)
                self.client.input(answer)
            while self.client.shell_channel.msg_ready():
                reply = self.client.shell_channel.get_msg(timeout=1)
                if reply["parent_header"].get("msg_id") == message_id:
                    ran.status = reply["content"]["status"]
                else:
                    self.replies[reply["parent_header"].get("msg_id", "")] = reply[
                        "content"
                    ].get("status", "")
        assert idle, f"the cell hung; outputs so far: {ran.text}"
        ran.seconds = time.monotonic() - began
        return ran

    def status_of(self, message_id: str) -> str:
        """How a queued cell ended; its reply may have come while another cell was collected."""
        while message_id not in self.replies:
            reply = self.client.get_shell_msg(timeout=GUARD)
            self.replies[reply["parent_header"].get("msg_id", "")] = reply[
                "content"
            ].get("status", "")
        return self.replies[message_id]

    def run(self, code: str, **options: Any) -> Ran:
        """Run a cell to its end."""
        return self.finish(
            self.start(code, stdin=options.get("answer") is not None), **options
        )

    def interrupt(self) -> None:
        """What the stop button does."""
        self.manager.interrupt_kernel()

    def _one_output(
        self, message_id: str, ran: Ran, displays: dict[str, dict], on_output: Any
    ) -> bool:
        try:
            message = self.client.get_iopub_msg(timeout=0.05)
        except Exception:  # boundary: queue.Empty of whichever queue the client uses
            return False
        kind, content = message["msg_type"], message["content"]
        if kind == "update_display_data":
            shown = displays.get(content["transient"]["display_id"])
            if shown is not None:
                shown["data"] = content["data"]
        elif message["parent_header"].get("msg_id") != message_id:
            return False
        elif kind == "status":
            return content["execution_state"] == "idle"
        elif kind in ("stream", "display_data", "execute_result", "error"):
            ran.outputs.append(content)
            name = content.get("transient", {}).get("display_id")
            if name:
                displays[name] = content
        if on_output is not None:
            on_output(self, ran)
        return False


@contextmanager
def kernel(folder: Path, environ: Mapping[str, str] | None = None) -> Iterator[Kernel]:
    """A fresh kernel in a folder; gone at the end, whatever happened."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(
        cwd=str(folder),
        env={
            **_environment(),
            "MCP_NOTEBOOK_CONFIG_DIR": str(folder),
            **(environ or {}),
        },
    )
    running = Kernel(manager)
    try:
        yield running
    finally:
        running.client.stop_channels()
        manager.shutdown_kernel(now=True)


def _environment() -> dict[str, str]:
    keep = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith("ANTHROPIC") and k != "JPY_SESSION_NAME"
    }
    return {**keep, "PYTHONWARNINGS": "default"}
