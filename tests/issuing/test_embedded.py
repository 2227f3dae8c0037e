"""The whole embedded issuer on loopback → what its clients and guards, and clients of others, make of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client, OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc.jwk import import_key

from jwt_guard import Guard, KeySettings, Misconfigured, rfc9068, verify
from jwt_guard.access.denylist import Denylist
from jwt_guard.access.once import Once
from jwt_guard.cli.demo.servers import address, asgi_served, loopback
from jwt_guard.errors import Revoked
from jwt_guard.issuing.assertion import ASSERTION_TYPE, make_assertion
from jwt_guard.issuing.backend_services import BackendServicesAuth, TokenRefused
from jwt_guard.issuing.client_authentication import Client
from jwt_guard.issuing.embedded import embedded_issuer
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring
from jwt_guard.issuing.signing import SigningKey, make
from jwt_guard.providers import smart

SECRET = "a-secret-of-service"
FHIR = "https://ehr.test/fhir"
KEYS = {alg: make(alg) for alg in ("RS256", "RS384", "ES384", "EdDSA")}
SERVICE = Client("service", secret=SECRET, scopes=["orders:read", "orders:write"])
BACKENDS = [Client(alg.lower(), jwks=dict(key.public or {}), scopes=["system/Patient.rs"]) for alg, key in KEYS.items()]


@dataclass
class Server:
    issuer: Issuer
    denylist: Denylist
    http: httpx.Client

    @property
    def token_url(self) -> str:
        return f"{self.issuer.url}/token"

    def guard(self, **more: Any) -> Guard:
        return Guard([rfc9068(self.issuer.url, FHIR)], **more)

    def post(self, place: str, form: dict[str, str], secret: str = SECRET) -> httpx.Response:
        return self.http.post(f"{self.issuer.url}/{place}", data=form, auth=("service", secret))

    def token(self) -> str:
        return str(self.post("token", {"grant_type": "client_credentials"}).json()["access_token"])


@pytest.fixture(scope="module", params=["", "/realms/shop"], ids=["root", "path"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with ExitStack() as stack:
        bound = loopback()
        issuer = Issuer(address(bound) + request.param, Keyring(make("ES256")))
        denylist = Denylist()
        app = embedded_issuer(issuer, [SERVICE, *BACKENDS], FHIR, denylist=denylist, is_for_smart=True)
        stack.enter_context(asgi_served(app, bound))
        yield Server(issuer, denylist, stack.enter_context(httpx.Client(trust_env=False)))


# --- its own clients and guards ----------------------------------------------------------------------


def test_a_token_lives_until_its_client_takes_it_back(server: Server) -> None:
    token, guard = server.token(), server.guard(revoked=server.denylist)
    form = {"token": token}

    assert "service" == verify(guard, token).client
    said = server.post("introspect", form).json()
    assert (True, "service", "orders:read orders:write") == (said["active"], said["client_id"], said["scope"])
    assert (200, b"") == ((answer := server.post("revoke", form)).status_code, answer.content)
    assert b'{"active": false}' == server.post("introspect", form).content
    with pytest.raises(Revoked):
        verify(guard, token)


def test_the_key_may_change_meanwhile(server: Server) -> None:
    before = server.token()
    server.issuer.keyring.rotate()
    after = server.token()

    assert [True, True] == [server.post("introspect", {"token": each}).json()["active"] for each in (before, after)]


def test_what_was_used_at_one_endpoint_is_used_at_all(server: Server) -> None:
    assertion = make_assertion(KEYS["ES384"], "es384", f"{server.issuer.url}/introspect", now=server.issuer.clock())
    form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion, "token": server.token()}

    answers = [server.http.post(f"{server.issuer.url}/{place}", data=form) for place in ("introspect", "revoke")]
    assert [200, 401] == [answer.status_code for answer in answers]


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_our_own_auth_finds_the_endpoint_by_the_smart_configuration(server: Server, alg: str) -> None:
    auth = BackendServicesAuth(server.issuer.url, alg.lower(), KEYS[alg], "system/Patient.rs")
    with httpx.Client(auth=auth, trust_env=False) as http:
        sent = http.get(f"{server.issuer.url}/jwks").request.headers["authorization"]

    assert "system/Patient.rs" == auth.granted
    guard = Guard([smart(server.issuer.url, FHIR)])
    assert alg.lower() == verify(guard, sent.removeprefix("Bearer ")).client
    refused = BackendServicesAuth(server.issuer.url, alg.lower(), KEYS[alg], "system/*.cruds")
    with httpx.Client(auth=refused, trust_env=False) as http, pytest.raises(TokenRefused, match="invalid_scope"):
        http.get(f"{server.issuer.url}/jwks")


def test_a_client_whose_keys_are_at_a_url_is_asked_for_them() -> None:
    """The keys of the one issuer are those of a client of the other."""
    key = make("ES384")
    with ExitStack() as stack:
        first, second = loopback(), loopback()
        published = embedded_issuer(Issuer(address(first), Keyring(key)), [SERVICE], "orders")
        url = stack.enter_context(asgi_served(published, first))
        issuer = Issuer(address(second), Keyring(make("ES256")))
        client = Client("far", jwks_url=f"{url}/jwks", scopes=["a"])
        app = embedded_issuer(issuer, [client], "orders", settings=KeySettings(timeout=3), once=Once())
        stack.enter_context(asgi_served(app, second))
        auth = BackendServicesAuth(issuer.url, "far", key, "a", token_url=f"{issuer.url}/token")
        with httpx.Client(auth=auth, trust_env=False) as http:
            assert 200 == http.get(f"{issuer.url}/jwks").status_code
        assert "a" == auth.granted


def test_what_is_wrong_is_found_at_start() -> None:
    issuer = Issuer("https://id.test", Keyring(make("ES256")))
    with pytest.raises(Misconfigured, match="two have one client_id"):
        embedded_issuer(issuer, [SERVICE, SERVICE], "orders")
    with pytest.raises(Misconfigured, match="audience"):
        embedded_issuer(issuer, [SERVICE], "")
    with pytest.raises(Misconfigured, match="https"):
        embedded_issuer(Issuer("http://issuer:80", issuer.keyring), [SERVICE], "orders")


def test_tokens_that_live_for_a_year_can_be_taken_back() -> None:
    year = 31_536_000
    with ExitStack() as stack:
        bound = loopback()
        issuer = Issuer(address(bound), Keyring(make("ES256")))
        stack.enter_context(asgi_served(embedded_issuer(issuer, [SERVICE], FHIR, lifetime=year), bound))
        one = Server(issuer, Denylist(), stack.enter_context(httpx.Client(trust_env=False)))
        token = one.token()

        assert 200 == one.post("revoke", {"token": token}).status_code
        assert {"active": False} == one.post("introspect", {"token": token}).json()


# --- strangers ---------------------------------------------------------------------------------------


def test_a_body_without_end_is_not_read_to_the_end(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"a" * 16_384

    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = server.http.post(server.token_url, content=endless(), headers=headers)

    assert (413, "invalid_request") == (answer.status_code, answer.json()["error"])


@pytest.mark.parametrize("place", ["token", "introspect", "revoke"])
def test_secrets_in_the_url_are_not_looked_at(server: Server, place: str) -> None:  # RFC 6749 §2.3.1
    url = f"{server.issuer.url}/{place}?client_id=service&client_secret={SECRET}&grant_type=client_credentials&token=a"

    assert 405 == server.http.get(url).status_code
    form = {"grant_type": "client_credentials", "token": "a"}
    assert (401, "invalid_client") == ((got := server.http.post(url, data=form)).status_code, got.json()["error"])


# --- a client that others have written ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_gets_a_token_by_its_secret(server: Server, method: str) -> None:
    kind: Any = OAuth2Client
    settings: dict[str, Any] = {"token_endpoint_auth_method": method, "trust_env": False}
    with kind("service", SECRET, scope="orders:read", **settings) as of:
        said = of.fetch_token(server.token_url, grant_type="client_credentials")
        assert "service" == verify(server.guard(), said["access_token"]).client
        assert "orders:read" == said["scope"]
        asked = of.introspect_token(f"{server.issuer.url}/introspect", said["access_token"])
        assert asked.json()["active"] is True
        assert 200 == of.revoke_token(f"{server.issuer.url}/revoke", said["access_token"]).status_code
    wrong = kind("service", "another", **settings)
    with wrong, pytest.raises(OAuthError, match="invalid_client"):
        wrong.fetch_token(server.token_url, grant_type="client_credentials")


def by_key(kind: Any, alg: str, key: SigningKey, url: str) -> Any:
    """Return a client of Authlib whose assertions name their key and, unlike those it makes by itself, end soon."""
    material = import_key(key.private_jwk())
    of = kind(alg.lower(), material, token_endpoint_auth_method="private_key_jwt", trust_env=False)
    soon = {"exp": int(time.time()) + 60}
    of.register_client_auth_method(PrivateKeyJWT(url, claims=soon, headers={"kid": key.kid, "typ": "JWT"}, alg=alg))
    return of


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
@pytest.mark.parametrize("alg", KEYS)
def test_authlib_gets_a_token_by_its_key(server: Server, alg: str) -> None:
    with by_key(OAuth2Client, alg, KEYS[alg], server.token_url) as of:
        said = of.fetch_token(server.token_url, grant_type="client_credentials")

    assert alg.lower() == verify(server.guard(), said["access_token"]).client
    stranger = by_key(OAuth2Client, alg, make(alg, KEYS[alg].kid), server.token_url)
    with stranger, pytest.raises(OAuthError, match="invalid_client"):
        stranger.fetch_token(server.token_url, grant_type="client_credentials")


def test_authlib_gets_one_on_a_loop_too(server: Server) -> None:
    async def ask() -> Any:
        async with by_key(AsyncOAuth2Client, "ES384", KEYS["ES384"], server.token_url) as of:
            return await of.fetch_token(server.token_url, grant_type="client_credentials")

    assert "es384" == verify(server.guard(), asyncio.run(ask())["access_token"]).client
