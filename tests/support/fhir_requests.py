"""Chance and a world → requests of every kind that FHIR has, for what is there, what is another's, and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote

from .fhir_parameters import PARAMETERS, Resource, written
from .fhir_worlds import CATEGORY, CODES, LOINC, SHARED, STATUSES, Key, Scope, World

__all__ = ["CREATED", "ETAG", "NEXT", "Requests", "Step"]

NEXT = "<next>"
"""In the stead of a path: where the last bundle said that there is more."""
CREATED = "<created>"
"""In a path: the last thing that was made."""
ETAG = "<etag>"
"""In a header: the last version that was given."""


@dataclass(frozen=True, slots=True)
class Step:
    """A request, with places that are filled in from the answers before it."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def asked(self) -> str:
        return "&".join(f"{quote(name, safe='_:$.*')}={quote(value, safe=':,/|')}" for name, value in self.query)

    def __str__(self) -> str:
        query = f"?{self.asked}" if self.query else ""
        more = "".join(f"\n    {name}: {value}" for name, value in self.headers)
        return f"{self.method} {self.path}{query}{more}" + (f"\n    {self.body.decode()}" if self.body else "")


_INCLUDED = {
    "Observation": ("subject focus has-member performer", "DiagnosticReport:result Provenance:target List:item"),
    "DiagnosticReport": ("result subject", "Composition:entry Provenance:target"),
    "Composition": ("entry", "Provenance:target"),
    "Condition": ("encounter", "Encounter:diagnosis List:item"),
    "Coverage": ("subscriber payor", "Provenance:target"),
    "Encounter": ("participant diagnosis", "Observation:encounter Condition:encounter"),
    "Group": ("member", "List:item"),
    "List": ("item", "Provenance:target"),
    "MedicationRequest": ("medication requester", "Provenance:target"),
    "Organization": ("partof", "Encounter:service-provider Coverage:payor"),
    "Patient": ("general-practitioner link", "Observation:subject Observation:focus Group:member Coverage:subscriber"),
    "Practitioner": ("nothing", "Observation:performer Encounter:participant"),
    "Provenance": ("target agent", "Provenance:entity"),
}
"""Includes that lead somewhere, and those that lead there in reverse."""


