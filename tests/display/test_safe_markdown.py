"""Claude's prose keeps its meaning, and nothing in it runs or loads, whatever a
markdown reader takes it for.
"""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nbconvert.filters.markdown_mistune import markdown2html_mistune

from mcp_notebook.display.html_parts import safe_markdown
from tests.browser.scripted import GLUE, HOSTILE
from tests.display.conftest import ATTACKS


class Dangers(HTMLParser):
    """Collects what could run or load in HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {
            "script",
            "img",
            "iframe",
            "style",
            "svg",
            "object",
            "embed",
            "link",
            "details",
            "base",
            "form",
        }:
            self.found.append(tag)
        for name, value in attrs:
            target = "".join((value or "").split()).lower()
            if name.startswith("on") or (
                name in {"href", "src"}
                and target.startswith(("javascript:", "data:", "vbs"))
            ):
                self.found.append(f"{name}={value}")


def dangers(markdown: str) -> list[str]:
    return Dangers(markdown2html_mistune(safe_markdown(markdown))).found


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_reply_is_harmless(text: str) -> None:
    assert dangers(text) == []
    assert "![" not in safe_markdown(text)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.one_of(st.sampled_from(HOSTILE), st.sampled_from(GLUE)), max_size=12)
)
def test_no_mixture_of_code_lists_quotes_and_attacks_lets_one_through(
    pieces: list[str],
) -> None:
    assert dangers("".join(pieces)) == []


def test_every_text_of_the_attack_corpus_is_harmless_in_prose() -> None:
    for line in (ATTACKS / "html_injection.jsonl").read_text().splitlines():
        payload = json.loads(line)["payload"]
        assert dangers(payload) == [], payload
        assert dangers(f"before `code` {payload}\n\n```\n{payload}\n```\n") == [], (
            payload
        )


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("**bold** and `code`", "**bold** and `code`"),
        ("a < b, a <= b and 3<4", "a < b, a <= b and 3<4"),
        ("see <https://example.org/a>", "see https://example.org/a"),
        ("[docs](https://example.org)", "[docs](https://example.org)"),
        ("![chart](https://example.org/x.png)", "[chart](https://example.org/x.png)"),
        ("```sql\nwhere a<b\n```", "```sql\nwhere a< b\n```"),
        ("from $5 to \\$10", "from <span>\\$</span>5 to <span>\\$</span>10"),
        ("area $x^2 + y^2$ and $n$", "area $x^2 + y^2$ and $n$"),
        ("`$HOME` costs", "`$HOME` costs"),
        ("Vec<T> here", "Vec&lt;T> here"),
    ],
)
def test_ordinary_prose_reads_as_written(text: str, shown: str) -> None:
    assert safe_markdown(text) == shown


def test_links_to_places_stay_and_links_that_run_do_not() -> None:
    assert (
        safe_markdown("[a](mailto:x@y.z) [b](#part) [c](data/x.csv)")
        == "[a](mailto:x@y.z) [b](#part) [c](data/x.csv)"
    )
    assert safe_markdown("[a](javascript:1)") == "[a]\\(javascript:1)"
