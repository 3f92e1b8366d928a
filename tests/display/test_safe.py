"""Untrusted text is shown whole and harmless."""

import base64
import sys
import unicodedata

import pytest

from mcp_notebook.display.html_parts import MAX_IMAGE, escape, picture
from mcp_notebook.untrusted_text import clip, visible
from tests.browser.scripted import png

HAVE_A_GLYPH = {
    0x600,
    0x601,
    0x602,
    0x603,
    0x604,
    0x605,
    0x6DD,
    0x70F,
    0x890,
    0x891,
    0x8E2,
    0x110BD,
    0x110CD,
}


def test_every_control_format_and_surrogate_character_is_an_escape() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        if (
            unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
            and code not in HAVE_A_GLYPH
        ):
            shown = visible(f"a{character}b")
            assert character not in shown, hex(code)
            assert shown.startswith("a\\"), hex(code)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("user\u202egpj.exe", "user\\u202egpj.exe"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("x\x00y", "x\\x00y"),
        ("de\U000e0041f", "de\\U000e0041f"),
        ("sel\u200bect", "sel\\u200bect"),
        ("sel\u200dect", "sel\\u200dect"),
        ("\ud800", "\\ud800"),
        ("one\ntwo\t", "one\\ntwo\\t"),
    ],
)
def test_hidden_characters_are_written_as_escapes(text: str, shown: str) -> None:
    assert visible(text) == shown
    assert visible(text).encode()


@pytest.mark.parametrize(
    "text", ["Größe 12 €", "玩具", "👩\u200d🚀", "می\u200cخواهم", "a̐éö̲", "naïve $5"]
)
def test_ordinary_text_of_any_script_stays(text: str) -> None:
    assert visible(text) == text


def test_lines_keep_their_ends_and_tabs_when_asked() -> None:
    assert visible("a\r\n\tb\rc", lines=True) == "a\n\tb\\rc"


def test_marks_beyond_the_third_on_a_letter_are_escapes() -> None:
    assert visible("Z" + "\u0351" * 5) == "Z" + "\u0351" * 3 + "\\u0351\\u0351"


def test_escaping_leaves_no_markup_and_no_formula() -> None:
    assert (
        escape("<b a='1' c=\"2\">&lt; $5")
        == "&lt;b a=&#x27;1&#x27; c=&quot;2&quot;&gt;&amp;lt; <span>$</span>5"
    )


def test_clipping_says_that_something_is_missing() -> None:
    assert clip("abcdef", 4) == "abc…"
    assert clip("abcd", 4) == "abcd"


def encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def test_a_whole_raster_image_becomes_a_data_url() -> None:
    image = encoded(png(1, 1, b"\x00\x01\x02\x03"))
    assert picture("image/png", image) == f"data:image/png;base64,{image}"
    assert picture("image/gif", encoded(b"GIF89a" + bytes(20) + b";"))
    assert picture("image/jpeg", encoded(b"\xff\xd8\xff" + bytes(20) + b"\xff\xd9"))
    assert picture("image/webp", encoded(b"RIFF" + bytes(30)))


@pytest.mark.parametrize(
    ("mime", "data"),
    [
        ("image/svg+xml", encoded(b"<html/>")),
        ("image/svg+xml", encoded(b"<svg>")),
        ('image/png" onerror="x', encoded(png(1, 1, bytes(4)))),
        ("image/png", "iVBORw0KGgo="),
        ("image/png", "!!!notbase64"),
        ("image/png", encoded(b"\xff\xd8\xff" + bytes(20) + b"\xff\xd9")),
        ("image/jpeg", "é"),
        ("image/png", "A" * (MAX_IMAGE + 4)),
    ],
)
def test_anything_else_is_no_picture(mime: str, data: str) -> None:
    assert picture(mime, data) is None


LINES = (
    "<svg xmlns='http://www.w3.org/2000/svg' xmlns:l='http://www.w3.org/1999/xlink'>"
)
HARMFUL = {
    "a script": "<script>alert(1)</script>",
    "a handler": "<rect onclick='alert(1)'/>",
    "HTML": "<foreignObject><body>x</body></foreignObject>",
    "a page": "<a href='https://evil.example'><rect/></a>",
    "a file elsewhere": "<image l:href='https://evil.example/x.png'/>",
    "a style that loads": "<style>@import 'https://evil.example/x.css'</style>",
    "a fill that loads": "<rect fill='url(https://evil.example/x)'/>",
    "a change of a link": "<rect><set attributeName='href' to='javascript:alert(1)'/></rect>",
}


def drawn(inner: str, before: str = "") -> str | None:
    found = picture("image/svg+xml", encoded(f"{before}{LINES}{inner}</svg>".encode()))
    if found is None:
        return None
    return base64.b64decode(found.partition(",")[2]).decode()


@pytest.mark.parametrize("inner", HARMFUL.values(), ids=HARMFUL)
def test_what_a_drawing_could_do_is_taken_out(inner: str) -> None:
    clean = drawn(f"<circle r='7'/>{inner}")
    assert clean is not None
    assert "circle" in clean
    for word in ("alert", "evil", "javascript", "body", "onclick"):
        assert word not in clean


def test_a_drawing_of_a_plotting_library_is_shown_whole() -> None:
    standard = (
        '<?xml version="1.0"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "x.dtd">'
    )
    inner = "<defs><path id='p' d='M0 0'/></defs><use l:href='#p'/>"
    clean = drawn(inner, standard)
    assert clean is not None
    assert "#p" in clean
    assert "M0 0" in clean


def test_a_drawing_that_would_grow_is_refused_and_a_deep_one_ends() -> None:
    assert drawn("&a;", "<!DOCTYPE svg [<!ENTITY a 'aaaa'>]>") is None
    depth = 20_000
    assert drawn("<g>" * depth + "</g>" * depth) is None
