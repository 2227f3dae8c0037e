"""What the server answered, once it is judged → what the client gets; what the server refuses → a constant Problem."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from ..access.fhir_references import FhirReference
from ..messages import Response
from .documents import read, written
from .elements import referent
from .outcome import CONFLICT, JSON, NOT_FOUND, UPSTREAM, Problem, Stopped

if TYPE_CHECKING:
    from .exchange import Answered
    from .rights import Rights
    from .server import Server

__all__ = [
    "ACCEPT",
    "document_of",
    "etag_of",
    "failed",
    "found",
    "json_of",
    "located",
    "refuse_as_missing",
    "shown",
    "url_of",
    "version_of",
]

ACCEPT: Final = ("accept", JSON)
"""The header of whatever is asked in order to be judged."""
_ABOUT_US: Final = (401, 408, 429)
"""What a server says for other reasons than what it has."""
_STATUS: Final = {
    400: Problem(400, "invalid", "The server does not take the request."),
    404: NOT_FOUND,
    409: CONFLICT,
    410: NOT_FOUND,
    412: CONFLICT,
    422: Problem(422, "processing", "The server does not take the resource."),
}
_VERSION = re.compile(r'(?:W/)?"([A-Za-z0-9.-]{1,64})"')
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
_PLAIN = re.compile(r"[\x20-\x7e]{1,64}")
_JSONS = frozenset({"application/fhir+json", "application/json", "text/json"})
_OK, _BAD_REQUEST, _NOT_FOUND, _GONE, _SERVER_ERROR = 200, 400, 404, 410, 500


def failed(answered: Answered) -> Stopped:
    """Return the end that an answer with any status but 2xx makes: constant, since the server's words may quote."""
    status = answered.status
    is_about_the_request = _BAD_REQUEST <= status < _SERVER_ERROR
    problem = _STATUS.get(status, _STATUS[_BAD_REQUEST]) if is_about_the_request else UPSTREAM
    return Stopped(problem, f"the server answered {status}")


def document_of(answered: Answered) -> dict[str, Any]:
    """Return the document that *answered* is, with a status of 2xx.  Raises Stopped where it is none that is read."""
    document = read(json_of(answered))
    if document is None:
        raise Stopped(UPSTREAM, "the server has not answered with JSON that can be read in one way only")
    return document


def json_of(answered: Answered) -> bytes:
    """Return the body of *answered*, said to be JSON, with a status of 2xx.  Raises Stopped where it is not."""
    if answered.status // 100 != _OK // 100:
        raise failed(answered)
    kind = (answered.header("content-type") or "").partition(";")[0].strip(" \t").lower()
    if kind not in _JSONS:
        raise Stopped(UPSTREAM, "the server has not answered with JSON")
    return answered.body


def found(answered: Answered, type_: str, id_: str) -> dict[str, Any] | None:
    """Return the resource that was asked for by its id; None: there is none, or no longer.  Raises Stopped."""
    if answered.status in (_NOT_FOUND, _GONE):
        return None
    refuse_as_missing(answered)
    resource = document_of(answered)
    if resource.get("resourceType") != type_ or resource.get("id") != id_:
        raise Stopped(UPSTREAM, "the server has answered with another resource than it was asked for")
    return resource


def refuse_as_missing(answered: Answered) -> None:
    """Raise Stopped where the server will not give what was asked for by its id, as if it were not there.

    Otherwise a server with rules of its own would tell by them of resources that may not be seen.
    """
    if _BAD_REQUEST <= answered.status < _SERVER_ERROR and answered.status not in _ABOUT_US:
        raise Stopped(NOT_FOUND, f"the server answered {answered.status}")


def version_of(resource: dict[str, Any], answered: Answered) -> str | None:
    """Return the version of *resource*, as it says itself or as the header ``ETag`` has it; None: nothing says."""
    meta = resource.get("meta")
    said = meta.get("versionId") if isinstance(meta, dict) else None
    if isinstance(said, str) and _ID.fullmatch(said):
        return said
    match = _VERSION.fullmatch(answered.header("etag") or "")
    return match[1] if match else None


def etag_of(version: str) -> str:
    """Return the entity tag of a version (hl7.org/fhir/R4/http.html#versioning)."""
    return f'W/"{version}"'


def url_of(server: Server, type_: str, id_: str, version: str | None = None) -> str:
    """Return the URL at which clients find a resource, or a version of it."""
    return f"{server.base}/{type_}/{id_}" + (f"/_history/{version}" if version else "")


def located(answered: Answered, type_: str) -> str | None:
    """Return the id of the resource that ``Location`` is about, whatever base it is on; None: it says none."""
    path = (answered.header("location") or "").partition("/_history/")[0].rstrip("/")
    named: FhirReference | None = referent("/".join(path.split("/")[-2:]))
    return named.id if named is not None and named.type == type_ else None


def shown(
    resource: dict[str, Any], answered: Answered, rights: Rights, *, status: int = _OK, has_moved: bool = False
) -> Response:
    """Return the answer that gives *resource*, which may be seen; *has_moved*: and says where it is to be found."""
    headers = [("content-type", JSON), ("cache-control", "no-store")]
    version = version_of(resource, answered)
    if version is not None:
        headers.append(("etag", etag_of(version)))
    modified = answered.header("last-modified")
    if modified is not None and _PLAIN.fullmatch(modified):
        headers.append(("last-modified", modified))
    if has_moved:
        headers.append(("location", url_of(rights.server, resource["resourceType"], resource["id"], version)))
    return Response(status, tuple(headers), written(resource))
