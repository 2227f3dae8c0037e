"""A FHIR resource, a search parameter and a value → whether the one has the other; and which references are where."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

__all__ = ["COMPARTMENT", "PARAMETERS", "Parameter", "Resource", "meets", "references", "values_at", "written"]

Resource: TypeAlias = dict[str, Any]


class Parameter(NamedTuple):
    """One that a server has."""

    kind: str
    """token, string, date, number, uri, reference; or patient, a reference to one."""
    paths: tuple[tuple[str, ...], ...]


# name=kind, or name=kind:path where the element is called something else; `|` is for elements of several names.
_EVERY = (
    "_id=token:id _lastUpdated=date:meta.lastUpdated _tag=token:meta.tag _profile=uri:meta.profile "
    "_security=token:meta.security _source=uri:meta.source"
)
_OF = {
    "AllergyIntolerance": "patient=patient recorder=reference asserter=reference code=token criticality=token "
    "clinical-status=token:clinicalStatus date=date:recordedDate identifier=token",
    "Appointment": "actor=reference:participant.actor patient=patient:participant.actor status=token date=date:start "
    "practitioner=reference:participant.actor location=reference:participant.actor identifier=token "
    "reason-reference=reference:reasonReference",
    "Basic": "patient=patient:subject subject=reference author=reference code=token created=date identifier=token",
    "Composition": "patient=patient:subject subject=reference author=reference attester=reference:attester.party "
    "status=token type=token title=string date=date entry=reference:section.entry encounter=reference",
    "Condition": "patient=patient:subject subject=reference asserter=reference code=token category=token "
    "clinical-status=token:clinicalStatus encounter=reference onset-date=date:onsetDateTime severity=token "
    "recorded-date=date:recordedDate identifier=token",
    "Coverage": "beneficiary=reference patient=patient:beneficiary subscriber=reference "
    "policy-holder=reference:policyHolder payor=reference status=token type=token identifier=token",
    "Device": "patient=patient organization=reference:owner status=token type=token identifier=token",
    "DiagnosticReport": "subject=reference patient=patient:subject code=token category=token status=token "
    "date=date:effectiveDateTime|effectivePeriod result=reference encounter=reference performer=reference "
    "issued=date conclusion=token:conclusionCode identifier=token",
    "DocumentReference": "subject=reference patient=patient:subject author=reference status=token type=token "
    "category=token date=date custodian=reference description=string identifier=token",
    "Encounter": "subject=reference patient=patient:subject class=token status=token type=token "
    "date=date:period participant=reference:participant.individual service-provider=reference:serviceProvider "
    "location=reference:location.location diagnosis=reference:diagnosis.condition identifier=token",
    "Goal": "patient=patient:subject subject=reference lifecycle-status=token:lifecycleStatus category=token "
    "start-date=date:startDate identifier=token",
    "Group": "member=reference:member.entity type=token actual=token code=token identifier=token "
    "managing-entity=reference:managingEntity",
    "List": "subject=reference patient=patient:subject source=reference item=reference:entry.item status=token "
    "code=token title=string date=date encounter=reference identifier=token",
    "Location": "name=string identifier=token status=token organization=reference:managingOrganization type=token",
    "Medication": "code=token status=token identifier=token manufacturer=reference",
    "MedicationRequest": "subject=reference patient=patient:subject status=token intent=token "
    "code=token:medicationCodeableConcept medication=reference:medicationReference requester=reference "
    "encounter=reference authoredon=date:authoredOn category=token identifier=token",
    "Observation": "subject=reference patient=patient:subject performer=reference focus=reference code=token "
    "category=token status=token date=date:effectiveDateTime|effectivePeriod encounter=reference "
    "value-quantity=number:valueQuantity.value value-concept=token:valueCodeableConcept "
    "value-string=string:valueString has-member=reference:hasMember derived-from=reference:derivedFrom "
    "device=reference specimen=reference based-on=reference:basedOn identifier=token",
    "Organization": "name=string identifier=token active=token type=token partof=reference:partOf",
    "Patient": "name=string family=string:name.family given=string:name.given gender=token birthdate=date:birthDate "
    "identifier=token active=token general-practitioner=reference:generalPractitioner link=reference:link.other "
    "organization=reference:managingOrganization address=string address-city=string:address.city phone=token:telecom",
    "Practitioner": "name=string family=string:name.family identifier=token active=token gender=token",
    "Provenance": "target=reference patient=patient:target agent=reference:agent.who recorded=date "
    "entity=reference:entity.what location=reference",
    "QuestionnaireResponse": "subject=reference patient=patient:subject author=reference source=reference "
    "status=token authored=date encounter=reference identifier=token",
    "RelatedPerson": "patient=patient name=string gender=token active=token relationship=token identifier=token",
    "Task": "subject=reference:for patient=patient:for owner=reference requester=reference focus=reference "
    "status=token intent=token code=token authored-on=date:authoredOn identifier=token "
    "resource-origin=reference:extension.valueReference",
}


def _read(text: str) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for each in text.split():
        name, _, rest = each.partition("=")
        kind, _, paths = rest.partition(":")
        found[name] = Parameter(kind, tuple(tuple(path.split(".")) for path in (paths or name).split("|")))
    return found


PARAMETERS = {kind: _read(f"{_EVERY} {text}") for kind, text in _OF.items()}
"""By type.  No more types than these are served."""

COMPARTMENT = {
    "AllergyIntolerance": ("patient", "recorder", "asserter"),
    "Appointment": ("actor",),
    "Basic": ("patient", "author"),
    "Composition": ("subject", "author", "attester"),
    "Condition": ("patient", "asserter"),
    "Coverage": ("policy-holder", "subscriber", "beneficiary", "payor"),
    "DiagnosticReport": ("subject",),
    "DocumentReference": ("subject", "author"),
    "Encounter": ("patient",),
    "Goal": ("patient",),
    "Group": ("member",),
    "List": ("subject", "source"),
    "MedicationRequest": ("subject",),
    "Observation": ("subject", "performer"),
    "Patient": ("link",),
    "Provenance": ("patient",),
    "QuestionnaireResponse": ("subject", "author"),
    "RelatedPerson": ("patient",),
}
"""The parameters that make a member of the patient's compartment, as its CompartmentDefinition has them."""


