"""Tables that come as Arrow: embedded in the result, or as a file in a directory that
we handed the server.
"""

import base64
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa

from mcp_notebook import results
from tests.benchmarks import data
from tests.benchmarks.parsing import read
from tests.benchmarks.suite import Benchmark, Candidates

ARROW = "application/vnd.apache.arrow.file"
_FOLDER = tempfile.TemporaryDirectory(prefix="mcp-notebook-benchmark-")


def _file(size: int) -> tuple[Path, str]:
    """The rows as an Arrow file and as JSON text."""
    text = data.records_text(size)
    path = Path(_FOLDER.name) / f"{size}.arrow"
    if not path.exists():
        table = (
            results.read({"content": [{"type": "text", "text": text}]}).tables[0].data
        )
        with (
            pa.OSFile(str(path), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
    return path, text


def _frame(result: dict, **options: object) -> pd.DataFrame:
    frame = results.to_dataframe(result, **options)
    assert frame is not None
    return frame


def blob(size: int) -> Candidates:
    path, text = _file(size)
    encoded = base64.b64encode(path.read_bytes()).decode()
    resource = {"uri": "table://t", "mimeType": ARROW, "blob": encoded}
    result = {"content": [{"type": "resource", "resource": resource}]}
    return {"ours": lambda: _frame(result), "the same as JSON text": lambda: read(text)}


def link(size: int) -> Candidates:
    path, text = _file(size)
    result = {
        "content": [
            {
                "type": "resource_link",
                "uri": path.as_uri(),
                "name": "t",
                "mimeType": ARROW,
            }
        ]
    }
    folders = (str(path.parent),)
    return {
        "ours": lambda: _frame(result, allowed_dirs=folders),
        "the same as JSON text": lambda: read(text),
    }


BENCHMARKS = (
    Benchmark("blob", "embedded Arrow (base64)", blob, 0.5),
    Benchmark("side-channel", "linked Arrow file, mapped", link, 0.01, size=1_000_000),
)
