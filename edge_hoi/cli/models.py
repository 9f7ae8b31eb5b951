"""`edge-hoi models`: list, pull and import published weights."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from edge_hoi.cli.engine_fetching import download_bar
from edge_hoi.cli.terminal import out, print_note
from edge_hoi.errors import CheckpointError, ConfigError, DownloadError, MissingDependencyError

if TYPE_CHECKING:
    from edge_hoi.hub import KnownModel
    from edge_hoi.model.identity import Identity

CLIP = "clip:"
_DATASETS = {"hico_det": "HICO-DET", "vcoco": "V-COCO"}
_SHOWN_TENSORS = 10

app = typer.Typer(
    help="Published weights: `models` lists them, `models pull` downloads them, `models import` converts a file into a checkpoint.",
    invoke_without_command=True,
)


@app.callback()
def models(context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List published weights with the figures that their authors report."""
    from edge_hoi.hub import known_models

    if context.invoked_subcommand:
        return
    if as_json:
        out.print_json(json.dumps([model.model_dump() for model in known_models()]))
        return
    table = Table("name", "description", "published, %", "source")
    for model in known_models():
        figures = ", ".join(f"{name} {value:.2f}" for name, value in model.figures.items())
        place = "`edge-hoi models pull`" if model.file else f"by hand: {model.page}"
        table.add_row(Text(model.name, "bold"), model.description, figures, place)
    out.print(table)
    out.print("CLIP's own weights come from open_clip: edge-hoi models pull clip:ViT-B-32-quickgelu/openai", soft_wrap=True)


@app.command("pull")
def pull(
    name: Annotated[
        str,
        typer.Argument(help="photo, the engine for real video; a name that `edge-hoi models` lists; or clip:MODEL/WEIGHTS of open_clip's."),
    ],
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Folder to download to: models/ where absent. For photo, the cache.")
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Download from this address instead, such as your own mirror.")] = None,
    detector: Annotated[
        str | None,
        typer.Option("--detector", help="For photo: n, pico or femto; the most accurate that is fast enough on this machine where absent."),
    ] = None,
    fps: Annotated[
        float | None, typer.Option("--fps", min=0.1, help="For photo: frames a second that are fast enough; 10 where absent.")
    ] = None,
    from_file: Annotated[Path | None, typer.Option("--from", help="For photo: the detector's file, fetched by other means.")] = None,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", help="Hash that the file must have, where the publisher gives none; of clip:, the hash that pull prints."),
    ] = None,
    allow_unverified: Annotated[
        bool, typer.Option("--allow-unverified", help="Take a file whose content no full hash is known of.")
    ] = False,
) -> None:
    """Download published weights; resumes an interrupted download.

    `photo` is fetched as a detector, verified, and built into the engine that `edge-hoi run` uses for real video. For weights without a
    direct address, prints the page to download them from by hand.

        edge-hoi models pull photo

        edge-hoi models pull detr-r50 --sha256 HASH
    """
    is_clip, is_photo = name.startswith(CLIP), name.partition("-")[0] == "photo"
    for_weights = {"--folder": folder, "--url": url, "--allow-unverified": allow_unverified}
    for_photo = {"--detector": detector, "--fps": fps, "--from": from_file}
    others = (for_photo if not is_photo else {"--sha256": sha256}) | (for_weights if is_clip or is_photo else {})
    if ignored := [option for option, value in others.items() if value]:
        where = "; it is kept in the cache, which XDG_CACHE_HOME moves, and EDGE_HOI_MIRROR names a mirror" if is_photo else ""
        raise ConfigError(f"{' and '.join(ignored)} cannot be used with {name}{where}")
    if is_clip:
        _pull_clip(name.removeprefix(CLIP), sha256)
    elif is_photo:
        _pull_photo(name, detector, from_file, fps)
    else:
        _pull_weights(name, folder or Path("models"), url, sha256, allow_unverified)


