"""FHIR resources → what a server that holds them answers: searches, versions and writes, and bad habits on request.

It is for the guard in front of it to be tried against: fast, without any I/O, the same twice for the same requests, and
whatever it does for one patient, the ids and versions that it makes for another stay as they were.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl

from jwt_guard.fhir.exchange import Answered, Asking

from .fhir_parameters import COMPARTMENT, PARAMETERS, Resource, written
from .fhir_store import UPSTREAM, FhirStore, Habits, Parameters, Said, Version, Wrong

__all__ = ["UPSTREAM", "FhirDouble", "Habits"]


class FhirDouble(FhirStore):
    """Such a server; calling it with an Asking answers."""

    def __call__(self, asking: Asking) -> Answered:
        self.asked += 1
        headers = dict(asking.headers)
        try:
            status, more, body = self._answered(asking.method, asking.path, asking.query, headers, asking.body)
        except Wrong as wrong:
            status, more, body = self._error(wrong)
        more.setdefault("content-type", "application/fhir+json")
        if "xml" in headers.get("accept", "") or ("_format", "xml") in asking.query:
            more["content-type"] = "application/fhir+xml"
            body = (
                b'<Binary xmlns="http://hl7.org/fhir"><data value="' + body.replace(b'"', b"&quot;") + b'"/></Binary>'
            )
        if asking.method == "HEAD":
            more["content-length"], body = str(len(body)), b""
        return Answered(status, tuple(more.items()), body)

    # --- what is asked -------------------------------------------------------------------------------

    def _answered(self, method: str, path: str, query: Parameters, headers: Mapping[str, str], body: bytes) -> Said:
        reads = method in ("GET", "HEAD")
        segments = [each for each in path.split("/") if each]
        if method == "POST" and segments[-1:] == ["_search"]:
            segments, reads = segments[:-1], True
            query += tuple(parse_qsl(body.decode(), keep_blank_values=True))
        match segments:
            case [] | ["metadata"] | ["_operations", "export", _]:
                return self._at_base(segments, query, body, reads=reads)
            case [*above, operation] if operation.startswith("$"):
                return self._operation(above, operation, query)
            case [*of, "_history"]:
                return self._histories(of, query)
            case [kind, *_] if kind not in PARAMETERS:
                raise Wrong(404, f"Unknown resource type {kind}")
            case [kind] if reads:
                return self._search([kind], query, path=f"/{kind}")
            case [kind]:
                return self._write_type(method, kind, query, headers, body)
            case [kind, id_] if reads:
                return self._read(self._current(kind, id_), headers)
            case [kind, id_]:
                return self._write(method, kind, id_, headers, body)
            case [kind, id_, "_history", number]:
                return self._read(self._version(kind, id_, number), headers)
            case ["Patient", id_, within] if within == "*" or within in PARAMETERS:
                types = list(COMPARTMENT) if within == "*" else [within]
                return self._search(types, query, path=path, compartment=id_)
            case _:
                raise Wrong(400, f"Nothing is at {path}")

    def _histories(self, of: list[str], query: Parameters) -> Said:
        match of:
            case []:
                return self._history([(kind, id_) for kind in self.store for id_ in self.store[kind]], query)
            case [kind]:
                return self._history([(kind, id_) for id_ in self.store.get(kind, {})], query)
            case [kind, id_] if self.held(kind, id_) is not None:
                return self._history([(kind, id_)], query)
            case _:
                raise Wrong(404, f"Resource {'/'.join(of)} is not known", of[0])

    def _version(self, kind: str, id_: str, number: str) -> Version:
        versions = self.store.get(kind, {}).get(id_, ())
        version = next((each for each in versions if str(each.number) == number), None)
        if version is None or version.resource is None:
            raise Wrong(404 if version is None else 410, f"No version {number} of {kind}/{id_}", kind)
        return version

    def _at_base(self, segments: list[str], query: Parameters, body: bytes, *, reads: bool) -> Said:
        if segments == ["metadata"]:
            return 200, {}, written({"resourceType": "CapabilityStatement", "kind": "instance"})
        if segments:
            files = [{"type": kind, "url": f"{UPSTREAM}/files/{kind}"} for kind in self.store]
            return 200, {"content-type": "application/json"}, written({"output": files})
        asked = dict(query)
        if "_getpages" in asked:
            try:
                path, parameters, within, types, offset = json.loads(urlsafe_b64decode(asked["_getpages"]))
            except ValueError:
                raise Wrong(410, "the page is gone") from None
            pairs = tuple((name, value) for name, value in parameters)
            return self._search(types, pairs, path=path, compartment=within, offset=offset)
        if reads:
            types = [each for each in asked.get("_type", "").split(",") if each] or list(self.store)
            return self._search([each for each in types if each in PARAMETERS], query, path="/")
        try:
            return self._bundle(json.loads(body))
        except (LookupError, TypeError, ValueError):
            raise Wrong(400, "The body is no Bundle") from None

    def _read(self, version: Version, headers: Mapping[str, str]) -> Said:
        assert version.resource is not None
        more = {"etag": f'W/"{version.number}"', "last-modified": "Mon, 01 Jan 2024 08:00:00 GMT"}
        if headers.get("if-none-match") == more["etag"]:
            return 304, more, b""
        return 200, more, version.text

    def _operation(self, above: list[str], operation: str, query: Parameters) -> Said:
        match above, operation:
            case ["Patient", id_], "$everything":
                self._current("Patient", id_)
                asked = dict(query).get("_type")
                types = asked.split(",") if asked else list(COMPARTMENT)
                return self._search(types, query, path=f"/Patient/{id_}/$everything", compartment=id_, everything=True)
            case _, "$export":
                job = sha256(written([above, query])).hexdigest()[:8]
                return 202, {"content-location": f"{UPSTREAM}/_operations/export/{job}"}, b""
            case _, "$validate":
                return 200, {}, written({"resourceType": "OperationOutcome", "issue": []})
            case _:
                raise Wrong(404, f"No operation {operation}")

    # --- writes --------------------------------------------------------------------------------------

    def _write_type(self, method: str, kind: str, query: Parameters, headers: Mapping[str, str], body: bytes) -> Said:
        criteria = query
        if method == "POST":
            criteria = tuple(parse_qsl(headers.get("if-none-exist", ""), keep_blank_values=True))
            found = self._ids_of(kind, criteria) if criteria else []
            if len(found) > 1:
                raise Wrong(412, f"{len(found)} match: {', '.join(found)}", kind)
            if found:
                return self._kept(kind, found[0], self._current(kind, found[0]), headers, status=200)
            resource = self._resource(kind, body)
            id_ = self._new_id(kind, resource)
            return self._kept(kind, id_, self.keep(kind, id_, resource, "POST"), headers, status=201)
        if not criteria:
            raise Wrong(405, f"{method} is nothing that is done to {kind}", kind)
        found = self._ids_of(kind, criteria)
        if method == "DELETE":
            for id_ in found:
                self.keep(kind, id_, None, "DELETE")
            return 204, {}, b""
        if len(found) > 1:
            raise Wrong(412, f"{len(found)} match: {', '.join(found)}", kind)
        if not found and method == "PUT":
            return self._write_type("POST", kind, (), {}, body)
        if not found:
            raise Wrong(404, "none matches", kind)
        return self._write(method, kind, found[0], headers, body)

    def _write(self, method: str, kind: str, id_: str, headers: Mapping[str, str], body: bytes) -> Said:
        held = self.held(kind, id_)
        is_there = held is not None and held.resource is not None
        wanted = headers.get("if-match")
        if wanted is not None and (held is None or not is_there or wanted.removeprefix("W/") != f'"{held.number}"'):
            raise Wrong(412, f"Version conflict: {kind}/{id_} is at {held.number if held else 0}", kind)
        if headers.get("if-none-match") == "*" and is_there:
            raise Wrong(412, f"{kind}/{id_} exists", kind)
        if method == "DELETE":
            self._current(kind, id_)
            self.keep(kind, id_, None, "DELETE")
            return 204, {}, b""
        if method == "PATCH":
            try:
                resource = _patched(self._current(kind, id_).resource, json.loads(body))
            except (LookupError, TypeError, ValueError):
                raise Wrong(422, "The patch does not fit", kind) from None
        else:
            resource = self._resource(kind, body)
            if resource.get("id", id_) != id_:
                raise Wrong(400, f"The id {resource.get('id')} is not {id_}", kind)
        version = self.keep(kind, id_, resource, method)
        return self._kept(kind, id_, version, headers, status=200 if is_there else 201)

    def _kept(self, kind: str, id_: str, version: Version, headers: Mapping[str, str], *, status: int) -> Said:
        place = f"{UPSTREAM}/{kind}/{id_}/_history/{version.number}"
        more = {"etag": f'W/"{version.number}"', "location": place, "content-location": place}
        return status, more, b"" if "minimal" in headers.get("prefer", "") else version.text

    def _resource(self, kind: str, body: bytes) -> Resource:
        try:
            resource = json.loads(body)
        except ValueError:
            raise Wrong(400, "The body is no JSON", kind) from None
        if not isinstance(resource, dict) or resource.get("resourceType") != kind:
            raise Wrong(400, f"The body is no {kind}", kind)
        if resource.get("status") == "wrong":
            raise Wrong(422, f"wrong is no status of {kind}", kind)
        return resource

    def _new_id(self, kind: str, resource: Resource) -> str:
        digest = sha256(written([kind, {name: value for name, value in resource.items() if name != "id"}])).hexdigest()
        taken = self.store.get(kind, {})
        ids = (f"{digest[:12]}-{place}" for place in range(1, 1_000))
        return next(id_ for id_ in ids if id_ not in taken)

    def _bundle(self, bundle: Resource) -> Said:
        entries = bundle.get("entry", [])
        is_one = bundle.get("type") == "transaction"
        saved = {kind: dict(by_id) for kind, by_id in self.store.items()}
        order = list(range(len(entries)))
        if is_one:
            turns = ["DELETE", "POST", "PUT", "PATCH", "GET", "HEAD"]
            order = sorted(order, key=lambda place: turns.index(entries[place]["request"]["method"]))
            entries = self._resolved(entries)
        answers: dict[int, Resource] = {}
        for place in order:
            try:
                status, more, body = self._entry(entries[place])
            except Wrong as wrong:
                if is_one:
                    self.store = saved
                    raise
                status, more, body = self._error(wrong)
            answers[place] = _answer(status, more, body)
        said = {"resourceType": "Bundle", "type": f"{bundle.get('type')}-response", "id": "b1"}
        return 200, {}, written({**said, "entry": [answers[place] for place in range(len(entries))]})

    def _entry(self, entry: Resource) -> Said:
        asked = entry["request"]
        path, _, query = asked["url"].removeprefix(UPSTREAM).partition("?")
        pairs = tuple(parse_qsl(query, keep_blank_values=True))
        names = {"ifMatch": "if-match", "ifNoneMatch": "if-none-match", "ifNoneExist": "if-none-exist"}
        headers = {name: asked[key] for key, name in names.items() if key in asked}
        body = written(entry["resource"]) if "resource" in entry else b""
        return self._answered(asked["method"], path, pairs, headers, body)

    def _resolved(self, entries: list[Resource]) -> list[Resource]:
        """Return *entries* with the places of what is new in the stead of their ``urn:uuid:`` names."""
        ids: dict[str, str] = {}
        for entry in entries:
            if entry["request"]["method"] == "POST" and str(entry.get("fullUrl", "")).startswith("urn:"):
                kind = entry["resource"]["resourceType"]
                ids[entry["fullUrl"]] = f"{kind}/{self._new_id(kind, entry['resource'])}"
        if not ids:
            return entries
        resolved = []
        for entry in entries:
            text = json.dumps(entry.get("resource"))
            for name, place in ids.items():
                text = text.replace(name, place)
            own = ids.get(entry.get("fullUrl", ""))
            if own is not None:
                # It was told which id it gets before it was told what it refers to.
                request = {**entry["request"], "method": "PUT", "url": own}
                resolved.append(
                    {**entry, "request": request, "resource": {**json.loads(text), "id": own.split("/")[1]}}
                )
            else:
                resolved.append({**entry, "resource": json.loads(text)} if "resource" in entry else entry)
        return resolved

    def _error(self, wrong: Wrong) -> Said:
        said = wrong.said + (f"; compare {self._quoted(wrong.kind)}" if self.habits.quotes else "")
        return wrong.status, {"x-reason": wrong.said}, written(self._outcome(said))


def _answer(status: int, more: Mapping[str, str], body: bytes) -> Resource:
    response: Resource = {"status": str(status)}
    for name in ("etag", "location"):
        if name in more:
            response[name] = more[name]
    if status >= 400:
        return {"response": {**response, "outcome": json.loads(body)}}
    return {"resource": json.loads(body), "response": response} if body else {"response": response}


def _patched(resource: Resource | None, steps: list[dict[str, Any]]) -> Resource:
    """Return *resource* after the steps of a JSON Patch (RFC 6902) that add, replace and remove by name."""
    patched: Resource = json.loads(json.dumps(resource))
    for step in steps:
        *above, last = step["path"].split("/")[1:]
        node: Any = patched
        for name in above:
            node = node[int(name)] if isinstance(node, list) else node[name]
        if step["op"] == "remove":
            del node[int(last) if isinstance(node, list) else last]
        else:
            node[int(last) if isinstance(node, list) else last] = step["value"]
    return patched
