"""The cases of test kits, standards and other implementations → what the guard makes of each, before the double."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.fhir.exchange import Asking
from tests.support.fhir_cases import CASES, RESOURCES, ScopeCase, wrongs
from tests.support.fhir_double import FhirDouble, Habits
from tests.support.fhir_driver import SERVER, Client, rights_of

SHARED = Path(__file__).parents[3] / "shared" / "vectors"
# Whether there is a token at all is seen before, and what the guard says of itself is asked of nobody.
BEFORE = frozenset({"no-token", "smart-configuration-anonymous"})
JUDGED = [case for case in CASES if case.name not in BEFORE]

HABITS = {
    "plain": Habits(),
    "strict": Habits(is_strict=True, total="none", says_gone=True),
    "ignorant": Habits(
        ignores_narrowing=frozenset({"Observation", "Coverage", "Condition", "Patient", "Encounter"}), total="all",
        ignores_count=True, page=2, follows_any_reference=True, drops_compartment=True, mixes="A", quotes=True,
        includes_all=True, takes_other_servers=True, has_plain_links=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("habits", HABITS)
@pytest.mark.parametrize("case", JUDGED, ids=lambda case: case.name)
def test_a_token_gets_what_its_scopes_say_and_no_more(case: ScopeCase, habits: str) -> None:
    server = replace(SERVER, koppeltaal=case.is_koppeltaal)
    double = FhirDouble(RESOURCES, HABITS[habits])
    client = Client(rights_of(case.scopes, case.patient, server), double)
    answer = client(case.method, case.path, case.query, case.headers, case.body)

    assert [] == wrongs(case, answer), answer
    assert [] == [name for name in case.keeps if double(Asking("GET", f"/{name}")).status != 200]


def test_there_are_cases_of_every_verdict() -> None:
    refused = [case for case in CASES if min(case.statuses) >= 400]

    assert (98, 2) == (len(CASES), len(CASES) - len(JUDGED))
    assert 40 <= len(refused) <= 70


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared vectors are not here")
def test_the_cases_are_those_that_others_have() -> None:
    theirs: list[dict[str, Any]] = json.loads((SHARED / "smart_scope_cases.json").read_text())
    resources: dict[str, Any] = json.loads((SHARED / "smart_scope_fixtures.json").read_text())

    assert list(resources.values()) == RESOURCES
    assert [each["id"] for each in theirs] == [each.name for each in CASES]
    for their, our in zip(theirs, CASES, strict=True):
        detail = their.get("detail", {})
        body = json.loads(our.body) if our.body else None

        assert tuple(their["acceptable_status"]) == our.statuses
        assert (their["granted_scopes"], their["patient_context"]) == (our.scopes, our.patient)
        assert their["path_with_query"].partition("?")[0] == our.path
        assert their["method"] == our.method
        assert their.get("body") == body
        assert tuple(detail.get("must_return", ())) == our.returns
        assert tuple(detail.get("must_not_return", ())) == our.hides
