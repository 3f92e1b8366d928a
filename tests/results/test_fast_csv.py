"""A CSV that Arrow reads gives exactly what the exact path gives, or is left to it."""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook import results
from mcp_notebook.results.columns import fast_columns
from mcp_notebook.results.columns.infer import column as infer_column
from mcp_notebook.results.formats import csv_records, delimited
from tests.results.test_fast_json import DATES, NUMBERS, STAMPS


@pytest.fixture(autouse=True)
def no_size_is_small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_columns, "SMALL", 0)
        patch.setattr(fast_columns, "MANY", 0)
        patch.setattr(csv_records, "ARROW_BLOCK", 64)
        yield


def read(text: str, *, large: int, infer: bool = True) -> list[tuple]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "LARGE", large)
        reading = results.read(
            {"content": [{"type": "text", "text": text}]}, infer=infer
        )
    return [
        (t.data.schema, repr(t.data.to_pylist()), t.notes, dict(t.types), t.approximate, t.names)
        for t in reading.tables
    ]  # fmt: skip


def taken(text: str) -> bool:
    """Whether Arrow took the text; what it gave is compared with the exact path, with
    types and without.
    """
    for infer in (True, False):
        assert read(text, large=0, infer=infer) == read(
            text, large=1 << 60, infer=infer
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "LARGE", 0)
        return delimited.read_large_csv(text) is not None


WORDS = st.sampled_from(
    ["", "", "NULL", "None", "\\N", "x", "north", 'say "hi"', '"', "a,b", "a\tb", "two\nlines", "two\r\nlines", " ",
     "é☕", "007", "-0", "+1", "1e5", "1,234", "0x10", ".5", "5.", "nan", "true", "FALSE", "b'x'", "\ufffd"]
)  # fmt: skip
DIGITS = st.sampled_from(["4917012345", "4917012346", "1234567890"])
KINDS = [
    WORDS, DATES, STAMPS, NUMBERS, DIGITS, st.integers(-(10**20), 10**20).map(str), st.integers(0, 99).map(str),
    st.floats().map(repr), st.floats(-1000, 1000).map(repr), st.decimals(-999, 999, places=2).map(str),
    st.booleans().map(str), st.sampled_from(["1,234", "12", "5,000.50"]), st.text(max_size=6),
]  # fmt: skip
DAMAGES = [
    '"',
    '""',
    ",",
    "\n",
    "\n\n",
    "\r",
    " ",
    "x",
    '"x',
    'x"',
    "",
    "\0",
    "\ud800",
    "\ufeff",
]
EMPTY = st.sampled_from(["", "NULL", "None"])
NAMES = ["id", "name", "zip code", "größe", "x_1", "at"]


@st.composite
def tables(draw: st.DrawFn) -> list[Sequence[str]]:
    """A header and rows; most columns of one kind, with gaps or words for NULL."""
    width = draw(st.integers(2, 5))
    kinds = [draw(st.sampled_from(KINDS)) for _ in range(width)]
    kinds = [
        draw(
            st.sampled_from(
                [kind, kind, st.one_of(kind, EMPTY), st.one_of(kind, st.just(""))]
            )
        )
        for kind in kinds
    ]
    return [NAMES[:width], *draw(st.lists(st.tuples(*kinds), min_size=1, max_size=8))]


def written(table: list[Sequence[str]], **options) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, **{"lineterminator": "\n", **options}).writerows(table)
    return buffer.getvalue()


FORMS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([",", "\t", ";"]),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from(
            [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]
        ),
    }
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(tables(), FORMS)
def test_any_table_in_any_form_is_the_same_or_left_alone(
    table: list[Sequence[str]], form: dict
) -> None:
    taken(written(table, **form))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(tables(), st.data())
def test_quoted_and_bare_empty_cells_are_the_same_or_left_alone(
    table: list, data: st.DataObject
) -> None:
    lines = [",".join(table[0])]
    for row in table[1:]:
        cells = [cell.replace('"', '""') for cell in row]
        quote = [
            any(mark in cell for mark in '",\n\r') or data.draw(st.booleans())
            for cell in cells
        ]
        lines.append(
            ",".join(
                f'"{cell}"' if on else cell
                for cell, on in zip(cells, quote, strict=True)
            )
        )
    taken(
        "\n".join(lines)
        + data.draw(st.sampled_from(["", "\n", "\n\n", "\r\n", "\n \n", "\nCOMMIT\n"]))
    )


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(tables(), FORMS, st.data())
def test_a_damaged_text_is_the_same_or_left_alone(
    table: list, form: dict, data: st.DataObject
) -> None:
    text = written(table, **form)
    at = data.draw(st.integers(0, len(text) - 1))
    damage = data.draw(
        st.sampled_from(
            [
                '"',
                '""',
                ",",
                "\n",
                "\n\n",
                "\r",
                " ",
                "x",
                '"x',
                'x"',
                "",
                "\0",
                "\ud800",
                "\ufeff",
            ]
        )
    )
    taken(text[:at] + damage + text[at + data.draw(st.integers(0, 2)) :])


