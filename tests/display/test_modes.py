"""Where the cell runs decides how it is shown."""

from types import SimpleNamespace

import pytest

from mcp_notebook.display.outputs import choose_mode

LAB = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=True))
HEADLESS = SimpleNamespace(kernel=SimpleNamespace(_allow_stdin=False))
TERMINAL = SimpleNamespace()


@pytest.mark.parametrize(
    ("setting", "shell", "mode"),
    [
        ("auto", LAB, "widget"),
        ("auto", HEADLESS, "static"),
        ("auto", TERMINAL, "text"),
        ("auto", None, "text"),
        ("auto", SimpleNamespace(kernel=SimpleNamespace()), "static"),
        ("static", LAB, "static"),
        ("text", LAB, "text"),
        ("widget", HEADLESS, "widget"),
        ("widget", TERMINAL, "text"),
    ],
)
def test_live_cards_only_where_a_person_is_at_a_notebook(
    setting: str, shell: object, mode: str
) -> None:
    assert choose_mode(setting, shell) == mode


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(ValueError, match="fancy"):
        choose_mode("fancy", LAB)
