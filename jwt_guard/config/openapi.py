"""An OpenAPI document → routes: its paths and methods, and what its security requirements ask for.

What a guard cannot hold to the letter is refused with its place in the document: a route that asks for less than the
document says would be worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import urlsplit

from ..access.policy import all_of, any_of, anyone, authenticated, roles, scopes
from ..access.routes import Route, by_route
from ..errors import Misconfigured, shown
from ..tokens.strict_json import NotStrictJson, json_object
from .values import WrongConfig

if TYPE_CHECKING:
    from pathlib import Path

    from ..access.policy import Policy
    from .values import Table

__all__ = ["Row", "read_openapi"]

Row: TypeAlias = "tuple[Sequence[str], str, Policy]"
T = TypeVar("T")

_VERSION = re.compile(r"3\.[01]\.[0-9]+")
_PARAMETER = re.compile(r"(?<=/)\{([A-Za-z0-9_.~-]+)\}(?=/|$)")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_]")
# HEAD first: GET would include it, and where it is written for itself, it counts for itself.
_METHODS = ("head", "get", "put", "post", "delete", "options", "patch", "trace")
_BESIDE = frozenset(("summary", "description", "servers", "parameters"))
_WITH_SCOPES = ("oauth2", "openIdConnect")
_MOST = 16_777_216  # octets
_DEPTH = 200
_SAY_BASE = "base = '/…' says under which path all of it is served"


@dataclass(frozen=True, slots=True)
class _Document:
    table: Table
    name: str
    values: Mapping[str, Any] = field(repr=False)
    has_roles: bool
    """Whether schemes without scopes may ask for roles, as OpenAPI 3.1 has it."""
    schemes: Mapping[str, Any] = field(repr=False)

    def wrong(self, place: Iterable[object], reason: str) -> WrongConfig:
        """Return the error that says so of *place*, a JSON Pointer (RFC 6901)."""
        return _wrong(self.table, self.name, place, reason)


def read_openapi(table: Table) -> list[Row]:
    """Return the routes of the document that ``openapi`` of *table* names, in the order in which they are to be asked.

    What is written out comes before what stands for anything, as OpenAPI has it.  Raises WrongConfig.
    """
    table.only(("openapi", "base", "allow"))
    unsaid = _unsaid(table)
    document = _document(table)
    base = _base(document)
    found = [pair for path, item in _paths(document) for pair in _of_path(document, base, path, item, unsaid)]
    if not found:
        raise document.wrong(("paths",), "there are no operations in it")
    _check_pairs(document, found)
    found.sort(key=lambda pair: [piece is None for piece in pair[0].pieces])
    return [row for _, rows in found for row in rows]


def _unsaid(table: Table) -> Policy | None:
    allow = table.text("allow")
    if allow not in (None, "anyone", "authenticated"):
        raise table.wrong("allow", '"anyone" or "authenticated" is expected, for what the document says nothing of')
    return None if allow is None else anyone() if allow == "anyone" else authenticated()


def _document(table: Table) -> _Document:
    file = table.path("openapi")
    values = _parsed(table, file)
    version = values.get("openapi")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise _wrong(table, file.name, ("openapi",), "3.0 or 3.1 is expected")
    components = values.get("components", {})
    schemes = components.get("securitySchemes", {}) if isinstance(components, dict) else None
    if not isinstance(schemes, dict):
        raise _wrong(table, file.name, ("components", "securitySchemes"), "an object is expected")
    return _Document(table, file.name, values, version.startswith("3.1"), schemes)


# --- paths -------------------------------------------------------------------------------------------


def _base(document: _Document) -> str:
    """Return what stands before each path, without a slash at its end."""
    given = document.table.text("base")
    if given is not None:
        if not given.startswith("/") or any(letter in given for letter in "{}*?#"):
            raise document.table.wrong("base", "a path is expected, without parameters")
        return given.rstrip("/")
    bases: set[str] = set()
    for number, server in enumerate(_list(document, ("servers",), document.values.get("servers", []))):
        place = ("servers", number, "url")
        url = server.get("url") if isinstance(server, dict) else None
        if not isinstance(url, str):
            raise document.wrong(place, "a URL is expected")
        bases.add(_path_of(document, place, url))
    if len(bases) > 1:
        raise document.wrong(("servers",), f"they have different paths; {_SAY_BASE}")
    return bases.pop() if bases else ""


def _path_of(document: _Document, place: Iterable[object], url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise document.wrong(place, "a URL is expected") from None
    if any(letter in url for letter in "{}*") or (parts.path and not parts.path.startswith("/")):
        raise document.wrong(place, f"that depends on who reads it; {_SAY_BASE}")
    return parts.path.rstrip("/")


def _paths(document: _Document) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for path, item in _object(document, ("paths",), document.values.get("paths")).items():
        if not path.startswith("x-"):
            yield path, _object(document, ("paths", path), item)


def _of_path(
    document: _Document, base: str, path: str, item: Mapping[str, Any], unsaid: Policy | None
) -> Iterator[tuple[Route, list[Row]]]:
    """Yield the route of *path* and its rows, if it has operations."""
    place = ("paths", path)
    for key in item:
        if key == "$ref":
            raise document.wrong((*place, key), "references are not followed here: bundle the document")
        if key not in _METHODS and key not in _BESIDE and not key.startswith("x-"):
            raise document.wrong((*place, key), "there is no such method, nor anything else of that name")
    _check_servers(document, place, item)
    whole = _PARAMETER.sub(_named, base + path)
    rows: list[Row] = []
    for method in _METHODS:
        if method in item:
            here = (*place, method)
            operation = _object(document, here, item[method])
            _check_servers(document, here, operation)
            rows.append(((method.upper(),), whole, _asked(document, here, operation, unsaid)))
    if rows:
        yield _route(document, place, path, rows), rows


def _check_servers(document: _Document, place: tuple[object, ...], of: Mapping[str, Any]) -> None:
    if "servers" in of and not document.table.has("base"):
        raise document.wrong((*place, "servers"), f"servers of its own can mean another path; {_SAY_BASE}")


def _named(parameter: re.Match[str]) -> str:
    name = _NOT_IN_A_NAME.sub("_", parameter[1])
    return f"{{_{name}}}" if name[0].isdigit() else f"{{{name}}}"


def _route(document: _Document, place: Iterable[object], path: str, rows: list[Row]) -> Route:
    if not path.startswith("/") or "*" in path:
        raise document.wrong(place, "a path begins with a slash, and has no asterisk in it")
    try:
        policy: Any = by_route(rows)
    except Misconfigured as error:
        raise document.wrong(place, str(error).rpartition(": ")[2]) from None
    route: Route = policy.routes[0]
    return route


def _check_pairs(document: _Document, found: Sequence[tuple[Route, list[Row]]]) -> None:
    """Refuse paths of which each takes some request that the other one takes, and one that it does not."""
    by_length: dict[int, list[Route]] = {}
    for route, _ in found:
        others = by_length.setdefault(len(route.pieces), [])
        for other in others:
            pairs = [(a, b) for a, b in zip(route.pieces, other.pieces, strict=True) if a != b]
            if all(None in pair for pair in pairs) and len({a is None for a, _ in pairs}) != 1:
                sentence = f"{shown(other.path)} and {shown(route.path)} take the same path, and neither comes first"
                raise document.wrong(("paths",), sentence)
        others.append(route)


# --- security ----------------------------------------------------------------------------------------


def _asked(
    document: _Document, place: tuple[object, ...], operation: Mapping[str, Any], unsaid: Policy | None
) -> Policy:
    """Return what *operation* asks for: its own security, else that of the document."""
    if "security" in operation:
        place, listed = (*place, "security"), operation["security"]
    elif "security" in document.values:
        place, listed = ("security",), document.values["security"]
    elif unsaid is None:
        sentence = "neither it nor the document has security: allow = 'anyone' or 'authenticated' says what that means"
        raise document.wrong(place, sentence)
    else:
        return unsaid
    alternatives = _list(document, place, listed)
    asked = [_requirement(document, (*place, number), each) for number, each in enumerate(alternatives)]
    required = [policy for policy in asked if policy is not None]
    if len(required) < len(asked) or not required:
        return anyone()  # an empty requirement, or none at all, is met by everybody
    return required[0] if len(required) == 1 else any_of(*required)


def _requirement(document: _Document, place: tuple[object, ...], value: object) -> Policy | None:
    """Return what one alternative asks for, None where that is nothing: all of its schemes, of one token."""
    policies: list[Policy] = []
    for name, names in _object(document, place, value).items():
        here = (*place, name)
        words = _list(document, here, names)
        try:
            policies.append(_scheme(document, here, name, words))
        except WrongConfig:
            raise
        except Misconfigured as error:
            raise document.wrong(here, str(error)) from None
    return None if not policies else policies[0] if len(policies) == 1 else all_of(*policies)


def _scheme(document: _Document, place: tuple[object, ...], name: str, words: list[Any]) -> Policy:
    if name not in document.schemes:
        raise document.wrong(place, "components.securitySchemes has no such scheme")
    scheme = _object(document, ("components", "securitySchemes", name), document.schemes[name])
    kind = scheme.get("type")
    if kind in _WITH_SCOPES:
        return scopes(*words) if words else authenticated()
    if kind == "http" and str(scheme.get("scheme")).lower() == "bearer":
        if words and not document.has_roles:
            raise document.wrong(place, "in OpenAPI 3.0 a bearer scheme has no scopes: make it oauth2")
        return roles(*words) if words else authenticated()
    raise document.wrong(place, "a guard checks bearer tokens: oauth2, openIdConnect, or http with bearer")


# --- the document ------------------------------------------------------------------------------------


def _object(document: _Document, place: Iterable[object], value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise document.wrong(place, "an object is expected")
    return value


def _list(document: _Document, place: Iterable[object], value: object) -> list[Any]:
    if not isinstance(value, list):
        raise document.wrong(place, "a list is expected")
    return value


def _wrong(table: Table, name: str, place: Iterable[object], reason: str) -> WrongConfig:
    pointer = "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in place)
    return table.wrong("openapi", f"{shown(f'{name}#{pointer}')}: {reason}")


def _parsed(table: Table, file: Path) -> Mapping[str, Any]:
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST + 1)
    except OSError as error:
        raise table.wrong("openapi", f"the file cannot be read: {error.strerror}") from None
    if len(data) > _MOST:
        raise table.wrong("openapi", f"the file has more than {_MOST} octets")
    if file.suffix == ".json":
        try:
            return json_object(data, _DEPTH)
        except NotStrictJson as error:
            raise table.wrong("openapi", f"the document {error}") from None
    if file.suffix in (".yaml", ".yml"):
        return _from_yaml(table, data)
    raise table.wrong("openapi", "a name that ends in .json, .yaml or .yml is expected")


def _from_yaml(table: Table, data: bytes) -> Mapping[str, Any]:
    try:
        import yaml
    except ImportError:
        raise table.wrong("openapi", "YAML needs pip install 'jwt-guard[openapi]'; JSON needs nothing") from None
    base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times as fast

    class Loader(base):  # type: ignore[misc,valid-type]  # whichever it is
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's
            keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            if len(keys) != len(set(keys)) or "<<" in keys:  # OpenAPI 3.1 §4.2: nothing but what JSON can say
                raise yaml.MarkedYAMLError(problem="a key is there twice, or merged", problem_mark=node.start_mark)
            made: dict[Hashable, Any] = super().construct_mapping(node, deep)
            return made

    depth = 0
    try:
        for event in yaml.parse(data, Loader):  # the faster one would go on until the stack ends, and the process
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH:
                break
        values = yaml.load(data, Loader) if depth <= _DEPTH else None  # noqa: S506 - it is a safe one
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f", in line {error.problem_mark.line + 1}"
        raise table.wrong("openapi", f"the document is no YAML that says what JSON can say{line}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise table.wrong("openapi", "the document is no YAML") from None
    except ValueError:  # of a date that is none, say
        raise table.wrong("openapi", "the document has a value in it that is none") from None
    if depth > _DEPTH:
        raise table.wrong("openapi", f"the document is nested more than {_DEPTH} deep")
    if not isinstance(values, dict):
        raise table.wrong("openapi", "the document is no object")
    return values
