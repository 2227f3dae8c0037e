"""What a gateway asks about a FHIR request → yes only where neither a body nor an answer has to be looked at."""

from __future__ import annotations

from typing import Any

import pytest

from jwt_guard import authenticated, by_route, scopes
from jwt_guard.access.policy import at_once, is_open
from jwt_guard.credentials import Credentials, ReadOnly
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import AmbiguousPath, InsufficientScope
from jwt_guard.fhir.bearer import rights_of
from jwt_guard.fhir.deciding import by_request_alone, decides
from jwt_guard.fhir.interaction import Interaction, read_interaction
from jwt_guard.fhir.outcome import FORBIDDEN, NOT_SUPPORTED, Problem
from jwt_guard.fhir.server import Server
from jwt_guard.fhir.surface import Surface
from jwt_guard.messages import PlainRequest

BASE = "https://api.example/fhir"
SERVER = Server(BASE, surface=Surface(operations={"$lookup": "r", "ValueSet/$expand": "rs"}))


def credentials(scope: str, **claims: Any) -> Credentials:
    return Credentials("ada", "app", frozenset(scope.split()), frozenset(), "ehr", ReadOnly(claims))


def decided(
    scope: str, target: str, method: str = "GET", *headers: tuple[str, str], patient: str = "ann"
) -> Problem | None:
    path, _, query = target.partition("?")
    interaction = read_interaction(PlainRequest(method, path, query, headers), None, SERVER.surface)

    assert isinstance(interaction, Interaction), interaction
    return decides(interaction, rights_of(credentials(scope, patient=patient), SERVER))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("scope", ["patient/Patient.r", "patient/*.rs", "patient/*.read", "patient/Patient.cruds"])
def test_who_the_token_is_about_may_be_read(scope: str, method: str) -> None:
    assert decided(scope, "/Patient/ann", method) is None


@pytest.mark.parametrize(
    ("scope", "target"),
    [
        ("patient/*.rs", "/Patient/bob"),
        ("patient/*.rs", "/Patient/ann/_history/1"),
        ("patient/*.rs", "/Patient/ann/_history"),
        ("patient/*.rs", "/Observation/1"),
        ("patient/*.rs", "/Organization/1"),
        ("patient/*.rs", "/Observation?patient=ann"),
        ("patient/*.rs", "/Patient?_id=ann"),
        ("patient/*.rs", "/Patient/ann/Observation"),
        ("patient/*.rs", "/Patient/ann/$everything"),
        ("patient/Patient.s", "/Patient/ann"),
        ("patient/Observation.rs", "/Patient/ann"),
        ("patient/Patient.rs?name=x", "/Patient/ann"),
        ("", "/Patient/ann"),
    ],
)
def test_nothing_else_of_a_patient_is_decided(scope: str, target: str) -> None:
    assert FORBIDDEN is decided(scope, target)


def test_without_a_patient_in_context_there_is_none_to_be_read() -> None:
    interaction = read_interaction(PlainRequest("GET", "/Patient/ann"))

    assert isinstance(interaction, Interaction)
    assert FORBIDDEN is decides(interaction, rights_of(credentials("patient/*.rs"), SERVER))


@pytest.mark.parametrize("context", ["user", "system"])
@pytest.mark.parametrize(
    ("letters", "method", "target"),
    [
        ("r", "GET", "/Observation/1"),
        ("r", "GET", "/Observation/1/_history/2"),
        ("r", "GET", "/Observation/1/_history"),
        ("s", "GET", "/Observation?patient=ann&_count=5&status=final&_total=accurate"),
        ("s", "GET", "/Observation"),
        ("s", "GET", "/?_type=Observation"),
        ("s", "GET", "/Patient/ann/Observation"),
        ("s", "GET", "/Observation/_history"),
        ("d", "DELETE", "/Observation/1"),
        ("ds", "DELETE", "/Observation?status=final"),
        ("c", "POST", "/Observation/$validate"),
        ("r", "GET", "/Observation/$lookup"),
    ],
)
def test_what_may_be_done_to_every_resource_of_a_type_may_pass(
    context: str, letters: str, method: str, target: str
) -> None:
    written = "".join(letter for letter in "cruds" if letter in letters)

    assert decided(f"{context}/Observation.{written}", target, method) is None
    for missing in written:
        fewer = written.replace(missing, "")
        scope = f"{context}/Observation.{fewer}" if fewer else f"{context}/Patient.cruds"
        assert FORBIDDEN is decided(scope, target, method), scope
    assert FORBIDDEN is decided(f"{context}/Observation.{written}?status=final", target, method)
    assert FORBIDDEN is decided(f"patient/Observation.{written}", target, method)


@pytest.mark.parametrize("context", ["user", "system"])
@pytest.mark.parametrize(
    ("letters", "method", "target"),
    [
        ("c", "POST", "/Observation"),
        ("u", "PUT", "/Observation/1"),
        ("rus", "PUT", "/Observation?status=final"),
        ("ru", "PATCH", "/Observation/1"),
    ],
)
def test_what_is_written_may_search_by_its_references(context: str, letters: str, method: str, target: str) -> None:
    own = f"{context}/Observation.{letters}"

    assert FORBIDDEN is decided(own, target, method)
    assert decided(f"{own} {context}/*.s", target, method) is None
    assert FORBIDDEN is decided(f"{own} patient/*.s", target, method)
    assert FORBIDDEN is decided(f"{context}/*.s {own}?status=final", target, method)


