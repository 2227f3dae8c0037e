"""Assertions of ours → taken, and taken once, by authorization servers that others have written."""

import asyncio
import time
from collections.abc import Iterator

import httpx
import pytest

from jwt_guard import Guard, rfc9068, verify
from jwt_guard.issuing.assertion import ASSERTION_TYPE, make_assertion
from jwt_guard.issuing.backend_services import BackendServicesAuth, TokenRefused
from jwt_guard.issuing.loading import signing_key
from jwt_guard.issuing.signing import SigningKey, make
from tests.issuing.fhir_server import serving

from .glewlwyd import Glewlwyd, installed
from .rig import ORDERS, LiveProvider

ALGORITHMS = ("RS384", "ES384", "EdDSA")
GRANT = {"grant_type": "client_credentials", "scope": "orders:read", "client_assertion_type": ASSERTION_TYPE}


@pytest.fixture(scope="module")
def glewlwyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glewlwyd]:
    with Glewlwyd.start(installed(), tmp_path_factory.mktemp("glewlwyd")) as running:
        yield running


def key_of_a_smart_file(alg: str) -> SigningKey:
    """Return a key out of a set as SMART's tools write it: the private and the public half under one name."""
    whole = {name: value for name, value in make(alg, "one").private_jwk().items() if name != "use"}
    public = {name: value for name, value in whole.items() if name not in {"d", "p", "q", "dp", "dq", "qi"}}
    twins = [{**public, "key_ops": ["verify"], "ext": True}, {**whole, "key_ops": ["sign"], "ext": True}]
    return signing_key({"keys": twins})


def registered(server: LiveProvider | Glewlwyd, client: str, key: SigningKey) -> SigningKey:
    server.register(client, dict(key.public or {}))
    return key


def asked(server: LiveProvider | Glewlwyd, text: str, resource: str) -> httpx.Response:
    form = {**GRANT, "client_assertion": text, "resource": resource}
    return httpx.post(server.token_url, data=form, trust_env=False)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_oidc_provider_takes_one_and_takes_it_once(live_provider: LiveProvider, alg: str) -> None:
    client = f"smart-{alg.lower()}"
    key = registered(live_provider, client, key_of_a_smart_file(alg))
    text = make_assertion(key, client, live_provider.issuer, now=time.time())
    first, second = (asked(live_provider, text, f"{ORDERS}/ES256") for _ in range(2))
    guard = Guard([rfc9068(live_provider.issuer, ORDERS)])

    assert 200 == first.status_code, first.text
    assert client == verify(guard, first.json()["access_token"]).client
    assert (401, "invalid_client") == (second.status_code, second.json()["error"])


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_glewlwyd_takes_one_and_takes_it_once(glewlwyd: Glewlwyd, alg: str) -> None:
    client = f"smart-{alg.lower()}"
    key = registered(glewlwyd, client, key_of_a_smart_file(alg))
    text = make_assertion(key, client, glewlwyd.token_url, now=time.time())
    first, second = (asked(glewlwyd, text, ORDERS) for _ in range(2))
    guard = Guard([rfc9068(glewlwyd.issuer, ORDERS)])

    assert 200 == first.status_code, first.text
    assert client == verify(guard, first.json()["access_token"]).client
    assert second.status_code in (400, 401, 403), second.text


@pytest.mark.parametrize("which", ["live_provider", "glewlwyd"])
def test_another_key_is_refused(which: str, request: pytest.FixtureRequest) -> None:
    server: LiveProvider | Glewlwyd = request.getfixturevalue(which)
    registered(server, "smart-other", make("ES384", "one"))
    text = make_assertion(make("ES384", "one"), "smart-other", server.issuer, now=time.time())

    assert asked(server, text, ORDERS).status_code in (400, 401, 403)


@pytest.mark.parametrize("which", ["live_provider", "glewlwyd"])
def test_a_client_of_httpx_gets_its_tokens_there(which: str, request: pytest.FixtureRequest) -> None:
    server: LiveProvider | Glewlwyd = request.getfixturevalue(which)
    key = registered(server, "smart-auth", make("ES384", "one"))

    async def ask(auth: BackendServicesAuth, url: str) -> int:
        async with httpx.AsyncClient(auth=auth, trust_env=False) as http:
            return (await http.get(url)).status_code

    with serving("nobody", key) as fhir:
        auth = BackendServicesAuth(
            fhir.base, "smart-auth", key, "orders:read", token_url=server.token_url, audience=_audience(server)
        )
        with httpx.Client(auth=auth, trust_env=False) as http:
            first = http.get(f"{fhir.base}/Patient")
        fhir.good = {sent.removeprefix("Bearer ") for sent, _ in fhir.seen}  # it is theirs, and nobody here can tell
        again = asyncio.run(ask(auth, f"{fhir.base}/Patient"))
        stranger = BackendServicesAuth(fhir.base, "smart-auth", make("ES384"), None, token_url=server.token_url)
        with httpx.Client(auth=stranger, trust_env=False) as http, pytest.raises(TokenRefused):
            http.get(f"{fhir.base}/Patient")

    assert (401, 200) == (first.status_code, again)
    assert all(sent.startswith("Bearer ") for sent, _ in fhir.seen)


def _audience(server: LiveProvider | Glewlwyd) -> str:
    return server.issuer if isinstance(server, LiveProvider) else server.token_url