@dataclass(frozen=True, slots=True)
class Requests:
    """Makes them."""

    chance: Random
    world: World
    other: str
    scopes: tuple[Scope, ...]
    keys: Sequence[Key] = field(init=False)
    known: Sequence[Key] = field(init=False)
    """Those that the scopes say something of: requests that are refused at once try little."""

    def __post_init__(self) -> None:
        keys = sorted(self.world)
        known = [key for key in keys if any(scope.knows_of(key[0], self.world[key][-1]) for scope in self.scopes)]
        object.__setattr__(self, "keys", keys)
        own = [key for key in known if key[0] not in SHARED]
        object.__setattr__(self, "known", [*own * 4, *known] or keys)

    def one(self) -> Step:
        """Make one."""
        kinds: list[tuple[int, Callable[[], Step]]] = [
            (16, self.search), (7, self.of_one), (4, self.compartment), (2, self.system), (3, self.everything),
            (1, self.histories), (8, self.follow), (3, self.create), (4, self.update), (2, self.patch),
            (2, self.delete), (2, self.conditional), (2, self.batch), (2, self.transaction), (1, self.odd),
        ]  # fmt: skip
        return self.chance.choices([make for _, make in kinds], [weight for weight, _ in kinds])[0]()

    # --- words ---------------------------------------------------------------------------------------

    def key(self) -> tuple[str, str]:
        kind, id_ = self.chance.choice(self.known if self.chance.random() < 0.6 else self.keys)
        if self.chance.random() < 0.08:
            id_ = self.chance.choice(["ghost", f"x{self.chance.randint(0, 9)}", CREATED])
        return kind, id_

    def kind(self) -> str:
        if self.chance.random() < 0.7:
            return self.chance.choice(self.known)[0]
        return self.chance.choice([*sorted({kind for kind, _ in self.world}), "Patient", "Observation"])

    def person(self) -> str:
        return self.chance.choice(["A", "A", "A", self.other])

    def value(self, kind: str) -> str:
        """Return a value for a parameter of *kind*."""
        chance = self.chance
        match kind:
            case "token":
                words = [*CODES, *STATUSES, "active", "male", "female", "true", "laboratory", "urn:mark|", "none"]
                words += [f"{LOINC}|{CODES[0]}", f"{CATEGORY}|laboratory", f"{LOINC}|", "final,amended", "current"]
                return chance.choice(words)
            case "string":
                return chance.choice(
                    ["Family", "family", "FamilyA", f"Family{self.other}", "Kim", "Doctor0", "a", "zz"]
                )
            case "date":
                prefix = chance.choice(["", "gt", "ge", "lt", "le", "ne", "sa", "eb"])
                return prefix + chance.choice(["2024", "2024-01", "2024-03-15", "2024-01-10", "2023", "2024-06-02"])
            case "number":
                return chance.choice(["", "gt", "le"]) + str(chance.randint(1, 9))
            case "uri":
                return "http://example.org/profile"
            case "patient":
                person = self.person()
                ways = [person, f"Patient/{person}", f"Patient/A,Patient/{self.other}", "Patient/A"]
                ways.append(f"https://api.example/fhir/Patient/{person}")
                return chance.choice(ways)
            case _:
                type_, id_ = self.chance.choice(self.keys)
                return chance.choice([f"{type_}/{id_}", id_, f"Patient/{self.person()}", f"{type_}/{id_},Patient/A"])

    def criterion(self, kind: str) -> tuple[str, str]:
        """Return a parameter of *kind* with some value."""
        names = sorted(PARAMETERS.get(kind, PARAMETERS["Patient"]))
        name = self.chance.choice(names)
        if name == "_id":
            ids = [id_ for type_, id_ in self.keys if type_ == kind] or ["ghost"]
            return "_id", ",".join(self.chance.choices(ids, k=self.chance.randint(1, 3)))
        of = PARAMETERS.get(kind, PARAMETERS["Patient"])[name].kind
        draw = self.chance.random()
        if draw < 0.08:
            return f"{name}:missing", self.chance.choice(["true", "false"])
        if draw < 0.14 and of == "token":
            return f"{name}:{self.chance.choice(['not', 'text'])}", self.value(of)
        if draw < 0.2 and of == "string":
            return f"{name}:{self.chance.choice(['exact', 'contains'])}", self.value(of)
        if draw < 0.2 and of == "reference":
            return f"{name}:Patient", self.person()
        return name, self.value(of)

    def oracle(self) -> tuple[str, str]:
        """Return a parameter that asks about other resources than it finds."""
        other = self.kind()
        by = self.chance.choice(
            [name for name, each in PARAMETERS[other].items() if each.kind in ("reference", "patient")] or ["x"]
        )
        inner = self.criterion(other)
        return self.chance.choice(
            [
                (f"_has:{other}:{by}:{inner[0]}", inner[1]),
                (f"subject:Patient.{self.chance.choice(['name', 'gender'])}", self.value("string")),
                ("patient.gender", "female"),
                ("performer.name", "Doctor0"),
                ("_filter", f"status eq {self.chance.choice(STATUSES)}"),
                ("_content", self.chance.choice(["mark", self.other, "final"])),
                ("_text", "mark"),
                ("_list", self.chance.choice(self.keys)[1]),
                ("_query", "everything"),
                ("_sort", self.chance.choice(["subject.name", "patient.birthdate"])),
                ("_contained", "both"),
                ("focus.status", "final"),
                ("result.status", "final"),
                ("nonsense", "1"),
            ]
        )  # fmt: skip

    def included(self, kind: str) -> tuple[str, str]:
        name = self.chance.choice(["_include", "_include", "_revinclude", "_include:iterate", "_revinclude:iterate"])
        draw = self.chance.random()
        if draw < 0.4:  # what there mostly is
            to, back = (words.split() for words in _INCLUDED.get(kind, ("subject patient", "Provenance:target")))
            return name, self.chance.choice(back if name.startswith("_rev") else [f"{kind}:{each}" for each in to])
        of = kind if name == "_include" else self.kind()
        by = [each for each, found in PARAMETERS[of].items() if found.kind in ("reference", "patient")]
        if draw < 0.55 or not by:
            return name, "*"
        if draw < 0.65:
            return name, f"{of}:*"
        return name, f"{of}:{self.chance.choice(by)}" + (":Patient" if draw > 0.95 else "")

    def query(self, kind: str) -> tuple[tuple[str, str], ...]:
        """Return the parameters of a search."""
        chance = self.chance
        found = [self.criterion(kind) for _ in range(chance.choice([0, 0, 0, 1, 1, 2]))]
        if chance.random() < 0.3:
            found.append(("patient", chance.choice(["A", "Patient/A", self.other, f"Patient/{self.other}"])))
        if chance.random() < 0.08:
            found.append(self.oracle())
        keys = ["date", "_id", "code", "_lastUpdated", "status"]
        more: list[tuple[float, Callable[[], tuple[str, str]]]] = [
            (0.5, lambda: ("_count", chance.choice(["1", "1", "2", "2", "3", "5", "0"]))),
            (0.3, lambda: self.included(kind)), (0.15, lambda: self.included(kind)),
            (0.15, lambda: ("_sort", chance.choice(["", "-"]) + chance.choice(keys))),
            (0.15, lambda: ("_total", chance.choice(["accurate", "none", "estimate"]))),
            (0.08, lambda: ("_summary", chance.choice(["count", "count", "true", "text", "false"]))),
            (0.06, lambda: ("_elements", chance.choice(["code", "status,code", "id"]))),
            (0.03, lambda: ("_format", chance.choice(["json", "xml"]))),
        ]  # fmt: skip
        found += [make() for share, make in more if chance.random() < share]
        chance.shuffle(found)
        return tuple(found)

    # --- requests ------------------------------------------------------------------------------------

    def search(self) -> Step:
        kind = self.kind()
        query = self.query(kind)
        if self.chance.random() < 0.15:
            asked = Step("", "", query).asked
            form = (("content-type", "application/x-www-form-urlencoded"),)
            return Step("POST", f"/{kind}/_search", (), form, asked.encode())
        return Step("HEAD" if self.chance.random() < 0.04 else "GET", f"/{kind}", query)

    def of_one(self) -> Step:
        kind, id_ = self.key()
        headers: tuple[tuple[str, str], ...] = ()
        moved = [key for key in self.keys if len(self.world[key]) > 1]
        if moved and self.chance.random() < 0.4:
            kind, id_ = self.chance.choice(moved)
        if self.chance.random() < 0.3:
            headers = (
                self.chance.choice(
                    [("if-none-match", 'W/"1"'), ("if-none-match", ETAG), ("accept", "application/fhir+xml")]
                ),
            )
        path = f"/{kind}/{id_}" + self.chance.choice(
            ["", "", "", "/_history/1", "/_history/2", "/_history", "/_history"]
        )
        query = self.query(kind)[:1] if self.chance.random() < 0.05 else ()
        return Step("HEAD" if self.chance.random() < 0.1 else "GET", path, query, headers)

    def compartment(self) -> Step:
        kind = self.kind()
        if self.chance.random() < 0.2:
            return Step("GET", f"/Patient/{self.person()}/*", self.query("Observation")[:2])
        return Step("GET", f"/Patient/{self.person()}/{kind}", self.query(kind))

    def system(self) -> Step:
        types = ",".join(self.kind() for _ in range(self.chance.randint(1, 3)))
        query = self.query("Observation")
        if self.chance.random() < 0.8:
            query = (*query, ("_type", types))
        return Step("GET", "/", query)

    def everything(self) -> Step:
        query = (("_count", self.chance.choice(["2", "5"])),) if self.chance.random() < 0.5 else ()
        return Step("GET", f"/Patient/{self.person()}/$everything", query)

    def histories(self) -> Step:
        return Step("GET", self.chance.choice(["/_history", f"/{self.kind()}/_history"]))

    def follow(self) -> Step:
        return Step("GET", NEXT)

    def resource(self, kind: str, id_: str | None = None) -> Resource:
        """Return what could be written: mostly what a resource of this world says, of one patient or the other."""
        alike = [made for (type_, _), held in self.world.items() if type_ == kind for made in held if made.resource]
        own = [made for made in alike if made.is_mine]
        draw = self.chance.random()
        found = self.chance.choice(own if own and draw < 0.8 else alike).resource if alike else None
        made: Resource = json.loads(json.dumps(found or {"resourceType": kind}))
        made.pop("id", None)
        made["identifier"] = [{"system": "urn:new", "value": str(self.chance.randint(0, 2))}]
        if id_ is not None:
            made["id"] = id_
        if draw > 0.65:
            for name in ("subject", "patient", "beneficiary"):
                if name in made:
                    made[name] = {"reference": f"Patient/{self.person()}"}
        if self.chance.random() < 0.04:
            made["status"] = "wrong"
        return made

    def sent(
        self, method: str, path: str, resource: object, *headers: tuple[str, str], mime: str = "fhir+json"
    ) -> Step:
        return Step(method, path, (), (("content-type", f"application/{mime}"), *headers), written(resource))

    def create(self) -> Step:
        kind = self.kind()
        headers: list[tuple[str, str]] = []
        if self.chance.random() < 0.25:
            headers.append(("if-none-exist", self.condition(kind)))
        if self.chance.random() < 0.3:
            headers.append(
                ("prefer", f"return={self.chance.choice(['minimal', 'representation', 'OperationOutcome'])}")
            )
        return self.sent("POST", f"/{kind}", self.resource(kind), *headers)

    def condition(self, kind: str) -> str:
        query = self.chance.choice(
            [(("identifier", "urn:new|1"),), (("identifier", "urn:mark|"),), (self.criterion(kind),)]
        )
        return Step("", "", tuple(pair for pair in query)).asked

    def update(self) -> Step:
        kind, id_ = self.key()
        headers = [("if-match", self.chance.choice(['W/"1"', 'W/"2"', ETAG]))] if self.chance.random() < 0.3 else []
        return self.sent("PUT", f"/{kind}/{id_}", self.resource(kind, id_), *headers)

    def patch(self) -> Step:
        kind, id_ = self.key()
        steps = self.chance.choice(
            [
                [{"op": "replace", "path": "/status", "value": self.chance.choice(STATUSES)}],
                [{"op": "add", "path": "/language", "value": "nl"}],
                [{"op": "replace", "path": "/subject/reference", "value": f"Patient/{self.person()}"}],
                [{"op": "test", "path": "/status", "value": "final"}, {"op": "add", "path": "/language", "value": "f"}],
                [{"op": "remove", "path": "/subject"}],
                [{"op": "copy", "from": "/identifier", "path": "/note"}],
            ]
        )  # fmt: skip
        return self.sent("PATCH", f"/{kind}/{id_}", steps, mime="json-patch+json")

    def delete(self) -> Step:
        kind, id_ = self.key()
        headers = (("if-match", 'W/"1"'),) if self.chance.random() < 0.2 else ()
        return Step("DELETE", f"/{kind}/{id_}", (), headers)

    def conditional(self) -> Step:
        kind = self.kind()
        query = tuple(self.criterion(kind) for _ in range(self.chance.randint(1, 2)))
        draw = self.chance.random()
        if draw < 0.3:
            return Step("DELETE", f"/{kind}", query)
        headers = (("content-type", "application/fhir+json"),)
        if draw < 0.8:
            id_ = self.chance.choice([None, None, self.key()[1]])
            return Step("PUT", f"/{kind}", query, headers, written(self.resource(kind, id_)))
        patch = written([{"op": "add", "path": "/language", "value": "nl"}])
        return Step("PATCH", f"/{kind}", query, (("content-type", "application/json-patch+json"),), patch)

    def entry(self, step: Step) -> Resource:
        request: Resource = {"method": step.method, "url": f"{step.path[1:]}{'?' if step.query else ''}{step.asked}"}
        names = {"if-match": "ifMatch", "if-none-match": "ifNoneMatch", "if-none-exist": "ifNoneExist"}
        request |= {names[name]: value for name, value in step.headers if name in names}
        return {"request": request, **({"resource": json.loads(step.body)} if step.body.startswith(b"{") else {})}

    def batch(self) -> Step:
        makes = [self.search, self.of_one, self.create, self.update, self.delete, self.compartment, self.conditional]
        entries = [self.entry(self.chance.choice(makes)()) for _ in range(self.chance.randint(1, 4))]
        return self.sent("POST", "/", {"resourceType": "Bundle", "type": "batch", "entry": entries})

    def transaction(self) -> Step:
        makes = self.chance.choice([[self.create, self.update], [self.create, self.of_one, self.search, self.delete]])
        entries = [self.entry(self.chance.choice(makes)()) for _ in range(self.chance.randint(1, 3))]
        if self.chance.random() < 0.5:
            encounter = {
                "resourceType": "Encounter",
                "status": "planned",
                "subject": {"reference": f"Patient/{self.person()}"},
            }
            new = "urn:uuid:3fdc72f4-a11d-4a9d-9260-a9f745779e1d"
            seen = {
                "resourceType": "Observation",
                "status": "final",
                "subject": {"reference": "Patient/A"},
                "encounter": {"reference": new},
            }
            entries = [
                {"fullUrl": new, "request": {"method": "POST", "url": "Encounter"}, "resource": encounter},
                {"request": {"method": "POST", "url": "Observation"}, "resource": seen},
                *entries[:1],
            ]  # fmt: skip
        return self.sent("POST", "/", {"resourceType": "Bundle", "type": "transaction", "entry": entries})

    def odd(self) -> Step:
        kind, id_ = self.key()
        return self.chance.choice(
            [
                Step("GET", "/metadata"),
                Step("GET", "/$export"),
                Step("GET", f"/Patient/{self.person()}/$export"),
                Step("POST", f"/{kind}/{id_}/$my-op"),
                Step("GET", f"/Practitioner/p0/{self.kind()}"),
                Step("GET", f"/Encounter/{id_}/$everything"),
                Step("GET", "/Patient/$everything"),
                Step("POST", f"/Patient/{self.person()}/$everything"),
                Step("GET", "/Task", (("resource-origin", self.chance.choice(["Device/1", "Device/12,Device/2"])),)),
                Step("GET", "/", (("_getpages", "abc"),)),
                Step("GET", f"/{self.chance.choice(SHARED)}", (self.oracle(),)),
                self.sent("POST", f"/{kind}/$validate", self.resource(kind)),
                Step("OPTIONS", f"/{kind}/{id_}"),
            ]
        )  # fmt: skip
