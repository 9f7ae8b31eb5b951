"""The faults of a soak: what happens to a camera, and what ends it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from edge_hoi.lab.soak.camera import FaultyCamera

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_JUMP_SECONDS = 3600.0

Fault = Callable[[FaultyCamera], AbstractContextManager[None]]


def faults(clip: Path, other_clip: Path, random: Random) -> dict[str, Fault]:
    """Return the faults by name; each is a context that lasts as long as the fault.

    Args:
        clip: What the cameras show.
        other_clip: The same in another resolution.
        random: Chooses by how much time stamps jump.
    """
    return {
        "cut": _cut,
        "power off": _power_off,
        "silence": partial(_with, is_silent=True),
        "lost frames": partial(_with, lost=0.3),
        "bit flips": partial(_with, flipped=0.3),
        "jump of time stamps": partial(_jump, random=random),
        "password changed": _change_password,
        "too many viewers": _too_many_viewers,
        "other resolution": partial(_other_resolution, clip=clip, other=other_clip),
    }


@contextmanager
def _with(camera: FaultyCamera, **values: float) -> "Iterator[None]":
    before = {name: getattr(camera.faults, name) for name in values}
    for name, value in values.items():
        setattr(camera.faults, name, value)
    yield
    for name, value in before.items():
        setattr(camera.faults, name, value)


@contextmanager
def _cut(camera: FaultyCamera) -> "Iterator[None]":
    camera.cut()
    yield


@contextmanager
def _power_off(camera: FaultyCamera) -> "Iterator[None]":
    camera.stop()
    yield
    camera.start()


@contextmanager
def _jump(camera: FaultyCamera, random: Random) -> "Iterator[None]":
    camera.faults.jump_seconds += random.uniform(-_MOST_JUMP_SECONDS, _MOST_JUMP_SECONDS)  # for good
    yield


@contextmanager
def _change_password(camera: FaultyCamera) -> "Iterator[None]":
    password, camera.password = camera.password, "another one"
    camera.cut()
    yield
    camera.password = password


@contextmanager
def _too_many_viewers(camera: FaultyCamera) -> "Iterator[None]":
    camera.faults.answers["DESCRIBE"] = 453
    camera.cut()
    yield
    camera.faults.answers.clear()


@contextmanager
def _other_resolution(camera: FaultyCamera, clip: Path, other: Path) -> "Iterator[None]":
    camera.show(other)
    yield
    camera.show(clip)
