"""`python -m tests.benchmarks [name ...] [--size N] [--rounds N]`: all benchmarks, or
those named.
"""

import argparse

from tests.benchmarks import handing_over, parsing, showing
from tests.benchmarks.measure import own_peak
from tests.benchmarks.suite import Benchmark

ALL: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for module in (parsing, handing_over, showing)
    for benchmark in module.BENCHMARKS
}  # fmt: skip


def main() -> None:
    """Print a line or two a benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description=__doc__
    )
    parser.add_argument(
        "name",
        nargs="*",
        choices=[*ALL, "tokens", []],
        help="which; all when none is named",
    )
    parser.add_argument(
        "--size", type=int, help="rows, in place of each benchmark's own size"
    )
    parser.add_argument(
        "--rounds", type=int, default=5, help="of which the fastest counts"
    )
    parser.add_argument("--peak", metavar="CANDIDATE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.peak:
        print(own_peak(ALL[given.name[0]].prepare(given.size)[given.peak]))
        return
    for name in given.name or [*ALL, "tokens"]:
        if name == "tokens":
            print(showing.tokens(given.size or 10_000), flush=True)
        else:
            print(ALL[name].run(given.size, rounds=given.rounds), flush=True)


if __name__ == "__main__":
    main()
