"""Every benchmark runs at a tiny size and prints its figures; how fast is not asked here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_notebook.results.model_preview import preview
from tests.benchmarks import data, measure, showing
from tests.benchmarks.__main__ import ALL


@pytest.mark.slow
@pytest.mark.parametrize("name", ALL)
def test_each_benchmark_prints_a_ratio(name: str) -> None:
    assert "; ratio " in ALL[name].run(600, rounds=1, memory=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["records", "tuples"])
def test_peak_memory_is_measured_in_a_process_of_its_own(name: str) -> None:
    assert measure.peak(name, "ours", 2_000) > 0


@pytest.mark.parametrize("name", ["records", "tuples", "dicts", "columns", "csv"])
def test_ours_and_the_reference_hold_the_same_values(name: str) -> None:
    ours, reference = (candidate() for candidate in ALL[name].prepare(600).values())
    assert len(ours) == len(reference) == 600
    assert list(ours.iloc[:, 1]) == list(reference.iloc[:, 1])
    assert list(ours.iloc[:, 6]) == list(reference.iloc[:, 6])


@pytest.mark.slow
def test_the_command_takes_names_and_a_size() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "preview",
        "--size",
        "500",
        "--rounds",
        "1",
    ]
    answer = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    assert "preview of a frame, 500 rows" in answer.stdout


def test_every_row_as_json_is_a_hundred_times_our_preview() -> None:
    records = data.records(10_000)
    shown = preview(showing.pd.DataFrame(records), "sales", rows=10)
    assert len(json.dumps(records)) >= 100 * len(shown)
