"""The quickstart as a person meets it: run in JupyterLab without a key, and read
afterwards with no kernel.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tests.browser.lab import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
QUICKSTART = "01_quickstart.ipynb"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Where screenshots go: kept as output of CI, else beside the test's other files."""
    folder = Path(
        os.environ.get("MCP_NOTEBOOK_CI_OUTPUT") or tmp_path_factory.mktemp("pictures")
    )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the notebooks, since running one changes its file."""
    return Path(shutil.copytree(NOTEBOOKS, tmp_path / "notebooks"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_cell_runs_in_jupyterlab_without_a_key(copy: Path, pictures: Path, theme):
    cells = nbformat.read(copy / QUICKSTART, as_version=4).cells
    no_model = {
        "ANTHROPIC_API_KEY": "",
        "ANTHROPIC_AUTH_TOKEN": "",
        "ANTHROPIC_BASE_URL": "",
    }
    with (
        Lab(copy, theme=theme, environment=no_model) as lab,
        lab.open(QUICKSTART) as page,
    ):
        for i, cell in enumerate(cells):
            if cell.cell_type == "code":
                page.run(i, timeout=120)
            if cell.source.startswith("%%claude"):
                page.screenshot(
                    pictures / f"quickstart-question-{i:02}-{theme}.png", cell=i
                )
        first = next(
            i for i, cell in enumerate(cells) if cell.source.startswith("%%claude")
        )
        page.cell(first).evaluate("cell => cell.scrollIntoView()")
        # the README shows the light one
        page.screenshot(pictures / f"quickstart-{theme}.png")
        saved = page.save()
    outputs = [o for c in saved["cells"] for o in c.get("outputs", [])]
    assert not [o for o in outputs if o["output_type"] == "error"], outputs
    assert not [
        o
        for o in outputs
        if "application/vnd.jupyter.widget-view+json" in o.get("data", {})
    ]
    assert "recorded" in str(outputs)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_saved_notebook_reads_whole_without_a_kernel(
    copy: Path, pictures: Path, scheme
):
    command = [
        sys.executable,
        "-m",
        "jupyter",
        "nbconvert",
        "--to",
        "html",
        "--theme",
        scheme,
        QUICKSTART,
    ]
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=180)
    with (
        Lab(copy, theme=scheme) as lab,
        lab.look_at(copy / "01_quickstart.html") as page,
    ):
        text = page.page.inner_text("body")
        page.screenshot(pictures / f"quickstart-export-{scheme}.png")
    assert "shop.query_database" in text
    assert "recorded" in text
    assert "Loading widget" not in text
    assert "Traceback" not in text
