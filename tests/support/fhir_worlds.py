"""Chance → two worlds that differ in nothing that one patient's token may know, and requests of that token to try them.

Whether a token may know of a resource is said here by whoever made the resource, and by nobody whom these worlds are to
try: each version of a resource has a label with its owner and what granular scopes may ask of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple, TypeAlias

from .fhir_parameters import Resource
from .fhir_store import UPSTREAM, Habits

__all__ = ["SHARED", "Held", "Key", "Made", "Scope", "World", "a_scope_list", "a_world", "another_world", "some_habits"]

Key: TypeAlias = tuple[str, str]
"""Type and id."""
ME = "A"
LOINC = "http://loinc.org"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
CODES = ("4548-4", "85354-9", "72166-2", "44249-1")
CATEGORIES = ("laboratory", "vital-signs", "social-history")
ORIGIN = "http://koppeltaal.nl/fhir/StructureDefinition/resource-origin"
DEVICES = ("Device/1", "Device/12", "Device/2")
STATUSES = ("final", "amended", "preliminary")
SHARED = ("Practitioner", "Organization", "Location", "Medication")
OWNED = (
    *("Observation",) * 8, "Condition", "MedicationRequest", "Encounter", "DiagnosticReport",
    "Coverage", "List", "Group", "Appointment", "Provenance", "QuestionnaireResponse", "Composition", "Goal", "Basic",
    "RelatedPerson", "DocumentReference", "AllergyIntolerance", "Task", "Device",
)  # fmt: skip
# What no patient's token may know of, whoever it is about.
NOBODYS = frozenset({"Task", "Device"})


class Made(NamedTuple):
    """A version of a resource, and what is true of it; None for the resource: it was deleted."""

    resource: Resource | None
    is_mine: bool
    facets: frozenset[tuple[str, str]] = frozenset()
    """What granular scopes could ask: (parameter, value as in a scope)."""


class Scope(NamedTuple):
    context: str
    type: str
    letters: str
    """Also those of version 1."""
    parameters: tuple[tuple[str, str], ...] = ()

    def is_koppeltaal(self) -> bool:
        return any(name == "resource-origin" for name, _ in self.parameters)

    def __str__(self) -> str:
        query = "&".join(f"{name}={value}" for name, value in self.parameters)
        return f"{self.context}/{self.type}.{self.letters}{'?' if query else ''}{query}"

    def knows_of(self, kind: str, made: Made, letters: str = "cruds") -> bool:
        """Say whether it allows anything at all, of *letters*, with *made*."""
        allowed = {"read": "rs", "write": "cud", "*": "cruds"}.get(self.letters, self.letters)
        if self.type not in ("*", kind) or not set(allowed) & set(letters):
            return False
        if self.context == "patient" and not (kind in SHARED or (made.is_mine and kind not in NOBODYS)):
            return False
        return all(any((name, each) in made.facets for each in value.split(",")) for name, value in self.parameters)


Held: TypeAlias = tuple[Made, ...]
World: TypeAlias = dict[Key, Held]


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes resources of one patient, that may mention another's."""

    chance: Random
    patient: str
    other: str
    ids: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    """By type: what there is to be referred to."""

    def one(self, kind: str, id_: str) -> Made:
        """Make one."""
        resource, is_owned = _MAKERS[kind](self)
        resource = {"resourceType": kind, "id": id_, **resource}
        resource["identifier"] = _mark(self.chance, self.patient)
        if self.chance.random() < 0.15:
            resource["contained"] = [self.inner()]
        if self.chance.random() < 0.4:
            resource["extension"] = [{"url": ORIGIN, "valueReference": {"reference": self.chance.choice(DEVICES)}}]
        return Made(resource, is_owned, _facets(resource))

    def inner(self) -> Resource:
        """Make what is contained, and about whom no token is about here."""
        them = self.other if self.patient == ME else self.patient
        about = {"subject": self.to("Patient", them), "identifier": _mark(self.chance, them)}
        return {"resourceType": "Observation", "id": "c", **about}

    def to(self, kind: str, id_: str) -> Resource:
        return {"reference": f"{kind}/{id_}"}

    def any(self, *kinds: str) -> Resource:
        """Refer to a resource of one of *kinds*, whoever's it is."""
        kind = self.chance.choice(kinds)
        return self.to(kind, self.chance.choice(self.ids.get(kind) or ["nobody"]))

    def me(self) -> Resource:
        """Refer to the patient, in one of the ways that there are."""
        ways = ("{0}",) * 6 + ("https://api.example/fhir/{0}", UPSTREAM + "/{0}", "{0}/_history/1")
        return {"reference": self.chance.choice(ways).format(f"Patient/{self.patient}")}

    def nearly_other(self) -> Resource:
        """Refer to somebody who has the other's id, at another server, or say what makes it nobody's."""
        target = f"Patient/{self.other}"
        ways: tuple[Resource, ...] = (
            {"reference": f"https://other.example/fhir/{target}"},
            {"reference": target, "type": "Practitioner"},
            {"reference": f"#{self.other}"},
            {"display": target, "identifier": {"system": "urn:mark", "value": self.other}},
            {"reference": f"Practitioner/{self.other}"},
        )
        return self.chance.choice(ways)

    def code(self) -> Resource:
        return {"coding": [{"system": LOINC, "code": self.chance.choice(CODES)}]}

    def category(self) -> list[Resource]:
        return [{"coding": [{"system": CATEGORY, "code": self.chance.choice(CATEGORIES)}]}]

    def status(self) -> str:
        return self.chance.choice(STATUSES)

    def day(self) -> str:
        return f"2024-0{self.chance.randint(1, 5)}-{self.chance.randint(10, 28)}"

    def maybe(self, share: float, **elements: Any) -> Resource:
        return elements if self.chance.random() < share else {}


