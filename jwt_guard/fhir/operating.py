"""An operation, a validation or an export → what the server is asked, and what of its answer may be seen.

An operation that is listed is for whoever may see and do all that it takes.  Under limited rights there are those on
one resource that may be seen, which read and write nothing; of their answers the resources stay that may be seen.

A validation is told in codes and places of what was sent, without the server's words.

An export is a system's alone.  Where it is to be asked after, and where its files are, clients hear in sealed links,
so that another's job is none.  A file elsewhere than below the server's base is named as the server names it.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ..messages import Response
from .answering import ACCEPT, document_of, failed, found, shown
from .documents import read, written
from .exchange import Answered, Asking, Through, ask
from .filtering import answered, filtered, is_nobody_elses
from .links import address, below, ours
from .outcome import FORBIDDEN, JSON, NOT_FOUND, NOT_SUPPORTED, UNREADABLE, UPSTREAM, Stopped
from .surface import POLL
from .writing import refuse_conditional_references

if TYPE_CHECKING:
    from ..tokens.sealing import Sealer
    from .exchange import Exchange, Result
    from .interaction import Interaction
    from .query import Parameters
    from .rights import Rights

__all__ = ["export", "operation", "refuse_parameters", "validate"]

_READING: Final = frozenset("rs")
_FAULTS: Final = (400, 422)
_WORD = re.compile(r"[a-z][a-z-]{0,40}")
_PLACE = re.compile(r"[A-Za-z][A-Za-z0-9.\[\]]{0,250}")
_ACCEPTED: Final = 202
_PURPOSE: Final = "export"
_PROGRESS: Final = ("retry-after", "x-progress")
_PLAIN = re.compile(r"[\x20-\x7e]{1,200}")
_FILES: Final = ("output", "deleted", "error")


def refuse_parameters(body: bytes) -> None:
    """Raise Stopped where *body*, of an operation that is asked for anew, would ask for something else."""
    document = read(body) if body.strip() else {}
    if document is None or document.get("parameter"):
        raise Stopped(NOT_SUPPORTED, "the parameters of the operation are to be in the query")


# --- operations that are listed ----------------------------------------------------------------------


def operation(interaction: Interaction, rights: Rights, body: bytes) -> Exchange[Response]:
    """Answer an operation on one resource, which takes nothing but reading.  Raises Stopped."""
    if interaction.id is None or not interaction.letters <= _READING:
        raise Stopped(FORBIDDEN, "the operation looks at, or changes, more than one resource that may be seen")
    refuse_parameters(body)
    yield from _visible(interaction, rights, *interaction.letters)
    given = yield from ask(Asking("GET", interaction.path, interaction.parameters, (ACCEPT,)))
    seen = answered(document_of(given), rights, "r")
    if seen is None:
        raise Stopped(NOT_FOUND, "the operation answers with nothing that may be seen")
    return shown(seen, Answered(200), rights)


def _visible(interaction: Interaction, rights: Rights, *letters: str) -> Exchange[dict[str, Any]]:
    """Return the resource that *interaction* is about.  Raises Stopped where one of *letters* is not allowed on it."""
    type_, id_ = str(interaction.type), str(interaction.id)
    one = found((yield from ask(Asking("GET", f"/{type_}/{id_}", (), (ACCEPT,)))), type_, id_)
    if one is None or not all(rights.sees(one, letter) for letter in letters):
        raise Stopped(NOT_FOUND, "it is not there, or may not be seen")
    return one


# --- a validation ------------------------------------------------------------------------------------


def validate(interaction: Interaction, rights: Rights, body: bytes) -> Exchange[Response]:
    """Answer a validation: of what would be created, or of what one resource is or would be.  Raises Stopped.

    (hl7.org/fhir/R4/resource-operation-validate.html)
    """
    type_ = str(interaction.type)
    new = _sent(body, type_)
    if interaction.id is not None:
        one = yield from _visible(interaction, rights, *interaction.letters)
        new = filtered(one, rights, "r") if new is None else new
    if new is None:
        raise Stopped(UNREADABLE, "there is nothing to be validated")
    letter = "c" if interaction.id is None else "u"
    if not rights.sees(new, letter) or not is_nobody_elses(new, rights, letter):
        raise Stopped(FORBIDDEN, "what would be there may not be written")
    refuse_conditional_references(new)
    headers = (ACCEPT, ("content-type", JSON))
    given = yield from ask(Asking("POST", f"/{type_}/$validate", (), headers, written(new)))
    # What is wrong with a resource, servers tell with 200, with 400 or with 422.
    outcome = document_of(given if given.status not in _FAULTS else replace(given, status=200))
    issues = outcome.get("issue")
    if outcome.get("resourceType") != "OperationOutcome" or not isinstance(issues, list):
        raise Stopped(UPSTREAM, "the server has answered a validation with something else")
    said = {"resourceType": "OperationOutcome", "issue": [_issue(each) for each in issues if isinstance(each, dict)]}
    return Response(200, (("content-type", JSON), ("cache-control", "no-store")), written(said))


def _sent(body: bytes, type_: str) -> dict[str, Any] | None:
    """Return the resource of *type_* that was sent, as it is or in Parameters; None: none was.  Raises Stopped."""
    if not body.strip():
        return None
    document = read(body)
    if document is not None and document.get("resourceType") == "Parameters":
        parameters = document.get("parameter")
        if not isinstance(parameters, list) or len(parameters) != 1 or not isinstance(parameters[0], dict):
            raise Stopped(NOT_SUPPORTED, "a validation has a resource, and no other parameter")
        document = parameters[0].get("resource") if parameters[0].get("name") == "resource" else None
    if not isinstance(document, dict) or document.get("resourceType") != type_:
        raise Stopped(UNREADABLE, "the body is no resource of the type, in JSON that can be read in one way only")
    return document


def _issue(issue: dict[str, Any]) -> dict[str, Any]:
    """Return what of *issue* says nothing but where in the resource what kind of thing is wrong."""
    said: dict[str, Any] = {"severity": "error", "code": "invalid"}
    for name in said:
        word = issue.get(name)
        if isinstance(word, str) and _WORD.fullmatch(word):
            said[name] = word
    for name in ("expression", "location"):
        places = issue.get(name)
        plain = (
            [each for each in places if isinstance(each, str) and _PLACE.fullmatch(each)]
            if isinstance(places, list)
            else []
        )
        if plain:
            said[name] = plain
    return said


# --- an export ---------------------------------------------------------------------------------------


def export(interaction: Interaction, rights: Rights, sealer: Sealer, body: bytes) -> Exchange[Result]:
    """Begin an export, ask after one, end one, or fetch one of its files.  Raises Stopped.

    (hl7.org/fhir/uv/bulkdata/STU2/export.html)
    """
    if interaction.kind == "export":
        if not all(_is_the_systems(name, letter, rights) for name, letter in interaction.needs):
            raise Stopped(FORBIDDEN, "an export takes whole scopes of a system, for each type")
        refuse_parameters(body)
        return (yield from _begun(interaction, rights, sealer))
    job = _opened(str(interaction.id), rights, sealer)
    if job is None:
        raise Stopped(NOT_FOUND, "no job that this bearer has begun")
    is_file, path, query = job
    if is_file:
        if interaction.kind == "export-cancel":
            raise Stopped(NOT_FOUND, "a file is no job")
        return Through(Asking("HEAD" if interaction.head else "GET", path, query))
    if interaction.kind == "export-cancel":
        given = yield from ask(Asking("DELETE", path, query, (ACCEPT,)))
        if given.status // 100 != 2:  # noqa: PLR2004 - of the class "successful"
            raise failed(given)
        return Response(_ACCEPTED, (("cache-control", "no-store"),), b"")
    return (yield from _status(path, query, rights, sealer))


def _is_the_systems(name: str, letter: str, rights: Rights) -> bool:
    """Say whether a scope of a system, and no person's, allows *letter* on every resource of a type."""
    return any(not scope.parameters for scope in rights.grants.applying(name, letter, "system"))


