"""The table of doors beside the modules: every name that users of a framework meet is there, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

from .test_reference import PYTHON, section

MIDDLEWARE = ROOT / "jwt_guard" / "middleware"
TABLES = section(PYTHON, "Doors")
GUARDING = {"GuardMiddleware", "GuardExtension", "GuardInterceptor", "JWTGuardAuthentication", "protected"}
"""A module that has one of these is a door."""
BENEATH = {
    "asgi": {"App", "Message", "Receive", "Scope", "Send", "answer", "at_sight", "can_deny", "decided"},
    "django": {"checks"},
    "starlette": {"place"},
    "wsgi": {"App", "Environ", "InContext", "StartResponse", "called", "is_past"},
}
"""What other doors are made of, and users do not meet."""


def public_names(file: Path) -> set[str]:
    """Return the ``__all__`` of *file*, without a need for the framework that it is for."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and "__all__" == ast.unparse(node.targets[0]):
            return set(ast.literal_eval(node.value))
    return set()


FILES = {file.stem: file for file in MIDDLEWARE.glob("[!_]*.py")} | {
    file.parent.name: file for file in MIDDLEWARE.glob("*/__init__.py")
}
DOORS = {
    door: names - BENEATH.get(door, set())
    for door, file in sorted(FILES.items())
    if (names := public_names(file)) & GUARDING
}


def lines() -> list[tuple[str, str]]:
    """Return the first cell of each row that begins with something in code, and the rest of the row."""
    return re.findall(r"^\| `([^`]+)` \|(.*)$", TABLES, re.MULTILINE)


def told_of(door: str) -> set[str]:
    """Return the names that the second table has for *door*."""
    return {name for name, rest in lines() if f"`{door}`" in rest.split("|")[0]}


def test_every_door_has_a_row_and_nothing_else_has() -> None:
    modules = [name.removeprefix("jwt_guard.middleware.") for name, _ in lines() if name.startswith("jwt_guard.")]

    assert len(DOORS) > 10
    assert sorted(DOORS) == sorted(modules)


@pytest.mark.parametrize("door", DOORS)
def test_every_name_of_a_door_that_users_meet_is_in_the_reference_and_no_other(door: str) -> None:
    row = dict(lines())[f"jwt_guard.middleware.{door}"]
    in_row = {name for name in DOORS[door] if re.search(rf"\b{name}\b", row)}

    assert in_row & GUARDING
    assert DOORS[door] == in_row | told_of(door)


@pytest.mark.parametrize("door", BENEATH)
def test_what_is_said_to_be_beneath_a_door_is_there(door: str) -> None:
    assert BENEATH[door] <= public_names(FILES[door])
