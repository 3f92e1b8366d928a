r"""Claude's prose as markdown that cannot run code or load anything.

JupyterLab renders markdown of a trusted cell without sanitising it, and a remote image
in it would carry data out (the EchoLeak class, CVE-2025-32711). What is code or a
formula and what is prose is only guessed here, so every change is safe under both
readings: in code a space is put after `<` and `!` (`a<b` -> `a< b`), in prose `<`
becomes `&lt;`.
"""

import html
import re

from mcp_notebook.untrusted_text import visible

_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<tick>`+)(?!`)[^\n]*?[^`\n](?P=tick)(?!`)"
    r"|\$\$.+?\$\$|(?<![\\$])\$(?=\S)[^$\n]*?[\\^_{}=+*/][^$\n]*?(?<=\S)\$(?!\d)|(?<![\\$])\$[A-Za-z]\$",
    re.M | re.S,
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_AUTOLINK = re.compile(r"<(https?://[^\s<>]+)>")
_TARGET = re.compile(r"\](?=[(:]\s*<?([^\s)]{0,400}))")
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.I)
_TEX = re.compile(
    r"\\(?=(?:require|style|href|class|cssId|data|unicode|includegraphics)\b)"
)
_DOLLAR = re.compile(r"\\?\$")
_ALLOWED = {"http", "https", "mailto"}


def prose(markdown: str) -> str:
    """Markdown without raw HTML, images, script links or TeX that loads; amounts in
    dollars stay text.
    """
    text = visible(markdown, lines=True)
    parts, at = [], 0
    for code in _CODE.finditer(text):
        parts += [_prose(text[at : code.start()]), _code(code[0])]
        at = code.end()
    return "".join([*parts, _prose(text[at:])])


def _code(text: str) -> str:
    return _links(_TAG.sub("< ", text).replace("![", "! ["))


def _prose(text: str) -> str:
    text = _AUTOLINK.sub(r"\1", text)
    text = _TAG.sub("&lt;", text).replace("![", "[")
    # MathJax looks at the finished page: only an element of its own keeps `$5 to $10`
    # from being a formula.
    return _DOLLAR.sub(r"<span>\\$</span>", _links(text))


def _links(text: str) -> str:
    return _TEX.sub(
        "", _TARGET.sub(lambda found: "]" if _harmless(found[1]) else "]\\", text)
    )


def _harmless(target: str) -> bool:
    plain = re.sub(r"[\x00-\x20\\]", "", html.unescape(target))
    scheme = _SCHEME.match(plain)
    return scheme is None or scheme[1].lower() in _ALLOWED
