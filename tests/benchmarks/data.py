"""Rows of eight mixed columns, the same for every run, in the forms that servers send."""

import datetime as dt
import json
import random
from functools import lru_cache

NAMES = ("id", "big", "score", "amount", "day", "at", "region", "note")
_REGIONS = ("north", "south", "east", "west", "central")
_NOTES = (
    "plain words here",
    'it\'s "quoted", yes',
    "line one\nline two",
    "naïve café ☕ 日本",
    "a\\b | c",
)

Row = tuple[int, int, float | None, str, str, str, str, str | None]


@lru_cache(maxsize=2)
def rows(count: int) -> list[Row]:
    """An id, an integer beyond 2^53, a nullable float, a decimal as text, a date, a
    time, a word, a nullable text.
    """
    source = random.Random(1)
    return [_row(number, source) for number in range(count)]


def _row(number: int, source: random.Random) -> Row:
    day = dt.date(2020, 1, 1) + dt.timedelta(days=source.randrange(1500))
    moment = dt.datetime(2023, 1, 1) + dt.timedelta(seconds=source.randrange(10**7))
    note = f"{source.choice(_NOTES)} {source.randrange(10**6)}"
    return (
        number,
        2**53 + source.randrange(10**15),
        None if number % 20 == 0 else source.random() * 1000,
        f"{source.randrange(10**9) / 100:.2f}",
        day.isoformat(),
        moment.isoformat(),
        source.choice(_REGIONS),
        None if number % 10 == 0 else note,
    )


def records(count: int) -> list[dict]:
    """The rows as objects."""
    return [dict(zip(NAMES, row, strict=True)) for row in rows(count)]


def records_text(count: int) -> str:
    """The rows as a JSON array of objects, as `json.dumps` writes it."""
    return json.dumps(records(count))
