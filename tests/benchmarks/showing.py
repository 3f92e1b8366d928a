"""What the model is shown: how long it takes to make, and how much of it there is."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from mcp_notebook.results.model_preview import preview
from tests.benchmarks import data
from tests.benchmarks.parsing import read
from tests.benchmarks.suite import Benchmark, Candidates

BYTES_A_TOKEN = 2.2  # of tables, by the tokenizer that Anthropic once published
PEERS = ("chatlas==0.23.*", "querychat==0.9.*", "anthropic", "pandas")


def against_describe(size: int) -> Candidates:
    frame = read(data.records_text(size))
    plain = pd.DataFrame(frame.to_dict("series"))
    # describe() of a decimal column fails
    plain["amount"] = plain["amount"].astype(float)
    plain["day"] = pd.to_datetime(plain["day"])
    return {
        "ours": lambda: preview(frame, "sales", rows=10),
        "describe(all)": lambda: plain.describe(include="all"),
    }


BENCHMARKS = (Benchmark("preview", "preview of a frame", against_describe, 0.3),)


def tokens(size: int = 10_000, *, python: str | None = None) -> str:
    """Characters and tokens a model gets for one result of `size` rows, ours beside
    chatlas and querychat.
    """
    frame = pd.DataFrame(data.records(size))
    sent = {"ours": preview(frame, "sales", rows=10)} | _peers(
        python or peers_python(), size
    )
    ours = sent["ours"]
    lines = [
        f"tokens       one result of {size:,} rows × {len(data.NAMES)} columns, as sent to the model"
    ]
    for name, text in sent.items():
        ratio = (
            f"{len(text) / len(ours):,.0f} times ours"
            if name != "ours"
            else "goal: 100 times fewer"
        )
        lines.append(
            f"{'':12} {name:10} {len(text):>10,} characters {_tokens(text):>10,} tokens  {ratio}"
        )
    return "\n".join(lines)


def _tokens(text: str) -> int:
    return round(len(text.encode()) / BYTES_A_TOKEN)


def _peers(python: str, size: int) -> dict[str, str]:
    command = [python, "-m", "tests.benchmarks.peers", str(size)]
    answer = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    return json.loads(answer.stdout)


def peers_python() -> str:
    """A Python that has the two packages, in a virtual environment of its own; made on
    first use.
    """
    if given := os.environ.get("MCP_NOTEBOOK_PEERS"):
        return given
    folder = Path(tempfile.gettempdir()) / "mcp-notebook-peers"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run(
            [sys.executable, "-m", "venv", str(folder)], check=True, timeout=300
        )
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", *PEERS],
            check=True,
            timeout=1800,
        )
        (folder / "ready").touch()
    return str(python)
