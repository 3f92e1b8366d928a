"""Tokens in a real keyring: gnome-keyring on a message bus of its own, as a desktop has it.

Skips where gnome-keyring, dbus or the keyring package are missing; in CI (the variable
CI is set) that is a failure.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NEEDED = ("gnome-keyring-daemon", "dbus-run-session")
STORE = """
import asyncio, sys
from mcp.shared.auth import OAuthToken
from mcp_notebook.sessions.oauth import TokenStore

async def main(step):
    store = TokenStore("https://a.example/mcp")
    assert store._keyring is not None, "the keyring is not found"
    if step == "write":
        await store.set_tokens(OAuthToken(access_token="-".join(("the", "secret")), expires_in=60))
        await TokenStore("https://b.example/mcp").set_tokens(OAuthToken(access_token="another"))
    elif step == "read":
        tokens = await store.get_tokens()
        print(tokens.access_token if tokens else "nothing", await store.expiry() is not None)
    else:
        await store.forget()

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home of its own, with nothing of the person's."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    missing += ["keyring"] if importlib.util.find_spec("keyring") is None else []
    if missing or sys.platform != "linux":
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            f"needs {', '.join(missing) or 'Linux'}"
        )
    return tmp_path


def on_a_desktop(home: Path, *steps: str) -> str:
    """Each step in a process of its own, as kernels are; one keyring holds for all of them."""
    script = home / "store.py"
    script.write_text(STORE)
    unlock = "printf 'a password' | gnome-keyring-daemon --unlock --components=secrets >/dev/null"
    words = " && ".join(
        [unlock, *(f'"{sys.executable}" "{script}" {step}' for step in steps)]
    )
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    environment = {
        **kept,
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_with(home: Path, secret: bytes) -> list[Path]:
    return [
        path
        for path in home.rglob("*")
        if path.is_file() and secret in path.read_bytes()
    ]


@pytest.mark.slow
def test_a_token_stays_in_the_keyring_for_the_next_kernel_and_in_no_file(
    home: Path,
) -> None:
    assert on_a_desktop(home, "write", "read").split() == ["the-secret", "True"]
    assert files_with(home, b"the-secret") == []
    # after a restart of the keyring too
    assert on_a_desktop(home, "read").split() == ["the-secret", "True"]
    assert on_a_desktop(home, "forget", "read").split() == ["nothing", "False"]
