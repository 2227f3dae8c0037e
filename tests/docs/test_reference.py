"""The reference pages beside the code: what the code knows is on the page, with the default that it really has."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
import jwt_guard.testing
from jwt_guard import (
    ClaimNames,
    Guard,
    KeySettings,
    KeyState,
    Limits,
    Memory,
    Misconfigured,
    Provider,
    Resolver,
    errors,
)
from jwt_guard.cli import commands, main
from jwt_guard.config import load, providers
from jwt_guard.fhir import server as fhir
from jwt_guard.fhir.configuration import SmartConfiguration
from jwt_guard.testing import FLAWS, Clock, Exchange, LocalIssuer, ServedIssuer, faults, pytest_plugin
from tests.docs.pages import ROOT

REFERENCE = ROOT / "docs" / "reference"
PYTHON = (REFERENCE / "python-api.md").read_text(encoding="utf-8")
CONFIGURATION = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
COMMANDS = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
ERRORS = (REFERENCE / "errors-and-answers.md").read_text(encoding="utf-8")
TESTING = (REFERENCE / "testing.md").read_text(encoding="utf-8")

NONE = "\N{EN DASH}"
"""What stands in a table where there is nothing."""
A_PROVIDER = '[providers.p]\nissuer = "https://id.example"\naudience = "a"\n'
A_FHIR = '[fhir]\nupstream = "http://127.0.0.1/fhir"\nbase = "https://api.example/fhir"\n'
UNKNOWN = "qqqqqqqqqqqqqqqq"
"""A key so strange that the answer is the list of all that are known."""
PLACES = {
    "The file itself": f"{UNKNOWN} = 1\n{A_PROVIDER}",
    "Providers": f"{A_PROVIDER}{UNKNOWN} = 1\n",
    "Claims of a provider": f"{A_PROVIDER}[providers.p.claims]\n{UNKNOWN} = 1\n",
    "Routes": f'{A_PROVIDER}[[routes]]\npath = "/x"\n{UNKNOWN} = 1\n',
    "Keys": f"{A_PROVIDER}[keys]\n{UNKNOWN} = 1\n",
    "Store": f"{A_PROVIDER}[store]\n{UNKNOWN} = 1\n",
    "Memory": f"{A_PROVIDER}[memory]\n{UNKNOWN} = 1\n",
    "Limits": f"{A_PROVIDER}[limits]\n{UNKNOWN} = 1\n",
    "Routes from OpenAPI": f'{A_PROVIDER}[[routes]]\nopenapi = "x.json"\n{UNKNOWN} = 1\n',
    "Shadow": f"{A_PROVIDER}[shadow]\n{UNKNOWN} = 1\n",
    "Audit": f"{A_PROVIDER}{A_FHIR}[audit]\n{UNKNOWN} = 1\n",
    "FHIR": f"{A_PROVIDER}{A_FHIR}{UNKNOWN} = 1\n",
    "FHIR limits": f"{A_PROVIDER}{A_FHIR}[fhir.limits]\n{UNKNOWN} = 1\n",
    "SMART configuration": f"{A_PROVIDER}{A_FHIR}[fhir.smart]\n{UNKNOWN} = 1\n",
}


def section(page: str, heading: str) -> str:
    """Return what stands below *heading*, up to the next one that is as high or higher."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n", page, re.MULTILINE)

    assert found, heading
    rest = page[found.end() :]
    following = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: following.start()] if following else rest


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of the tables in *text* that begin with something in code, by that."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if cells := re.findall(r"(?<=\|)((?:`[^`]*`|[^|`])*)(?=\|)", line):
            first = re.fullmatch(r"`([^`]+)`", cells[0].strip())
            if first:
                found[first[1]] = [cell.strip().strip("`") for cell in cells[1:]]
    return found


def known_keys(text: str, folder: Path) -> set[str]:
    """Return the keys that the code itself says it knows, when it is given one that it does not."""
    file = folder / "guard.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured) as caught:
        jwt_guard.load(file)
    _, found, names = str(caught.value).partition("known here: ")

    assert found, str(caught.value)
    return set(names.split(", "))


@pytest.mark.parametrize("name", jwt_guard.__all__)
def test_every_name_of_the_front_door_is_in_the_reference(name: str) -> None:
    assert re.search(rf"`{name}\b", PYTHON), name


@pytest.mark.parametrize("heading", PLACES)
def test_every_key_of_a_guard_file_is_in_the_reference_and_no_other(heading: str, tmp_path: Path) -> None:
    keys = known_keys(PLACES[heading], tmp_path)
    place = section(CONFIGURATION, heading)
    if heading in {"Providers", "FHIR"}:
        place = place.partition("### ")[0]

    assert keys == set(rows(place))


def test_every_key_that_is_refused_for_now_is_named() -> None:
    named = section(CONFIGURATION, "Not in this version")
    for key in load._LATER:
        assert f"`[{key}]`" in named, key
    for key in providers._LATER_PROFILES:
        assert f"`{key}`" in named, key


def test_every_profile_is_named() -> None:
    profiles = rows(section(CONFIGURATION, "Providers"))["profile"]

    for name in filter(None, providers._PROFILES):
        assert f'"{name}"' in profiles[-1], name


def default_of(of: type[Any], name: str) -> object:
    parameter = inspect.signature(of).parameters[name]
    return parameter.default