def _begun(interaction: Interaction, rights: Rights, sealer: Sealer) -> Exchange[Response]:
    if not interaction.wants_async:
        raise Stopped(UNREADABLE, "an export is answered later: Prefer: respond-async")
    headers = (ACCEPT, ("prefer", "respond-async"))
    given = yield from ask(Asking("GET", interaction.path, interaction.parameters, headers))
    if given.status != _ACCEPTED:
        raise failed(given)
    spot = below(given.header("content-location"), rights.server, interaction.path)
    if spot is None:
        raise Stopped(UPSTREAM, "the server does not say where an export is asked after, below its base")
    where = ("content-location", _link(_sealed(*spot, rights, sealer, is_file=False), rights))
    return Response(_ACCEPTED, (("cache-control", "no-store"), where), b"")


def _status(path: str, query: Parameters, rights: Rights, sealer: Sealer) -> Exchange[Response]:
    given = yield from ask(Asking("GET", path, query, (("accept", "application/json"),)))
    if given.status == _ACCEPTED:
        said = [(name, given.header(name) or "") for name in _PROGRESS]
        progress = (pair for pair in said if _PLAIN.fullmatch(pair[1]))
        return Response(_ACCEPTED, (("cache-control", "no-store"), *progress), b"")
    manifest = document_of(given)
    for name in (*_FILES, "link"):
        places = manifest.get(name)
        if isinstance(places, list):
            is_file, is_output = name in _FILES, name == "output"
            manifest[name] = [
                _with_link(each, path, rights, sealer, is_file=is_file)
                for each in places
                if isinstance(each, dict) and not (is_output and not _may_export(each.get("type"), rights))
            ]
    if isinstance(manifest.get("request"), str):
        manifest["request"] = ours(manifest["request"], rights.server)
    return Response(200, (("content-type", "application/json"), ("cache-control", "no-store")), written(manifest))


