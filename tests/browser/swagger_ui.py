"""The pages that FastAPI's ``/docs`` loads from a CDN → the same from npm; run with -m, it fetches the package."""

import subprocess
import sys
from pathlib import Path

from tests.live.node import npm, packages_installed

__all__ = ["HERE", "PAGES", "install", "installed"]

HERE = Path(__file__).parent
PAGES = HERE / "node_modules" / "swagger-ui-dist"


def installed() -> bool:
    """Say whether they are there in the version asked for."""
    return packages_installed(HERE)


def install() -> int:
    """Fetch them, and run nothing that comes with them; return the status of npm."""
    return subprocess.run([*npm(), "ci", "--ignore-scripts", "--silent"], cwd=HERE, check=False).returncode


if __name__ == "__main__":
    sys.exit(install())
