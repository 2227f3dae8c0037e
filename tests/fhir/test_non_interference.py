"""Two worlds that differ in what a token may not know → the same answers; and what is seen of a guard that is broken.

Three things are known to tell of others, and are left out here: a limit on what is looked through for one request is
reached sooner where others have much that a server gives unasked; the pages of such a server shift where something is
written between one and the next; and who may create by an update finds out which ids are taken.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard.fhir import filtering, including, judging, links, narrowed, paging, reading, rights, searching, writing
from jwt_guard.fhir.answering import ACCEPT
from jwt_guard.fhir.compartment import membership
from jwt_guard.fhir.exchange import Answered, Asking, Exchange, Through, ask
from jwt_guard.fhir.links import Place
from jwt_guard.fhir.outcome import Stopped
from jwt_guard.fhir.query import read_parameters
from jwt_guard.fhir.server import Server
from jwt_guard.messages import Response
from jwt_guard.tokens import sealing
from jwt_guard.tokens.sealing import Sealer
from tests.support.fhir_double import UPSTREAM, FhirDouble
from tests.support.fhir_driver import BASE, Client, rights_of
from tests.support.fhir_parameters import references, written

from .non_interference import SERVER, Case, a_case, difference, double_of, play, shrunk, told

SEALER = Sealer()
PARTS, IN_EACH = 8, 300
Patch = pytest.MonkeyPatch


def differs(case: Case) -> bool:
    return difference(case, SEALER) is not None


@pytest.mark.parametrize("part", range(PARTS))
def test_no_answer_tells_of_what_a_token_may_not_know(part: int) -> None:
    for seed in range(part * IN_EACH, (part + 1) * IN_EACH):
        case = a_case(seed)
        if differs(case):
            small = shrunk(case, differs)
            found = difference(small, SEALER)

            assert found is None, f"seed {seed}\n{told(small, found)}"


def test_the_requests_reach_what_there_is_to_be_reached() -> None:
    statuses, seen = Counter[int](), Counter[str]()
    for seed in range(150):
        case = a_case(seed)
        for each in play(case, double_of(case.one, case.habits), SEALER):
            answer = each.answer
            statuses[answer.status] += 1
            words = (b'"searchset"', b'"next"', b'"include"', b'"match"', b'"history"', b"-response", b"_getpages")
            seen.update(word.decode() for word in words if word in answer.body)

    assert {200, 201, 204, 304, 400, 403, 404, 412} <= set(statuses)
    assert statuses[200] > 0.3 * statuses.total()
    assert all(seen[word] > 3 for word in ('"next"', '"include"', '"match"', '"history"', "-response")), seen


# --- what a broken guard would do --------------------------------------------------------------------


def everything_through(patch: Patch) -> None:
    """Hand on what the server says."""

    def judge(request: Any, _: object, __: object, body: bytes | None) -> Exchange[Any]:
        asked = read_parameters(request.query) or ()
        yield from ()
        return Through(Asking(request.method, request.path, asked, tuple(request.headers), body or b""))

    patch.setattr(judging, "judge", judge)


def contained_is_not_looked_at(patch: Patch) -> None:
    patch.setattr(filtering, "_with_contained", lambda resource, *_: resource)


def totals_are_the_servers(patch: Patch) -> None:
    gathered = paging.gathered

    def counted(sources: Any, place: Place, count: int, server: Server, **more: Any) -> Exchange[Any]:
        some = yield from gathered(sources, place, count, server, **more)
        totals = []
        for each in sources:
            answered = yield from ask(each.first)
            totals.append(json.loads(answered.body).get("total") or 0)
        return replace(some, total=sum(totals))

    patch.setattr(searching, "gathered", counted)


def includes_are_not_judged(patch: Patch) -> None:
    keeping = narrowed._keeping

    def kept(*of: Any) -> Any:
        return (lambda resource: resource) if "r" in of else keeping(*of)

    patch.setattr(narrowed, "_keeping", kept)


def includes_need_not_be_reached(patch: Patch) -> None:
    """Take for included what the server has added to a page."""
    included = including.included

    def added(matches: Any, inclusions: Any, of: Any) -> Exchange[Any]:
        found = yield from included(matches, inclusions, of)
        for each in inclusions if not found else ():
            if each.source is not None:
                asked = (("_include", f"{each.source}:{each.parameter or '*'}"), ("_revinclude", "*"))
                answered = yield from ask(Asking("GET", f"/{each.source}", asked, (ACCEPT,)))
                entries = json.loads(answered.body).get("entry", [])
                found += [entry["resource"] for entry in entries if entry["search"]["mode"] == "include"]
        return found

    patch.setattr(searching, "included", added)


def errors_are_the_servers(patch: Patch) -> None:
    judge = judging.judge

    def spoken(*of: Any) -> Exchange[Any]:
        flow = judge(*of)
        last = Answered(200)
        try:
            asking = next(flow)
            while True:
                last = yield asking
                asking = flow.send(last)
        except StopIteration as end:
            return end.value
        except Stopped:
            if last.status >= 400:
                return Response(last.status, last.headers, last.body)
            raise

    patch.setattr(judging, "judge", spoken)


def there_is_more_where_the_server_has_more(patch: Patch) -> None:
    """Say that there is a next page by the server's, and not by what of it may be seen."""
    gathered = paging.gathered

    def with_next(sources: Any, place: Place, count: int, server: Server, **more: Any) -> Exchange[Any]:
        some = yield from gathered(sources, place, count, server, **more)
        if some.next is None and sources:
            answered = yield from ask(sources[-1].first)
            if b'"next"' in answered.body:
                return replace(some, next=Place(len(sources) - 1, None, 1))
        return some

    patch.setattr(searching, "gathered", with_next)