def test_a_header_ends_where_its_line_ends_whatever_ends_it() -> None:
    taken("i,d;name\r;4917012345\r")


PLAIN = [("id", "name"), *((str(n), f"name {n}") for n in range(50))]


@pytest.mark.parametrize(
    "form",
    [{}, {"delimiter": "\t"}, {"quoting": csv.QUOTE_ALL}, {"lineterminator": "\r\n"}],
)
def test_usual_texts_are_taken(form: dict) -> None:
    assert taken(written(PLAIN, **form))


@pytest.mark.parametrize(
    "cell", ['"a"b', 'a"b', '"a', 'a"', '"a" ', ' "a"', '"a""', '"a"",b"c']
)
def test_a_quote_out_of_place_is_left_to_the_exact_path(cell: str) -> None:
    assert not taken(written(PLAIN) + f'7,{cell}\n8,"z"\n')


def test_an_empty_line_is_a_record_of_its_own() -> None:
    assert not taken(written(PLAIN[:20]) + "\n" + written(PLAIN[20:]))


def test_empty_cells_with_and_without_quotes_stay_apart() -> None:
    text = (
        written([("id", "name", "n"), *((str(n), f"name {n}", "1") for n in range(30))])
        + '30,"",\n31,,""\n'
    )
    assert taken(text)
    (table,) = results.read({"content": [{"type": "text", "text": text}]}).tables
    assert table.data["name"].to_pylist()[-2:] == ["", None]
    assert table.data["n"].to_pylist()[-3:] == ["1", None, ""]
    assert not table.notes


def test_a_line_end_in_quotes_on_the_edge_of_a_block_is_kept() -> None:
    """Arrow 26 loses the newline of a `\r\n` within quotes when its block ends between the two."""
    head = 'id,name\r\n1,"'
    text = head + "x" * (64 - len(head) - 1) + '\r\nlines"\r\n2,"y"\r\n'
    assert text[63:65] == "\r\n"
    cells = csv_records.read_with_arrow(text, ["id", "name"], ",")
    assert cells is not None
    assert cells.table["name"].to_pylist()[0].endswith("x\r\nlines")


def test_padded_cells_of_a_long_tsv_are_taken_off_wherever_the_padding_begins() -> None:
    text = "id\tname\n" + "1\tabc\n" * 600 + "2\tab \n"
    ours = read(text, large=0)
    assert ours == read(text, large=1 << 60)
    assert "'name': 'ab'" in ours[0][1]
    assert "taken off" in ours[0][2][-1]


def test_numbers_for_people_beside_one_of_four_digits_are_read_alike() -> None:
    taken('"id","name"\n"1","1000"\n"2","-1,000"\n')


_FLOATS = st.floats(allow_nan=False, allow_infinity=False)
_WRITTEN = _FLOATS.map(repr) | st.builds(
    format, _FLOATS, st.sampled_from([".3f", ".2e", ".17g", "E", ".20g"])
)
_ODD = st.sampled_from(["1e5", "12.5e5", "-0", "0.0", "1.", "nan", "00.5", "1e400"])


@given(st.lists(_WRITTEN | _ODD, min_size=1, max_size=12), st.randoms())
def test_floats_written_in_any_way_are_what_the_exact_rules_make_of_them(
    odd: list[str], chance: random.Random
) -> None:
    column = [repr(chance.random()) for _ in range(fast_columns.SMALL)] + odd
    fast = fast_columns.column_of_texts(pa.array(column), text="all")
    exact = infer_column(column, text="all")
    assert fast.array.type == exact.array.type
    assert repr(fast.array.to_pylist()) == repr(exact.array.to_pylist())


def test_an_exponent_among_floats_keeps_the_fast_path() -> None:
    column = [repr(n / 7) for n in range(1, 300)] + ["1.5e-07", "2.25E+20"]
    assert fast_columns._numbers(pa.array(column)) is not None
