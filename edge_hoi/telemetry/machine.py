"""The machine that a benchmark runs on: processor, GPUs, memory, and package versions."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edge_hoi.memory_limit import physical_memory

_INSTRUCTIONS = ("avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16")
_GPU_QUERY = "name,memory.total,driver_version,compute_cap"
_GPU_SECONDS = 10  # a hanging driver must not block the program


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine and its software.

    Attributes:
        processor: Product name of the CPU.
        cores: Logical cores.
        instructions: Its instruction sets that matter for speed.
        memory_gib: Main memory in GiB.
        gpus: A line for each NVIDIA GPU; see `nvidia_gpus`.
        python: Version of Python.
        versions: Version of each installed package, by name.
    """

    processor: str
    cores: int
    instructions: tuple[str, ...]
    memory_gib: float
    gpus: tuple[str, ...]
    python: str
    versions: dict[str, str]

    def describe(self) -> str:
        """Describe all in one line."""
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        instructions = " ".join(self.instructions) or "no listed instruction sets"
        gpus = "".join(f"; {gpu}" for gpu in self.gpus)
        return f"{self.processor}, {self.cores} logical cores, {instructions}{gpus}; Python {self.python}, {versions}"


def this_machine(packages: Iterable[str]) -> Machine:
    """Describe this machine, with the versions of those of `packages` that are installed."""
    return Machine(
        processor=processor_name(),
        cores=os.cpu_count() or 1,
        instructions=_instructions(),
        memory_gib=physical_memory() / 2**30,
        gpus=nvidia_gpus(),
        python=platform.python_version(),
        versions={package: version for package in packages if (version := installed_version(package))},
    )


def processor_name() -> str:
    """Return the product name of the CPU."""
    return next(iter(_cpu_info("model name")), "") or platform.processor() or platform.machine()


def installed_version(package: str) -> str | None:
    """Return the version of a distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def nvidia_gpus() -> tuple[str, ...]:
    """List each NVIDIA GPU with its memory, driver and compute capability; empty where `nvidia-smi` fails."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return ()
    try:
        result = subprocess.run(  # noqa: S603 -- the path was looked up, the arguments are fixed
            [command, f"--query-gpu={_GPU_QUERY}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=_GPU_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    rows = [[value.strip() for value in line.split(",")] for line in result.stdout.splitlines()]
    return tuple(f"{row[0]} with {row[1]}, driver {row[2]}, compute capability {row[3]}" for row in rows if len(row) == 4)


def _instructions() -> tuple[str, ...]:
    present = set(" ".join([*_cpu_info("flags"), *_cpu_info("Features")]).split())
    return tuple(name for name in _INSTRUCTIONS if name in present)


def _cpu_info(field: str) -> list[str]:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == field]
