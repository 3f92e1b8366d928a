"""Questions over the sample shop, asked of a local model; on demand, not in CI.

    python -m tests.local.shop_questions MODEL.gguf QUESTIONS.json

`QUESTIONS.json`: a list of `{text, expect: [{num, tol} or {str}], forbid, cannot, frame}`,
the frames as CSV files beside it. An answer is right when all that is expected stands in
its words and nothing forbidden does; who says that the data cannot answer is counted apart.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

import mcp_notebook
from tests.local.server import start_local

SHOP = Path(__file__).parents[2] / "notebooks" / "data" / "shop.db"
FRAME = re.compile(r"{(\w+)}")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
GIVES_UP = re.compile(
    r"cannot|can't|unable|not (?:available|possible|contain|enough)|no (?:data|column|"
    r"information|table)|does(?:n't| not)",
    re.IGNORECASE,
)


def stands_in(answer: str, wanted: dict[str, Any]) -> bool:
    """Whether one thing that is expected is in the words."""
    if "str" in wanted:
        return wanted["str"].lower() in answer.lower()

    found = [float(text.replace(",", "")) for text in NUMBER.findall(answer)]
    scales = (1.0, 100.0) if wanted.get("frac") else (1.0,)
    tolerance = wanted["tol"] + 1e-9
    return any(
        abs(number * scale - right) <= tolerance
        for number in found
        for scale in scales
        for right in wanted["num"]
    )


def judge(answer: str, question: dict[str, Any]) -> str:
    """`right`, `said so` (that it cannot) or `wrong`."""
    if question.get("cannot"):
        return "right" if GIVES_UP.search(answer) else "wrong"

    expected = all(stands_in(answer, wanted) for wanted in question["expect"])
    if expected and not any(word in answer for word in question["forbid"]):
        return "right"

    return "said so" if GIVES_UP.search(answer) or not answer.strip() else "wrong"


def ask(question: dict[str, Any], folder: Path) -> tuple[str, int, int]:
    """The words of the answer, its calls and its tokens."""
    shop = "mcp-notebook serve database --url sqlite:///" + str(SHOP)
    mcp_notebook.connect("shop", shop)
    text = question["text"]
    for name in FRAME.findall(text):
        mcp_notebook.share(pd.read_csv(folder / f"{name}.csv"), as_=name)
        text = text.replace(f"{{{name}}}", name)

    try:
        given = mcp_notebook.ask(text, new=True, max_iterations=6, show=False)
    except mcp_notebook.errors.NotebookError as error:
        return f"unable: {error}", 0, 0

    usage = given.usage
    return given.text, len(given.calls), usage.input_tokens + usage.output_tokens


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("questions", type=Path)
    options = parser.parse_args()
    beside = options.questions.parent
    questions = [
        question
        for question in json.loads(options.questions.read_text())
        if all((beside / f"{n}.csv").exists() for n in FRAME.findall(question["text"]))
    ]
    counts = dict.fromkeys(("right", "said so", "wrong"), 0)
    with start_local(options.model) as server:
        print(server.label, flush=True)
        os.environ.update(server.environment)
        for question in questions:
            started = time.monotonic()
            answer, calls, tokens = ask(question, beside)
            verdict = judge(answer, question)
            counts[verdict] += 1
            seconds = time.monotonic() - started
            print(
                f"{verdict:8} {question['text']}  ({calls} calls, {tokens:,} tokens, {seconds:.0f} s)"
            )
            print("         " + " ".join(answer.split())[:300], flush=True)

    print(counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