def _observation(make: Maker) -> tuple[Resource, bool]:
    # Who performs is a member of the compartment as well; whom it is about otherwise is not.
    performed = make.chance.random()
    resource = {
        "status": make.status(), "category": make.category(), "code": make.code(), "effectiveDateTime": make.day(),
        **make.maybe(0.9, valueQuantity={"value": make.chance.randint(1, 9), "unit": "mmol"}),
        **make.maybe(0.3, focus=[make.to("Patient", make.other)]),
        **make.maybe(0.3, hasMember=[make.any("Observation")]),
        **make.maybe(0.3, encounter=make.any("Encounter")),
    }  # fmt: skip
    if make.chance.random() < 0.1:
        return {**resource, "subject": make.nearly_other(), "performer": [make.any("Practitioner")]}, False
    resource["subject"] = make.me()
    if performed < 0.4:
        resource["performer"] = [make.any("Practitioner", "Organization")]
    elif performed < 0.5:
        resource["performer"] = [make.to("Patient", make.other)]
        return resource, ME in (make.patient, make.other)
    return resource, make.patient == ME


def _about(**elements: Callable[[Maker], Any]) -> Callable[[Maker], tuple[Resource, bool]]:
    """Return what makes a resource of these elements, the patient's."""

    def made(make: Maker) -> tuple[Resource, bool]:
        return {name.rstrip("_"): value(make) for name, value in elements.items()}, make.patient == ME

    return made


def _both(elements: Callable[[Maker, list[Resource]], Resource]) -> Callable[[Maker], tuple[Resource, bool]]:
    """Return what makes a resource that may be of both patients."""

    def made(make: Maker) -> tuple[Resource, bool]:
        is_both = make.chance.random() < 0.4
        people = [make.me(), *([make.to("Patient", make.other)] if is_both else [])]
        return elements(make, people), is_both or make.patient == ME

    return made


def _provenance(make: Maker) -> tuple[Resource, bool]:
    targets = [make.any("Observation", "DiagnosticReport")]
    if make.chance.random() < 0.6:
        targets.append(make.me())
        is_mine = make.patient == ME
    else:
        is_mine = False
    agent = make.chance.choice([make.to("Patient", make.other), make.any("Practitioner")])
    return {"target": targets, "recorded": f"{make.day()}T00:00:00Z", "agent": [{"who": agent}]}, is_mine


def _coverage(make: Maker) -> tuple[Resource, bool]:
    resource = {"status": "active", "beneficiary": make.me(), "payor": [make.any("Organization")]}
    if make.chance.random() < 0.3:
        resource["subscriber"] = make.to("Patient", make.other)
        return resource, ME in (make.patient, make.other)
    return resource, make.patient == ME


