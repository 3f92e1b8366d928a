"""Cells for the browser tests of servers' questions: `from tests.browser.questions
import *`; `await ask("form")`.
"""

from dataclasses import replace

from mcp_notebook import loop
from mcp_notebook.display.form_fields import fields_of
from mcp_notebook.display.questions import (
    form_question,
    sampling_question,
    sign_in_question,
    visit_question,
)
from mcp_notebook.notebook.asker import Asker
from tests.servers.curious import ORDER

QUESTIONS = {
    "form": form_question(
        "curious", "What may we bring?\nIt is free today.", fields_of(ORDER)
    ),
    "link": visit_question(
        "bank",
        "Please confirm the payment.",
        "https://pay.example.org/confirm?id=81f2",
    ),
    "choice": sampling_question(
        "curious",
        "[system] Be short.\n[user] Why is the sky blue?\n(at most 50 tokens)",
    ),
    "sign-in": sign_in_question(
        "tracker", "https://login.example.org/authorize?client_id=n", paste=True
    ),
}


async def ask(kind: str, seconds: float = 60) -> None:
    """Ask one of the questions in this cell and print the reply."""
    asker = Asker()
    question = replace(QUESTIONS[kind], seconds=seconds)
    with asker.in_cell(attended=True, buttons=True):
        future = loop.submit(asker.ask(question))
        reply = await loop.wait_in_cell(future, asker.pump)
        asker.pump()
    print(reply)
