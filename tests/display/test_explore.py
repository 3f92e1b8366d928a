"""A whole table on a live card: any page of it, sorted and filtered, asked for by messages."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from mcp_notebook.display import view
from mcp_notebook.display.tables import Whole, view_result
from mcp_notebook.display.widgets import Card
from tests.display.conftest import call, result

DATA = pa.table(
    {
        "id": range(5_000),
        "name": [None if n % 7 == 3 else f"{'aB'[n % 2]}{n:04d}" for n in range(5_000)],
        "price": [Decimal(5_000 - n).scaleb(-2) for n in range(5_000)],
        "day": [dt.date(2020, 1, 1) + dt.timedelta(days=n) for n in range(5_000)],
        "tags": [["x", str(n)] for n in range(5_000)],
        "kind": pa.array([f"kind {n % 3}" for n in range(5_000)]).dictionary_encode(),
        "fine": [n % 2 == 0 for n in range(5_000)],
    }
)


def page_of(data: pa.Table = DATA, **asked: object) -> dict:
    if "by" in asked:
        asked["order"] = [[asked.pop("by"), asked.pop("down", False)]]
    page = Whole(data, {}).explorer.page(asked)
    assert page is not None
    return page


def ids(**asked: object) -> list[str]:
    return [row[0] for row in page_of(**{"start": 0, "count": 10, **asked})["rows"]]


def test_any_page_of_the_table_is_shown_as_it_came() -> None:
    page = page_of(start=4_995, count=10)
    assert [row[0] for row in page["rows"]] == ["4995", "4996", "4997", "4998", "4999"]
    assert page["found"] == 5_000
    assert page["rows"][0][2:5] == ("0.05", "2033-09-04", '["x", "4995"]')


@pytest.mark.parametrize(
    ("column", "down", "first"),
    [(0, True, "4999"), (2, False, "4999"), (3, True, "4999")],
)
def test_a_column_is_sorted_over_all_rows_by_value(
    column: int, down: bool, first: str
) -> None:
    assert ids(by=column, down=down)[0] == first


def test_texts_are_sorted_regardless_of_case_and_nulls_come_last_both_ways() -> None:
    assert ids(by=1)[:3] == ["0", "2", "4"]
    assert ids(by=1, down=True)[0] == "4999"
    for down in (False, True):
        last = page_of(by=1, down=down, start=4_999, count=1)["rows"]
        assert last[0][1] is None


@pytest.mark.parametrize("column", [5, 6])
def test_dictionaries_and_truth_values_can_be_sorted(column: int) -> None:
    assert ids(by=column)[0] in ("0", "1")


def test_lists_cannot_be_sorted_and_stay_as_they_came() -> None:
    assert ids(by=4, down=True) == [str(n) for n in range(10)]


def test_the_filter_looks_into_every_column_in_any_case() -> None:
    assert ids(find="b4999") == ["4999"]
    assert ids(find="2033-09-08") == ["4999"]
    assert page_of(find="KIND 2")["found"] == 1_666
    assert page_of(find="nowhere") == {"rows": [], "found": 0, "named": []}


def test_what_duckdb_does_not_know_is_sorted_as_text_and_an_interval_by_its_length() -> (
    None
):
    months = pa.array([(1, 2, 3), None, (0, 1, 0)], pa.month_day_nano_interval())
    halves = pa.array([2.0, 1.0, None], pa.float16())
    explorer = Whole(pa.table({"span": months, "half": halves}), {}).explorer
    for column, first in ((0, "1 day"), (1, "1.0")):
        page = explorer.page({"order": [[column, False]]})
        assert page["rows"][0][column] == first  # type: ignore[index]


def test_what_is_found_is_sorted() -> None:
    assert ids(find="kind 1", by=0, down=True)[:2] == ["4999", "4996"]


@pytest.mark.parametrize(
    "asked",
    [
        {"by": 99},
        {"by": "id"},
        {"by": -1},
        {"start": -5},
        {"start": "x", "count": None},
    ],
)
def test_what_is_no_sensible_question_counts_as_not_asked(asked: dict) -> None:
    assert [row[0] for row in page_of(**asked)["rows"]] == [str(n) for n in range(10)]


def test_a_page_is_never_longer_than_a_hundred_rows_and_never_beyond_the_end() -> None:
    assert len(ids(count=5_000)) == 100
    assert ids(start=10**12) == []


class Heard(Card):
    """A card that keeps what it sends to the page."""

    def send(self, content: object, buffers: object = None) -> None:
        self.heard.append(content)  # type: ignore[attr-defined]


@pytest.fixture
def card() -> Card:
    shown = Heard(
        view_result(call(), result(data=DATA)),
        lambda answer: None,
        buttons=False,
        expanded=False,
    )
    shown.heard = []  # type: ignore[attr-defined]
    return shown


def look(card: Card, **asked: object) -> object:
    card._handle_custom_msg(
        {"look": {"id": "q", "table": 0, "start": 0, "count": 2, **asked}}, []
    )
    return card.heard.pop()  # type: ignore[attr-defined]


def test_a_card_answers_with_the_page_and_the_questions_id(card: Card) -> None:
    answer = look(card, order=[[0, True]])
    assert answer["looked"] == "q"  # type: ignore[index]
    assert [row[0] for row in answer["page"]["rows"]] == ["4999", "4998"]  # type: ignore[index]


def test_a_table_that_is_not_there_is_answered_with_nothing(card: Card) -> None:
    assert look(card, table=3) == {"looked": "q", "page": None}
    card.forget()
    assert look(card) == {"looked": "q", "page": None}


@pytest.mark.parametrize("what", ["cell", "file", "tell"])
def test_of_a_look_that_cannot_be_computed_the_page_is_told_why(
    card: Card, what: str
) -> None:
    filters = [{"column": 3, "what": "is", "value": "soon"}]
    answer = look(card, what=what, filters=filters, kind="csv", row=0, column=0)
    assert answer["page"]["said"] == "day is date: 'soon' is no such value."  # type: ignore[index]


@pytest.mark.parametrize("message", [None, [], {"table": "0"}, {}])
def test_a_message_that_asks_nothing_is_not_answered(
    card: Card, message: object
) -> None:
    card._handle_custom_msg({"look": message}, [])
    assert card.heard == []  # type: ignore[attr-defined]


class Kept:
    """What is kept, without a page."""

    def __init__(self, place: str, nbytes: int = 10) -> None:
        self.place, self.nbytes, self.done = place, nbytes, ""

    def forget(self) -> None:
        self.nbytes, self.done = 0, "forgotten"

    def close(self) -> None:
        self.done = "closed"


def test_the_oldest_cards_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_kept", type(view._kept)())
    cards = [Kept(str(number)) for number in range(view.MOST_KEPT + 2)]
    for one in cards:
        view.keep_card(one)
    assert [one.done for one in cards[:4]] == ["closed", "closed", "", ""]


def test_of_large_tables_the_newest_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "_kept", type(view._kept)())
    cards = [Kept(str(number), view.MOST_KEPT_BYTES // 2) for number in range(4)]
    for one in cards:
        view.keep_card(one)
    assert [one.done for one in cards] == ["forgotten", "forgotten", "", ""]
