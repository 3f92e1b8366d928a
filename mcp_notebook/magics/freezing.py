"""`%mcp_freeze`: a run as plain cells that need no model."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring
from IPython.display import display

from mcp_notebook.notebook import output
from mcp_notebook.notebook.asker import takes_cells
from mcp_notebook.notebook.freeze_cells import Freeze, freeze
from mcp_notebook.notebook.state import Notebook


@magics_class
class FreezeMagics(Magics):
    """From conversation to code."""

    def __init__(self, shell: Any, notebook: Notebook) -> None:
        super().__init__(shell)
        self._notebook = notebook

    @no_var_expand
    @line_magic
    @magic_arguments()
    @argument(
        "names",
        nargs="*",
        help="tables: just what is needed to make these; without one, the last %%%%claude cell",
    )
    @argument(
        "--all-cells",
        action="store_true",
        help="every %%%%claude cell, and what was named by hand",
    )
    @argument(
        "--all",
        dest="everything",
        action="store_true",
        help="also calls that failed, looked around or are unused",
    )
    @argument(
        "--to",
        default="",
        help="write a new notebook or script, e.g. --to analysis.ipynb or --to analysis.py",
    )
    @argument("--force", action="store_true", help="with --to: replace the file")
    @argument(
        "--print",
        dest="show",
        action="store_true",
        help="show the script and put it nowhere",
    )
    @argument("--no-checks", action="store_true", help="leave the checks out")
    @argument(
        "--strict",
        action="store_true",
        help="a table that is not what it was is an error (the default)",
    )
    @argument(
        "--warn",
        action="store_true",
        help="a table that is not what it was is a warning",
    )
    @argument(
        "--include-writes",
        action="store_true",
        help="also run calls of tools that may change something",
    )
    @argument(
        "--with-answers", action="store_true", help="keep the model's words as a note"
    )
    @argument(
        "--with-data",
        action="store_true",
        help="with --to: keep the rows beside it, to show which ones change",
    )
    def mcp_freeze(self, line: str) -> None:
        """Turn what ran into plain cells without a model: calls, names and order as
        they were, and a check a table.
        """
        options = parse_argstring(self.mcp_freeze, line)
        wanted = Freeze(
            # magic_arguments keeps quotes, and names are often written with commas.
            names=tuple(name.strip("'\",") for name in options.names),
            all_cells=options.all_cells,
            everything=options.everything,
            to=options.to.strip("'\""),
            force=options.force,
            show=options.show,
            places=takes_cells(self._notebook.shell),
            checks=not options.no_checks,
            strict=not options.warn,
            include_writes=options.include_writes,
            answers=options.with_answers,
            data=options.with_data,
        )
        frozen = freeze(self._notebook, wanted)
        # Where no cell can be set the code would be lost: it is shown instead.
        if frozen.file is None and (wanted.show or not wanted.places):
            display(
                {
                    "text/markdown": _fence_source(frozen.source),
                    "text/plain": frozen.source,
                },
                raw=True,
            )
        # Not run: the person reads what was written before anything happens.
        elif frozen.file is None:
            self._notebook.shell.set_next_input(frozen.source, replace=False)

        output.show_line("\n".join(frozen.said))


def _fence_source(source: str) -> str:
    fence = "`" * 3
    while fence in source:
        fence += "`"
    return f"{fence}python\n{source}\n{fence}"
