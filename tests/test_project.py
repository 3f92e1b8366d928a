"""The papers of the project say what the code does."""

import re
from pathlib import Path

import mcp_notebook

ROOT = Path(__file__).parent.parent
TOP = {
    "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md",
    "pyproject.toml", "binder", "docs", "mcp_notebook", "notebooks", "tests",
}  # fmt: skip


def test_the_changelog_has_an_entry_for_the_version_and_one_for_what_comes() -> None:
    headings = re.findall(
        r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert headings[0] == "Unreleased"
    assert mcp_notebook.__version__ in headings


def test_files_named_in_the_papers_exist() -> None:
    papers = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for paper in papers:
        for name in re.findall(
            r"`((?:tests|mcp_notebook|docs|notebooks|\.ci)/[\w./*-]+)`",
            paper.read_text(),
        ):
            assert list(ROOT.glob(name.rstrip("/"))), f"{paper.name} names {name}"


def test_the_top_level_holds_what_people_expect_there() -> None:
    import subprocess

    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split("\n")
    tops = {name.split("/")[0] for name in listed if name and not name.startswith(".")}
    assert tops <= TOP
