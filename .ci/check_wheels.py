"""Check that every runtime dependency has a wheel for each supported Python and machine; write the table into docs/installation.md.

    python .ci/check_wheels.py            # write the table
    python .ci/check_wheels.py --check    # report only; exit code 1 if a wheel is missing

pip resolves `[project].dependencies` of pyproject.toml for each target as it would on that machine. It downloads metadata,
not wheels, where the index serves metadata. This takes some three minutes.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "installation.md"
BEGIN, END = "<!-- wheels: begin (written by .ci/check_wheels.py) -->", "<!-- wheels: end -->"
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")
GLIBC_MINOR = 35  # of Ubuntu 22.04 and JetPack 6; what runs there runs on anything newer
MISSING = "missing"


@dataclass(frozen=True)
class Target:
    """A Python version on a machine."""

    python: str
    machine: str

    @property
    def environment(self) -> dict[str, str]:
        """Values of the environment markers on this target."""
        return {
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "platform_machine": self.machine,
            "platform_system": "Linux",
            "sys_platform": "linux",
            "os_name": "posix",
            "extra": "",
        }

    @property
    def pip_options(self) -> list[str]:
        """Options that make pip resolve for this target."""
        tags = [f"manylinux_2_{minor}_{self.machine}" for minor in range(GLIBC_MINOR, 4, -1)]
        tags += [f"{legacy}_{self.machine}" for legacy in ("manylinux2014", "manylinux2010", "manylinux1")]
        return ["--python-version", self.python, *(f"--platform={tag}" for tag in tags)]


@dataclass(frozen=True)
class Resolved:
    """The version that pip chose, and the glibc that its wheel needs (minor version, 0 for none)."""

    version: str
    glibc_minor: int


def runtime_requirements(target: Target) -> list[Requirement]:
    """Read the runtime dependencies of pyproject.toml that hold on a target, without their markers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(line) for line in project["dependencies"]]
    chosen = [requirement for requirement in requirements if requirement.marker is None or requirement.marker.evaluate(target.environment)]
    for requirement in chosen:
        requirement.marker = None
    return chosen


def pip_report(requirements: list[str], target: Target) -> list[dict] | None:
    """Return what pip would install, or None where a wheel is missing."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--only-binary=:all:", "--quiet"]
        command += ["--no-input", "--disable-pip-version-check", "--target", f"{folder}/target", "--report", str(report)]
        outcome = subprocess.run([*command, *target.pip_options, *requirements], capture_output=True, text=True, check=False)
        if outcome.returncode == 0:
            return json.loads(report.read_text(encoding="utf-8"))["install"]
    if re.search(r"No matching distribution|ResolutionImpossible|Could not find a version", outcome.stderr):
        return None
    sys.exit(f"pip failed for Python {target.python} on {target.machine}:\n{outcome.stderr}")


def glibc_minor(filename: str) -> int:
    """Return the lowest glibc 2.x that a wheel's tags accept."""
    legacy = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
    found = []
    for tag in parse_wheel_filename(filename)[3]:
        if match := re.match(r"manylinux_2_(\d+)_", tag.platform):
            found.append(int(match[1]))
        elif (name := tag.platform.split("_")[0]) in legacy:
            found.append(legacy[name])
    return min(found, default=0)


def resolve(requirements: list[Requirement], target: Target) -> dict[str, Resolved] | None:
    """Resolve requirements and what they need for a target.

    pip evaluates environment markers for the interpreter that runs it. So requirements that hold on the target only are found
    in the metadata and added until none is new.
    """
    wanted = [str(requirement) for requirement in requirements]
    while True:
        installs = pip_report(wanted, target)
        if installs is None:
            return None
        found = {canonicalize_name(item["metadata"]["name"]): item for item in installs}
        needed = [Requirement(line) for item in installs for line in item["metadata"].get("requires_dist", [])]
        new = [
            f"{requirement.name}{requirement.specifier}"
            for requirement in needed
            if (requirement.marker is None or requirement.marker.evaluate(target.environment))
            and canonicalize_name(requirement.name) not in found
        ]
        if not new:
            break
        wanted += sorted(set(new))
    return {
        name: Resolved(item["metadata"]["version"], glibc_minor(item["download_info"]["url"].rsplit("/", 1)[1]))
        for name, item in found.items()
    }


