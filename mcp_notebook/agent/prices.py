"""What a turn took, in tokens and dollars (prices: the genai-prices package's own
table, never the network).
"""

from __future__ import annotations

import functools
import re
from typing import Any

from mcp_notebook.events import Usage

# Models whose replies are shorter than the default, from the table of models:
# https://platform.claude.com/docs/en/about-claude/models/overview
SHORT_REPLIES = {
    "claude-3-haiku": 4096,
    "claude-3-opus": 4096,
    "claude-3-sonnet": 4096,
    "claude-3-5": 8192,
}
LOCAL_REPLY = 4096
_CLAUDE = re.compile(r"(claude-[a-z0-9-]+?)(?:-v\d+)?(?::\d+)?(?:@.*)?$")


def usage_of(
    message: Any, request_id: str, seconds: float, *, free: bool = False
) -> Usage:
    """The usage of a final message. `dollars` is None where no price is known, 0 where
    nothing is paid (`free`).
    """
    usage = message.usage
    return Usage(
        model=message.model,
        input=usage.input_tokens or 0,
        output=usage.output_tokens or 0,
        cache_read=usage.cache_read_input_tokens or 0,
        cache_write=usage.cache_creation_input_tokens or 0,
        dollars=0.0 if free else dollars_of(message),
        request_id=request_id,
        seconds=seconds,
    )


def plain_name(model: str) -> str:
    """A model's name at Anthropic, from that at Bedrock (`us.anthropic.claude-x-v1:0`)
    or Vertex (`claude-x@date`).
    """
    found = _CLAUDE.search(model)
    if found:
        return found[1]

    return model


def dollars_of(message: Any) -> float | None:
    """Dollars for one message, or None: a local model has no price, an unknown one none
    that we know.
    """
    model = plain_name(message.model)
    if not model.startswith("claude") or not has_price(model):
        return None

    genai_prices = _load_prices()
    try:
        paid = {"model": model, "usage": message.usage.model_dump()}
        extracted = genai_prices.extract_usage(paid, provider_id="anthropic")
        return float(extracted.calc_price().total_price)
    except (LookupError, ValueError):
        return None


@functools.lru_cache(maxsize=64)
def has_price(model: str) -> bool:
    """Whether a dollar budget can be kept for this model; looked up once, a name that
    nobody knows is searched long.
    """
    return estimate_dollars(model, 1, 1) is not None


def estimate_dollars(model: str, tokens_in: int, tokens_out: int) -> float | None:
    """Dollars for so many tokens without any cache, or None when no price is known."""
    priced = _find_price(model, tokens_in, tokens_out)
    if priced is None:
        return None
    return float(priced.total_price)


def window_of(model: str) -> int | None:
    """How many tokens fit the model, or None when that is not known."""
    priced = _find_price(model, 1, 1)
    if priced is None:
        return None
    return priced.model.context_window


def fitting_reply(model: str, tokens: int, *, local: bool = False) -> int:
    """So many tokens of a reply, or the most that the model can write.

    A local server reserves them in its window, which is small.
    """
    name = plain_name(model)
    most = [least for start, least in SHORT_REPLIES.items() if name.startswith(start)]
    if local:
        most.append(LOCAL_REPLY)

    return min([tokens, *most])


def _find_price(model: str, tokens_in: int, tokens_out: int) -> Any:
    genai_prices = _load_prices()
    usage = genai_prices.Usage(input_tokens=tokens_in, output_tokens=tokens_out)
    try:
        return genai_prices.calc_price(
            usage, plain_name(model), provider_id="anthropic"
        )
    except LookupError:
        return None


def _load_prices() -> Any:
    # A 3 s import under load, wanted only when something was paid for.
    import genai_prices

    return genai_prices
