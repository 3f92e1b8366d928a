"""What a benchmark is, and how its line is printed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.benchmarks.measure import interleaved, peak

Candidates = Mapping[str, Callable[[], object]]
"""Named candidates; the first is ours, the second the reference of the ratio."""


@dataclass(frozen=True)
class Benchmark:
    """One comparison; `goal` is the largest ratio of times, `memory_goal` of peak
    memory (None: told, not judged).
    """

    name: str
    what: str
    prepare: Callable[[int], Candidates]
    goal: float | None
    memory_goal: float | None = None
    size: int = 100_000

    def run(
        self, size: int | None = None, *, rounds: int = 5, memory: bool = True
    ) -> str:
        """The lines of this benchmark at `size` rows."""
        size = size or self.size
        candidates = self.prepare(size)
        best = interleaved(candidates, rounds=rounds)
        (ours, mine), (reference, theirs) = list(best.items())[:2]
        times = f"{mine.wall * 1e3:.1f} ms, {reference} {theirs.wall * 1e3:.1f} ms"
        wall = mine.wall / theirs.wall
        ratio = f"ratio {wall:.4f} (CPU {mine.cpu / theirs.cpu:.4f})"
        lines = [
            f"{self.name:12} {self.what}, {size:,} rows: {times}; {ratio}{_goal(self.goal, wall)}"
        ]
        if memory and self.memory_goal is not None:
            own, other = peak(self.name, ours, size), peak(self.name, reference, size)
            lines.append(
                f"{'':12} peak memory {own / 1e6:.0f} MB, {reference} {other / 1e6:.0f} MB; "
                f"ratio {own / other:.3f}{_goal(self.memory_goal, own / other)}"
            )
        return "\n".join(lines)


def _goal(goal: float | None, ratio: float) -> str:
    """The goal, and whether this run reached it."""
    return (
        ""
        if goal is None
        else f"; goal <= {goal:g} {'holds' if ratio <= goal else 'MISSED'}"
    )
