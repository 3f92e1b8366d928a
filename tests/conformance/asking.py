"""What the fixture asks its client: by requests (2025-11-25) or by `input_required`
results (2026-07-28).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError

KEY = b"of this fixture alone"
MISSING_CAPABILITY = -32021


def form(message: str, **fields: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    }


def sample(text: str, most: int = 100) -> dict[str, Any]:
    messages = [{"role": "user", "content": {"type": "text", "text": text}}]
    return {
        "method": "sampling/createMessage",
        "params": {"messages": messages, "maxTokens": most},
    }


ROOTS = {"method": "roots/list", "params": {}}
TEXT, YES = {"type": "string"}, {"type": "boolean"}
STEPS: dict[str, list[dict[str, dict[str, Any]]]] = {
    "test_input_required_result_elicitation": [
        {"user_name": form("What is your name?", name=TEXT)}
    ],
    "test_input_required_result_sampling": [
        {"capital_question": sample("What is the capital of France?")}
    ],
    "test_input_required_result_list_roots": [{"client_roots": ROOTS}],
    "test_input_required_result_request_state": [
        {"confirm": form("Please confirm", ok=YES)}
    ],
    "test_input_required_result_multiple_inputs": [
        {
            "user_name": form("What is your name?", name=TEXT),
            "greeting": sample("Generate a greeting", 50),
            "client_roots": ROOTS,
        }
    ],
    "test_input_required_result_multi_round": [
        {"step1": form("Step 1: What is your name?", name=TEXT)},
        {"step2": form("Step 2: What is your favorite color?", color=TEXT)},
    ],
    "test_input_required_result_tampered_state": [
        {"confirm": form("Please confirm", ok=YES)}
    ],
    "test_input_required_result_capabilities": [
        {"name": form("Your name?", name=TEXT), "greeting": sample("Greet")}
    ],
    "test_streaming_elicitation": [{"name": form("Your name?", name=TEXT)}],
    "test_input_required_result_prompt": [
        {"user_context": form("What context should the prompt use?", context=TEXT)}
    ],
}
STATELESS = {
    "test_input_required_result_elicitation", "test_input_required_result_sampling",
    "test_input_required_result_list_roots", "test_streaming_elicitation", "test_input_required_result_capabilities",
    "test_input_required_result_prompt",
}  # fmt: skip
CAPABILITY = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}


def in_rounds(
    name: str, context: Any, params: Any, done: Callable[[Mapping[str, Any]], Any]
) -> Any:
    """The next `input_required` result of a tool or prompt, or what `done` makes of all answers."""
    stage, answers = (
        (0, {}) if params.request_state is None else unsealed(params.request_state)
    )
    given = {
        key: value.model_dump(by_alias=True, mode="json")
        for key, value in (params.input_responses or {}).items()
    }
    for requests in STEPS[name][stage:]:
        open_ = {
            key: request for key, request in requests.items() if _able(context, request)
        }
        if not open_:
            raise missing(next(iter(requests.values())))
        if not all(key in given for key in open_):
            sealed = None if name in STATELESS else seal(stage, answers)
            return types.InputRequiredResult.model_validate(
                {"inputRequests": open_, "requestState": sealed}
            )
        answers |= {key: given[key] for key in open_}
        stage += 1
    return done(answers)


def missing(request: Mapping[str, Any]) -> MCPError:
    word = CAPABILITY[request["method"]]
    return MCPError(
        MISSING_CAPABILITY,
        f"The client has no {word}.",
        {"requiredCapabilities": {word: {}}},
    )


def _able(context: Any, request: Mapping[str, Any]) -> bool:
    capabilities = context.session.client_capabilities
    return getattr(capabilities, CAPABILITY[request["method"]], None) is not None


def seal(stage: int, answers: Mapping[str, Any]) -> str:
    body = json.dumps([stage, answers])
    return hmac.new(KEY, body.encode(), hashlib.sha256).hexdigest() + body


def unsealed(state: str) -> tuple[int, dict[str, Any]]:
    signed, body = state[:64], state[64:]
    if not hmac.compare_digest(
        signed, hmac.new(KEY, body.encode(), hashlib.sha256).hexdigest()
    ):
        raise MCPError(types.INVALID_PARAMS, "The state was changed.")
    stage, answers = json.loads(body)
    return stage, answers


DEFAULTS: dict[str, Any] = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {
        "type": "string",
        "enum": ["active", "inactive", "pending"],
        "default": "active",
    },
    "verified": {"type": "boolean", "default": True},
}
TITLED = [
    {"const": f"value{n}", "title": f"{word} Option"}
    for n, word in enumerate(("First", "Second", "Third"), 1)
]
ENUMS: dict[str, Any] = {
    "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {
        "type": "string",
        "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"],
    },
    "untitledMulti": {
        "type": "array",
        "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
    },
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}


async def by_request(
    context: Any,
    message: str,
    fields: Mapping[str, Any],
    required: list[str],
    said: str,
) -> str:
    """Ask a client of 2025 with a form, and put its answer into words."""
    schema = {"type": "object", "properties": dict(fields), "required": required}
    answer = await context.session.elicit_form(
        message, schema, related_request_id=context.request_id
    )
    return f"{said}: action={answer.action}, content={json.dumps(answer.content)}"