_MAKERS: Mapping[str, Callable[[Maker], tuple[Resource, bool]]] = {
    "AllergyIntolerance": _about(patient=Maker.me, code=Maker.code, recordedDate=Maker.day),
    "Appointment": _both(
        lambda make, people: {
            "status": "booked", "start": f"{make.day()}T09:00:00Z",
            "participant": [{"actor": each, "status": "accepted"} for each in [*people, make.any("Practitioner")]],
        }
    ),
    "Basic": _about(subject=Maker.me, code=Maker.code, created=Maker.day),
    "Composition": _about(
        subject=Maker.me, status=Maker.status, type_=Maker.code, date=Maker.day, title=lambda _: "A letter",
        author=lambda make: [make.any("Practitioner")],
        section=lambda make: [{"entry": [make.any("Observation", "Condition", "Patient")]}],
    ),
    "Condition": _about(
        subject=Maker.me, code=Maker.code, category=Maker.category, recordedDate=Maker.day,
        encounter=lambda make: make.any("Encounter"),
    ),
    "Coverage": _coverage,
    "Device": _about(patient=Maker.me, status=lambda _: "active"),
    "DiagnosticReport": _about(
        subject=Maker.me, status=Maker.status, code=Maker.code, category=Maker.category, effectiveDateTime=Maker.day,
        result=lambda make: [make.any("Observation"), make.any("Observation")],
        performer=lambda make: [make.any("Practitioner", "Organization")], encounter=lambda make: make.any("Encounter"),
    ),
    "DocumentReference": _about(
        subject=Maker.me, status=lambda _: "current", date=lambda make: f"{make.day()}T00:00:00Z",
        custodian=lambda make: make.any("Organization"),
    ),
    "Encounter": _about(
        subject=Maker.me, status=lambda _: "finished", period=lambda make: {"start": make.day()},
        participant=lambda make: [{"individual": make.any("Practitioner")}],
        location=lambda make: [{"location": make.any("Location")}],
        serviceProvider=lambda make: make.any("Organization"),
        diagnosis=lambda make: [{"condition": make.any("Condition")}],
    ),
    "Goal": _about(subject=Maker.me, lifecycleStatus=lambda _: "active", startDate=Maker.day),
    "Group": _both(
        lambda _, people: {"type": "person", "actual": True, "member": [{"entity": each} for each in people]}
    ),
    "List": _about(
        subject=Maker.me, status=lambda _: "current", mode=lambda _: "working", title=lambda _: "A list",
        entry=lambda make: [{"item": make.any("Observation", "Patient", "Condition")} for _ in range(2)],
    ),
    "MedicationRequest": _about(
        subject=Maker.me, status=lambda _: "active", intent=lambda _: "order", authoredOn=Maker.day,
        medicationReference=lambda make: make.any("Medication"),
        requester=lambda make: make.chance.choice([make.any("Practitioner"), make.to("Patient", make.other)]),
    ),
    "Observation": _observation,
    "Provenance": _provenance,
    "QuestionnaireResponse": _about(
        subject=Maker.me, status=lambda _: "completed", authored=Maker.day,
        source=lambda make: make.to("Patient", make.other),
    ),
    "RelatedPerson": _about(patient=Maker.me, name=lambda _: [{"family": "Kin"}]),
    "Task": _about(for_=Maker.me, status=lambda _: "requested", intent=lambda _: "plan",
                   focus=lambda make: make.any("Observation")),
}  # fmt: skip


def _mark(chance: Random, patient: str) -> list[Resource]:
    """Return what a resource is known by, wherever it comes to light."""
    return [{"system": "urn:mark", "value": f"mark-{patient}-{chance.getrandbits(32):x}-mark"}]


