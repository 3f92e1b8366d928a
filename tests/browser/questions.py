"""Cells for the browser tests of servers' questions: `from tests.browser.questions
import *`; `await ask("form")`.
"""

from mcp_notebook import loop
from mcp_notebook.display.asking import Answer, Question
from mcp_notebook.display.fields import fields_of
from mcp_notebook.surface.desk import Desk
from tests.servers.curious import ORDER

QUESTIONS = {
    "form": Question(
        "curious", "form", "What may we bring?\nIt is free today.", fields_of(ORDER)
    ),
    "link": Question(
        "bank",
        "link",
        "Please confirm the payment.",
        url="https://pay.example.org/confirm?id=81f2",
    ),
    "choice": Question(
        "curious",
        "choice",
        "It sends this to your model and gets the reply:",
        detail="[system] Be short.\n[user] Why is the sky blue?\n(at most 50 tokens)",
    ),
    "sign-in": Question(
        "tracker",
        "sign-in",
        "Sign in to go on.",
        url="https://login.example.org/authorize?client_id=n",
        paste=True,
    ),
}


async def ask(kind: str, seconds: float = 60) -> None:
    """Ask one of the questions in this cell and print the answer."""
    desk = Desk()
    with desk.staffed(attended=True, forms=True):
        answer: Answer = await loop.wait_in_cell(
            loop.submit(desk.ask(QUESTIONS[kind], seconds)), desk.pump
        )
        desk.pump()
    print(answer)
