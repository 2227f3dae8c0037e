"""Credentials at a FHIR server → the Rights of their bearer: what the scopes allow, and the patient in context."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ..access.fhir_references import read_reference
from ..errors import ClaimRejected, Misconfigured
from .rights import Rights
from .scopes import granted

if TYPE_CHECKING:
    from ..credentials import Credentials
    from .server import Server

__all__ = ["PATIENT_CLAIMS", "ClaimPath", "checked_claims", "patient_of", "rights_of"]

ClaimPath: TypeAlias = "str | tuple[str, ...]"
"""The name of a claim, or the names on the way to it."""

PATIENT_CLAIMS: Final[tuple[ClaimPath, ...]] = ("patient", "patient_id", ("launch_response", "patient"))
"""Where issuers say which patient a token is about: the one that SMART names, and what others have instead."""
_USER = "fhirUser"


def checked_claims(claims: Sequence[ClaimPath]) -> tuple[ClaimPath, ...]:
    """Return *claims* as they are asked for; raises Misconfigured."""
    paths = () if isinstance(claims, str) else tuple(claims)
    if not paths or not all(map(_is_path, paths)):
        raise Misconfigured("patient_claims: a list of claim names, or of lists of them, is expected")
    return tuple(path if isinstance(path, str) else tuple(path) for path in paths)


def rights_of(credentials: Credentials | None, server: Server, claims: Sequence[ClaimPath] = PATIENT_CLAIMS) -> Rights:
    """Return what the bearer of *credentials* may do at *server*; None, who has not said who they are, may do nothing.

    Raises ClaimRejected where *claims*, which name the patient, do not name one alone.
    """
    if credentials is None:
        return Rights(server, granted((), types=server.surface.types))
    grants = granted(
        credentials.scopes,
        types=server.surface.types,
        entra_spelling=server.entra_spelling,
        system_read_includes_search=server.koppeltaal,
    )
    patient = patient_of(credentials, server, claims)
    return Rights(server, grants, patient, _bearer(credentials, patient))


def patient_of(credentials: Credentials, server: Server, claims: Sequence[ClaimPath] = PATIENT_CLAIMS) -> str | None:
    """Return the id of the one patient that *claims* name, None where none of them is there.

    ``fhirUser`` names one where a patient has signed in, and says nothing of it where it is anybody else.  Raises
    ClaimRejected for a claim that is there and names no patient of *server*, and for two that name two.
    """
    found: str | None = None
    for path in claims:
        value = _at(credentials.claims, path)
        if value is None:
            continue
        one = _id(path, value, server)
        if found is not None and one not in (None, found):
            raise ClaimRejected(_name(path), "two claims name two patients")
        found = one or found
    return found


def _at(claims: Mapping[str, object], path: ClaimPath) -> object:
    """Return the claim at *path*; None where there is none, and where it says ``null``."""
    value: object = claims
    for name in (path,) if isinstance(path, str) else path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _id(path: ClaimPath, value: object, server: Server) -> str | None:
    """Return the id that *value* is, alone, as ``Patient/id``, or with a base URL of *server* in front."""
    is_user = path == _USER
    is_alone = isinstance(value, str) and "/" not in value and not is_user
    reference = read_reference(f"Patient/{value}" if is_alone else value)
    if reference is not None and is_user and reference.type != "Patient":
        return None
    if reference is None or reference.type != "Patient":
        raise ClaimRejected(_name(path), "names no patient", advice="It is an id, alone or as Patient/id.")
    if reference.base is not None and reference.base not in server.bases:
        advice = "An id counts on its own server alone: have the issuer write it without the server in front."
        raise ClaimRejected(_name(path), "is a patient of another server", advice=advice)
    return reference.id


def _bearer(credentials: Credentials, patient: str | None) -> str:
    """Return what is the same for two tokens that may do the same in the same name, and for no others."""
    who = (
        credentials.provider,
        credentials.claims.get("iss"),
        credentials.user,
        credentials.client,
        patient,
        sorted(credentials.scopes),
    )
    # JSON, so that no two of them read as one when they stand side by side.
    return hashlib.sha256(json.dumps(who, default=str).encode()).hexdigest()


def _name(path: ClaimPath) -> str:
    return path if isinstance(path, str) else ".".join(path)


def _is_path(path: object) -> bool:
    names = (path,) if isinstance(path, str) else path
    return (
        isinstance(names, tuple | list) and bool(names) and all(isinstance(name, str) and name != "" for name in names)
    )
