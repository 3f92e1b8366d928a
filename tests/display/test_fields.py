"""Forms from a server's schema: every kind of field, and what was typed checked against it."""

import pytest

from mcp_notebook.display.form_fields import check_fields, fields_of, value_of
from mcp_notebook.display.questions import form_question, outcome_bundle
from mcp_notebook.display.widgets import QuestionForm, question_payload
from mcp_notebook.events import Reply


def one(**told):
    (field,) = fields_of(
        {"type": "object", "properties": {"x": told}, "required": ["x"]}
    )
    return field


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "string", "enum": ["a"]}, "choice"),
        ({"type": "string", "oneOf": [{"const": "a", "title": "A"}]}, "choice"),
        ({"type": "array", "items": {"type": "string", "enum": ["a"]}}, "choices"),
        (
            {"type": "array", "items": {"anyOf": [{"const": "a", "title": "A"}]}},
            "choices",
        ),
    ],
)
def test_each_kind_of_the_schema_has_a_field(told, kind):
    assert one(**told).kind == kind


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"properties": {"x": {"type": "object"}}},
        {"properties": {"x": "text"}},
        {"properties": {str(n): {"type": "string"} for n in range(51)}},
    ],
)
def test_what_no_form_can_show_is_refused(schema):
    with pytest.raises(ValueError, match=r"schema|field"):
        fields_of(schema)


@pytest.mark.parametrize(
    ("told", "typed", "value"),
    [
        ({"type": "string"}, " a ", " a "),
        ({"type": "integer"}, "3", 3),
        ({"type": "number"}, "2.5", 2.5),
        ({"type": "boolean"}, True, True),
        ({"type": "boolean"}, "no", False),
        ({"type": "string", "enum": ["a", "b"]}, "b", "b"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, ["a"], ["a"]),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "a, b", ["a", "b"]),
        ({"type": "string", "format": "email"}, "ada@example.org", "ada@example.org"),
        ({"type": "string", "format": "date"}, "2026-11-23", "2026-11-23"),
        (
            {"type": "string", "format": "date-time"},
            "2026-11-23T09:00:00+01:00",
            "2026-11-23T09:00:00+01:00",
        ),
        (
            {"type": "string", "format": "uri"},
            "https://example.org",
            "https://example.org",
        ),
    ],
)
def test_what_was_typed_becomes_the_schemas_value(told, typed, value):
    assert value_of(one(**told), typed) == value


@pytest.mark.parametrize(
    ("told", "typed", "said"),
    [
        ({"type": "integer"}, "2.5", "A whole number."),
        ({"type": "number"}, "nan", "A number."),
        ({"type": "number", "minimum": 1}, "0", "At least 1."),
        ({"type": "integer", "maximum": 9}, "10", "At most 9."),
        ({"type": "string", "minLength": 3}, "ab", "At least 3 characters."),
        ({"type": "string", "maxLength": 2}, "abc", "At most 2 characters."),
        ({"type": "string", "enum": ["a"]}, "b", "Choose one of the list."),
        ({"type": "array", "items": {"enum": ["a"]}}, ["b"], "Choose from the list."),
        (
            {"type": "array", "minItems": 2, "items": {"enum": ["a", "b"]}},
            ["a"],
            "Choose at least 2.",
        ),
        ({"type": "string", "format": "email"}, "ada", "An e-mail address."),
        (
            {"type": "string", "format": "date"},
            "23.11.2026",
            "A date such as 2026-11-23.",
        ),
        ({"type": "boolean"}, "perhaps", "Yes or no."),
    ],
)
def test_what_does_not_fit_is_said_in_a_few_words(told, typed, said):
    with pytest.raises(ValueError, match=said.replace(".", r"\.")):
        value_of(one(**told), typed)


def test_an_empty_field_is_left_out_unless_it_is_needed():
    schema = {
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["b"],
    }
    assert check_fields(fields_of(schema), {"a": "", "b": ""}) == ({}, {"b": "Needed."})
    assert check_fields(fields_of(schema), {"b": "0"}) == ({"b": 0}, {})


def test_a_form_answers_once_and_only_when_all_is_right():
    replies: list[Reply] = []
    question = form_question("s", "m", (one(type="integer", maximum=9),))
    form = QuestionForm(question, replies.append)
    form._hear(None, {"answer": "send", "values": {"x": "10"}}, None)
    assert form.wrong == {"x": "At most 9."}
    form._hear(None, {"answer": "sudo", "values": {"x": "1"}}, None)
    form._hear(None, {"answer": "send", "values": "1"}, None)
    assert replies == []
    form._hear(None, {"answer": "send", "values": {"x": "1", "y": "2"}}, None)
    form._hear(None, {"answer": "deny"}, None)
    assert replies == [Reply("send", values={"x": 1})]


def test_hidden_characters_of_a_question_are_made_visible():
    field = one(type="string", title="a\u200bb")
    told = question_payload(form_question("s", "pay\u202e now", (field,)))
    assert told["message"] == "pay\\u202e now"
    assert told["fields"][0]["title"] == "a\\u200bb"


def test_what_stays_names_fields_and_no_values():
    question = form_question("s", "<b>Card?</b>", (one(type="string"),))
    reply = Reply("send", values={"x": "4111 1111"})
    bundle = outcome_bundle(question, question.outcome_of(reply))
    assert "sent: x" in bundle["text/plain"]
    assert "4111" not in str(bundle)
    assert "<b>" not in bundle["text/html"]