def test_the_content_of_a_binary_refers_to_nothing() -> None:
    assert decided("system/Binary.c", "/Binary", "POST") is None


@pytest.mark.parametrize(
    "query",
    ["_include=Observation:subject", "_include:iterate=*", "_revinclude=Provenance:target", "subject:Patient.name=x",
     "subject.name=x", "_filter=status eq final", "_has:Group:member:_id=1", "_query=x", "_list=1", "_content=x",
     "_text=x", "_contained=both", "nobody-knows=this", "_sort=subject.name"],
)  # fmt: skip
def test_a_search_that_tells_of_other_types_needs_every_type(query: str) -> None:
    target = f"/Observation?{query.replace(' ', '%20')}"

    assert FORBIDDEN is decided("system/Observation.cruds", target)
    assert FORBIDDEN is decided("system/*.s", target)
    assert decided("system/*.rs", target) is None


@pytest.mark.parametrize("target", ["/?_getpages=x", "/"])
def test_what_could_be_of_any_type_needs_every_type(target: str) -> None:
    assert FORBIDDEN is decided("system/Observation.cruds", target)
    assert decided("system/*.rs", target) is None


def test_a_bundle_needs_everything() -> None:
    assert FORBIDDEN is decided("system/*.crus", "/", "POST")
    assert FORBIDDEN is decided("patient/*.cruds", "/", "POST")
    assert decided("system/*.cruds", "/", "POST") is None


@pytest.mark.parametrize(
    ("method", "target"),
    [("GET", "/$export"), ("GET", "/_operations/export/1"), ("DELETE", "/_operations/export/1"),
     ("GET", "/Patient/$export?_type=Observation")],
)  # fmt: skip
def test_an_export_is_a_systems(method: str, target: str) -> None:
    assert decided("system/*.rs", target, method) is None
    assert FORBIDDEN is decided("user/*.cruds", target, method)
    assert FORBIDDEN is decided("system/*.s", target, method)
    assert FORBIDDEN is decided("system/*.rs?_tag=x patient/*.rs", target, method)


def test_what_is_answered_elsewhere_is_not_let_through() -> None:
    later = ("prefer", "respond-async")

    assert NOT_SUPPORTED is decided("system/*.cruds", "/Observation", "GET", later)
    assert decided("system/*.rs", "/$export", "GET", later) is None


@pytest.mark.parametrize("target", ["/metadata", "/.well-known/smart-configuration"])
def test_what_is_for_everybody_may_pass(target: str) -> None:
    assert decided("", target) is None


# --- as a policy -------------------------------------------------------------------------------------

POLICY = by_request_alone(SERVER, by_route([("GET", "/orders", scopes("orders:read"))]))
ANN = credentials("patient/*.rs orders:read", patient="ann")


def asked(path: str, method: str = "GET", who: Credentials = ANN, policy: Any = POLICY) -> Allow | Deny | None:
    path, _, query = path.partition("?")
    return at_once(policy(PlainRequest(method, path, query), who))


def test_below_the_base_the_request_decides_and_elsewhere_the_policy() -> None:
    assert Allow(ANN) == asked("/fhir/Patient/ann")
    assert Allow(ANN) == asked("/orders")
    for path in ("/fhir/Patient/bob", "/fhir/Planet/1", "/other", "/fhir/Patient/ann?_method=DELETE"):
        refused = asked(path)

        assert isinstance(refused, Deny)
        assert isinstance(refused.error, InsufficientScope)
        assert "bob" not in str(refused.error)


def test_a_search_by_post_is_refused_since_its_parameters_are_not_at_hand() -> None:
    assert isinstance(asked("/fhir/Observation/_search", "POST", credentials("system/*.cruds")), Deny)


def test_a_path_that_may_be_the_bases_is_refused_whatever_the_policy_says_of_it() -> None:
    policy = by_request_alone(SERVER, authenticated())
    with pytest.raises(AmbiguousPath):
        asked("/FHIR/Patient/bob", policy=policy)

    assert Allow(ANN) == asked("/other", policy=policy)


@pytest.mark.parametrize(
    ("method", "path", "headers", "expected"),
    [
        ("GET", "/fhir/metadata", (), True),
        ("GET", "/fhir/.well-known/smart-configuration", (), True),
        ("GET", "/fhir/Patient/ann", (), False),
        ("POST", "/fhir/metadata", (), False),
        ("GET", "/FHIR/metadata", (), False),
        ("GET", "/orders", (), False),
        ("OPTIONS", "/fhir/Patient/1", (("origin", "https://a"), ("access-control-request-method", "GET")), True),
        ("OPTIONS", "/fhir/Patient/1", (), False),
        ("OPTIONS", "/orders", (("origin", "https://a"), ("access-control-request-method", "GET")), False),
    ],
)
def test_without_a_token_only_what_is_for_everybody_is_open(
    method: str, path: str, headers: tuple[tuple[str, str], ...], expected: bool
) -> None:
    assert expected is is_open(POLICY, PlainRequest(method, path, "", headers))


def test_the_patient_is_named_by_the_claim_that_was_said() -> None:
    policy = by_request_alone(SERVER, authenticated(), ("who",))

    assert isinstance(asked("/fhir/Patient/ann", policy=policy), Deny)
    other = credentials("patient/*.rs", who="ann")

    assert Allow(other) == asked("/fhir/Patient/ann", who=other, policy=policy)
