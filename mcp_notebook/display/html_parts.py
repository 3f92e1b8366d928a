"""Pieces of HTML with inline styles, for output that stays in a notebook.

Colours come from JupyterLab's variables where there are some, with middle greys that
read on white and on black.
"""

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
