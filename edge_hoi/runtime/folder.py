"""Write an engine's folder atomically, never delete other files, and detect a stale engine."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from edge_hoi.errors import EngineError, ManifestError
from edge_hoi.hashing import sha256_of_file
from edge_hoi.runtime.manifest import MANIFEST_FILE, Manifest, read_manifest, write_manifest
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


def current_engine(folder: Path, built_from: Mapping[str, str], progress: Callable[[str], None]) -> Manifest | None:
    """Return the manifest of a folder's engine if it was built from `built_from`; None if it is missing, invalid or stale.

    Args:
        folder: The engine's folder.
        built_from: The inputs of the build, by name.
        progress: Called with the reason.
    """
    if not (folder / MANIFEST_FILE).exists():
        return None
    try:
        manifest = read_manifest(folder)
    except ManifestError as error:
        progress(f"the existing engine is invalid ({error}); building it again")
        return None
    changed = [name for name in sorted(built_from.keys() | manifest.built_from) if built_from.get(name) != manifest.built_from.get(name)]
    if changed:
        progress(f"the existing engine is stale (changed: {', '.join(changed)}); building it again")
        return None
    progress("the existing engine is up to date; keeping it")
    return manifest


def hash_files(folder: Path) -> dict[str, str]:
    """Return the hash of every file of a folder but the manifest, by relative path."""
    return {relative: sha256_of_file(path) for relative, path in files_below(folder).items() if relative != MANIFEST_FILE}


def finish_folder(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest with the hashes of the folder's files, and return it."""
    manifest = manifest.model_copy(update={"files": hash_files(folder)})
    write_manifest(folder, manifest)
    return manifest


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
