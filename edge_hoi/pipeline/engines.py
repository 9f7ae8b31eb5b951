"""Finding engines by name."""

import difflib
from collections.abc import Callable
from pathlib import Path

from edge_hoi.errors import EngineError
from edge_hoi.runtime import Engine, Manifest
from edge_hoi.runtime.manifest import MANIFEST_FILE

_PACKAGE = Path(__file__).resolve().parent.parent


def engine_homes() -> tuple[Path, ...]:
    """List the folders that engines are looked for in, first come first served.

    `engines/` of the current folder, the installed package's own, and, in a checkout, `engines/` beside the package.
    """
    return (Path.cwd() / "engines", _PACKAGE / "engines", _PACKAGE.parent / "engines")


def engine_folder(name_or_path: str) -> Path:
    """Find an engine's folder.

    Args:
        name_or_path: A folder with a manifest, or a name in one of `engine_homes`.

    Raises:
        EngineError: There is none; the nearest known name is told.
    """
    path = Path(name_or_path).expanduser()
    candidates = [path, *(home / name_or_path for home in engine_homes())]
    for candidate in candidates:
        if (candidate / MANIFEST_FILE).is_file():
            return candidate
    if path.is_dir():
        raise EngineError(f"{path} is a folder without {MANIFEST_FILE}, so no engine; make one with `edge-hoi build`")
    known = sorted({found.parent.name for home in engine_homes() for found in home.glob(f"*/{MANIFEST_FILE}")})
    near = difflib.get_close_matches(name_or_path, known, n=1)
    mend = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(known) or 'none'}; `edge-hoi build` makes one"
    raise EngineError(f"no engine {name_or_path!r}: neither a folder nor a name in engines/; {mend}")


def caution_of(manifest: Manifest) -> str | None:
    """Say what a person must know before believing what an engine reports.

    Args:
        manifest: The engine's.

    Returns:
        One line; None if there is nothing to say.
    """
    if not manifest.is_trained:
        return f"engine {manifest.name!r} is UNTRAINED: it shows that everything runs; what it reports means nothing"
    return f"engine {manifest.name!r} {manifest.caution}" if manifest.caution else None


def with_precision_noted(engine: Engine, note: Callable[[str], None]) -> Engine:
    """Say so if an engine runs in another precision here than it was built in.

    Args:
        engine: The engine.
        note: Is told.

    Returns:
        The engine.
    """
    built_in = engine.manifest.precision
    if engine.precision != built_in:
        note(f"engine {engine.manifest.name!r} was built in {built_in} and runs in {engine.precision} here; `edge-hoi doctor` says why")
    return engine
