"""What servers, models and people send that the Messages API does not take: schemas,
pictures and texts at random, most of them nearly right.
"""

import base64
import math
from typing import Any

from hypothesis import strategies as st

KEYWORDS = (
    "type", "properties", "required", "items", "enum", "const", "anyOf", "oneOf", "allOf",
    "not", "if", "then", "else", "$ref", "$defs", "definitions", "$schema", "$id", "id",
    "$anchor", "$comment", "title", "description", "default", "examples", "format", "pattern",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
    "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
    "additionalProperties", "additionalItems", "prefixItems", "contains", "minContains",
    "patternProperties", "propertyNames", "dependencies", "dependentRequired",
    "dependentSchemas", "unevaluatedProperties", "readOnly", "deprecated", "nullable",
    "contentEncoding", "contentSchema", "$vocabulary", "$dynamicRef", "x-order",
)  # fmt: skip
WORDS = (
    "string", "integer", "number", "object", "array", "boolean", "null", "any", "String",
    "str", "int", "float", "date", "", "größe", "$top", "ids[]", "start date", "half \ud83d",
    "n" * 70, "(", r"\p{L}+", "^a+$", "#", "#/$defs/a", "#/definitions/a b", "#/properties/q",
    "http://json-schema.org/draft-07/schema#", "http://json-schema.org/draft-04/schema#",
    "https://json-schema.org/draft/2020-12/schema", "not a uri ^", "a", "true", "3", "required",
)  # fmt: skip
NAMES = st.sampled_from(WORDS) | st.text(max_size=6)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.sampled_from([0.5, -1.0, 3.0, math.inf, math.nan, 10**30])
    | NAMES
)


def _grow(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    schema = st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5)
    by_name = st.dictionaries(NAMES, inner, max_size=4)
    return schema | by_name | st.lists(inner, max_size=3)


# A schema in which anything may stand anywhere, and one that is nearly right.
anything = st.recursive(SCALARS, _grow, max_leaves=25)
properties = st.dictionaries(NAMES, anything, max_size=5)
schemas = st.fixed_dictionaries(
    {"type": st.sampled_from(["object", "object", "Object", ["object", "null"]])},
    optional={
        "properties": properties,
        "required": st.lists(NAMES, max_size=3) | SCALARS,
        **{key: anything for key in KEYWORDS if key not in ("type", "properties")},
    },
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + b"\0\0\0\x05\0\0\0\x05" + bytes(9)
STARTS = (
    PNG, b"\xff\xd8\xff\xe0" + bytes(9), b"GIF89a\x05\0\x05\0" + bytes(9),
    b"RIFF\x20\0\0\0WEBPVP8 " + bytes(9), b"RIFF\x20\0\0\0WAVEfmt ", b"BM" + bytes(60),
    b"<svg/>", b"", b"II*\0" + bytes(20), b"%PDF-1.7",
    PNG[:16] + b"\0\0\xff\xff\0\0\xff\xff", b"GIF89a\xff\xff\xff\xff",
)  # fmt: skip
KINDS = (
    "image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/gif", "image/webp",
    "image/bmp", "IMAGE/PNG", "png", "", "text/html", "half \ud83d",
)  # fmt: skip


def _written(raw: bytes) -> st.SearchStrategy[str]:
    plain = base64.b64encode(raw).decode()
    return st.sampled_from(
        [
            plain,
            f"data:image/png;base64,{plain}",
            plain.rstrip("="),
            "\r\n".join(plain[i : i + 8] for i in range(0, len(plain), 8)),
            base64.urlsafe_b64encode(raw).decode(),
            "https://example.com/a.png",
            "no base64 ß",
        ]
    )


pictures = st.tuples(st.sampled_from(KINDS), st.sampled_from(STARTS).flatmap(_written))
texts = st.sampled_from(
    [
        "It is eight.",
        "half \ud83d",
        "\udc00",
        "\ud83d\ude00",
        "\0",
        " ",
        "\u200b",
        "a" * 9,
    ]
) | st.text(st.characters(), max_size=8)


# What a call of an odd tool answers with: (kind of part, value).
parts = (
    st.tuples(st.just("text"), texts)
    | st.tuples(st.just("image"), pictures)
    | st.tuples(st.just("audio"), pictures)
    | st.tuples(st.just("link"), NAMES)
    | st.tuples(st.just("embedded"), pictures)
)
answers = st.tuples(st.lists(parts, max_size=3), st.none() | anything)
tools = st.tuples(NAMES, texts, schemas, answers)
# The tools of one server, by unlike names.
servers = st.lists(tools, max_size=4, unique_by=lambda tool: tool[0])
