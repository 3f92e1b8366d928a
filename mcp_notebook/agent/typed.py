"""`%%claude --as TYPE`: the answer as a value of a type, by the API's structured
output, checked by pydantic.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import pydantic

from mcp_notebook.errors import ConfigError

MEND = (
    "That was not the value asked for ({problem}). Answer with the JSON alone, "
    "by the schema: {schema}"
)
_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Form:
    """The shape of an answer. The API takes an object at the top, so any other type is
    wrapped as {"value": ...}.
    """

    adapter: Any  # a pydantic.TypeAdapter
    schema: dict[str, Any]
    wrapped: bool

    def value(self, text: str) -> Any:
        """The value in an answer; raises ValueError (pydantic's is one) that says what is wrong."""
        content = json.loads(_find_json(text))
        # A model that knows no structured output may leave the wrapping out.
        if self.wrapped and isinstance(content, dict) and "value" in content:
            content = content["value"]
        return self.adapter.validate_python(content)

    def problem(self, text: str) -> str:
        """What is wrong with an answer, for the model to mend; empty when it is right."""
        try:
            self.value(text)
        except ValueError as error:
            words = " ".join(str(error).split())[:500]
            return MEND.format(problem=words, schema=json.dumps(self.schema))

        return ""


def form_of(expression: Any, namespace: Mapping[str, Any]) -> Form:
    """The form of a type, or of the expression of one in terms of the person's own
    names; raises ConfigError.
    """

    try:
        kind = expression
        if isinstance(expression, str):
            known = {"__builtins__": __builtins__}
            kind = eval(expression, known, dict(namespace))  # noqa: S307 - the person's

        adapter = pydantic.TypeAdapter(kind)
        schema = adapter.json_schema()
    except (
        NameError,
        SyntaxError,
        TypeError,
        AttributeError,
        pydantic.errors.PydanticUserError,
    ) as error:
        raise ConfigError(
            f"--as {expression}: this is no type that pydantic knows ({error})."
        ) from None

    wrapped = schema.get("type") != "object" or "properties" not in schema
    if wrapped:
        definitions = schema.pop("$defs", None)
        schema = {
            "type": "object",
            "properties": {"value": schema},
            "required": ["value"],
        }
        if definitions:
            schema["$defs"] = definitions

    return Form(adapter, anthropic.transform_schema(schema), wrapped)


def _find_json(text: str) -> str:
    """The JSON in an answer: models that know no structured output put a fence or words
    around it.
    """
    fenced = _FENCE.search(text)
    if fenced:
        return fenced[1]

    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    start = min(starts, default=0)
    end = max(text.rfind("}"), text.rfind("]"))
    if end <= start:
        return text.strip()

    return text[start : end + 1]
