"""A decision about a FHIR request → one AuditEvent that says who asked for what and what came of it.

It is for whoever has to answer who saw a record (hl7.org/fhir/R4/auditevent.html): it names the user, the client, their
address, the patient and the resource, and so it is as confidential as these.  What was searched for is in it only where
that was asked for.  A token is never in it.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..credentials import Credentials
    from .interaction import Interaction

__all__ = ["Decided", "audit_event"]

_ACTIONS: Final[Mapping[str, str]] = {
    "read": "R",
    "vread": "R",
    "history-instance": "R",
    "create": "C",
    "update": "U",
    "patch": "U",
    "delete": "D",
}
"""What is done to one resource; all else is ``E``, something that is executed."""
_INTERACTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("read", "vread", "create", "update", "patch", "delete"), ""),
    **dict.fromkeys(("history-instance", "history-type", "history-system", "search-type", "search-system"), ""),
    **dict.fromkeys(("search-compartment", "page"), "search"),
    **dict.fromkeys(("everything", "export", "export-status", "export-cancel", "validate", "operation"), "operation"),
}
"""Ours in the words of http://hl7.org/fhir/restful-interaction, empty for the same; a Bundle is one of two of them."""
_TYPES: Final = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_ENTITIES: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLES: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_NETWORK_ADDRESS: Final = "2"
_MINOR, _SERIOUS = 400, 500


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided, and about what."""

    method: str
    interaction: Interaction | None = field(repr=False)
    """What was asked for; None: something that FHIR does not have."""
    credentials: Credentials | None = field(repr=False)
    """Who asked; None: nobody whose token is good."""
    patient: str | None = field(repr=False)
    """The id of the patient in context."""
    address: str | None = field(repr=False)
    """The address of whoever asked."""
    status: int
    """What the client is told."""
    query: str = field(default="", repr=False)
    """What was searched for, if that is to be kept."""


def audit_event(decided: Decided, base: str, now: float) -> dict[str, Any]:
    """Return the AuditEvent of what was *decided* at *now*, seconds since the epoch, about the server at *base*."""
    interaction = decided.interaction
    kind = "" if interaction is None else interaction.kind
    event: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "type": {"system": _TYPES, "code": "rest", "display": "RESTful Operation"},
        "action": _ACTIONS.get(kind, "E"),
        "recorded": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": "0" if decided.status < _MINOR else "4" if decided.status < _SERIOUS else "8",
        "outcomeDesc": f"{decided.method} was answered with {decided.status}",
        "agent": _agents(decided),
        "source": {"site": base, "observer": {"display": "jwt-guard"}},
    }
    if kind in _INTERACTIONS:
        event["subtype"] = [{"system": "http://hl7.org/fhir/restful-interaction", "code": _INTERACTIONS[kind] or kind}]
    entities = _entities(decided)
    if entities:
        event["entity"] = entities
    return event


def _agents(decided: Decided) -> list[dict[str, Any]]:
    network = {} if decided.address is None else {"network": {"address": decided.address, "type": _NETWORK_ADDRESS}}
    credentials = decided.credentials
    if credentials is None:
        return [{"requestor": True, **network}]
    issuer = credentials.claims.get("iss")
    system = issuer if isinstance(issuer, str) else credentials.provider
    names = [name for name in (credentials.user, credentials.client) if name is not None]
    who: list[dict[str, Any]] = [{"identifier": {"system": system, "value": name}} for name in names]
    who = who or [{"display": "nobody is named"}]
    # Whoever asked is the one who is named first: a person, or a system by itself; the other one is how.
    first, *others = who
    return [{"who": first, "requestor": True, **network}, *({"who": other, "requestor": False} for other in others)]


def _entities(decided: Decided) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    interaction = decided.interaction
    if decided.patient is not None:
        found.append(_entity(f"Patient/{decided.patient}", "1", "1"))
    if interaction is not None and interaction.type is not None and interaction.id is not None:
        version = "" if interaction.version is None else f"/_history/{interaction.version}"
        found.append(_entity(f"{interaction.type}/{interaction.id}{version}", "2", "4"))
    elif interaction is not None and interaction.type is not None:
        found.append({"type": _coded(_ENTITIES, "2"), "role": _coded(_ROLES, "4"), "name": interaction.type})
    if interaction is not None and interaction.compartment is not None:
        one = interaction.compartment
        found.append(_entity(f"{one.type}/{one.id}", "2", "4"))
    if decided.query:
        query = b64encode(decided.query.encode("utf-8", "surrogatepass")).decode("ascii")
        found.append({"type": _coded(_ENTITIES, "2"), "role": _coded(_ROLES, "24"), "query": query})
    return found


def _entity(reference: str, kind: str, role: str) -> dict[str, Any]:
    return {"what": {"reference": reference}, "type": _coded(_ENTITIES, kind), "role": _coded(_ROLES, role)}


def _coded(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}