def _may_export(kind: object, rights: Rights) -> bool:
    """Say whether what is of *kind* may be in an export: a server may pass over the types that it was asked for."""
    return isinstance(kind, str) and all(_is_the_systems(kind, letter, rights) for letter in _READING)


def _with_link(one: dict[str, Any], path: str, rights: Rights, sealer: Sealer, *, is_file: bool) -> dict[str, Any]:
    """Return *one*, a file of a manifest or a further manifest, with a link of ours where it is on the server."""
    spot = below(one.get("url"), rights.server, path)
    return one if spot is None else {**one, "url": _link(_sealed(*spot, rights, sealer, is_file=is_file), rights)}


def _link(job: str, rights: Rights) -> str:
    server = rights.server
    if server.surface.jobs:
        return address(server, f"{server.surface.jobs[0].rstrip('/')}/{job}")
    return address(server, f"/{POLL}", (("_jobId", job),))


def _sealed(path: str, query: Parameters, rights: Rights, sealer: Sealer, *, is_file: bool) -> str:
    content = [_PURPOSE, rights.server.base, is_file, path, query]
    return sealer.seal(json.dumps(content, separators=(",", ":")).encode(), rights.bearer)


def _opened(text: str, rights: Rights, sealer: Sealer) -> tuple[bool, str, Parameters] | None:
    content = sealer.opened(text, rights.bearer)
    if content is None:
        return None
    # What is sealed is ours, whatever its purpose; only that has to be looked at.
    said: Any = json.loads(content)
    if not isinstance(said, list) or said[:2] != [_PURPOSE, rights.server.base]:
        return None
    _, _, is_file, path, query = said
    return is_file, path, tuple((name, value) for name, value in query)
