"""The readers of a company that does not exist, as its own package would hold them."""

from collections.abc import Sequence

from mcp_notebook.results.readers import FormatReader, Taken, from_rows


def read_acme(text: str, selected: Sequence[str]) -> Taken | str:
    """`ACME id;name` and below it one `> 1;Ada` a row."""
    lines = text.splitlines()
    if not lines[0].startswith("ACME "):
        return "no ACME report"
    names = lines[0].removeprefix("ACME ").split(";")
    rows = [line.removeprefix("> ").split(";") for line in lines[1:]]
    return Taken((from_rows(names, rows, text="all"),))


def read_failing(text: str, selected: Sequence[str]) -> Taken | str:
    """A reader with a bug."""
    raise KeyError("a bug of acme's")


READERS = [
    FormatReader("acme", read_acme, "proved by its first word", "first"),
    FormatReader("acme failing", read_failing, "to be asked early", "before acme"),
    FormatReader("acme blanks", read_acme, "beside its sibling", "after blanks"),
]
NOT_A_READER = "a text"
NOWHERE = FormatReader("acme lost", read_acme, "stands nowhere", "before nothing")
TWICE = FormatReader("csv", read_acme, "has the name of another")
