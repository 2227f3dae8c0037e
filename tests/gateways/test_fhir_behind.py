"""``[fhir]`` behind gateways that ask and send on by themselves: what the request alone decides passes, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from jwt_guard.messages import Response
from jwt_guard.middleware.asgi import App
from tests.support.fhir_app import asgi_of
from tests.support.fhir_cases import CASES, RESOURCES, ScopeCase, wrongs
from tests.support.fhir_double import FhirDouble

from .rig import KINDS, Answer, Front, Upstream, exported, free_port, guarding, running, token

FHIR = """
[fhir]
upstream = "http://127.0.0.1:{unused}/fhir"
base     = "https://api.example/fhir"
"""
PASSING = {
    "read-own-patient-r": "the one Patient of a patient/ scope",
    "user-scope-ignores-patient-context": "a user/ scope for all of its type",
    "mixed-user-and-patient-union": "a user/ scope beside a patient/ one",
    "type-history-s": "a system/ scope for all of its type",
    "export-typed-ok": "system/ scopes for all of the types",
    "smart-configuration-anonymous": "for everybody",
}
"""The cases that neither the body nor the answer has to be looked at for, and why."""
NOT_OF_THE_SERVER = {"smart-configuration-anonymous"}
"""Those that pass, and that this server has no answer to."""
REFUSED = (400, 401, 403)  # 400: by the gateway itself, or for what could be read in more than one way
IN_THEIR_OWN_WORDS = {"nginx", "nginx of PyPI"}
"""Gateways that do not hand on what the guard says, but only that it says no, and the challenge."""


class FhirUpstream(Upstream):
    """A FHIR server in a thread."""

    def __init__(self) -> None:
        super().__init__()
        self._app: App = asgi_of(FhirDouble(RESOURCES))

    def renew(self) -> None:
        """Forget what was written, and what was asked."""
        self._app = asgi_of(FhirDouble(RESOURCES))
        self.seen.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode("latin-1")
        self.seen.append(scope["raw_path"].decode("latin-1") + (f"?{query}" if query else ""))
        await self._app(scope, receive, send)


@pytest.fixture(scope="module", params=KINDS)
def fhir_front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    kind: str = request.param
    folder = tmp_path_factory.mktemp("gateway")
    auth, port = f"127.0.0.1:{free_port()}", free_port()
    more = FHIR.format(unused=free_port())
    if "gRPC" in kind:
        pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="no gRPC front")
        more = f'grpc_listen = "127.0.0.1:{free_port()}"\n{more}'
    with FhirUpstream() as upstream, guarding(folder, auth, more=more) as config:
        places = ("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream.port}")

        assert 0 == exported(kind, folder, config, *places)
        with running(kind, folder, port, upstream) as started:
            yield started


def asked(front: Front, case: ScopeCase) -> Answer:
    """Return what *case* gets, from a server that holds what it did at first."""
    assert isinstance(front.upstream, FhirUpstream)
    front.upstream.renew()
    said = {} if case.patient is None else {"patient": case.patient}
    bearer = None if case.is_anonymous else token(scope=case.scopes, **said)
    target = f"/fhir{case.path}" + (f"?{case.query}" if case.query else "")
    return front.ask(case.method, target, case.headers, bearer=bearer, body=case.body)


def test_what_the_request_alone_decides_passes_and_nothing_else(fhir_front: Front, subtests: pytest.Subtests) -> None:
    passed: set[str] = set()
    for case in CASES:
        if case.is_koppeltaal:
            continue
        with subtests.test(case.name):
            answer = asked(fhir_front, case)
            if case.name in PASSING:
                assert 1 == len(fhir_front.upstream.seen), answer
                assert case.name in NOT_OF_THE_SERVER or [] == wrongs(case, Response(answer.status, (), answer.body))
                passed.add(case.name)
            else:
                assert answer.status in REFUSED, answer
                assert [] == fhir_front.upstream.seen

    assert PASSING.keys() == passed


@pytest.mark.parametrize(
    ("scope", "method", "target", "passes"),
    [
        ("patient/Patient.r", "GET", "/fhir/Patient/A", True),
        ("patient/*.cruds", "HEAD", "/fhir/Patient/A", True),
        ("patient/*.cruds", "GET", "/fhir/Patient/B", False),
        ("patient/*.cruds", "GET", "/fhir/Patient?_id=A", False),
        ("patient/*.cruds", "GET", "/fhir/Patient/A/$everything", False),
        ("patient/*.cruds", "PUT", "/fhir/Patient/A", False),
        ("patient/Patient.r?gender=female", "GET", "/fhir/Patient/A", False),
        ("patient/Patient.s", "GET", "/fhir/Patient/A", False),
        ("system/*.cruds", "GET", "/fhir/Patient/B", True),
        ("system/*.cruds", "DELETE", "/fhir/Observation/b-lab", True),
        ("system/*.rs", "DELETE", "/fhir/Observation/b-lab", False),
        ("system/*.rs", "GET", "/fhir/Observation?_include=*", True),
        ("system/Observation.rs", "GET", "/fhir/Observation?status=final", True),
        ("system/Observation.rs", "GET", "/fhir/Observation?_include=*", False),
        ("system/Observation.rs", "GET", "/fhir/Observation?patient.name=Beta", False),
        ("system/Observation.rs", "GET", "/fhir/Patient/A", False),
        ("system/Observation.rs?status=final", "GET", "/fhir/Observation/a-lab", False),
        ("system/*.cruds", "POST", "/fhir", True),
        ("system/*.crus", "POST", "/fhir", False),
        ("orders:read", "GET", "/fhir/Patient/A", False),
        ("system/*.rs", "GET", "/fhir/x/../Patient/A", False),
    ],
)
def test_only_what_nobody_has_to_look_at_passes(
    fhir_front: Front, scope: str, method: str, target: str, passes: bool
) -> None:
    assert isinstance(fhir_front.upstream, FhirUpstream)
    fhir_front.upstream.renew()
    body = b'{"resourceType":"Bundle","type":"batch"}' if method == "POST" else b""
    answer = fhir_front.ask(
        method, target, [("content-type", "application/fhir+json")], bearer=token(scope=scope, patient="A"), body=body
    )

    assert ([target] if passes else []) == fhir_front.upstream.seen
    assert passes is (answer.status < 400), answer


@pytest.mark.parametrize("bearer", ["a token", None])
def test_a_no_is_an_operation_outcome_where_the_gateway_hands_bodies_on(fhir_front: Front, bearer: str | None) -> None:
    given = None if bearer is None else token(scope="patient/*.rs", patient="A")
    answer = fhir_front.ask(target="/fhir/Observation/a-lab", bearer=given)
    kind = answer.header("content-type") or ""

    assert (401 if bearer is None else 403) == answer.status
    assert (answer.header("www-authenticate") or "").startswith("Bearer ")
    if fhir_front.kind in IN_THEIR_OWN_WORDS:
        assert "application/problem+json" == kind
        assert b"OperationOutcome" not in answer.body
    else:
        assert "application/fhir+json" == kind.partition(";")[0]
        assert "OperationOutcome" == json.loads(answer.body)["resourceType"]
