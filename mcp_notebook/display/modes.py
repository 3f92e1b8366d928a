"""Where the cell runs decides how it is shown: live cards, static output, or text."""

from typing import Literal

Mode = Literal["widget", "static", "text"]
MODES = ("auto", "widget", "static", "text")


def choose_mode(setting: str, shell: object) -> Mode:
    """The form of the output. `setting` is one of MODES; "auto" takes live cards only
    where a person is at a notebook.

    Headless runs (nbclient, papermill, Voilà) start the kernel with `allow_stdin`
    False: nobody answers there, and a saved widget would be blank. A terminal gets text
    whatever the setting says.
    """
    if setting not in MODES:
        raise ValueError(f"cards is one of {', '.join(MODES)}, not {setting!r}")
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return "text"
    if setting in ("widget", "static", "text"):
        return setting
    return "widget" if _answers(kernel) else "static"


def _answers(kernel: object) -> bool:
    return getattr(kernel, "_allow_stdin", False) is True