def _pull_photo(name: str, detector: str | None, from_file: Path | None, fps: float | None) -> None:
    """Fetch a detector, or take its file, and build its engine in the cache."""
    from edge_hoi.config import cache_folder, cache_home, is_offline
    from edge_hoi.hub import known_model
    from edge_hoi.pipeline.photo_engine import DEFAULT_FPS, PHOTO, bring_detector, obtain_photo_engine
    from edge_hoi.runtime import read_manifest

    if detector:
        name = f"{PHOTO}-{detector}"
    if name != PHOTO:
        known_model(name)
    if cache_folder() != cache_home():
        raise DownloadError(f"the cache {cache_home()} cannot be written; set XDG_CACHE_HOME to a folder that can")
    if from_file:
        built = bring_detector(from_file, name, note=print_note)
    else:
        with download_bar("fetching") as progress:
            built = obtain_photo_engine(
                name,
                may_fetch=not is_offline(),
                fps=fps or DEFAULT_FPS,
                note=print_note,
                progress=progress,
                chooses=name != PHOTO or fps is not None,
            )
    out.print(f"{built}: engine {read_manifest(built).name}", soft_wrap=True)
    out.print("    edge-hoi run --source VIDEO", soft_wrap=True)


def _pull_weights(name: str, folder: Path, url: str | None, sha256: str | None, allow_unverified: bool) -> None:
    from edge_hoi.config import is_offline, mirror
    from edge_hoi.hub import Pin, download, known_model

    model = known_model(name)
    address = url or model.file
    if address is None:
        raise DownloadError(
            f"{name} has no direct address: open {model.page} ({model.place}), download the file there, "
            f"then `edge-hoi models import FILE --as {name}`"
        )
    if is_offline():
        raise DownloadError(f"EDGE_HOI_OFFLINE forbids to fetch {name}; unset it, or fetch {address} elsewhere")
    path = folder / (Path(model.file).name if model.file else f"{name}.pth")
    if path.exists():
        raise ConfigError(f"{path} exists already; remove it to download it again")
    pin = Pin(sha256.lower()) if sha256 else model.pin
    if not pin.is_full and not allow_unverified:
        known = f"only {pin.sha256} of its hash is published" if pin.sha256 and not sha256 else "its full hash is not known"
        raise ConfigError(f"{name} cannot be verified: {known}; give --sha256 HASH, 64 digits, or --allow-unverified")
    if not url and (base := mirror()):
        address = f"{base.rstrip('/')}/{path.name}"
    print_note(f"licence: {model.licence} ({model.page})")
    with download_bar(path.name) as progress:
        download(address, path, pin=pin, progress=progress)
    out.print(f"{path}: {path.stat().st_size / 1e6:.1f} MB", soft_wrap=True)
    if model.kind == "hoiclip":
        out.print(f"    edge-hoi models import {path} --as {name}", soft_wrap=True)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A published HOICLIP checkpoint (.pth).")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File to write; default: the input file's name with .safetensors.")
    ] = None,
    as_name: Annotated[str | None, typer.Option("--as", help="The model's name in `edge-hoi models`, for the card.")] = None,
    variant: Annotated[
        str | None, typer.Option("--variant", help="The network's configuration by name, where it cannot be inferred from the tensors.")
    ] = None,
) -> None:
    """Convert a published checkpoint to edge-hoi's own format.

    Prints which model it is, and writes a card with origin, licence and published figures beside the result. Wrappers of
    training programs (DistributedDataParallel, torch.compile, Lightning, averages) are recognised. Only tensors are read; no code in
    the file can run. Needs `pip install '.[build]'` in a checkout of edge-hoi.

        edge-hoi models import hoiclip.pth --output models/hoiclip-hico.safetensors
    """
    MissingDependencyError.unless_installed("importing a checkpoint", ("torch", "torchvision", "open_clip"), "build")
    from edge_hoi.hashing import sha256_of_file
    from edge_hoi.hub import known_model, write_card
    from edge_hoi.model import VARIANTS, save_checkpoint
    from edge_hoi.model.checkpoint import checkpoint_from_published
    from edge_hoi.model.checkpoint_files import TensorMismatchError, is_safetensors, read_published
    from edge_hoi.model.identity import identify
    from edge_hoi.model.published_keys import is_unused
    from edge_hoi.overwriting import refuse_overwriting

    if variant is not None and variant not in VARIANTS:
        raise ConfigError(f"no model variant {variant!r}; known are {', '.join(VARIANTS)}")
    known = known_model(as_name) if as_name else None
    if is_safetensors(file):
        raise CheckpointError(f"{file}: expected a published .pth, got a .safetensors file; edge-hoi's own need no import")
    tensors, taken = read_published(file)
    identity = identify(tensors)
    try:
        checkpoint = checkpoint_from_published(tensors, VARIANTS[variant] if variant else None, source=str(file))
    except TensorMismatchError as error:
        _print_tensors("missing", error.missing)
        _print_tensors("unknown", error.unknown)
        raise
    candidates = _candidates(identity, known, file)
    output = output or file.with_suffix(".safetensors")
    card = output.with_suffix(".md")
    refuse_overwriting([("--output", output), ("the card", card)], [("the input", file)])
    output.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(checkpoint, output)
    facts = _facts(identity, checkpoint.model.config.num_queries) | {
        "imported from": f"{file.name}, sha256 {sha256_of_file(file)}",
        "dropped": f"{sum(map(is_unused, tensors))} of its {len(tensors)} tensors, which are unused",
        **({"taken": f"the weights {taken}"} if taken else {}),
        "this file": f"{output.name}, sha256 {sha256_of_file(output)}",
    }
    write_card(card, title=output.stem, facts=facts, models=candidates)
    for name, fact in facts.items():
        out.print(f"{name:>14}  {fact}", soft_wrap=True)
    out.print(f"          card  {card}", soft_wrap=True)


