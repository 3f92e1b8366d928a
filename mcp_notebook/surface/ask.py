"""What one cell asks, and with which options: of `%%claude` and of `mcp_notebook.ask` alike."""

from dataclasses import dataclass
from typing import Any

from mcp_notebook.errors import ConfigError


@dataclass(frozen=True)
class Ask:
    """The options of one question. 0, None and an empty text leave it to the settings."""

    prompt: str
    into: str = ""
    # the type of the answer, or its expression in the person's own names
    form: Any = ""
    dry_run: bool = False
    model: str = ""
    effort: str = ""
    servers: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    rows_to_model: int | None = None
    max_iterations: int | None = None
    max_calls: int | None = None
    max_seconds: float | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    replay: bool = False


def check_name(name: str) -> str:
    """A name for `--into`; raises ConfigError."""
    if name and not name.isidentifier():
        raise ConfigError(f"--into needs a Python name, not {name!r}.")
    return name
