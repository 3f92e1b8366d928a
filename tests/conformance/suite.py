"""Runs the conformance scenarios one after the other and compares them with the
expected failures; see run.sh.
"""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CLIENT = shlex.join([sys.executable, str(HERE / "client.py")])
HEADINGS = {"client": "Client scenarios", "server": "Server scenarios"}
LIMIT = 120  # seconds for one scenario


@dataclass(frozen=True)
class Suite:
    """One release of the suite, and the revision whose required scenarios are run (all
    when there is none).
    """

    name: str
    folder: str
    revision: str = ""


SUITES = (
    Suite("0.1.16", "a"),
    Suite("0.2 2025-11-25", "b", "2025-11-25"),
    Suite("0.2 2026-07-28", "b", "2026-07-28"),
)


def expected_failures() -> set[str]:
    lines = (HERE / "expected_failures.txt").read_text().splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def command(home: Path, suite: Suite) -> list[str]:
    node = home / "a" / "node_modules" / ".bin" / "node"
    return [
        str(node),
        str(
            home
            / suite.folder
            / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
        ),
    ]


def scenarios(home: Path, suite: Suite, role: str) -> list[str]:
    """Names under the role's heading of the suite's own list."""
    only = ["--requirements", suite.revision] if suite.revision else []
    listed = subprocess.run(
        [*command(home, suite), "list", *only],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    headings = "|".join(re.escape(heading) for heading in HEADINGS.values())
    parts = re.split(f"^({headings})", listed, flags=re.MULTILINE)
    return re.findall(
        r"^  - (\S+)", parts[parts.index(HEADINGS[role]) + 1], re.MULTILINE
    )


def run(
    home: Path, suite: Suite, role: str, scenario: str, url: str
) -> tuple[bool, str]:
    """Did the scenario pass, and what the suite said of its checks."""
    target = (
        ["--command", CLIENT, "--timeout", "60000"]
        if role == "client"
        else ["--url", url]
    )
    revision = ["--spec-version", suite.revision] if suite.revision else []
    words = [
        *command(home, suite),
        role,
        *target,
        "--scenario",
        scenario,
        "-o",
        str(home / "out"),
        *revision,
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return False, "no end"
    output = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    counts = re.search(r"Passed: .*", output)
    said = [counts[0] if counts else "no result"]
    if done.returncode:
        said += re.findall(r"^  - (.*)$", output, re.MULTILINE)
    return done.returncode == 0, "; ".join(said)[:400]


def main() -> int:
    home, role, *rest = Path(sys.argv[1]), sys.argv[2], *sys.argv[3:]
    with served(role, rest) as url:
        return judge(home, role, rest, url)


@contextmanager
def served(role: str, rest: list[str]) -> Iterator[str]:
    """The server under test: at the URL that is given first, else our fixture in a
    process of its own.
    """
    if role != "server" or (rest and rest[0].startswith("http")):
        yield rest.pop(0) if role == "server" else ""
        return
    with subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.fixture"],
        stdout=subprocess.PIPE,
        text=True,
    ) as one:
        try:
            assert one.stdout is not None
            yield one.stdout.readline().strip()
        finally:
            one.terminate()


def judge(home: Path, role: str, rest: list[str], url: str) -> int:
    suites = [suite for suite in SUITES if suite.name in rest] or list(SUITES)
    wanted = set(rest) - {suite.name for suite in SUITES}
    expected, wrong = expected_failures(), 0
    for suite in suites:
        names = [
            name
            for name in scenarios(home, suite, role)
            if not wanted or name in wanted
        ]
        passed = 0
        for name in names:
            start = time.monotonic()
            ok, said = run(home, suite, role, name, url)
            passed += ok
            known = f"{suite.name} {name}" in expected
            wrong += ok == known
            mark = {
                (True, False): "ok",
                (False, True): "expected failure",
                (False, False): "FAILED",
            }
            told = mark.get((ok, known), "PASSED, remove it from the expected failures")
            print(
                f"{suite.name}  {name}  {told}  {said}  {time.monotonic() - start:.1f} s",
                flush=True,
            )
        print(
            f"== {role}, suite {suite.name}: {passed} of {len(names)} scenarios pass",
            flush=True,
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
