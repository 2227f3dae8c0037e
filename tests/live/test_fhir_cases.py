"""The cases of test kits and standards → what the guard makes of each, as a proxy before servers of other people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from jwt_guard.fhir.app import fhir_proxy
from jwt_guard.fhir.configuration import SmartConfiguration
from jwt_guard.fhir.server import Server
from jwt_guard.gateway.framing import server_options
from jwt_guard.gateway.settings import Settings
from jwt_guard.messages import Response
from tests.support.fhir_cases import CASES, RESOURCES, ScopeCase, wrongs
from tests.support.minting import claims, guard, mint
from tests.support.proxied import serving

from .conftest import missing
from .fhir_servers import RealServer, is_installed, medplum, sekmet

KINDS = ("sekmet", "medplum")
# What a server does not have, it does not have for anybody: it says so, and shows nothing.
LACKING = {
    "sekmet": frozenset[str](),
    "medplum": frozenset({"type-history-s", "system-history-one-type", "export-typed-ok"}),
}


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    with ExitStack() as stack:
        if request.param == "medplum":
            running = stack.enter_context(medplum(request.getfixturevalue("usable_node")))
        elif not is_installed():
            missing("sekmet-fhir cannot be had: there is no package registry here")
        else:
            running = stack.enter_context(sekmet(tmp_path_factory.mktemp("sekmet")))
        running.put(RESOURCES)
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["", "koppeltaal"])
def proxies(request: pytest.FixtureRequest, server: RealServer) -> Iterator[tuple[bool, str, RealServer]]:
    """Give the base URL of the guard before *server*."""
    smart = SmartConfiguration(token_endpoint="https://id.test/token", capabilities=("permission-v2",))
    app = fhir_proxy(
        Settings(upstream=server.base.removesuffix("/fhir")),
        server.base,
        guard(),
        Server("https://api.example/fhir", koppeltaal=request.param),
        smart=smart,
    )
    with serving(app, **{**server_options(), "lifespan": "on"}) as port:
        yield request.param, f"http://127.0.0.1:{port}/fhir", server


def asked(base: str, case: ScopeCase) -> Response:
    headers = list(case.headers)
    if not case.is_anonymous:
        said = {} if case.patient is None else {"patient": case.patient}
        headers.append(("authorization", f"Bearer {mint(claims(scope=case.scopes, **said))}"))
    target = f"{base}{case.path}" + (f"?{case.query}" if case.query else "")
    with httpx.Client(trust_env=False, timeout=60) as client:
        answer = client.request(case.method, target, headers=headers, content=case.body)
    return Response(answer.status_code, tuple(answer.headers.items()), answer.content)


def test_a_token_gets_what_its_scopes_say_and_no_more(
    proxies: tuple[bool, str, RealServer], subtests: pytest.Subtests
) -> None:
    is_koppeltaal, base, server = proxies
    cases = [case for case in CASES if case.is_koppeltaal is is_koppeltaal]
    tried = 0
    for case in cases:
        with subtests.test(case.name):
            answer = asked(base, case)
            tried += 1
            found = wrongs(case, answer)
            if case.name in LACKING[server.kind]:
                found = [each for each in found if " is none of " not in each]

                assert answer.status >= 400

            assert [] == found, answer
            assert [] == [name for name in case.keeps if server.kept(name) != 200]
            assert server.base.encode() not in answer.body
        if case.method != "GET":
            kind = case.path.split("/")[1]
            server.put([each for each in RESOURCES if each["resourceType"] == kind])

    assert len(cases) == tried
