"""A batch or a transaction → each of its entries judged as the request that it is, and one Bundle of answers.

The entries of a batch are asked one after the other, as if each had come by itself.  Those of a transaction are judged
first, all of them; then what they write is sent in one piece, with the version of each resource that was judged, and
then what they read is read.  Where one of them may not be done, none is.

A transaction holds writes, and reads by id; where nobody has to look at any of its entries, whatever else there is.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..messages import PlainRequest, Response
from .answering import ACCEPT, document_of, etag_of
from .documents import read, written
from .exchange import Answered, Asking, ask
from .filtering import others_named
from .interaction import Interaction, read_interaction
from .letters import SEARCHES, is_allowed, is_whole, known_preferences, refused
from .links import address, ours
from .outcome import (
    FORBIDDEN,
    JSON,
    NOT_SUPPORTED,
    TOO_LONG,
    UNREADABLE,
    UPSTREAM,
    Stopped,
    outcome,
)
from .request_parts import Refusal
from .writing import Write, answered, has_conditional_reference, prepared, told_of_kept

if TYPE_CHECKING:
    from .exchange import Exchange, Result
    from .query import Parameters
    from .rights import Rights
    from .server import Server

__all__ = ["Judge", "bundle"]

Judge: TypeAlias = "Callable[[PlainRequest, bytes], Exchange[Result]]"
"""A request and its body → what its client gets."""

_METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"})
_WITH_BODY: Final = frozenset({"PATCH", "POST", "PUT"})
_CONDITIONS: Final = {"ifMatch": "if-match", "ifNoneExist": "if-none-exist", "ifNoneMatch": "if-none-match"}
_WRITES: Final = frozenset({"create", "delete", "patch", "update"})
_READS: Final = frozenset({"history-instance", "read", "vread"})
_ALONE: Final = frozenset({"bundle", "export", "export-cancel", "export-status"})
"""What is no part of a bundle: other bundles, and what is answered elsewhere."""
_TEMPORARY = re.compile(r"urn:(?:uuid:[0-9a-fA-F-]{36}|oid:[0-2](?:\.(?:0|[1-9][0-9]*))+)")
_PLAIN = re.compile(r"[\x20-\x7e]{1,8192}")
_STATUS = re.compile(r"([1-5][0-9]{2})(?: .*)?", re.DOTALL)
_ALL: Final = "representation"
_FAILED: Final = 400


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry, as the request that it is."""

    request: PlainRequest
    body: bytes = field(repr=False)
    name: str | None
    """What other entries may call its resource by, before there is an id for it."""


def bundle(interaction: Interaction, rights: Rights, body: bytes, judge: Judge) -> Exchange[Response]:
    """Do what the Bundle *body* asks for.  Raises Stopped, for a transaction also where one of its entries may not be.

    (hl7.org/fhir/R4/http.html#transaction)
    """
    document = read(body)
    if document is None or document.get("resourceType") != "Bundle":
        raise Stopped(UNREADABLE, "the body is no Bundle, in JSON that can be read in one way only")
    entries = document.get("entry", [])
    if not isinstance(entries, list):
        raise Stopped(UNREADABLE, "the Bundle has entries that are no list")
    if len(entries) > rights.server.limits.entries:
        raise Stopped(TOO_LONG, "the Bundle has more entries than are judged")
    if document.get("type") not in ("batch", "transaction"):
        raise Stopped(UNREADABLE, "the Bundle is neither a batch nor a transaction")
    if document["type"] == "batch":
        found = yield from _batch(entries, rights, interaction.preferences, judge)
        return _bundle("batch-response", found)
    found = yield from _transaction(entries, rights, interaction.preferences, judge)
    return _bundle("transaction-response", found)


def _bundle(kind: str, entries: list[dict[str, Any]]) -> Response:
    document = {"resourceType": "Bundle", "type": kind, **({"entry": entries} if entries else {})}
    return Response(200, (("content-type", JSON), ("cache-control", "no-store")), written(document))


# --- a batch -----------------------------------------------------------------------------------------


def _batch(
    entries: list[object], rights: Rights, preferences: Parameters, judge: Judge
) -> Exchange[list[dict[str, Any]]]:
    found: list[dict[str, Any]] = []
    for each in entries:
        try:
            response = yield from _alone(_read_entry(each, rights.server, preferences), rights, judge)
        except Stopped as stopped:
            response = outcome(stopped.problem)
        found.append(_told(response))
    return found