@pytest.mark.parametrize(
    ("page", "heading", "of", "column"),
    [
        (CONFIGURATION, "Keys", KeySettings, 1),
        (CONFIGURATION, "Limits", Limits, 1),
        (CONFIGURATION, "FHIR limits", fhir.Limits, 1),
        (CONFIGURATION, "SMART configuration", SmartConfiguration, 1),
        (CONFIGURATION, "Memory", Memory, 1),
        (CONFIGURATION, "Claims of a provider", ClaimNames, 0),
        (PYTHON, "`KeySettings(...)`", KeySettings, 0),
        (PYTHON, "`ClaimNames(user, client, scopes, roles)`", ClaimNames, 0),
        (PYTHON, "`Provider(name, issuer, audience, ...)`", Provider, 0),
        (PYTHON, "`Memory(tokens=16384, octets=67108864)`", Memory, 0),
        (PYTHON, "`Resolver(resolve, issuers, most=1000, blocking=False)`", Resolver, 0),
    ],
)
def test_the_defaults_are_those_of_the_code(page: str, heading: str, of: type[Any], column: int) -> None:
    found = rows(section(page, heading))
    checked = 0
    for field in dataclasses.fields(of):
        if not field.init or field.name not in found:
            continue
        default, said = default_of(of, field.name), found[field.name][column]
        if isinstance(default, bool):
            assert str(default) == said, field.name
            checked += 1
        elif isinstance(default, int | float):
            assert f"{default:.15g}" == said.replace(",", ""), field.name
            checked += 1
        elif isinstance(default, tuple) and default:
            assert re.findall(r"\w+", str(default)) == re.findall(r"\w+", said), field.name
            checked += 1

    assert checked


@pytest.mark.parametrize(
    ("of", "heading"),
    [
        (Guard, "`Guard(providers, policy=authenticated(), ...)`"),
        (Provider, "`Provider(name, issuer, audience, ...)`"),
        (KeySettings, "`KeySettings(...)`"),
        (KeyState, "`KeyState`"),
        (Memory, "`Memory(tokens=16384, octets=67108864)`"),
        (Resolver, "`Resolver(resolve, issuers, most=1000, blocking=False)`"),
    ],
)
def test_every_field_is_in_the_reference(of: type[Any], heading: str) -> None:
    fields = {field.name for field in dataclasses.fields(of) if field.init}

    assert fields == {name for name in rows(section(PYTHON, heading)) if "(" not in name}


def test_every_error_is_in_the_table_with_what_it_says() -> None:
    found = rows(section(ERRORS, "What a program is told"))
    classes = {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
    }

    assert set(classes) == set(found)
    for name, value in classes.items():
        parent, status, code, meaning = found[name]

        assert value.__base__ is not None
        assert value.__base__.__name__ == parent, name
        assert str(getattr(value, "status", NONE)) == status, name
        assert str(getattr(value, "code", None) or NONE) == code, name
        for attribute in re.findall(r"`\.(\w+)`", meaning):
            assert re.search(rf"self\.{attribute} = ", inspect.getsource(errors)), f"{name}.{attribute}"


@pytest.mark.parametrize("command", commands._COMMANDS)
def test_every_option_of_a_command_is_in_the_reference_and_no_other(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found: set[str] = set()
    asked = [[command]]
    while asked:
        words = asked.pop()
        status = main([*words, "--help"])
        printed = capsys.readouterr().out
        found |= set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", printed, re.MULTILINE))
        _, _, verbs = printed.partition("\n  COMMAND\n")  # of a command that has several under it
        asked += [[*words, verb] for verb in re.findall(r"^    ([a-z-]+)", verbs, re.MULTILINE)]

        assert 0 == status
    options = found - {"--help"}

    assert options
    assert options == {name for name in rows(section(COMMANDS, command)) if name.startswith("--")}


# --- jwt_guard.testing -------------------------------------------------------------------------------


def spelled(name: str, function: Any) -> str:
    """Return how one calls *function*: its parameters and their defaults, without types."""
    signature = inspect.signature(function)
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in signature.parameters.values()
        if parameter.name != "self"
    ]
    bare = inspect.Signature(parameters)
    return f"{name}{bare}".replace("<built-in function time>", "time.time").replace("<factory>", "{}")


@pytest.mark.parametrize("name", [name for name in jwt_guard.testing.__all__ if name not in ("ServedIssuer", "faults")])
def test_every_name_of_testing_is_in_the_reference(name: str) -> None:
    value: Any = getattr(jwt_guard.testing, name)
    is_called = inspect.isfunction(value) or (inspect.isclass(value) and value is not Exchange)

    assert f"`{spelled(name, value) if is_called else name}`" in TESTING


@pytest.mark.parametrize("name", [name for name in faults.__all__ if name not in jwt_guard.testing.__all__])
def test_every_fault_is_in_the_reference_with_its_arguments(name: str) -> None:
    assert spelled(name, getattr(faults, name)) in rows(section(TESTING, "Faults"))


@pytest.mark.parametrize(
    ("heading", "of", "base"),
    [
        ("LocalIssuer", LocalIssuer, object),
        ("ServedIssuer", ServedIssuer, LocalIssuer),
        ("Clock", Clock, object),
        ("A fault of your own", Exchange, object),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_member_is_in_the_reference(heading: str, of: type[Any], base: type[Any]) -> None:
    text = section(TESTING, heading)
    for name, value in vars(of).items():
        if not name.startswith("_") and vars(base).get(name) is not value:
            assert f"`{spelled(name, value) if inspect.isfunction(value) else name}`" in text, name
    for name in re.findall(r"self\.([a-z]\w*)(?::[^=\n]+)? = ", inspect.getsource(of)):
        assert f"`{name}`" in text, name


def test_every_flaw_is_in_the_reference_and_no_other() -> None:
    assert set(FLAWS) == set(rows(section(TESTING, "FLAWS")))


def test_every_fixture_is_in_the_reference_and_no_other() -> None:
    assert set(pytest_plugin.__all__) == set(rows(section(TESTING, "Fixtures")))
