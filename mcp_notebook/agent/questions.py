"""What the person is asked before a call: the whole call, with every odd character visible."""

import json
from collections.abc import Mapping
from typing import Any


def question_text(server: str, tool: str, arguments: Mapping[str, Any], claims: str) -> str:
    """The question as plain text, for `input()`; a card shows the same call formatted."""
    lines = [f"Claude wants to call {server}.{tool} with"]
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
        lines.append(f"  {_visible(name)}: {_visible(text)}")
    return "\n".join([*lines, claims]).rstrip()


def _visible(text: str) -> str:
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