def _alone(entry: _Entry, rights: Rights, judge: Judge) -> Exchange[Response]:
    """Return the answer to *entry* as if it had come by itself.  Raises Stopped."""
    interaction = read_interaction(entry.request, None, rights.server.surface)
    if isinstance(interaction, Interaction) and interaction.kind in _ALONE:
        raise Stopped(NOT_SUPPORTED, f"{interaction.kind}: this is no part of a Bundle")
    result = yield from judge(entry.request, entry.body)
    if isinstance(result, Response):
        return result
    asking = result.asking
    if not asking.body and asking.method in _WITH_BODY:
        asking = replace(asking, body=entry.body)
    given = yield from ask(asking)
    return _handed_on(given, rights.server)


def _handed_on(given: Answered, server: Server) -> Response:
    """Return what the server has *given*, which nobody has to look at, as a part of a Bundle."""
    if given.body and read(given.body) is None:
        raise Stopped(UPSTREAM, "what the server has answered with is nothing that a Bundle can hold")
    kept = [(name, value) for name, value in given.headers if name in ("etag", "last-modified", "location")]
    return Response(given.status, tuple((name, ours(value, server)) for name, value in kept), given.body)


def _told(response: Response) -> dict[str, Any]:
    """Return *response* as an entry of a Bundle of answers."""
    headers = dict(response.headers)
    said: dict[str, Any] = {"status": _phrase(response.status)}
    for name in ("location", "etag"):
        if name in headers:
            said[name] = headers[name]
    document = read(response.body)
    if document is None:
        return {"response": said}
    if response.status >= _FAILED or document.get("resourceType") == "OperationOutcome":
        return {"response": {**said, "outcome": document}}
    meta = document.get("meta")
    if isinstance(meta, dict) and isinstance(meta.get("lastUpdated"), str):
        said["lastModified"] = meta["lastUpdated"]
    return {"resource": document, "response": said}