def _facts(identity: "Identity", num_queries: int) -> dict[str, str]:
    from edge_hoi.vocabulary import load_vocabulary

    total = len(load_vocabulary(identity.vocabulary))
    split = f"zero-shot {identity.split}: training saw {identity.num_seen} of {total}" if identity.split else f"all {total}"
    clip = identity.config.clip
    return {
        "model": f"HOICLIP with {num_queries} queries",
        "data set": _DATASETS[identity.vocabulary],
        "categories": split,
        "backbone": identity.backbone,
        "CLIP": clip if isinstance(clip, str) else "of the given variant",
    }


def _candidates(identity: "Identity", known: "KnownModel | None", file: Path) -> list["KnownModel"]:
    """Find the known weights that a file may be."""
    from edge_hoi.hub import known_models

    found = (identity.vocabulary, identity.split)
    if known is None:
        return [model for model in known_models() if model.kind == "hoiclip" and (model.dataset, model.split) == found]
    if (known.dataset, known.split) != found:
        expected, got = (
            f"{_DATASETS.get(dataset or '', 'no data set')}, {f'zero-shot {split}' if split else 'all categories'}"
            for dataset, split in ((known.dataset, known.split), found)
        )
        raise CheckpointError(f"{file}: expected {known.name} ({expected}), got {got}; omit --as, or download the other file")
    return [known]


def _print_tensors(what: str, names: tuple[str, ...]) -> None:
    for name in names[:_SHOWN_TENSORS]:
        print_note(f"{what}: {name}")
    if len(names) > _SHOWN_TENSORS:
        print_note(f"{what}: {len(names) - _SHOWN_TENSORS} more")


def _pull_clip(text: str, sha256: str | None) -> None:
    """Download weights into open_clip's cache, where `edge-hoi build` and training find them."""
    MissingDependencyError.unless_installed("downloading CLIP's weights", ["open_clip"], "build")
    from edge_hoi.config import is_offline
    from edge_hoi.model import build_clip, clip_weights_sha256

    name, slash, weights = text.partition("/")
    if not slash:
        raise ConfigError(f"expected clip:MODEL/WEIGHTS such as clip:ViT-B-32-quickgelu/openai, got clip:{text}")
    if is_offline():
        raise DownloadError(f"EDGE_HOI_OFFLINE forbids to fetch {CLIP}{text}; unset it")
    print_note("open_clip downloads the weights; without a network it fails after a minute")
    logging.disable()  # its hub logs each try twice; the error below reports the last
    try:
        clip = build_clip(name, pretrained=weights)
    except ConfigError:
        raise
    except Exception as error:  # open_clip's hubs raise any error
        reason = str(error).partition("\n")[0]
        raise DownloadError(f"open_clip cannot download {text}: {reason}; check the network and the access to open_clip's hub") from error
    finally:
        logging.disable(logging.NOTSET)
    found = clip_weights_sha256(clip)
    if sha256 and found != sha256.lower():
        raise DownloadError(f"{CLIP}{text}: expected weights of sha256 {sha256}, got {found}; remove them from open_clip's cache")
    out.print(f"{text}: downloaded to open_clip's cache; weights sha256 {found}", soft_wrap=True)
