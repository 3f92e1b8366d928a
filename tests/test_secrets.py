"""No secret survives; ordinary words do."""

import time

import pytest

from mcp_notebook.secrets import (
    NameLevel,
    is_secret_name,
    mask,
    mask_json,
    mask_line,
    seal,
    seal_text,
)

SECRETS = [
    "sk-ant-api03-abcdefghijklmnop",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdef",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_known_shapes_are_masked(secret: str):
    assert mask(f"a {secret} b", {}) == "a *** b"


def test_the_password_of_a_url_is_masked():
    assert mask("postgres://ann:pa55word@db/shop", {}) == "postgres://***@db/shop"


def test_values_of_secret_variables_are_masked():
    environ = {
        "SHOP_PASSWORD": "hunter2hunter2",
        "MY_API_KEY": "plainplain",
        "HOME_TOKEN": "short",
        "PWD": "/a/long/path",
    }
    assert (
        mask("hunter2hunter2 plainplain short /a/long/path", environ)
        == "*** *** short /a/long/path"
    )


def test_json_is_masked_in_values_and_names():
    assert mask_json(
        {"k": ["ABCDEFGHIJ", 3], "ABCDEFGHIJ": None}, {"X_KEY": "ABCDEFGHIJ"}
    ) == {
        "k": ["***", 3],
        "***": None,
    }


@pytest.mark.parametrize(
    "plain",
    ["select sku from task_list", "task-sk-board", "https://a.b/c@d", "key = 3"],
)
def test_ordinary_words_stay(plain: str):
    assert mask(plain, {}) == plain


@pytest.mark.parametrize(
    "text",
    [
        '{"db_password": "hush-hush", "n": 1}',
        '{"db_password": "hush\\"hush-hush", "n": 1}',
        "{'apiKey': 'hush-hush'}",
        '"{""client_secret"": ""hush-hush""}"',
        '{"inner": "{\\"secret\\": \\"hush-hush\\"}"}',
        "password=hush-hush",
        "Authorization: Bearer hush-hush",
    ],
)
def test_a_value_named_like_a_secret_is_masked_in_text(text: str):
    assert "hush" not in seal_text(text, {})


def test_pages_are_still_turned_and_words_stay():
    plain = '{"next_page_token": "t-1", "max_tokens": 4} The secretary passed the keys on: credentials matter.'
    assert seal_text(plain, {}) == plain


def test_fields_named_like_secrets_are_masked_at_any_depth():
    value = {
        "password": "x",
        "rows": [{"apiKey": "k", "page_token": "t"}],
        "secret": None,
    }
    assert seal(value, {}) == {
        "password": "***",
        "rows": [{"apiKey": "***", "page_token": "t"}],
        "secret": None,
    }


@pytest.mark.parametrize("text", ["a-" * 100_000, "secret" * 30_000, "_key-" * 30_000])
def test_a_long_text_is_sealed_in_linear_time(text: str):
    """In quadratic time each of these takes minutes."""
    began = time.process_time()
    seal_text(text, {})
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("apiKey", NameLevel.FIELD),
        ("passWord", NameLevel.FIELD),
        ("X-Api-Key", NameLevel.FIELD),
        ("token", NameLevel.ARGUMENT),
        ("db_pass", NameLevel.ARGUMENT),
        ("secret_name", NameLevel.ARGUMENT),
        ("page_access_token", NameLevel.FIELD),
        ("cvc", NameLevel.FORM),
        ("X-Amz-Signature", NameLevel.ADDRESS),
        ("STRIPE_KEY", NameLevel.VARIABLE),
        ("next_page_token", NameLevel.VARIABLE),
        ("keys", NameLevel.NOISE),
        ("Cookie", NameLevel.CONNECTION),
    ],
)
def test_a_name_is_a_secret_from_its_level_on(name: str, level: NameLevel):
    found = [each for each in NameLevel if is_secret_name(name, each)]
    assert found == [each for each in NameLevel if each >= level]


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "nextPageToken", "token_count", "author", "compass", "secretary"],
)
def test_an_argument_of_an_ordinary_name_is_no_secret(name: str):
    assert not is_secret_name(name, NameLevel.ARGUMENT)


def test_items_of_an_address_are_hidden_wherever_they_stand():
    line = "srv --token=abc https://u:p@h/x?page_token=2&api_key=k#a foo=token=d"
    assert mask_line(line) == (
        "srv --token=*** https://***@h/x?page_token=2&api_key=***#a foo=token=***"
    )