def resolve_or_name_missing(requirements: list[Requirement], target: Target) -> tuple[dict[str, Resolved], list[str]]:
    """Resolve a target; where that fails, return the dependencies without a wheel, and the resolution of the rest."""
    resolved = resolve(requirements, target)
    if resolved is not None:
        return resolved, []
    missing = [requirement for requirement in requirements if resolve([requirement], target) is None]
    if not missing:
        sys.exit(f"the dependencies exclude each other on Python {target.python}, {target.machine}")
    rest = resolve([requirement for requirement in requirements if requirement not in missing], target)
    if rest is None:
        sys.exit(f"the remaining dependencies exclude each other on Python {target.python}, {target.machine}")
    return rest, [canonicalize_name(requirement.name) for requirement in missing]


def version_of(results: dict[Target, dict[str, Resolved]], missing: dict[Target, list[str]], name: str, python: str) -> str:
    """Format one cell: a version if both machines have it, each machine's own where they differ."""
    versions = {}
    for machine in MACHINES:
        target = Target(python, machine)
        resolved = results[target].get(name)
        versions[machine] = MISSING if name in missing[target] else resolved.version if resolved else ""
    if len(set(versions.values())) == 1:
        return versions[MACHINES[0]] or "not needed"
    return ", ".join(f"{machine}: {version or 'not needed'}" for machine, version in versions.items())


def table(direct: list[str], results: dict[Target, dict[str, Resolved]], missing: dict[Target, list[str]]) -> str:
    """Format the table in Markdown."""
    names = {name for resolved in results.values() for name in resolved}
    today = datetime.now(tz=timezone.utc).date()
    lines = [
        f"Checked on {today}: the newest versions that pip resolves together, wheels only, glibc up to 2.{GLIBC_MINOR}.",
        "",
        f"| package | {' | '.join(PYTHONS)} | {' | '.join(MACHINES)} |",
        f"|---|{'---|' * (len(PYTHONS) + len(MACHINES))}",
    ]
    for name in [*direct, *sorted(names - set(direct))]:
        cells = [version_of(results, missing, name, python) for python in PYTHONS]
        for machine in MACHINES:
            targets = [Target(python, machine) for python in PYTHONS]
            without = [target.python for target in targets if name in missing[target]]
            glibc = max((results[target][name].glibc_minor for target in targets if name in results[target]), default=0)
            cells.append(f"{MISSING} on {', '.join(without)}" if without else f"ok, glibc 2.{glibc}" if glibc else "ok")
        lines.append(f"| {name if name in direct else f'*{name}*'} | {' | '.join(cells)} |")
    lines += ["", "In italics: what the runtime dependencies bring. `glibc`: the lowest version that the wheels of that machine run on."]
    return "\n".join(lines)


def main() -> None:
    """Resolve every target and write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="do not write docs/installation.md")
    only_check = parser.parse_args().check
    direct: set[str] = set()
    results: dict[Target, dict[str, Resolved]] = {}
    missing: dict[Target, list[str]] = {}
    for target in [Target(python, machine) for python in PYTHONS for machine in MACHINES]:
        requirements = runtime_requirements(target)
        direct |= {canonicalize_name(requirement.name) for requirement in requirements}
        results[target], missing[target] = resolve_or_name_missing(requirements, target)
        print(f"Python {target.python} on {target.machine}: {', '.join(missing[target]) or 'nothing'} missing", flush=True)
    text = table(sorted(direct), results, missing)
    if only_check:
        print(text)
    else:
        page = PAGE.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        _, found, after = rest.partition(END)
        if not found:
            sys.exit(f"{PAGE} lacks the lines {BEGIN} and {END}")
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    sys.exit(1 if any(missing.values()) else 0)


if __name__ == "__main__":
    main()
