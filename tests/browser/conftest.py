"""A JupyterLab a theme for the browser tests, and where their pictures go.

Outside CI the tests skip when Chromium or JupyterLab is missing; in CI (the variable CI
is set) that is a failure.
"""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.lab import REPO, Lab, launch

CI = bool(os.environ.get("CI"))


def missing() -> str:
    """What a browser test needs and is not here, "" when all is."""
    found = {
        "chromium": shutil.which("chromium"),
        "jupyterlab": importlib.util.find_spec("jupyterlab"),
        "playwright": importlib.util.find_spec("playwright"),
    }
    return ", ".join(name for name, where in found.items() if not where)


@pytest.fixture(scope="session", autouse=True)
def _browser_is_here() -> None:
    if missing():
        (pytest.fail if CI else pytest.skip)(f"browser tests need {missing()}")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of screenshots: kept as output of CI, else temporary."""
    folder = (
        REPO / "ci-output" / "screenshots"
        if CI
        else tmp_path_factory.mktemp("screenshots")
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium a module: Playwright holds the thread's event loop while it runs,
    and async tests come after.
    """
    with sync_playwright() as playwright:
        yield launch(playwright)


@pytest.fixture(scope="module", params=["light", "dark"])
def lab(
    request: pytest.FixtureRequest,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A JupyterLab in each theme."""
    folder = tmp_path_factory.mktemp("notebooks")
    with Lab(folder, theme=request.param, size=(1100, 900), browser=browser) as running:
        yield running


@pytest.fixture(scope="module")
def light_lab(
    browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Lab]:
    """A JupyterLab in the light theme, for what no theme changes."""
    with Lab(
        tmp_path_factory.mktemp("notebooks"), size=(1100, 900), browser=browser
    ) as running:
        yield running