def _phrase(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


# --- a transaction -----------------------------------------------------------------------------------


def _transaction(
    entries: list[object], rights: Rights, preferences: Parameters, judge: Judge
) -> Exchange[list[dict[str, Any]]]:
    read_ones = [_read_entry(each, rights.server, preferences) for each in entries]
    names = [each.name for each in read_ones if each.name is not None]
    if len(set(names)) != len(names):
        raise Stopped(UNREADABLE, "two entries have one name")
    found: list[tuple[_Entry, Interaction]] = []
    for each in read_ones:
        interaction = read_interaction(each.request, None, rights.server.surface)
        if isinstance(interaction, Refusal):
            raise refused(interaction, rights)
        if not is_allowed(interaction, rights):
            raise Stopped(FORBIDDEN, f"{interaction.kind}: no scope has the letters for it")
        if interaction.kind in _ALONE:
            raise Stopped(NOT_SUPPORTED, f"{interaction.kind}: this is no part of a Bundle")
        found.append((each, interaction))
    if found and all(_needs_no_look(each, interaction, rights) for each, interaction in found):
        return (yield from _sent_on(found, rights.server, preferences))
    return (yield from _judged(found, rights, judge, preferences))


def _needs_no_look(entry: _Entry, interaction: Interaction, rights: Rights) -> bool:
    """Say whether nobody has to look at *entry*: nor at what its references search for."""
    sees_everything = rights.whole("*", "r") and rights.whole("*", "s")
    if interaction.kind in SEARCHES:
        return sees_everything
    if not is_whole(interaction, rights):
        return False
    return sees_everything or not has_conditional_reference(read(entry.body) or {})


def _sent_on(
    found: list[tuple[_Entry, Interaction]], server: Server, preferences: Parameters
) -> Exchange[list[dict[str, Any]]]:
    sent = [_whole_entry(entry, interaction, server) for entry, interaction in found]
    given = yield from _ask(sent, preferences)
    return [_ours(each, server) for each in given]


def _whole_entry(entry: _Entry, interaction: Interaction, server: Server) -> dict[str, Any]:
    url = address(server, interaction.path, interaction.parameters).removeprefix(f"{server.base}/")
    request: dict[str, Any] = {"method": entry.request.method, "url": url}
    for name, header in _CONDITIONS.items():
        values = entry.request.values(header)
        if values:
            request[name] = values[0]
    return _entry(entry, request, read(entry.body) if entry.body else None)


def _judged(
    found: list[tuple[_Entry, Interaction]], rights: Rights, judge: Judge, preferences: Parameters
) -> Exchange[list[dict[str, Any]]]:
    """Judge each entry, then write, then read."""
    writes: list[tuple[_Entry, Write]] = []
    told: dict[int, dict[str, Any]] = {}
    places: dict[int, int] = {}
    named: dict[str, str] = {}
    others = _names_of_others(found, rights)
    for number, (entry, interaction) in enumerate(found):
        if interaction.kind in _READS:
            yield from _alone(entry, rights, judge)
        elif interaction.kind in _WRITES:
            content_type = "".join(entry.request.values("content-type"))
            one = yield from prepared(interaction, rights, entry.body, content_type)
            if isinstance(one, Write):
                _refuse_names(one, interaction, others, rights)
                places[number] = len(writes)
                writes.append((entry, one))
            else:
                told[number] = _told(told_of_kept(one, rights))
                if entry.name is not None:
                    named[entry.name] = f"{one.resource['resourceType']}/{one.resource['id']}"
        else:
            raise Stopped(FORBIDDEN, f"{interaction.kind}: no part of a transaction that has to be looked at")
    _refuse_two_of_one([one for _, one in writes])
    given = yield from _written(writes, named, preferences)
    for number, place in places.items():
        told[number] = _told(answered(writes[place][1], given[place], rights, preferences))
    for number, (entry, interaction) in enumerate(found):
        if interaction.kind in _READS:
            try:
                told[number] = _told((yield from _alone(entry, rights, judge)))
            except Stopped as stopped:  # it was there a moment ago, and what was to be written is
                told[number] = _told(outcome(stopped.problem))
    return [told[number] for number in range(len(found))]


def _names_of_others(found: list[tuple[_Entry, Interaction]], rights: Rights) -> frozenset[str]:
    """Return the names by which a transaction speaks of other Patients than ours, be they there or not."""
    return frozenset(
        entry.name
        for entry, interaction in found
        if entry.name is not None and interaction.type == "Patient" and interaction.id != (rights.patient or "")
    )


def _refuse_names(one: Write, interaction: Interaction, others: frozenset[str], rights: Rights) -> None:
    """Raise Stopped where *one*, of a patient's scopes alone, would be another's by one of *others*, their names."""
    new, letter = one.resource, "c" if interaction.kind == "create" else "u"
    if new is None or rights.sees_anybodys(new, letter):
        return
    if any(text in others for _, text in others_named(new, rights, others) or ()):
        raise Stopped(FORBIDDEN, "what would be there is another patient's as well")


def _refuse_two_of_one(writes: list[Write]) -> None:
    """Raise Stopped where one resource would be written twice, and so the second be judged by what was before."""
    places = [one.path for one in writes if one.id is not None]
    if len(set(places)) != len(places):
        raise Stopped(UNREADABLE, "two entries are about one resource")


def _written(
    writes: list[tuple[_Entry, Write]], named: dict[str, str], preferences: Parameters
) -> Exchange[list[Answered]]:
    if not writes:
        return []
    sent = [_written_entry(entry, one, named) for entry, one in writes]
    given = yield from _ask(sent, preferences)
    return [_answered(each) for each in given]


def _written_entry(entry: _Entry, one: Write, named: dict[str, str]) -> dict[str, Any]:
    request: dict[str, Any] = {"method": one.method, "url": one.path.removeprefix("/")}
    if one.version is not None:
        request["ifMatch"] = etag_of(one.version)
    if one.is_new:
        request["ifNoneMatch"] = "*"
    return _entry(entry, request, None if one.resource is None else _with_ids(one.resource, named))


def _entry(entry: _Entry, request: dict[str, Any], resource: dict[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {} if entry.name is None else {"fullUrl": entry.name}
    if resource is not None:
        found["resource"] = resource
    return {**found, "request": request}


def _with_ids(value: Any, named: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """Return *value* with the references to what is there already in place of those to what was to be created."""
    if isinstance(value, dict):
        return {
            name: named.get(each, each) if name == "reference" and isinstance(each, str) else _with_ids(each, named)
            for name, each in value.items()
        }
    return [_with_ids(each, named) for each in value] if isinstance(value, list) else value


# --- what is asked, and what is answered -------------------------------------------------------------


def _ask(entries: list[dict[str, Any]], preferences: Parameters) -> Exchange[list[dict[str, Any]]]:
    """Send a transaction, and return the entries of the answer.  Raises Stopped."""
    document = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    prefers = next((pair for pair in known_preferences(preferences) if pair[0] == "return"), ("return", _ALL))
    headers = (ACCEPT, ("content-type", JSON), ("prefer", "=".join(prefers)))
    given = document_of((yield from ask(Asking("POST", "/", (), headers, written(document)))))
    found = given.get("entry", [])
    if not isinstance(found, list) or len(found) != len(entries) or not all(isinstance(each, dict) for each in found):
        raise Stopped(UPSTREAM, "the server has not answered to each entry")
    return found


def _answered(entry: dict[str, Any]) -> Answered:
    """Return what the server says of one entry as it would have been said of the request alone.  Raises Stopped."""
    response, resource = entry.get("response"), entry.get("resource")
    said = response if isinstance(response, dict) else {}
    status = _STATUS.fullmatch(said["status"]) if isinstance(said.get("status"), str) else None
    if status is None:
        raise Stopped(UPSTREAM, "the server does not say what became of an entry")
    headers = tuple((name, said[name]) for name in ("etag", "location") if isinstance(said.get(name), str))
    return Answered(int(status[1]), headers, written(resource) if isinstance(resource, dict) else b"")


def _ours(entry: dict[str, Any], server: Server) -> dict[str, Any]:
    """Return *entry*, which nobody has to look at, with our addresses in it."""
    response = entry.get("response")
    if isinstance(entry.get("fullUrl"), str):
        entry = {**entry, "fullUrl": ours(entry["fullUrl"], server)}
    if isinstance(response, dict) and isinstance(response.get("location"), str):
        entry = {**entry, "response": {**response, "location": ours(response["location"], server)}}
    return entry


# --- what an entry is --------------------------------------------------------------------------------


def _read_entry(entry: object, server: Server, preferences: Parameters) -> _Entry:
    """Return the request that *entry* is.  Raises Stopped."""
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(request, dict):
        raise Stopped(UNREADABLE, "an entry is no request")
    method, url = request.get("method"), request.get("url")
    if not isinstance(method, str) or method not in _METHODS or not isinstance(url, str):
        raise Stopped(UNREADABLE, "an entry has no method or no address")
    path, query = _place(url, server)
    headers = [("accept", JSON), *(("prefer", "=".join(pair)) for pair in known_preferences(preferences))]
    for name, header in _CONDITIONS.items():
        if name in request:
            if not isinstance(request[name], str):
                raise Stopped(UNREADABLE, "an entry has a condition that is no text")
            headers.append((header, request[name].removeprefix("?") if name == "ifNoneExist" else request[name]))
    body, content_type = _content(entry.get("resource"), is_patch=method == "PATCH")
    if body:
        headers.append(("content-type", content_type))
    if not all(_PLAIN.fullmatch(value) for _, value in headers):  # nobody has looked at them on their way here
        raise Stopped(UNREADABLE, "an entry has a header that could be two")
    said = entry.get("fullUrl")
    temporary = said if isinstance(said, str) and _TEMPORARY.fullmatch(said) else None
    return _Entry(PlainRequest(method, path, query, tuple(headers)), body, temporary)


def _place(url: str, server: Server) -> tuple[str, str]:
    """Return the path and the query of *url*: relative to the base, or absolute on ours.  Raises Stopped."""
    text, _, query = url.partition("?")
    if "://" in text:
        if not text.startswith(f"{server.base}/"):
            raise Stopped(UNREADABLE, "an entry is about another server")
        text = text[len(server.base) :]
    return text if text.startswith("/") else f"/{text}", query


def _content(resource: object, *, is_patch: bool) -> tuple[bytes, str]:
    """Return the body that *resource* is, and its type; a JSON Patch comes in a Binary.  Raises Stopped."""
    if resource is None:
        return b"", ""
    if not isinstance(resource, dict):
        raise Stopped(UNREADABLE, "an entry has a resource that is none")
    if not is_patch or resource.get("resourceType") != "Binary":
        return written(resource), JSON
    kind, data = resource.get("contentType"), resource.get("data")
    try:
        return b64decode(str(data), validate=True), str(kind)
    except NotBase64:
        raise Stopped(UNREADABLE, "an entry has a patch that is not base64") from None