def being_spoken_of_makes_a_member(patch: Patch) -> None:
    """Count any reference to the patient, as in ``focus``."""

    def spoken_of(resource: Any, patient: str, *of: Any, **more: Any) -> bool:
        return membership(resource, patient, *of, **more) or f"Patient/{patient}" in set(references(resource))

    patch.setattr(rights, "membership", spoken_of)


def versions_are_compared_before_all_else(patch: Patch) -> None:
    read = reading.read

    def compared(interaction: Any, of: Any, if_none_match: tuple[str, ...] = ()) -> Exchange[Response]:
        if if_none_match:
            answered = yield from ask(Asking("GET", interaction.path, (), (ACCEPT,)))
            if answered.header("etag") in if_none_match:
                return Response(304, (), b"")
        return (yield from read(interaction, of, if_none_match))

    patch.setattr(reading, "read", compared)


def narrowing_is_believed(patch: Patch) -> None:
    """Keep what a search for the patient's own resources gives."""
    keeping = narrowed._keeping

    def kept(kind: str, *of: Any) -> Any:
        return (lambda resource: resource) if "s" in of else keeping(kind, *of)

    patch.setattr(narrowed, "_keeping", kept)


def the_shortcut_is_open(patch: Patch) -> None:
    """Keep all that is on a page of the server's, where its octets are handed on."""
    pytest.importorskip("msgspec", reason="without the extra there is no shortcut")
    from jwt_guard.fhir.verbatim import VerbatimSheet

    def read_all(kind: str, _: object, __: object, body: bytes) -> VerbatimSheet:
        bundle = json.loads(body)
        resources = [each["resource"] for each in bundle.get("entry", []) if each["search"]["mode"] == "match"]
        entries = tuple(((kind, each["id"]), written(each)) for each in resources if each["resourceType"] == kind)
        return VerbatimSheet(entries, bundle.get("link", []))

    patch.setattr(narrowed, "_read_verbatim", read_all)


def what_is_there_is_not_judged(patch: Patch) -> None:
    """Let a write take over what is somebody else's."""
    patch.setattr(writing, "_stored", _as_if_it_were_mine(writing._stored))


def _as_if_it_were_mine(stored: Callable[[Any], Exchange[Any]]) -> Callable[[Any], Exchange[Any]]:
    def mine(interaction: Any) -> Exchange[Any]:
        old, version = yield from stored(interaction)
        if old is not None:
            old = {**old, **{name: {"reference": "Patient/A"} for name in ("subject", "patient") if name in old}}
        return old, version

    return mine


def deletions_are_everybodys(patch: Patch) -> None:
    """Tell of each deletion of a resource of which some version may be seen."""
    seen = reading._seen

    def with_deletions(entries: Any, interaction: Any, of: Any) -> Any:
        shown = list(seen(entries, interaction, of))
        gone = [entry for entry in entries if "resource" not in entry]
        return [*(reading._entry("DELETE", interaction, of) for _ in gone), *shown] if shown else shown

    patch.setattr(reading, "_seen", with_deletions)


def links_are_as_long_as_what_is_in_them(patch: Patch) -> None:
    patch.setattr(links, "_ROOM", 1)
    patch.setattr(sealing, "_STEP", 1)


def granular_scopes_count_as_whole(patch: Patch) -> None:
    patch.setattr(rights, "matches", lambda *_: True)


BREAKAGES: list[Callable[[Patch], None]] = [
    being_spoken_of_makes_a_member,
    contained_is_not_looked_at,
    deletions_are_everybodys,
    errors_are_the_servers,
    everything_through,
    granular_scopes_count_as_whole,
    includes_are_not_judged,
    includes_need_not_be_reached,
    links_are_as_long_as_what_is_in_them,
    narrowing_is_believed,
    the_shortcut_is_open,
    there_is_more_where_the_server_has_more,
    totals_are_the_servers,
    versions_are_compared_before_all_else,
    what_is_there_is_not_judged,
]


@pytest.mark.parametrize("broken", BREAKAGES, ids=lambda broken: broken.__name__)
def test_a_guard_that_lets_something_through_is_found_out(
    broken: Callable[[Patch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch)

    assert any(differs(a_case(seed)) for seed in range(PARTS * IN_EACH))


# --- how it is found out -----------------------------------------------------------------------------


def test_what_is_found_is_cut_down_to_what_shows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    everything_through(monkeypatch)
    case = next(case for case in map(a_case, range(100)) if differs(case))
    small = shrunk(case, differs)
    found = difference(small, SEALER)

    assert found is not None
    assert 1 == len(small.steps)
    assert len(small.one) + len(small.other) <= 6
    assert "they part at" in told(small, found) or "may not be read" in told(small, found)


# --- the exception that there is ---------------------------------------------------------------------


def test_who_may_create_by_an_update_learns_which_ids_are_taken_and_nothing_else() -> None:
    def asked(*, is_taken: bool, may_create: bool) -> tuple[int, bytes]:
        theirs = {"resourceType": "Observation", "id": "o", "status": "final", "subject": {"reference": "Patient/B"}}
        server = Server(BASE, also_known_as=(UPSTREAM,), updates_may_create=may_create)
        client = Client(rights_of("patient/*.cruds", "A", server), FhirDouble([theirs] if is_taken else []))
        own = {**theirs, "subject": {"reference": "Patient/A"}}
        answer = client(
            "PUT", "/Observation/o", headers=(("content-type", "application/fhir+json"),), body=written(own)
        )
        return answer.status, answer.body

    assert (403, 201) == (asked(is_taken=True, may_create=True)[0], asked(is_taken=False, may_create=True)[0])
    assert asked(is_taken=True, may_create=False) == asked(is_taken=False, may_create=False)
    assert not SERVER.updates_may_create
