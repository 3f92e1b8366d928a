"""The report: one line a server, the total, every miss with its cause; exit code 1
below the thresholds.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from mcp_notebook.results import Reading, read
from tests.corpus.judge import Verdict, judge
from tests.corpus.truth import Capture, captures
from tests.data import captures_folder

EQUAL, TYPED, SECONDS = 0.98, 0.95, 2.0
_ERRORS = ("err_syntax", "err_table", "err")
_LOOSE = ("multi_stmt", "explain", "write")


@dataclass
class Tally:
    """Counts of one server or of all."""

    n: int = 0
    scored: int = 0
    held: int = 0
    equal: int = 0
    typed: int = 0
    exact: int = 0
    columns: int = 0
    columns_exact: int = 0
    lossy: int = 0
    said: int = 0
    silent: int = 0
    from_error: int = 0
    crash: int = 0
    errors: int = 0
    errors_known: int = 0
    slowest: float = 0.0  # seconds of CPU
    misses: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, other: Tally) -> None:
        """Sum another tally in."""
        for name in (
            "n",
            "scored",
            "held",
            "equal",
            "typed",
            "exact",
            "columns",
            "columns_exact",
            "lossy",
            "said",
            "silent",
            "from_error",
            "crash",
            "errors",
            "errors_known",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kinds += other.kinds
        self.slowest = max(self.slowest, other.slowest)
        self.misses += other.misses

    @property
    def good(self) -> bool:
        """Whether the thresholds hold."""
        bad = self.silent or self.from_error or self.crash or self.slowest > SECONDS
        return (
            not bad
            and self.equal >= EQUAL * self.held
            and self.typed >= TYPED * self.held
        )


def score(folder: Path) -> dict[str, Tally]:
    """One tally a server."""
    # so that no capture pays for imports
    read({"content": [{"type": "text", "text": "a,b\n1,2\n"}]})
    tallies: dict[str, Tally] = defaultdict(Tally)
    for capture in captures(folder):
        _count(tallies[capture.server], capture)
    return dict(tallies)


def _count(tally: Tally, capture: Capture) -> None:
    tally.n += 1
    if capture.result is None:
        tally.errors += 1
        tally.errors_known += 1
        return
    started = time.process_time()
    try:
        reading = read(
            capture.result, output_schema=capture.output_schema, sql=capture.sql
        )
    except Exception as error:  # boundary: a crash is what this report counts
        tally.crash += 1
        tally.misses.append(
            f"{capture.server}/{capture.file} {capture.case}: crash {error!r} [ours]"
        )
        return
    tally.slowest = max(tally.slowest, time.process_time() - started)
    if any("could not be read" in note for note in reading.notes):
        tally.crash += 1
        tally.misses.append(
            f"{capture.server}/{capture.file} {capture.case}: {reading.notes} [ours]"
        )
    _judge(tally, capture, reading)


def _judge(tally: Tally, capture: Capture, reading: Reading) -> None:
    failed = (
        capture.case in _ERRORS
        or bool(capture.result and capture.result.get("isError"))
        or _failed(capture, reading)
    )
    if failed:
        tally.errors += 1
        tally.errors_known += reading.error is not None
        if reading.tables:
            tally.from_error += 1
            tally.misses.append(
                f"{capture.server}/{capture.file} {capture.case}: table from an error [ours]"
            )
        elif reading.error is None:
            tally.misses.append(
                f"{capture.server}/{capture.file} {capture.case}: error not recognised: {reading.text[:80]!r}"
            )
        return
    if capture.truth is None or capture.truth.error or capture.case in _LOOSE:
        return
    _record(tally, capture, reading, judge(capture, reading, capture.truth))


def _failed(capture: Capture, reading: Reading) -> bool:
    """A call that was meant to work and did not: the answer holds not one value of the truth."""
    if reading.error is None or capture.truth is None or not capture.truth.rows:
        return False
    text = str(capture.result)
    return not any(
        str(cell) in text
        for row in capture.truth.rows[:5]
        for cell in row
        if isinstance(cell, str) and len(cell) > 3
    )


def _record(tally: Tally, capture: Capture, reading: Reading, verdict: Verdict) -> None:
    tally.scored += 1
    tally.held += verdict.held
    tally.equal += verdict.equal
    tally.typed += verdict.typed
    tally.exact += verdict.exact
    tally.columns += verdict.columns_all
    tally.columns_exact += verdict.columns_exact
    tally.kinds.update(verdict.kinds)
    tally.lossy += not verdict.held
    tally.silent += verdict.silent
    tally.said += bool(verdict.miss) and not verdict.silent
    where = f"{capture.server}/{capture.file} {capture.case} ({reading.reader})"
    if verdict.miss:
        mark = " SILENT" if verdict.silent else ""
        tally.misses.append(f"{where}: {verdict.miss} [{verdict.cause}]{mark}")
    elif verdict.untyped:
        tally.misses.append(f"{where}: type of {verdict.untyped} [type]")


def report(tallies: dict[str, Tally], *, misses: bool = True) -> str:
    """The table of all servers and the total, then every miss."""
    columns = (
        "n",
        "scored",
        "held",
        "equal",
        "typed",
        "exact",
        "lossy",
        "said",
        "silent",
        "from_error",
        "errors",
        "errors_known",
        "crash",
    )
    width = max(map(len, tallies), default=10)
    lines = [
        f"{'server':{width}} "
        + " ".join(f"{name:>7}"[:12] for name in columns)
        + "  slowest"
    ]
    total = Tally()
    for server, tally in tallies.items():
        lines.append(_line(server, tally, columns, width))
        total.add(tally)
    lines.append(_line("TOTAL", total, columns, width))
    held = max(total.held, 1)
    lines.append(
        f"of what the carriers hold: equal {total.equal / held:.1%}, right types too {total.typed / held:.1%}"
    )
    reasons = (
        ", ".join(f"{reason} {count}" for reason, count in total.kinds.most_common())
        or "none"
    )
    lines.append(
        f"types as the driver has them: {total.exact} results ({total.exact / held:.1%}), "
        f"{total.columns_exact} of {total.columns} columns; the other columns: {reasons} (see tests/corpus/kinds.py)"
    )
    return "\n".join([*lines, *(total.misses if misses else ())])


def _line(name: str, tally: Tally, columns: tuple[str, ...], width: int) -> str:
    cells = " ".join(
        f"{getattr(tally, column):>{max(7, len(column))}}" for column in columns
    )
    return f"{name:{width}} {cells}  {tally.slowest:.2f} s"


def main() -> int:
    """Print the report for the folder in the first argument, or for that of the tests."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else captures_folder()
    if not folder.is_dir():
        print(f"no folder {folder}", file=sys.stderr)
        return 2
    tallies = score(folder)
    print(report(tallies))
    total = Tally()
    for tally in tallies.values():
        total.add(tally)
    return 0 if total.good else 1


if __name__ == "__main__":
    raise SystemExit(main())
