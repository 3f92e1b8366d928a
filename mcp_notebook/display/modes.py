"""Where the cell runs decides how it is shown: live cards, static output, or text; and how a question is asked."""

import sys
from typing import Literal

from mcp_notebook.display.safe import visible

Mode = Literal["widget", "static", "text"]
MODES = ("auto", "widget", "static", "text")
_ANSWERS = {
    "y": "once",
    "yes": "once",
    "once": "once",
    "a": "always",
    "always": "always",
    "n": "deny",
    "no": "deny",
    "deny": "deny",
}
_PROMPT = "Allow it?  [y]es, once / [a]lways this tool here / [n]o: "


def choose_mode(setting: str, shell: object) -> Mode:
    """The form of the output. `setting` is one of MODES; "auto" takes live cards only where a person is at a notebook.

    Headless runs (nbclient, papermill, Voilà) start the kernel with `allow_stdin` False: nobody answers there, and a
    saved widget would be blank. A terminal gets text whatever the setting says.
    """
    if setting not in MODES:
        raise ValueError(f"cards is one of {', '.join(MODES)}, not {setting!r}")
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    if setting in ("widget", "static", "text"):
        return setting
    return "widget" if _answers(kernel) else "static"


def ask_by_input(question: str) -> Literal["once", "always", "deny"]:
    """Ask the person in the cell's input box: "once", "always" or "deny". No answer is a denial.

    The question with the whole call is written first, so that it stays above the box.
    """
    sys.stdout.write(visible(question, lines=True).rstrip() + "\n")
    sys.stdout.flush()
    for _ in range(3):
        try:
            answer = input(_PROMPT).strip().lower()
        except (EOFError, RuntimeError):  # nobody can answer: StdinNotImplementedError is a RuntimeError
            return "deny"
        if answer in _ANSWERS:
            return _ANSWERS[answer]  # type: ignore[return-value]
    return "deny"


def _answers(kernel: object) -> bool:
    return getattr(kernel, "_allow_stdin", False) is True