def _facets(resource: Resource) -> frozenset[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for name in ("category", "code"):
        element = resource.get(name)
        for each in element if isinstance(element, list) else [element or {}]:
            for coding in each.get("coding", ()):
                found |= {(name, coding["code"]), (name, f"{coding['system']}|{coding['code']}")}
    if isinstance(resource.get("status"), str):
        found.add(("status", resource["status"]))
    origins = {each["valueReference"]["reference"] for each in resource.get("extension", ())}
    if not origins and resource["resourceType"] == "Device":
        origins = set(DEVICES)  # one that has no origin is everybody's (Koppeltaal 2.0)
    found |= {("resource-origin", each) for each in origins}
    return frozenset(found)


def a_world(chance: Random, size: int) -> tuple[World, str]:
    """Make one with the patient ``A`` and somebody else, whose id is returned, and some *size* resources of each."""
    other = chance.choice(["B", "B", "A1", "a"])
    shared: dict[str, list[str]] = {kind: [f"{kind[0].lower()}{place}" for place in range(3)] for kind in SHARED}
    ids: dict[str, list[str]] = {**shared, "Patient": [ME, other]}
    planned: list[tuple[str, str, str]] = []
    for owner in (ME, other):
        for place in range(size):
            kind = chance.choice(OWNED)
            id_ = f"{chance.choice('mnop')}{owner.lower()}{place}"
            planned.append((owner, kind, id_))
            ids.setdefault(kind, []).append(id_)
    chance.shuffle(planned)
    world: World = {}
    for owner in chance.sample([ME, other], 2):
        unlike = other if owner == ME else ME
        person: Resource = {
            "resourceType": "Patient", "id": owner, "name": [{"family": f"Family{owner}", "given": ["Kim"]}],
            "gender": chance.choice(["male", "female"]), "birthDate": "1970-01-01", "identifier": _mark(chance, owner),
            "generalPractitioner": [{"reference": "Practitioner/p0"}],
            "managingOrganization": {"reference": "Organization/o0"},
            "link": [{"other": {"reference": f"Patient/{unlike}"}, "type": "seealso"}],
        }  # fmt: skip
        world["Patient", owner] = (Made(person, owner == ME),)
    for kind, names in shared.items():
        for place, id_ in enumerate(names):
            resource: Resource = {"resourceType": kind, "id": id_, "name": f"{kind} {place}"}
            if kind == "Practitioner":
                resource["name"] = [{"family": f"Doctor{place}"}]
            world[kind, id_] = (Made(resource, is_mine=False),)
    for owner, kind, id_ in planned:
        make = Maker(chance, owner, other if owner == ME else ME, ids)
        if (kind, id_) not in world:
            world[kind, id_] = _versions(make, kind, id_, ids)
    return world, other


def _versions(make: Maker, kind: str, id_: str, ids: Mapping[str, list[str]]) -> Held:
    """Make one, or several versions of it, of which some may be the other's, or a deletion."""
    versions = [make.one(kind, id_)]
    fate = make.chance.random()
    if fate < 0.1:
        versions.append(make.one(kind, id_))
    elif fate < 0.26:
        versions.append(Maker(make.chance, make.other, make.patient, ids).one(kind, id_))
    if 0.16 < fate < 0.3:
        versions.append(versions[-1]._replace(resource=None))
    return tuple(versions)


def another_world(chance: Random, world: World, other: str, scopes: tuple[Scope, ...]) -> World:
    """Return one in which all that *scopes* may know of is as it is in *world*, and the rest is otherwise."""
    how = chance.choice(["absent", "changed", "changed", "more"])
    ids: dict[str, list[str]] = {}
    for kind, id_ in world:
        ids.setdefault(kind, []).append(id_)
    make = Maker(chance, other, ME, ids)
    made: World = {}
    for place, (key, held) in enumerate(world.items()):
        if key[0] in SHARED:
            made[key] = held
            continue
        known = [any(scope.knows_of(key[0], each) for scope in scopes) for each in held]
        # That the patient itself is there is known to whoever has a token about it.
        if any(known) or key == ("Patient", ME):
            # Koppeltaal has one origin for a resource and what is contained in it.
            made[key] = _altered(make, key, held, known, inside=not any(map(Scope.is_koppeltaal, scopes)))
        elif how == "changed" and chance.random() < 0.7:
            made[key] = _otherwise(make, key, held, scopes)
        elif how == "more":
            made[key] = held
        if how != "absent" and chance.random() < (0.6 if how == "more" else 0.1):
            kind = chance.choice(OWNED)
            extra = _otherwise(make, (kind, f"x{place}"), (), scopes)
            if extra:
                made[kind, f"x{place}"] = extra
    return made


def _altered(make: Maker, key: Key, held: Held, known: list[bool], *, inside: bool) -> Held:
    """Return *held* with other content in the versions that are not known of, as many as there are.

    With *inside*, what is contained in those that are known of is other content as well.

    A deletion tells of what was deleted: where that is not known of, it may as well not be.
    """
    is_deleted = held[-1].resource is None
    kept = list(held)
    if is_deleted and not known[-1]:
        kept.pop()
    for place, each in enumerate(kept):
        if each.resource is None:
            continue
        if not known[place]:
            kept[place] = each._replace(resource=_scrambled(make, key, each.resource))
        elif inside and "contained" in each.resource:
            # What another's is told of inside of what is known is not known for that.
            kept[place] = each._replace(resource={**each.resource, "contained": [make.inner()]})
    if is_deleted and not known[-1] and make.chance.random() < 0.5:
        kept.append(kept[-1]._replace(resource=None))
    return tuple(kept)


def _scrambled(make: Maker, key: Key, resource: Resource) -> Resource:
    """Return another resource, for which the label of *resource* holds: somebody else's."""
    if key[0] == "Patient":
        return {**resource, "gender": "other", "name": [{"family": f"New{make.chance.getrandbits(16)}"}]}
    if not any(name in resource for name in ("subject", "patient", "beneficiary", "member", "participant", "for")):
        return {**resource, "recorded": f"{make.day()}T00:00:00Z"}
    language = make.chance.choice(["nl", "fy", "de"])
    return {**resource, "language": language, "identifier": _mark(make.chance, make.patient)}


def _otherwise(make: Maker, key: Key, held: Held, scopes: tuple[Scope, ...]) -> Held:
    """Return what else could be there that *scopes* do not know of; nothing where that is not found."""
    if key[0] == "Patient":
        return tuple(each._replace(resource=_scrambled(make, key, each.resource)) for each in held if each.resource)
    for _ in range(8):
        found = _versions(make, *key, make.ids)
        if not any(scope.knows_of(key[0], each) for scope in scopes for each in found):
            return found
    return held


def a_scope_list(chance: Random) -> tuple[Scope, ...]:
    """Make the scopes of a token: of both versions, granular ones, and some for people's whole types."""
    lab = ("category", f"{CATEGORY}|laboratory")
    whole: list[tuple[Scope, ...]] = [
        (Scope("patient", "*", "rs"),), (Scope("patient", "*", "cruds"),), (Scope("patient", "*", "read"),),
        (Scope("patient", "*", "*"),), (Scope("patient", "*", "read"), Scope("patient", "Observation", "write")),
    ]  # fmt: skip
    granular = [
        (lab,), (("category", "vital-signs"),), (("status", "final"),), (("code", f"{LOINC}|4548-4"),),
        (lab, ("status", "final")), (("code", "85354-9"),), (("category", "laboratory,social-history"),),
    ]  # fmt: skip
    draw = chance.random()
    if draw < 0.06:
        return tuple(_koppeltaal(chance) for _ in range(chance.randint(1, 2)))
    if draw < 0.45:
        scopes = list(chance.choice(whole))
    else:
        scopes = []
        for _ in range(chance.randint(1, 4)):
            letters = "".join(letter for letter in "cruds" if chance.random() < 0.65) or "rs"
            kind = chance.choice([*OWNED, "Patient", *SHARED])
            if chance.random() < 0.4:
                context = "user" if chance.random() < 0.15 else "patient"
                scopes.append(Scope(context, "Observation", letters, chance.choice(granular)))
            else:
                scopes.append(Scope("patient", kind, letters))
        if chance.random() < 0.5:
            scopes.append(Scope("patient", "Patient", chance.choice(["rs", "r", "rus"])))
        if chance.random() < 0.3:
            scopes.append(Scope("patient", chance.choice(["DiagnosticReport", "Encounter"]), "crus"))
    if chance.random() < 0.25:
        scopes.append(Scope("user", chance.choice(SHARED), chance.choice(["rs", "cruds", "read", "s"])))
    return tuple(scopes)


def _koppeltaal(chance: Random) -> Scope:
    """Make a scope of Koppeltaal's, for what some applications have made."""
    origins = ",".join(chance.sample(DEVICES, chance.randint(1, 2)))
    kind, letters = chance.choice(["Task", "Observation", "*"]), chance.choice(["r", "rus", "cruds", "rs"])
    return Scope("system", kind, letters, (("resource-origin", origins),))


def some_habits(chance: Random, scopes: tuple[Scope, ...]) -> Habits:
    """Choose what the server does beside what it should, in front of a token with *scopes*."""
    draw, every = chance.random(), frozenset({*OWNED, "Patient"})
    if draw < 0.25:
        return Habits(page=chance.choice([2, 3, 20]))
    if draw < 0.5:  # everything is everybody's, a little at a time
        plain = chance.random() < 0.5
        return Habits(ignores_narrowing=every, ignores_count=True, has_plain_links=plain, page=chance.choice([1, 2, 3]))

    def now() -> bool:
        return chance.random() < 0.3

    ignoring = frozenset(kind for kind in sorted(every) if chance.random() < 0.5) if now() else frozenset[str]()
    return Habits(
        ignores_narrowing=ignoring,
        ignores_count=now(),
        total=chance.choice(["right", "all", "none"]),
        follows_any_reference=now(),
        drops_compartment=now(),
        says_gone=now(),
        mixes=ME if now() and all(scope.context == "patient" for scope in scopes) else None,
        quotes=now(),
        includes_all=now(),
        is_strict=now(),
        takes_other_servers=now(),
        has_plain_links=now(),
        page=chance.choice([2, 3, 5, 20]),
    )
