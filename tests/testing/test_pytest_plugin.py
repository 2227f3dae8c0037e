"""A pytest session in a process of its own → fixtures for whoever names them, and nothing for everybody else."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from textwrap import dedent

import grimp
import pytest

import jwt_guard.testing
from benchmarks import imports
from jwt_guard import verify
from jwt_guard.testing import Clock, LocalIssuer, ServedIssuer, pytest_plugin

ROOT = Path(__file__).parents[2]
STRICT = ("-q", "-p", "no:cacheprovider", "-W", "error", "--strict-markers", "--strict-config")
OURS = "jwt_guard.testing.pytest_plugin"

FILES = {
    "test_it.py": """
        import pytest

        from jwt_guard import averify, verify
        from jwt_guard.errors import Expired


        def test_in_process(jwt_guard_issuer, jwt_guard_clock):
            guard, token = jwt_guard_issuer.guard(), jwt_guard_issuer.token(lifetime=60)
            assert verify(guard, token).user == "ada"
            jwt_guard_clock.forward(90)
            with pytest.raises(Expired):
                verify(guard, token)


        def test_over_http(jwt_guard_http_issuer, jwt_guard_issuer, jwt_guard_clock):
            assert jwt_guard_http_issuer.clock is jwt_guard_issuer.clock is jwt_guard_clock
            assert verify(jwt_guard_http_issuer.guard(), jwt_guard_http_issuer.token()).user == "ada"
            assert jwt_guard_http_issuer.requests["/jwks"] == 1


        @pytest.mark.anyio
        async def test_in_async_code(jwt_guard_http_issuer):
            guard = jwt_guard_http_issuer.guard()
            assert (await averify(guard, jwt_guard_http_issuer.token())).user == "ada"


        SEEN = set()


        @pytest.mark.parametrize("number", range(2))
        def test_each_test_has_its_own(number, jwt_guard_issuer):
            assert jwt_guard_issuer.key.kid not in SEEN
            SEEN.add(jwt_guard_issuer.key.kid)
    """,
    "test_the_end.py": """
        import threading

        from jwt_guard.testing import faults


        def test_one(jwt_guard_http_issuer):
            jwt_guard_http_issuer.fault = faults.hang()


        def test_other():
            assert "local issuer" not in [thread.name for thread in threading.enumerate()]
    """,
    "own/conftest.py": """
        import pytest

        from jwt_guard.testing import LocalIssuer


        @pytest.fixture
        def jwt_guard_issuer(jwt_guard_clock):
            return LocalIssuer("https://id.example", audience="orders", alg="EdDSA", clock=jwt_guard_clock)
    """,
    "own/test_own.py": """
        def test_one_issuer_of_ones_own_is_in_all_fixtures(jwt_guard_issuer, jwt_guard_http_issuer):
            assert jwt_guard_issuer.url == "https://id.example"
            assert jwt_guard_http_issuer.audience == "orders"
            assert jwt_guard_http_issuer.key.alg == "EdDSA"
    """,
}
PASSED = "9 passed"
"""anyio runs the async one on asyncio and on trio."""
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
    return tmp_path


def session(folder: Path, *arguments: str, before: str = "", **environment: str) -> tuple[int, str]:
    """Return how a session in *folder* ends, and what it says; *before* is what its program does first."""
    program = f"import sys\n{before}\nimport pytest\nsys.exit(pytest.main(sys.argv[1:]))"
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    ran = subprocess.run(
        [sys.executable, "-c", program, *STRICT, *arguments], cwd=folder, env={**outer, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    return ran.returncode, ran.stdout


def test_pytest_finds_it() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    (found,) = entry_points(group="pytest11", name="jwt_guard")

    assert {"pytest11": {"jwt_guard": OURS}} == declared
    assert pytest_plugin is found.load()


def test_whoever_names_a_fixture_has_it_without_any_set_up(project: Path) -> None:
    status, said = session(project)

    assert 0 == status, said
    assert PASSED in said


def test_it_goes_along_with_xdist(project: Path) -> None:
    status, said = session(project, "-p", "jwt_guard", "-p", "anyio", "-p", "xdist", "-n", "2", **ALONE)

    assert 0 == status, said
    assert PASSED in said


def test_without_it_there_are_no_fixtures(project: Path) -> None:
    status, said = session(project, "test_the_end.py", **ALONE)

    assert 1 == status
    assert "fixture 'jwt_guard_http_issuer' not found" in said


def test_a_session_that_imported_jwt_guard_before_pytest_is_not_warned(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    status, said = session(tmp_path, before="import jwt_guard")

    assert 0 == status, said


def test_it_brings_nothing_into_a_session_but_itself(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\nfrom pathlib import Path\n\n"
        "def test_it():\n    Path('loaded').write_text(' '.join(sys.modules), encoding='utf-8')\n",
        encoding="utf-8",
    )
    loaded: list[set[str]] = []
    for arguments in ((), ("-p", "jwt_guard")):
        status, said = session(tmp_path, *arguments, **ALONE)

        assert 0 == status, said
        loaded.append(set((tmp_path / "loaded").read_text(encoding="utf-8").split()))

    assert {"jwt_guard", "jwt_guard.testing", OURS} == loaded[1] - loaded[0]


def test_it_costs_a_session_next_to_nothing() -> None:
    name = "pytest: our plugin"

    assert imports.GOALS[name] >= imports.added(3, name)[name]


def test_fixtures_are_made_of_what_everybody_may_use(
    jwt_guard_clock: Clock, jwt_guard_issuer: LocalIssuer, jwt_guard_http_issuer: ServedIssuer
) -> None:
    assert isinstance(jwt_guard_clock, Clock)
    assert jwt_guard_clock is jwt_guard_issuer.clock
    assert jwt_guard_issuer.keyring is jwt_guard_http_issuer.keyring
    assert "ada" == verify(jwt_guard_http_issuer.guard(), jwt_guard_http_issuer.token()).user


# --- who imports whom --------------------------------------------------------------------------------


def test_nothing_else_imports_pytest_and_nothing_imports_what_is_for_tests() -> None:
    graph = grimp.build_graph("jwt_guard", include_external_packages=True, cache_dir=None)
    rooms = {name for name in graph.modules if name.startswith("jwt_guard.testing")}
    from_outside = {
        (importer, room) for room in rooms for importer in graph.find_modules_that_directly_import(room)
    }  # fmt: skip

    assert {OURS} == graph.find_modules_that_directly_import("pytest")
    assert set() == {(importer, room) for importer, room in from_outside if importer not in rooms}


def test_each_room_but_the_plugin_loads_where_there_is_no_pytest() -> None:
    names = [f"jwt_guard.testing.{module.name}" for module in pkgutil.iter_modules(jwt_guard.testing.__path__)]
    others = [name for name in names if name != OURS]
    program = (
        "import importlib, sys\nsys.modules['pytest'] = None\n"
        "for name in sys.argv[1:]:\n    importlib.import_module(name)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, *others], capture_output=True, text=True, check=False)

    assert len(names) - 1 == len(others) > 5
    assert 0 == ran.returncode, ran.stderr


@pytest.mark.parametrize("name", jwt_guard.testing.__all__)
def test_each_name_is_at_the_front_door(name: str) -> None:
    program = f"from jwt_guard.testing import {name}\nimport jwt_guard.testing as t\nassert t.{name} is {name}"
    subprocess.run([sys.executable, "-c", program], check=True)

    assert name in dir(jwt_guard.testing)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'pytest'"):
        _ = jwt_guard.testing.pytest  # type: ignore[attr-defined]  # that is the question  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    assert importlib.import_module("jwt_guard.testing.faults") is jwt_guard.testing.faults
