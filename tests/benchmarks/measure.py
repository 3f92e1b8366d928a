"""Times and peak memory of candidates, comparable within one run."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

Candidate = Callable[[], object]


@dataclass(frozen=True)
class Timing:
    """The fastest of all rounds, in seconds of wall clock and of CPU (all threads)."""

    wall: float
    cpu: float


def interleaved(
    candidates: Mapping[str, Candidate], *, rounds: int = 5, least: float = 0.02
) -> dict[str, Timing]:
    """Every candidate once a round; short ones are repeated until a round takes `least` seconds."""
    repeats = {
        name: _repeats(candidate, least) for name, candidate in candidates.items()
    }
    best = dict.fromkeys(candidates, Timing(float("inf"), float("inf")))
    for _ in range(rounds):
        for name, candidate in candidates.items():
            now = _timed(candidate, repeats[name])
            best[name] = Timing(
                min(best[name].wall, now.wall), min(best[name].cpu, now.cpu)
            )
    return best


def _repeats(candidate: Candidate, least: float) -> int:
    # the first call imports and fills caches: it tells nothing of the others
    candidate()
    once = _timed(candidate, 1).wall
    return max(1, min(200, round(least / max(once, 1e-6))))


def _timed(candidate: Candidate, repeats: int) -> Timing:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        kept = candidate()
    del kept
    return Timing(
        (time.perf_counter() - wall) / repeats, (time.process_time() - cpu) / repeats
    )


def peak(benchmark: str, candidate: str, size: int) -> int:
    """Peak resident bytes of one candidate above its input, in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks",
        "--peak",
        candidate,
        "--size",
        str(size),
        benchmark,
    ]
    root = Path(__file__).parents[2]
    answer = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=True, timeout=1800
    )
    return int(answer.stdout.split()[-1])


def own_peak(candidate: Candidate) -> int:
    """Peak resident bytes of this process while the candidate runs, above what it held
    before (Linux).
    """
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = _status("VmRSS")
    kept = candidate()
    top = _status("VmHWM")
    del kept
    return max(top - before, 0)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")
