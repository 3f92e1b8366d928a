"""A small driver for a real JupyterLab in headless Chromium: start it, open a notebook,
run cells, look.

    with Lab(folder, theme="dark") as lab, lab.open("demo.ipynb") as page:
        page.run(0)
        page.screenshot("cell.png", cell=0)

The server has settings, configuration and state of its own, no news and no update
checks, and answers to a token only.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlparse

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Playwright,
    sync_playwright,
)

from tests.fake_messages import FakeMessages, Reply

REPO = Path(__file__).resolve().parents[2]
START = 90.0  # seconds that the server, a page or a kernel may take to be ready
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    # Every cell and output is on the page, so that one below the fold can be looked at.
    "@jupyterlab/notebook-extension/tracker": {
        "windowingMode": "none",
        "maxNumberOutputs": 10_000,
    },
}


class Lab:
    """A JupyterLab server on a free port and the browser that looks at it; a context manager."""

    def __init__(
        self,
        folder: Path,
        *,
        theme: Literal["light", "dark"] = "light",
        environment: dict[str, str] | None = None,
        size: tuple[int, int] = (1280, 960),
        browser: Browser | None = None,
    ) -> None:
        self.folder = folder
        self.size = size
        self.token = secrets.token_urlsafe(16)
        self._environment = environment or {}
        self.theme = theme
        self._browser = browser
        self._own: Playwright | None = None
        self._state = Path(tempfile.mkdtemp(prefix="lab-"))

    def __enter__(self) -> "Lab":
        self._set(
            "@jupyterlab/apputils-extension/themes",
            {"theme": f"JupyterLab {self.theme.title()}"},
        )
        for plugin, values in _SETTINGS.items():
            self._set(plugin, values)
        self.port = _free_port()
        self._log = (self._state / "server.log").open("wb")
        self._server = subprocess.Popen(
            self._command(),
            cwd=self.folder,
            env=self._variables(),
            stdout=self._log,
            stderr=self._log,
        )
        try:
            self._wait_for_server()
            if self._browser is None:
                self._own = sync_playwright().start()
                self._browser = launch(self._own)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._own is not None:
            self._own.stop()  # closes its browser
        self._request("/api/shutdown", method="POST")
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()
        shutil.rmtree(self._state, ignore_errors=True)

    @contextmanager
    def open(self, notebook: str) -> "Iterator[NotebookPage]":
        """Open a notebook of the folder in single-document mode; its kernel is ready."""
        with self._context() as context:
            page = NotebookPage(context.new_page(), self.folder / notebook)
            page.goto(
                f"http://127.0.0.1:{self.port}/doc/tree/{notebook}?reset&token={self.token}"
            )
            yield page

    @contextmanager
    def look_at(self, file: Path) -> "Iterator[NotebookPage]":
        """Open a local HTML file with no way out: requests to any server are noted and refused."""
        with self._context() as context:
            page = NotebookPage(context.new_page(), file)
            page.page.route("http*://**", lambda route: route.abort())
            page.page.goto(file.as_uri())
            page.page.wait_for_load_state("networkidle")
            yield page

    @contextmanager
    def _context(self) -> Iterator[BrowserContext]:
        if self._browser is None:
            raise RuntimeError("the Lab is not started: use it in a with statement")
        width, height = self.size
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=self.theme,
            device_scale_factor=2,
        )
        try:
            yield context
        finally:
            context.close()

    def stop_kernels(self) -> None:
        """End every session, so that the next `open` starts a new kernel."""
        for session in json.loads(self._request("/api/sessions") or b"[]"):
            self._request(f"/api/sessions/{session['id']}", method="DELETE")

    def _command(self) -> list[str]:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.root_dir": self.folder,
            "ServerApp.open_browser": False,
            "ServerApp.allow_root": True,
            "ServerApp.port_retries": 0,
            "IdentityProvider.token": self.token,
            "LabApp.expose_app_in_browser": True,
            "LabApp.extension_manager": "readonly",
        }
        return [
            sys.executable,
            "-m",
            "jupyterlab",
            *(f"--{name}={value}" for name, value in options.items()),
        ]

    def _variables(self) -> dict[str, str]:
        own = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        paths = [str(REPO), os.environ.get("PYTHONPATH", "")]
        return {
            **os.environ,
            **{name: str(self._state / folder) for name, folder in own.items()},
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            **self._environment,
        }

    def _set(self, plugin: str, values: dict[str, Any]) -> None:
        file = self._state / "settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))

    def _wait_for_server(self) -> None:
        end = time.monotonic() + START
        while self._request("/api/status") is None:
            if self._server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(
                    "JupyterLab did not start:\n"
                    + (self._state / "server.log").read_text()[-3000:]
                )
            time.sleep(0.2)

    def _request(self, path: str, method: str = "GET") -> bytes | None:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(
            url, method=method, headers={"Authorization": f"token {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError):
            return None


class NotebookPage:
    """A notebook in the browser. Cells are counted from 0, markdown cells included."""

    def __init__(self, page: Page, file: Path) -> None:
        self.page = page
        self.file = file
        self.errors: list[str] = []  # console errors and uncaught exceptions
        self.outside: list[str] = []  # requests to anything but the notebook server
        self._host = ""
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on(
            "console",
            lambda said: (
                self.errors.append(said.text) if said.type == "error" else None
            ),
        )
        page.on("request", lambda request: self._note(request.url))

    def goto(self, url: str) -> None:
        """Load a notebook and wait until its kernel is idle."""
        self._host = urlparse(url).netloc
        self.page.goto(url, timeout=START * 1000)
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=START * 1000)
        self.page.wait_for_function(_IDLE, timeout=START * 1000)

    def reload(self) -> None:
        """Load the page again; the kernel lives on unless it was stopped."""
        self.goto(self.page.url)

    def start(self, cell: int) -> None:
        """Run a cell without waiting for its end."""
        self.page.evaluate(
            """index => {
              const panel = jupyterapp.shell.currentWidget;
              panel.content.activeCellIndex = index;
              panel.content.deselectAll();
              void jupyterapp.commands.execute("notebook:run-cell");
            }""",
            cell,
        )
        self.page.wait_for_function(
            _PROMPT, arg=[cell, "*0123456789"], timeout=START * 1000
        )

    def wait(self, cell: int, timeout: float = 60) -> None:
        """Wait until a started cell has ended."""
        self.page.wait_for_function(
            _PROMPT, arg=[cell, "0123456789"], timeout=timeout * 1000
        )

    def run(self, cell: int, timeout: float = 60) -> None:
        """Run a cell to its end."""
        self.start(cell)
        self.wait(cell, timeout)

    def save(self) -> dict[str, Any]:
        """Save the notebook and return what the file holds now."""
        self.page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")
        return json.loads(self.file.read_text())

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def output(self, index: int) -> Locator:
        return self.cell(index).locator(".jp-OutputArea").first

    def interrupt(self) -> None:
        """Send the kernel an interrupt, as the stop button does."""
        self.page.evaluate(
            "() => jupyterapp.commands.execute('notebook:interrupt-kernel')"
        )

    def restart_kernel(self) -> None:
        """A new kernel for the notebook, as the restart button gives; its cells stay."""
        self.page.evaluate(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
        )
        self.page.wait_for_function(_IDLE, timeout=START * 1000)

    def screenshot(self, file: Path | str, cell: int | None = None) -> Path:
        """A picture of the whole page, or of one cell with its output, however tall."""
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("() => document.fonts.ready")
        if cell is None:
            self.page.screenshot(path=str(file))
            return Path(file)
        size = self.page.viewport_size
        box = self.cell(cell).bounding_box()
        if size and box and box["height"] > size["height"] - 120:
            self.page.set_viewport_size(
                {"width": size["width"], "height": int(box["height"]) + 160}
            )
        self.page.mouse.move(0, 0)
        self.cell(cell).screenshot(path=str(file))
        if size:
            self.page.set_viewport_size(size)
        return Path(file)

    def _note(self, url: str) -> None:
        parts = urlparse(url)
        if (
            parts.scheme in ("http", "https", "ws", "wss")
            and parts.netloc != self._host
        ):
            self.outside.append(url)


_IDLE = (
    "() => jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status"
    " === 'idle'"
)
_PROMPT = """([index, signs]) => {
  const cell = document.querySelectorAll(".jp-Notebook .jp-Cell")[index];
  const prompt = cell?.querySelector(".jp-InputPrompt")?.textContent ?? "";
  const inside = prompt.slice(prompt.indexOf("[") + 1, prompt.indexOf("]"));
  return inside.trim() !== "" && [...inside].every((sign) => signs.includes(sign));
}"""


def launch(playwright: Playwright) -> Browser:
    """Chromium of the system."""
    # A container's /dev/shm is often too small for a long notebook.
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--force-color-profile=srgb",
    ]
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=arguments
    )


def write_notebook(file: Path, cells: Sequence[str | tuple[str, str]]) -> Path:
    """A notebook of code cells; `("markdown", text)` is a cell of text."""
    made = [
        _cell(f"cell-{number}", *(cell if isinstance(cell, tuple) else ("code", cell)))
        for number, cell in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    file.write_text(
        json.dumps(
            {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
        )
    )
    return file


def _cell(name: str, kind: str, source: str) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": name, "metadata": {}, "source": source}
    return (
        cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def lab_with_model(
    script: Callable[[dict[str, Any], int], Reply],
    folder: Path,
    **options: Any,
) -> Iterator[tuple[Lab, FakeMessages]]:
    """A JupyterLab whose kernels ask a scripted model, with settings of their own.
    `options` are those of `Lab`.
    """
    with FakeMessages(script) as api, tempfile.TemporaryDirectory() as config:
        environment = {
            "ANTHROPIC_BASE_URL": api.url,
            "ANTHROPIC_API_KEY": api.api_key,
            "MCP_NOTEBOOK_CONFIG_DIR": config,
        }
        with Lab(folder, environment=environment, **options) as running:
            yield running, api
