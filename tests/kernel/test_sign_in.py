"""Signing in to a server in real kernels: by a link and the loopback, by a pasted
address, once for all kernels.
"""

import json
import re
import stat
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kernel.driver import Kernel, Ran, kernel
from tests.sessions.support import free_port, wait_for_port

GUARDED = Path(__file__).parents[1] / "servers" / "guarded.py"
LINK = re.compile(r"http://127\.0\.0\.1:\d+/authorize\?[^\s\\\"'<]+")
CALL = "%mcp_call vault.whisper"


class Guarded:
    """The server behind OAuth, and what it saw."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.url = f"{self.base}/mcp"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.base}{path}", timeout=10) as answer:
            return answer.read().decode()

    def seen(self) -> list[str]:
        return json.loads(self.get("/seen"))


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    port = free_port()
    process = subprocess.Popen([sys.executable, str(GUARDED), str(port)])
    try:
        wait_for_port(port)
        yield Guarded(port)
    finally:
        process.kill()
        process.wait()


@contextmanager
def notebook(folder: Path, **environ: str) -> Iterator[Kernel]:
    """A kernel with the extension, whose tokens and temporary files stay in the folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    places = {"XDG_DATA_HOME": str(folder / "data"), "TMPDIR": str(folder / "tmp")}
    with kernel(folder, {**places, **environ}) as running:
        assert running.run("%load_ext mcp_notebook").status == "ok"
        yield running


class Browser:
    """Follows the sign-in link once it stands in the output; keeps where it was led."""

    def __init__(self, *, to_the_end: bool) -> None:
        self.to_the_end, self.pages, self.ended_at = to_the_end, [], ""
        self._went = threading.Event()

    def look(self, _kernel: Kernel, ran: Ran) -> None:
        found = LINK.search(json.dumps(ran.outputs).replace("&amp;", "&"))
        if found and not self._went.is_set():
            self._went.set()
            self._open(found[0])

    def _open(self, link: str) -> None:
        class Stay(urllib.request.HTTPRedirectHandler):
            def redirect_request(self, *_: object) -> None:
                return None

        opener = urllib.request.build_opener(*([] if self.to_the_end else [Stay]))
        try:
            with opener.open(link, timeout=10) as page:
                self.pages.append(page.read().decode())
        except urllib.error.HTTPError as redirect:
            self.ended_at = redirect.headers["location"]


def secrets_in(text: str) -> list[str]:
    return re.findall(r"secret-\w+|code=[\w-]+|code_verifier", text)


@pytest.mark.slow
def test_a_person_signs_in_by_a_link_and_other_kernels_need_not(
    guarded: Guarded, tmp_path: Path
) -> None:
    browser = Browser(to_the_end=True)
    connect = f"%mcp_connect vault {guarded.url}"
    with notebook(tmp_path) as cells:
        ran = cells.finish(cells.start(connect, stdin=True), on_output=browser.look)
        assert ran.status == "ok", ran.text
        assert "vault: connected" in ran.text
        assert "Sign in to go on. · signed in" in ran.text
        assert "Signed in: the notebook goes on." in browser.pages[0]
        assert "the garden gate is open" in cells.run(CALL).text
        assert secrets_in(json.dumps(ran.outputs)) == []
        logs = [
            path.read_text("utf-8", "replace")
            for path in (tmp_path / "tmp").rglob("*.log")
        ]
        assert logs
        assert secrets_in("\n".join(logs)) == []
        # The server takes the token back while the session lives: it is renewed without a question.
        guarded.get("/revoke")
        assert "the garden gate is open" in cells.run(CALL).text
    (kept,) = (tmp_path / "data").rglob("*.json")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert guarded.seen() == [
        "registered",
        "signed in",
        "authorization_code given",
        "refresh_token given",
    ]
    with notebook(tmp_path) as second:  # nobody is there to be asked
        ran = second.run(connect)
        assert "vault: connected" in ran.text, ran.text
        assert "the garden gate is open" in second.run(CALL).text
    assert len(guarded.seen()) == 4
    # A kernel of tomorrow: the token has ended, and this kernel knows it before the server says so.
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps({**told, "expires_at": 1.0}))
    with notebook(tmp_path) as third:
        assert "vault: connected" in third.run(connect).text
    assert guarded.seen()[4:] == ["refresh_token given"]


@pytest.mark.slow
def test_where_the_browser_is_elsewhere_the_address_is_pasted(
    guarded: Guarded, tmp_path: Path
) -> None:
    browser = Browser(to_the_end=False)
    connect = f"%mcp_connect vault --oauth {guarded.url}"
    with notebook(tmp_path, JUPYTERHUB_USER="ada") as cells:
        ran = _pasting(cells, connect, browser)
        assert ran.status == "ok", ran.text
        assert "· signed in" in ran.text
        assert "the garden gate is open" in cells.run(CALL).text
        assert browser.ended_at.startswith("http://127.0.0.1:")
        assert secrets_in(json.dumps(ran.outputs)) == []


@pytest.mark.slow
def test_a_wrong_address_and_a_refusal_end_the_sign_in_with_one_sentence(
    guarded: Guarded, tmp_path: Path
) -> None:
    with notebook(tmp_path, JUPYTERHUB_USER="ada") as cells:
        connect = f"%mcp_connect vault {guarded.url}"
        wrong = cells.run(connect, answer="https://example.org/no/code/here")
        assert "paste the whole of it" in wrong.text
        assert "Traceback" not in wrong.text
        declined = cells.run(connect, answer="")
        assert "nobody is there to sign in, or it was declined" in declined.text
        alone = cells.run(connect)
        assert "nobody is there to sign in" in alone.text
        assert alone.status == "error"


def _pasting(cells: Kernel, code: str, browser: Browser) -> Ran:
    """Run a cell; the address that the browser ended on is typed into its input box."""
    message = cells.start(code, stdin=True)
    channel, ready = cells.client.stdin_channel, cells.client.stdin_channel.msg_ready

    def paste() -> bool:
        if ready() and browser.ended_at:
            channel.get_msg(timeout=1)
            cells.client.input(browser.ended_at)
        return False

    channel.msg_ready = paste
    try:
        return cells.finish(message, on_output=browser.look, answer="")
    finally:
        del channel.msg_ready
