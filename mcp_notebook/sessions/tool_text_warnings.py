"""What is odd in a tool's own words, for the person to judge: such words go to the
model as they are.

These are hints and no guard: nothing is allowed or refused because of them. Cases:
Invariant Labs and CyberArk on tool poisoning, Trail of Bits on hidden characters.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping

from mcp_notebook.sessions.tools import ToolInfo

ORDERS = re.compile(
    r"<\s*/?\s*(?:important|system|secret|instructions?|admin)\s*>"
    r"|\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:the\s+)?(?:previous|prior|above|other)\b"
    r"|\b(?:do\s+not|don't|never)\s+(?:tell|mention|inform|show|reveal)\b[^.]{0,40}\b(?:user|person|human)\b"
    r"|\bbefore\s+(?:using|calling)\b[^.]{0,60}\b(?:read|send|open)\s+(?:the\s+|your\s+|all\s+)?(?:files?|secrets?|keys?)\b"
    r"|~/\.(?:ssh|aws|env|config|netrc)|\bid_rsa\b|/etc/passwd",
    re.IGNORECASE,
)
# letters of another server's tool name that is looked for; shorter ones are ordinary
# words
LEAST = 5


def suspicions(
    tools: Iterable[ToolInfo], others: Mapping[str, Iterable[str]]
) -> list[str]:
    """One line for each tool with something odd; `others`: the tool names of the other
    connected servers.
    """
    named = {
        tool: server
        for server, tools_ in others.items()
        for tool in tools_
        if _is_telling(tool)
    }
    found = []
    for tool in tools:
        words = json.dumps(tool.definition, ensure_ascii=False)
        reasons = [
            *(
                ["has characters that cannot be seen"]
                if _has_hidden_letters(words)
                else []
            ),
            *(
                [f"gives orders in its description ({order[0][:40]!r})"]
                if (order := ORDERS.search(words))
                else []
            ),
            *_names_others(tool, words, named),
        ]
        if reasons:
            found.append(
                f"tool {tool.name!r} "
                f"{' and '.join(reasons)}; look at it with %mcp_tools {tool.server}"
            )

    return found


def _names_others(tool: ToolInfo, words: str, named: Mapping[str, str]) -> list[str]:
    hits = [
        other
        for other in named
        if other != tool.name and re.search(rf"(?<!\w){re.escape(other)}(?!\w)", words)
    ]
    if hits:
        return [f"names {named[hits[0]]}.{hits[0]}, a tool of another server"]

    return []


def _is_telling(name: str) -> bool:
    return len(name) >= LEAST and bool(re.search(r"[_\-.]|[a-z][A-Z]", name))


def _has_hidden_letters(words: str) -> bool:
    unescaped = words.replace("\\u001b", "\x1b")
    kinds = {letter: unicodedata.category(letter) for letter in set(unescaped)}
    return any(
        kind in ("Cf", "Co") or letter == "\x1b"
        for letter, kind in kinds.items()
        if letter not in "\u200c\u200d\ufeff"
    )
