"""Write an engine's folder atomically, and never delete other files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edge_hoi.errors import EngineError, ManifestError
from edge_hoi.runtime import read_manifest
from edge_hoi.runtime.manifest import MANIFEST_FILE
from edge_hoi.unfinished import writing_folder


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yield a new folder to fill, which replaces `folder` when the block ends without an error.

    Raises:
        EngineError: `folder` is neither missing nor empty nor an engine's, so that files would be lost.
        OSError: The new folder beside it is not writable.
    """
    _refuse_foreign(folder)
    with writing_folder(folder) as new:
        yield new


def files_below(folder: Path) -> dict[str, Path]:
    """List every file of a folder by relative path with forward slashes, in order."""
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if not path.is_dir()}


def order_metadata(path: Path) -> None:
    """Sort the metadata of a safetensors file, which the library writes in random order."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
        assert len(text) == length
        file.seek(8)
        file.write(text)


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    try:
        listed = {MANIFEST_FILE, *read_manifest(folder, verify=False).files}
    except ManifestError as error:
        raise EngineError(f"{folder} exists and is not an engine's folder; name another one, or remove it") from error
    for name in files_below(folder):
        if name not in listed:
            raise EngineError(
                f"{folder / name} does not belong to the existing engine and would be lost; move it away, or name another folder"
            )
