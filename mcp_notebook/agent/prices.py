"""What a turn took, in tokens and dollars (prices: the genai-prices package's own table, never the network)."""

from typing import Any

from mcp_notebook.events import Usage


def usage_of(message: Any, request_id: str, seconds: float, *, free: bool = False) -> Usage:
    """The usage of a final message. `dollars` is None where no price is known, 0 where nothing is paid (`free`)."""
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


def dollars_of(message: Any) -> float | None:
    """Dollars for one message, or None: a local model has no price, an unknown one none that we know."""
    if not message.model.startswith("claude"):
        return None
    # A 3 s import under load, wanted only when something was paid for.
    import genai_prices

    try:
        extracted = genai_prices.extract_usage(message.model_dump(), provider_id="anthropic")
        return float(extracted.calc_price().total_price)
    except (LookupError, ValueError):
        return None


def has_price(model: str) -> bool:
    """Whether a dollar budget can be kept for this model."""
    import genai_prices

    try:
        genai_prices.calc_price(genai_prices.Usage(input_tokens=1), model, provider_id="anthropic")
    except LookupError:
        return False
    return True