def values_at(resource: Resource, parameter: Parameter) -> list[Any]:
    """Return what is at the ends of its paths, lists laid open."""
    found: list[Any] = []
    for path in parameter.paths:
        nodes: list[Any] = [resource]
        for name in path:
            values = [node[name] for node in nodes if isinstance(node, dict) and name in node]
            nodes = [item for value in values for item in (value if isinstance(value, list) else [value])]
        found += nodes
    return found


def references(node: Any) -> Iterator[str]:
    """Yield each literal reference in *node*, wherever it stands."""
    if isinstance(node, dict):
        text = node.get("reference")
        if isinstance(text, str):
            yield text
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def meets(resource: Resource, parameter: Parameter, modifier: str, value: str, bases: Iterable[str]) -> bool:
    """Say whether *resource* has one of the values that *value* lists."""
    found = values_at(resource, parameter)
    if modifier == "missing":
        return (not found) is (value == "true")
    parts = value.split(",")
    if modifier == "not":
        return not any(_one(each, "token", "", part, bases) for each in found for part in parts)
    return any(_one(each, parameter.kind, modifier, part, bases) for each in found for part in parts)


def _one(found: Any, kind: str, modifier: str, wanted: str, bases: Iterable[str]) -> bool:
    match kind:
        case "token":
            return _token(found, modifier, wanted)
        case "string":
            return any(_string(text, modifier, wanted) for text in _texts(found))
        case "date":
            return _date(found, wanted)
        case "number":
            return _number(found, wanted)
        case "uri":
            return isinstance(found, str) and (found.startswith(wanted) if modifier == "below" else found == wanted)
        case _:
            text = found.get("reference", "") if isinstance(found, dict) else ""
            if modifier == "identifier":
                return isinstance(found, dict) and _token(found.get("identifier"), "", wanted)
            return _reference(text, kind, modifier, wanted, tuple(bases))


def _token(found: Any, modifier: str, wanted: str) -> bool:
    for system, code, text in _tokens(found):
        if modifier == "text":
            if wanted.lower() in text.lower():
                return True
            continue
        first, bar, last = wanted.partition("|")
        if (code == first) if not bar else ((not first or system == first) and (not last or code == last)):
            return True
    return False


def _tokens(found: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(found, bool):
        yield "", str(found).lower(), ""
    elif isinstance(found, str):
        yield "", found, found
    elif isinstance(found, dict):
        if isinstance(found.get("coding"), list):
            for each in found["coding"]:
                yield from _tokens(each)
        yield (
            str(found.get("system", "")),
            str(found.get("code", found.get("value", ""))),
            str(found.get("text", found.get("display", ""))),
        )


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif isinstance(found, dict):
        for value in found.values():
            yield from _texts(value)
    elif isinstance(found, list):
        for value in found:
            yield from _texts(value)


def _string(text: str, modifier: str, wanted: str) -> bool:
    if modifier == "exact":
        return text == wanted
    if modifier == "contains":
        return wanted.lower() in text.lower()
    return text.lower().startswith(wanted.lower())


def _date(found: Any, wanted: str) -> bool:
    low, high = (found.get("start", ""), found.get("end", "9")) if isinstance(found, dict) else (str(found), str(found))
    prefix, text = (wanted[:2], wanted[2:]) if wanted[:2].isalpha() else ("eq", wanted)
    size = len(text)
    low, high = low[:size], high[:size]
    return {
        "eq": low == text == high,
        "ne": low != text or high != text,
        "gt": high > text,
        "lt": low < text,
        "ge": high >= text,
        "le": low <= text,
        "sa": low > text,
        "eb": high < text,
    }.get(prefix, False)


def _number(found: Any, wanted: str) -> bool:
    prefix, text = (wanted[:2], wanted[2:]) if wanted[:2].isalpha() else ("eq", wanted)
    try:
        asked, has = float(text.partition("|")[0]), float(found)
    except (TypeError, ValueError):
        return False
    return {"gt": has > asked, "lt": has < asked, "ge": has >= asked, "le": has <= asked}.get(prefix, has == asked)


@lru_cache(maxsize=4096)
def _reference(text: str, kind: str, modifier: str, wanted: str, bases: tuple[str, ...]) -> bool:
    text, wanted = _relative(text, bases), _relative(wanted, bases)
    if "://" in text or "://" in wanted:
        # A habit of one real server: it looks at the end alone, whosever patient that is.
        if "*" not in bases:
            return text == wanted
        text, wanted = "/".join(text.split("/")[-2:]), "/".join(wanted.split("/")[-2:])
    found_type, _, found_id = text.rpartition("/")
    only = "Patient" if kind == "patient" else modifier
    if only and found_type != only:
        return False
    return text == wanted if "/" in wanted else found_id == wanted


def _relative(text: str, bases: tuple[str, ...]) -> str:
    text = text.partition("/_history/")[0]
    return next((text[len(base) + 1 :] for base in bases if text.startswith(f"{base}/")), text)


def written(document: object) -> bytes:
    """Return *document* as JSON, in the fewest octets."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
