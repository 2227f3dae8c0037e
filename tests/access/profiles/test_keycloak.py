"""Tokens of a Keycloak realm → credentials, also where Keycloak is asked under another name than its tokens have.

The shape is what Keycloak 26 writes (https://www.keycloak.org/docs/latest/server_admin/#_oidc_token_role_mappings for
the roles, https://www.keycloak.org/docs/latest/server_admin/#_service_accounts for service accounts), and what is
said of names inside and outside is https://www.keycloak.org/server/hostname.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from jwt_guard import Guard, KeySettings, Misconfigured, Provider, discovered
from jwt_guard.errors import KeysUnavailable
from jwt_guard.providers import keycloak
from tests.support.issuers import JWT, KEYS, TIMES, Who, guarding, token, who, why_not
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, NOW, refused

OUTSIDE = "https://id.example/realms/shop"
SUB = "0f1c6a3e-8d2b-4b0e-9a51-4f0f5b0e7a11"


def access(**changes: Any) -> dict[str, Any]:
    return {
        **TIMES,
        "auth_time": TIMES["iat"],
        "jti": "onrtac:5b7c1f0e-1c1a-4a3a-8f4b-8d7f0b9a1e55",
        "iss": OUTSIDE,
        "aud": ["orders", "account"],
        "sub": SUB,
        "typ": "Bearer",
        "azp": "webshop",
        "nonce": "n-0S6_WzA2Mj",
        "sid": "b4b9b6b0-6f0e-4c3a-9a5e-2f8f2d1c0b9a",
        "acr": "1",
        "allowed-origins": ["https://shop.example"],
        "realm_access": {"roles": ["offline_access", "staff"]},
        "resource_access": {"orders": {"roles": ["packer"]}, "account": {"roles": ["view-profile"]}},
        "scope": "openid email profile orders:read",
        "preferred_username": "ada",
        **changes,
    }


def provider(**changes: Any) -> Provider:
    good: dict[str, Any] = {"issuer": OUTSIDE, "audience": "orders", "keys": KEYS}
    return keycloak(**{**good, **changes})


def test_somebody_who_signed_in_is_named_with_the_roles_of_the_realm_or_of_one_client() -> None:
    scopes = {"openid", "email", "profile", "orders:read"}

    assert Who(SUB, "webshop", scopes, {"offline_access", "staff"}, "keycloak") == who(provider(), access())
    assert Who(SUB, "webshop", scopes, {"packer"}, "keycloak") == who(provider(client="orders"), access())
    assert set() == who(provider(client="stock"), access()).roles


def test_a_service_account_is_nobodys_user() -> None:
    machine = access(
        preferred_username="service-account-nightly", azp="Nightly", client_id="Nightly", nonce=ABSENT, sid=ABSENT
    )

    assert None is who(provider(), machine).user
    assert "Nightly" == who(provider(), machine).client
    assert SUB == who(provider(), {**machine, "client_id": "other"}).user


@pytest.mark.parametrize("kind", ["ID", "Refresh", "Offline", "Logout"])
def test_other_tokens_of_the_realm_are_no_access_tokens(kind: str) -> None:
    assert "typ" == why_not(provider(), access(typ=kind))


def test_another_realm_and_another_api_are_refused() -> None:
    assert "UnknownIssuer" == why_not(provider(), access(iss="https://id.example/realms/other"))
    assert "aud" == why_not(provider(), access(aud="account"))


# --- a network of containers: http://keycloak:8080 inside, another issuer outside ---------------------


class Inside(BaseHTTPRequestHandler):
    """The realm as it answers inside: it names the issuer that is outside, and keys that are inside."""

    server: Any

    def do_GET(self) -> None:
        host = self.headers["Host"]
        self.server.asked.append(f"http://{host}{self.path}")
        documents = {
            "/realms/shop/.well-known/openid-configuration": {
                "issuer": self.server.issuer,
                "jwks_uri": f"http://{host}/realms/shop/protocol/openid-connect/certs",
            },
            "/realms/shop/protocol/openid-connect/certs": {"keys": [public_jwk("RS256", kid="a", use="sig")]},
        }
        body = json.dumps(documents.get(self.path, {})).encode()
        self.send_response(200 if self.path in documents else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as http.server has it
        """Say nothing."""


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Serve the realm at a name that only the network inside knows: ``keycloak``."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if host in ("keycloak", b"keycloak") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with ThreadingHTTPServer(("127.0.0.1", 0), Inside) as server:
        server.asked = []  # type: ignore[attr-defined]  # what it was asked
        server.issuer = OUTSIDE  # type: ignore[attr-defined]  # what it says
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def url(server: Any) -> str:
    return f"http://keycloak:{server.server_address[1]}/realms/shop"


def in_python(server: Any) -> Guard:
    settings = KeySettings(plain_http_hosts=frozenset({"keycloak"}))
    return guarding(keycloak(OUTSIDE, "orders", keys=discovered(OUTSIDE, url(server), settings)))


def in_a_file(server: Any, folder: Path) -> Guard:
    file = folder / "guard.toml"
    file.write_text(f"""
        [providers.keycloak]
        profile       = "keycloak"
        issuer        = "{OUTSIDE}"
        audience      = "orders"
        discovery_url = "{url(server)}"

        [keys]
        plain_http_hosts = ["keycloak"]
    """)
    loaded = jwt_guard.load(file)
    return Guard(loaded.providers, loaded.policy, clock=lambda: NOW)


@pytest.mark.parametrize("way", ["python", "file"])
@pytest.mark.parametrize("waiting", ["blocking", "awaiting"])
def test_keycloak_in_the_next_container_is_asked_there_for_tokens_of_its_public_name(
    inside: Any, way: str, waiting: str, tmp_path: Path
) -> None:
    guard = in_python(inside) if way == "python" else in_a_file(inside, tmp_path)
    text = token(access(), JWT)

    found = jwt_guard.verify(guard, text) if waiting == "blocking" else asyncio.run(jwt_guard.averify(guard, text))

    assert SUB == found.user
    assert [
        f"{url(inside)}/.well-known/openid-configuration",
        f"{url(inside)}/protocol/openid-connect/certs",
    ] == inside.asked


def test_a_token_that_was_issued_under_the_name_inside_is_not_taken(inside: Any) -> None:
    assert "no provider has this issuer" in str(refused(in_python(inside), token(access(iss=url(inside)), JWT)))


def test_a_keycloak_that_does_not_know_its_public_name_gives_no_keys(inside: Any) -> None:
    inside.issuer = url(inside)
    error = refused(in_python(inside), token(access(), JWT))

    assert isinstance(error, KeysUnavailable)
    assert "the metadata names the issuer 'http://keycloak:" in str(error)


def test_a_name_that_is_not_allowed_without_tls_is_not_asked(inside: Any) -> None:
    with pytest.raises(Misconfigured, match="it is not https, and its host is not in plain_http_hosts"):
        keycloak(OUTSIDE, "orders", keys=discovered(OUTSIDE, url(inside)))
