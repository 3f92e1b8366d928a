"""Pieces of HTML with inline styles, for output that stays in a notebook.

Colours come from JupyterLab's variables where there are some, with middle greys that
read on white and on black.
"""

from __future__ import annotations

import base64
import binascii
import html
import re

from mcp_notebook.results.bounds import refuse_picture
from mcp_notebook.results.content import clean_svg
from mcp_notebook.untrusted_text import visible

# Untrusted text made fit to look at: nothing hidden, nothing that runs, nothing that
# loads from outside.
#
# Tool names, arguments, results and errors are shown with `visible` (untrusted_text)
# and `escape`, pictures with `picture`. Claude's prose goes through `safe_markdown`.


_SIGNATURES = {
    "image/png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    "image/jpeg": (b"\xff\xd8\xff", b"\xff\xd9"),
    "image/gif": (b"GIF8", b";"),
    "image/webp": (b"RIFF", b""),
}
MAX_IMAGE = 4_000_000  # characters of base64


def escape(text: str) -> str:
    """HTML of visible text, fit for element content and for quoted attributes; a dollar
    never starts a formula.
    """
    return html.escape(text, quote=True).replace("$", "<span>$</span>")


def picture(mime: str, data: str) -> str | None:
    """A `data:` URL when this is a whole raster image of an allowed type and of as many
    pixels as a page can hold, or a drawing made harmless; else None.
    """
    if mime.partition(";")[0].strip() == "image/svg+xml":
        return _clean_svg(data)
    if mime not in _SIGNATURES or len(data) > MAX_IMAGE:
        return None

    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return None

    start, end = _SIGNATURES[mime]
    whole = len(raw) > 24 and raw.startswith(start) and end in raw[-16:]
    if whole and not refuse_picture(raw):
        return f"data:{mime};base64,{data}"

    return None


def _clean_svg(data: str) -> str | None:
    """A drawing made harmless. As the source of an image nothing in it would run;
    opened alone, it would.
    """
    if len(data) > MAX_IMAGE:
        return None

    try:
        text = base64.b64decode(data, validate=True).decode("utf-8")
    except ValueError:
        return None

    clean = clean_svg(text)
    if clean is None:
        return None

    return f"data:image/svg+xml;base64,{base64.b64encode(clean).decode()}"


DIM = "color:var(--jp-content-font-color2,#808080)"
LINE = "var(--jp-border-color2,rgba(128,128,128,.35))"
SOFT = "rgba(128,128,128,.09)"
MONO = "font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,monospace)"
SANS = "font-family:var(--jp-ui-font-family,system-ui,sans-serif);font-size:13px;line-height:1.5"
BARE = f"background:none;padding:0;color:inherit;{MONO};font-size:12px"
FRAME = f"border:1px solid {LINE};overflow-x:auto;width:fit-content;max-width:100%"
PRE = (
    f"margin:0;padding:8px 10px;border-radius:4px;background:{SOFT};color:inherit;"
    f"{MONO};font-size:12px;"
    "line-height:1.5;white-space:pre-wrap;overflow-wrap:anywhere;max-height:300px;overflow:auto"
)
COLOURS = {
    "ok": "var(--jp-success-color1,#2e8b57)",
    "error": "var(--jp-error-color1,#d64545)",
    "approval": "var(--jp-warn-color1,#c77700)",
    "running": "var(--jp-brand-color1,#1976d2)",
}
# MathJax leaves elements of these classes alone: a cell of data is never a formula.
NO_MATH = ' class="tex2jax_ignore mathjax_ignore"'


def tag(name: str, inner: str, style: str = "", attributes: str = "") -> str:
    """One element; `inner` is HTML already, `attributes` begin with a space."""
    if style:
        styled = f' style="{style}"'
    else:
        styled = ""
    return f"<{name}{attributes}{styled}>{inner}</{name}>"


def code(inner: str, style: str = "") -> str:
    """Inline code without the box that front ends draw around it."""
    return tag("code", inner, f"{BARE};{style}" if style else BARE)


def dim(inner: str, style: str = "font-size:12px") -> str:
    """Quiet text; `<small>` says so where styles are dropped."""
    return tag("small", inner, f"{DIM};{style}")


# ---- Claude's prose, as markdown that cannot run code or load anything
#
# JupyterLab renders markdown of a trusted cell without sanitising it, and a remote image
# in it would carry data out (the EchoLeak class, CVE-2025-32711). What is code or a
# formula and what is prose is only guessed here, so every change is safe under both
# readings: in code a space is put after `<` and `!` (`a<b` -> `a< b`), in prose `<`
# becomes `&lt;`.

_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?<!`)(?P<tick>`+)(?!`)[^\n]*?[^`\n](?P=tick)(?!`)"
    r"|\$\$.+?\$\$|(?<![\\$])\$(?=\S)[^$\n]*?[\\^_{}=+*/][^$\n]*?(?<=\S)\$(?!\d)"
    r"|(?<![\\$])\$[A-Za-z]\$",
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


def safe_markdown(markdown: str) -> str:
    """Markdown without raw HTML, images, script links or TeX that loads; amounts in
    dollars stay text.
    """
    text = visible(markdown, lines=True)
    parts, at = [], 0
    for code in _CODE.finditer(text):
        parts += [_safe_prose(text[at : code.start()]), _safe_code(code[0])]
        at = code.end()

    return "".join([*parts, _safe_prose(text[at:])])


def _safe_code(text: str) -> str:
    return _safe_links(_TAG.sub("< ", text).replace("![", "! ["))


def _safe_prose(text: str) -> str:
    text = _AUTOLINK.sub(r"\1", text)
    text = _TAG.sub("&lt;", text).replace("![", "[")
    # MathJax looks at the finished page: only an element of its own keeps `$5 to $10`
    # from being a formula.
    return _DOLLAR.sub(r"<span>\\$</span>", _safe_links(text))


def _safe_links(text: str) -> str:
    return _TEX.sub(
        "",
        _TARGET.sub(lambda found: "]" if _is_harmless_link(found[1]) else "]\\", text),
    )


def _is_harmless_link(target: str) -> bool:
    plain = re.sub(r"[\x00-\x20\\]", "", html.unescape(target))
    scheme = _SCHEME.match(plain)
    return scheme is None or scheme[1].lower() in _ALLOWED
