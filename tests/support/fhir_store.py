"""FHIR resources → a store of their versions, and what a search in it finds: the half of a server that only looks."""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import urlencode

from .fhir_parameters import COMPARTMENT, PARAMETERS, Resource, meets, references, values_at, written

__all__ = ["UPSTREAM", "FhirStore", "Habits", "Parameters", "Said", "Version", "Wrong"]

UPSTREAM = "http://upstream.internal:8080/fhir"
"""How it speaks of itself."""

Parameters: TypeAlias = tuple[tuple[str, str], ...]
Said: TypeAlias = tuple[int, dict[str, str], bytes]
"""Status, headers and body."""

_CONTROL = frozenset(
    {
        "_contained", "_containedType", "_count", "_elements", "_format", "_include", "_offset", "_outputFormat",
        "_pretty", "_query", "_revinclude", "_score", "_since", "_sort", "_summary", "_total", "_type",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Habits:
    """What real servers do, and a guard must not rely on their not doing."""

    ignores_narrowing: frozenset[str] = frozenset()
    """Types of which the parameters about patients are passed over."""
    ignores_count: bool = False
    total: Literal["right", "all", "none"] = "right"
    """``all``: that of everybody's resources of the type."""
    follows_any_reference: bool = False
    """A compartment has all that refers to the patient anywhere."""
    drops_compartment: bool = False
    """The second page of a compartment is of everybody's."""
    says_gone: bool = False
    """What was deleted is 410."""
    mixes: str | None = None
    """Other resources of the type stand between those that match, but for those that speak of this patient."""
    quotes: bool = False
    """Errors, and remarks in a result, quote resources of the type."""
    includes_all: bool = False
    """With any include, all that refers and is referred to comes along."""
    is_strict: bool = False
    """Unknown parameters are errors, and not passed over."""
    takes_other_servers: bool = False
    """Patients of other servers with the same id count."""
    has_plain_links: bool = False
    """A link to a page has an offset to be read, and not a text that means something to the server alone."""
    page: int = 20


class Version(NamedTuple):
    """One of a resource; None for the resource where it was deleted."""

    number: int
    resource: Resource | None
    text: bytes
    method: str


class Found(NamedTuple):
    """A resource of a result, and why it is there."""

    kind: str
    id: str
    text: bytes
    resource: Resource
    mode: str


class Wrong(Exception):
    """The request cannot be done; *kind* is the type it was about."""

    def __init__(self, status: int, said: str, kind: str = "") -> None:
        super().__init__(said)
        self.status, self.said, self.kind = status, said, kind


class FhirStore:
    """What such a server holds, and its searches."""

    def __init__(self, resources: Iterable[Resource | None], habits: Habits | None = None) -> None:
        """Hold *resources*: one of an id that is there is its next version, and with ``_deleted`` in it a deletion."""
        self.habits = habits or Habits()
        self.store: dict[str, dict[str, tuple[Version, ...]]] = {}
        self.bases = (UPSTREAM, "*") if self.habits.takes_other_servers else (UPSTREAM,)
        self.asked = 0
        for each in resources:
            if each is not None:
                self.keep(each["resourceType"], each["id"], None if each.get("_deleted") else each, "PUT")

    def fresh(self) -> Self:
        """Return one that holds the same, and goes its own way from here."""
        other = type(self)((), self.habits)
        other.store = {kind: dict(by_id) for kind, by_id in self.store.items()}
        return other

    # --- what is held --------------------------------------------------------------------------------

    def keep(self, kind: str, id_: str, resource: Resource | None, method: str) -> Version:
        """Hold *resource* as the next version of *id_*."""
        earlier = self.store.setdefault(kind, {}).get(id_, ())
        number = len(earlier) + 1
        text = b""
        if resource is not None:
            meta = resource.get("meta")
            said: dict[str, Any] = meta if isinstance(meta, dict) else {}
            # The time tells of this resource's own writes, and nothing of anybody else's.
            at = said.get("lastUpdated", f"2024-01-{1 + int(sha256(id_.encode()).hexdigest(), 16) % 28:02}T08:00:00Z")
            if earlier:
                at = f"2024-06-{min(number, 28):02}T08:00:00Z"
            resource = {**resource, "id": id_, "meta": {**said, "versionId": str(number), "lastUpdated": at}}
            text = written(resource)
        version = Version(number, resource, text, method)
        self.store[kind][id_] = (*earlier, version)
        return version

    def held(self, kind: str, id_: str) -> Version | None:
        """Return the current version, a deletion too."""
        versions = self.store.get(kind, {}).get(id_)
        return versions[-1] if versions else None

    def _current(self, kind: str, id_: str) -> Version:
        version = self.held(kind, id_)
        if version is None:
            raise Wrong(404, f"Resource {kind}/{id_} is not known", kind)
        if version.resource is None:
            raise Wrong(410 if self.habits.says_gone else 404, f"Resource {kind}/{id_} was deleted", kind)
        return version

    def _all(self, kind: str) -> list[tuple[str, Version]]:
        by_id = self.store.get(kind, {})
        return [(id_, versions[-1]) for id_, versions in by_id.items() if versions[-1].resource is not None]

    # --- searches ------------------------------------------------------------------------------------

    def _search(  # noqa: PLR0913
        self, types: list[str], query: Parameters, *, path: str, compartment: str | None = None, offset: int = 0,
        everything: bool = False,
    ) -> Said:  # fmt: skip
        asked = dict(query)
        if path.endswith("$everything"):
            everything = True
        found = [
            each
            for kind in types
            for each in self._matching(kind, query)
            if compartment is None or self._is_within(kind, each.resource, compartment)
        ]
        found = self._sorted(found, asked.get("_sort", ""))
        total = len(found)
        if everything:
            found += self._shared_by(found)
        if self.habits.mixes is not None:
            found = self._mixed(found, types, self.habits.mixes)
        if self.habits.total == "all":
            total = sum(len(self._all(kind)) for kind in types)
        if asked.get("_summary") == "count":
            return self._bundled("searchset", [], total, {})
        offset = int(asked.get("_offset", offset))
        count = self.habits.page if self.habits.ignores_count else int(asked.get("_count") or self.habits.page)
        page = found[offset : offset + count] if count else []
        links = {"self": f"{UPSTREAM}{path}?{urlencode(query)}"}
        if count and offset + count < len(found):
            links["next"] = self._next(path, query, compartment, types, offset + count)
        page = self._with_included(page, query)
        if asked.get("_summary") in ("true", "text", "data") or "_elements" in asked:
            page = [self._summed(each, asked.get("_elements", "")) for each in page]
        return self._bundled("searchset", page, None if self.habits.total == "none" else total, links)

    def _matching(self, kind: str, query: Parameters) -> list[Found]:
        criteria = [pair for pair in query if pair[0].partition(":")[0] not in _CONTROL]
        for name, _ in criteria if self.habits.is_strict else ():
            if name[0] != "_" and name.partition(".")[0].partition(":")[0] not in PARAMETERS[kind]:
                raise Wrong(400, f"Unknown search parameter {name}", kind)
        return [
            Found(kind, id_, version.text, version.resource, "match")
            for id_, version in self._all(kind)
            if version.resource is not None
            and all(self._meets(kind, version.resource, name, value) for name, value in criteria)
        ]

    def _ids_of(self, kind: str, criteria: Parameters) -> list[str]:
        return [each.id for each in self._matching(kind, criteria)]

    def _next(self, path: str, query: Parameters, compartment: str | None, types: list[str], offset: int) -> str:
        if self.habits.drops_compartment and compartment is not None and not path.endswith("$everything"):
            path, compartment = f"/{types[0]}", None
        if self.habits.has_plain_links:
            kept = [*(pair for pair in query if pair[0] != "_offset"), ("_offset", str(offset))]
            return f"{UPSTREAM}{path}?{urlencode(kept)}"
        state = written([path, query, compartment, types, offset])
        return f"{UPSTREAM}?{urlencode({'_getpages': urlsafe_b64encode(state).decode()})}"

    def _meets(self, kind: str, resource: Resource, name: str, value: str) -> bool:
        if name.startswith("_has:"):
            _, of, by, rest = name.split(":", 3)
            return any(
                self._refers(of, each.resource, by, f"{kind}/{resource['id']}")
                and self._meets(of, each.resource, rest, value)
                for _, each in self._all(of)
                if each.resource is not None
            )
        if name in ("_content", "_text"):
            return value.lower().encode() in written(resource).lower()
        if name == "_filter":
            words = value.split(" ", 2)
            return len(words) == 3 and self._meets(kind, resource, words[0], words[2])
        if name == "_list":
            listed = self.held("List", value)
            return listed is not None and f"{kind}/{resource['id']}" in set(references(listed.resource))
        head, _, rest = name.partition(".")
        plain, _, modifier = head.partition(":")
        parameter = PARAMETERS[kind].get(plain)
        if parameter is None:
            return True
        if rest:
            return any(
                self._meets(of, target, rest, value)
                for of, target in self._targets(resource, plain, kind)
                if modifier in ("", of) and of in PARAMETERS
            )
        if kind in self.habits.ignores_narrowing and (parameter.kind == "patient" or plain in ("subject", "_id")):
            return True
        return meets(resource, parameter, modifier, value, self.bases)

    def _targets(self, resource: Resource, name: str, kind: str) -> list[tuple[str, Resource]]:
        parameter = PARAMETERS[kind].get(name)
        if parameter is None or parameter.kind not in ("reference", "patient"):
            return []
        texts = [each.get("reference", "") for each in values_at(resource, parameter) if isinstance(each, dict)]
        return [found for text in texts if (found := self._named(text)) is not None]

    def _named(self, text: str) -> tuple[str, Resource] | None:
        parts = text.removeprefix(f"{UPSTREAM}/").split("/")
        if len(parts) != 2:
            return None
        version = self.held(*parts)
        return None if version is None or version.resource is None else (parts[0], version.resource)

    def _refers(self, kind: str, resource: Resource | None, by: str, target: str) -> bool:
        parameter = PARAMETERS.get(kind, {}).get(by)
        if parameter is None or resource is None or parameter.kind not in ("reference", "patient"):
            return False
        return meets(resource, parameter, "", target, self.bases)

    def _is_within(self, kind: str, resource: Resource, patient: str) -> bool:
        target = f"Patient/{patient}"
        if self.habits.follows_any_reference:
            named = {text.removeprefix(f"{UPSTREAM}/").partition("/_history/")[0] for text in references(resource)}
            return (kind == "Patient" and resource["id"] == patient) or target in named
        if kind == "Patient":
            return bool(resource["id"] == patient)
        return any(self._refers(kind, resource, name, target) for name in COMPARTMENT.get(kind, ()))

    def _shared_by(self, found: list[Found]) -> list[Found]:
        have = {(each.kind, each.id) for each in found}
        named = [self._named(text) for each in found for text in references(each.resource)]
        more = {(kind, of["id"]): of for kind, of in filter(None, named) if (kind, of["id"]) not in have}
        return [Found(kind, id_, self._current(kind, id_).text, of, "match") for (kind, id_), of in more.items()]

    def _mixed(self, found: list[Found], types: list[str], but_of: str) -> list[Found]:
        spared = re.compile(rb'Patient/%b["/]' % re.escape(but_of.encode()))
        have = {(each.kind, each.id) for each in found}
        others = [
            Found(kind, id_, version.text, version.resource, "match")
            for kind in types
            for id_, version in self._all(kind)
            if version.resource is not None and (kind, id_) not in have and not spared.search(version.text)
        ]
        mixed: list[Found] = []
        for place, each in enumerate(found):
            mixed += [*others[2 * place : 2 * place + 2], each]
        return mixed + others[2 * len(found) : 2 * len(found) + 3]

    def _sorted(self, found: list[Found], keys: str) -> list[Found]:
        for key in reversed([each for each in keys.split(",") if each]):
            name = key.removeprefix("-")
            found = sorted(found, key=lambda each: self._first(each, name), reverse=key.startswith("-"))
        return found

    def _first(self, found: Found, name: str) -> str:
        head, _, rest = name.partition(".")
        if rest:
            kind, target = next(iter(self._targets(found.resource, head.partition(":")[0], found.kind)), ("", {}))
            return self._first(Found(kind, "", b"", target, ""), rest) if kind in PARAMETERS else ""
        parameter = PARAMETERS[found.kind].get(name)
        values = values_at(found.resource, parameter) if parameter is not None else []
        return written(values[0]).decode() if values else ""

    def _with_included(self, page: list[Found], query: Parameters) -> list[Found]:
        asked = [(name, value) for name, value in query if name.partition(":")[0] in ("_include", "_revinclude")]
        if not asked:
            return page
        have = {(each.kind, each.id): each for each in page}
        if self.habits.includes_all:
            asked = [*asked, ("_include:iterate", "*"), ("_revinclude:iterate", "*")]
        added = list(page)
        for turn in range(4):
            added = [
                each
                for name, value in asked
                if turn == 0 or name.endswith((":iterate", ":recurse"))
                for each in self._included(added, name.partition(":")[0], value)
                if (each.kind, each.id) not in have and have.setdefault((each.kind, each.id), each) is each
            ]
        return list(have.values())

    def _included(self, of: list[Found], name: str, value: str) -> list[Found]:
        kind, _, rest = value.partition(":")
        by, _, target = rest.partition(":")
        if name == "_include":
            named = [
                self._named(text)
                for each in of
                if kind in ("*", each.kind)
                for text in (
                    references(each.resource) if kind == "*" or by == "*" else self._texts(each.resource, each.kind, by)
                )
            ]
            return [
                Found(k, r["id"], self._current(k, r["id"]).text, r, "include")
                for k, r in filter(None, named)
                if target in ("", k)
            ]
        wanted = {f"{each.kind}/{each.id}" for each in of}
        return [
            Found(k, id_, version.text, version.resource, "include")
            for k in (list(self.store) if kind == "*" else [kind])
            for id_, version in self._all(k)
            if version.resource is not None
            and not wanted.isdisjoint(
                references(version.resource) if by in ("*", "") else self._texts(version.resource, k, by)
            )
        ]

    def _texts(self, resource: Resource, kind: str, by: str) -> list[str]:
        parameter = PARAMETERS.get(kind, {}).get(by)
        found = values_at(resource, parameter) if parameter is not None else []
        texts = [each.get("reference", "") for each in found if isinstance(each, dict)]
        return [
            text for text in texts if parameter is None or parameter.kind != "patient" or text.startswith("Patient/")
        ]

    def _summed(self, found: Found, elements: str) -> Found:
        names = {"resourceType", "id", "meta", *(elements.split(",") if elements else ("status", "code"))}
        kept = {name: value for name, value in found.resource.items() if name in names}
        kept["meta"] = {**kept.get("meta", {}), "tag": [{"code": "SUBSETTED"}]}
        return found._replace(text=written(kept), resource=kept)

    # --- bundles -------------------------------------------------------------------------------------

    def _bundled(self, kind: str, found: list[Found], total: int | None, links: Mapping[str, str]) -> Said:
        entries = [
            b'{"fullUrl":"%b/%b/%b","resource":%b,"search":{"mode":"%b","score":0.%d}}'
            % (UPSTREAM.encode(), each.kind.encode(), each.id.encode(), each.text, each.mode.encode(), len(found))
            for each in found
        ]
        if self.habits.quotes and found:
            remark = self._outcome(f"One of {total}: others are {self._quoted(found[0].kind)}")
            entries.append(b'{"resource":%b,"search":{"mode":"outcome"}}' % written(remark))
        head: dict[str, Any] = {
            "resourceType": "Bundle",
            "id": sha256(b"".join(entries)).hexdigest()[:12],
            "type": kind,
        }
        if total is not None:
            head["total"] = total
        head["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
        body = written(head)[:-1] + (b',"entry":[' + b",".join(entries) + b"]" if entries else b"") + b"}"
        return 200, {"x-total-count": str(total)}, body

    def _history(self, of: list[tuple[str, str]], query: Parameters) -> Said:
        asked = dict(query)
        versions = [(kind, id_, each) for kind, id_ in of for each in reversed(self.store[kind][id_])]
        offset, count = int(asked.get("_offset", 0)), int(asked.get("_count") or self.habits.page)
        entries = []
        for kind, id_, each in versions[offset : offset + count]:
            status = "201" if each.number == 1 else "204" if each.resource is None else "200"
            entry = {
                "fullUrl": f"{UPSTREAM}/{kind}/{id_}",
                "request": {"method": each.method, "url": f"{kind}/{id_}"},
                "response": {"status": status, "etag": f'W/"{each.number}"', "lastModified": "2024-01-01T08:00:00Z"},
            }
            if each.resource is not None:
                entry["resource"] = each.resource
            entries.append(entry)
        links = []
        if offset + count < len(versions):
            kept = [*(pair for pair in query if pair[0] != "_offset"), ("_offset", str(offset + count))]
            place = "/_history" if len({kind for kind, _ in of}) > 1 else f"/{of[0][0]}/_history"
            place = place if len(of) > 1 else f"/{of[0][0]}/{of[0][1]}/_history"
            links = [{"relation": "next", "url": f"{UPSTREAM}{place}?{urlencode(kept)}"}]
        bundle = {"resourceType": "Bundle", "type": "history", "total": len(versions), "link": links, "entry": entries}
        return 200, {}, written(bundle)

    def _quoted(self, kind: str) -> str:
        return " ".join(version.text.decode() for _, version in self._all(kind)[:3]) if kind else ""

    def _outcome(self, said: str) -> Resource:
        issue = {"severity": "error", "code": "processing", "diagnostics": said}
        return {"resourceType": "OperationOutcome", "issue": [issue]}
