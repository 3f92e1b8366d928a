"""Which variable of a template is being typed."""

import pytest

from mcp_notebook.magics.completion import Typing, typing_in


@pytest.mark.parametrize(
    ("template", "typed", "place"),
    [
        ("shop://{table}", "shop://", Typing("table", "", "shop://", "", {})),
        ("shop://{table}", "shop://or", Typing("table", "or", "shop://", "", {})),
        (
            "shop://{table}/rows",
            "shop://or",
            Typing("table", "or", "shop://", "/rows", {}),
        ),
        ("shop://{table}/rows", "shop://orders/rows", None),
        ("a://{x}/{y}", "a://one/t", Typing("y", "t", "a://one/", "", {"x": "one"})),
        (
            "a://{x}/{y}/z",
            "a://o%20e/",
            Typing("y", "", "a://o%20e/", "/z", {"x": "o e"}),
        ),
        ("file:///{+path}", "file:///a/b", Typing("path", "a/b", "file:///", "", {})),
        ("a://{x}{?limit}", "a://b?limit=3", Typing("x", "b?limit=3", "a://", "", {})),
        ("a://x{?limit}", "a://x", None),
        ("a://{x,y}", "a://", None),
        ("a://{x}", "b://", None),
        ("plain://one", "plain://", None),
    ],
)
def test_the_variable_at_the_end_of_what_is_typed_is_found(
    template: str, typed: str, place: Typing | None
) -> None:
    assert typing_in(template, typed) == place
