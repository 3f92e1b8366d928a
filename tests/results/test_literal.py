"""Python literal text is read as Python reads it, driver reprs too, and nothing is evaluated."""

import ast
import datetime as dt
import re
import time
import warnings
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_notebook.results.values.literal import loads

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner),
        st.tuples(inner, inner),
        st.dictionaries(SCALARS, inner),
        st.sets(SCALARS),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_every_repr_is_read_back_as_literal_eval_does(value: object) -> None:
    text = repr(value)
    if "set()" in text:
        assert loads(text) == value  # literal_eval knows no set() inside
    else:
        assert repr(loads(text)) == repr(ast.literal_eval(text))


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="()[]{}'\"\\,: 01x.eENTb#-+_rn\n", max_size=14).filter(
        lambda text: not re.search(r"\w\(", text)
    )
)
def test_what_python_refuses_is_refused_and_the_rest_is_equal(text: str) -> None:
    try:
        value = loads(text)
    except ValueError:
        return
    try:
        with warnings.catch_warnings():
            # of escapes that Python will refuse one day
            warnings.simplefilter("ignore")
            expected = ast.literal_eval(f"({text.strip()}\n)")
    except (ValueError, SyntaxError, TypeError, MemoryError):
        pytest.fail(f"{text!r} is no literal, and was read as {value!r}")
    assert repr(value) == repr(expected)


@pytest.mark.parametrize(
    "text",
    [
        "'''a\nb''' 'c'",
        "(1)",
        "(1,)",
        "[1,]",
        "()",
        "{}",
        "{1, 2}",
        "0x1F",
        "0b11",
        "1_000",
        ".5",
        "5.",
        "- 1",
        "+1",
        "r'\\n'",
        "rb'\\x'",
        "u'x'",
        "'\\N{BULLET}\\x41\\101\\ud83d'",
        " [1]",
    ],
)
def test_the_whole_grammar_of_literals_is_known(text: str) -> None:
    assert repr(loads(text)) == repr(ast.literal_eval(text))


UTC_MOMENT = dt.datetime(2024, 2, 29, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Decimal('1.20')", Decimal("1.20")),
        ("decimal.Decimal('1E+3')", Decimal("1E+3")),
        ("datetime.date(2024, 2, 29)", dt.date(2024, 2, 29)),
        ("date(2024, 2, 29)", dt.date(2024, 2, 29)),
        ("datetime.time(1, 2, 3)", dt.time(1, 2, 3)),
        ("datetime.timedelta(days=-1, seconds=5)", dt.timedelta(days=-1, seconds=5)),
        ("datetime.datetime(2024, 2, 29, 1, 0)", dt.datetime(2024, 2, 29, 1)),
        ("datetime.datetime(2024, 2, 29, 1, tzinfo=datetime.timezone.utc)", UTC_MOMENT),
        (
            "datetime.datetime(2024, 2, 29, 1, tzinfo=zoneinfo.ZoneInfo(key='Etc/UTC'))",
            UTC_MOMENT,
        ),
        (
            "datetime.datetime(2024, 2, 29, 1, tzinfo=<StaticTzInfo 'Etc/UTC'>)",
            UTC_MOMENT,
        ),
        ("datetime.datetime(2024, 2, 29, 1, tzinfo=<UTC>)", UTC_MOMENT),
        (
            "datetime.datetime(2024, 2, 28, 20, tzinfo=<DstTzInfo 'US/Eastern' EST-1 day, 19:00:00 STD>)",
            UTC_MOMENT,
        ),
        (
            "datetime.datetime(2024, 2, 29, 2, tzinfo=datetime.timezone(datetime.timedelta(seconds=3600)))",
            UTC_MOMENT,
        ),
        (
            "datetime.datetime(2024, 2, 29, 3, tzinfo=psycopg2.tz.FixedOffsetTimezone(offset=120, name=None))",
            UTC_MOMENT,
        ),
        ("Timestamp('2024-02-29 01:00:00+0000', tz='UTC')", UTC_MOMENT),
        ("zoneinfo.ZoneInfo(key='Europe/Paris')", ZoneInfo("Europe/Paris")),
        (
            "UUID('12345678-1234-5678-1234-567812345678')",
            UUID("12345678-1234-5678-1234-567812345678"),
        ),
        ("[np.float64(1.5), np.int64(3), np.True_, np.str_('x')]", [1.5, 3, True, "x"]),
        ("[inf, -inf]", [float("inf"), float("-inf")]),
        ("[NaT, <NA>]", [None, None]),
        ("array([0.1, 2.], dtype=float32)", [0.1, 2.0]),
        ("OrderedDict([('a', 1)])", {"a": 1}),
        ("defaultdict(<class 'list'>, {'a': [1]})", {"a": [1]}),
        ("bytearray(b'x\\x00')", b"x\x00"),
        ("frozenset({1})", {1}),
        ("set()", set()),
        ("Row(id=1, name='x')", {"id": 1, "name": "x"}),
        (
            "<Record id=1 name='x y' d=datetime.date(2024, 1, 2)>",
            {"id": 1, "name": "x y", "d": dt.date(2024, 1, 2)},
        ),
        ("IPv4Address('10.0.0.1')", "10.0.0.1"),
    ],
)
def test_reprs_of_database_drivers_have_their_value(text: str, value: object) -> None:
    assert loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "Range(1, 5, '[)')",
        "Range(empty=True)",
        "<memory at 0x7f12ab>",
        "<Foo.BAR: 'x>y'>",
        "<StaticTzInfo 'No/Where'>",
        "Foo('a)b', x)",
        "Foo(a: 1, (b))",
        "datetime.date(2024, 13, 45)",
        "Timestamp('2024-01-01 00:00:00.123456789')",
        "os.system('touch /tmp/evil')",
        "__import__('os')",
        "eval('1')",
        "Decimal(1.5)",
    ],
)
def test_an_unknown_call_is_its_own_text(text: str) -> None:
    assert loads(f"[1, {text}, 2]") == [1, text, 2]


@pytest.mark.parametrize(
    "text",
    [
        "1j",
        "1+2j",
        "--1",
        "[1 2]",
        "(",
        "]",
        "foo",
        "f'x'",
        "{[]: 1}",
        "007",
        "1, 2",
        "{1: 2, 3}",
        "-'a'",
        "'a' b'b'",
        "1e999",
        "",
    ],
)
def test_anything_else_is_refused_with_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        loads(text)


def test_the_caps_on_size_and_depth_say_their_number() -> None:
    with pytest.raises(ValueError, match="limit of 10"):
        loads("[1, 2, 3, 4]", max_chars=10)
    with pytest.raises(ValueError, match="more than 100 levels"):
        loads("[" * 100_000 + "]" * 100_000)
    with pytest.raises(ValueError):
        loads("f(" * 10_000)
    with pytest.raises(ValueError):
        loads("-" * 100_000 + "1")


def test_keys_that_collide_cannot_make_it_slow() -> None:
    colliding = ", ".join(str(number * (2**61 - 1)) for number in range(1, 50_000))
    started = time.perf_counter()
    with pytest.raises(ValueError, match="colliding"):
        loads("{" + colliding + "}")
    assert time.perf_counter() - started < 20  # a hang guard: quadratic takes minutes


def test_many_ordinary_keys_are_fine() -> None:
    assert loads(repr(dict.fromkeys(range(5000)))) == dict.fromkeys(range(5000))
    assert loads(repr(set(range(5000)))) == set(range(5000))
