"""ProtectedResource → the document of RFC 9728, where it is, and what challenges say of it."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from typing import Any

import pytest

from jwt_guard import Guard, Misconfigured
from jwt_guard.access.carriers import cookie, form, header, query
from jwt_guard.access.challenge import Realm, refusal
from jwt_guard.access.resource import ProtectedResource
from jwt_guard.errors import (
    ClientTooSlow,
    ContentTooLarge,
    CrossOrigin,
    InsufficientScope,
    InvalidToken,
    MalformedRequest,
    MissingToken,
    Unavailable,
)
from jwt_guard.messages import PlainRequest
from tests.support.minting import ISSUER, guard, provider

URL = "https://api.test/orders"
WELL_KNOWN = "/.well-known/oauth-protected-resource"


def of(url: str = URL, **more: Any) -> Guard:
    return replace(guard(), resource=ProtectedResource(url, **more))


def asked(of: Guard, method: str = "GET", path: str = f"{WELL_KNOWN}/orders", root: str = "") -> Any:
    return of.answer(PlainRequest(method, path), root)


@pytest.mark.parametrize(
    ("url", "metadata"),
    [
        ("https://api.test", "https://api.test/.well-known/oauth-protected-resource"),
        ("https://api.test/", "https://api.test/.well-known/oauth-protected-resource"),
        ("https://resource.test/resource1", "https://resource.test/.well-known/oauth-protected-resource/resource1"),
        ("https://api.test:8443/a/b", "https://api.test:8443/.well-known/oauth-protected-resource/a/b"),
        ("https://api.test/a/", "https://api.test/.well-known/oauth-protected-resource/a/"),
        ("http://127.0.0.1:8000/mcp", "http://127.0.0.1:8000/.well-known/oauth-protected-resource/mcp"),
        ("http://localhost:8000", "http://localhost:8000/.well-known/oauth-protected-resource"),
    ],
)
def test_the_well_known_path_goes_between_host_and_path(url: str, metadata: str) -> None:
    """RFC 9728 §3.1, whose example the third is."""
    resource = ProtectedResource(url)

    assert metadata == resource.metadata_url
    assert metadata.endswith(resource.path)


@pytest.mark.parametrize(
    "url",
    ["", None, 1, "api.test", "http://api.test", "https://api.test/#a", "https://api.test/?a=b", "https://me@api.test/",
     "https:///orders", "https://api.test/\r\nX: y", "https://api.test/é", 'https://api.test/"x" y', "urn:orders"],
    ids=ascii,
)  # fmt: skip
def test_what_names_no_resource_is_refused(url: Any) -> None:
    with pytest.raises(Misconfigured, match="resource: url"):
        ProtectedResource(url)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""}, {"name": 1}, {"scopes_supported": "a"}, {"scopes_supported": ["a b"]}, {"scopes_supported": [1]},
        {"scopes_supported": None}, {"documentation": "docs"}, {"policy_uri": "http://x.test"}, {"tos_uri": ""},
        {"authorization_servers": ["id.test"]}, {"authorization_servers": ISSUER}, {"authorization_servers": None},
    ],
    ids=str,
)  # fmt: skip
def test_what_a_document_cannot_say_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=f"resource: {next(iter(changes))}"):
        ProtectedResource(URL, **changes)


def test_a_guard_takes_nothing_else_for_a_resource() -> None:
    with pytest.raises(Misconfigured, match="resource is"):
        replace(guard(), resource=URL)  # type: ignore[arg-type]


def test_a_document_says_what_is_known_and_leaves_out_the_rest() -> None:
    assert {
        "resource": URL,
        "authorization_servers": [ISSUER],
        "bearer_methods_supported": ["header"],
    } == of().metadata
    whole = of(
        scopes_supported=["orders:write", "orders:read"],
        name="Orders",
        documentation="https://docs.test/orders",
        policy_uri="https://docs.test/policy",
        tos_uri="https://docs.test/terms",
        authorization_servers=["https://login.test"],
    )
    assert {
        "resource": URL,
        "authorization_servers": ["https://login.test"],
        "scopes_supported": ["orders:write", "orders:read"],
        "bearer_methods_supported": ["header", "query", "body"],
        "resource_name": "Orders",
        "resource_documentation": "https://docs.test/orders",
        "resource_policy_uri": "https://docs.test/policy",
        "resource_tos_uri": "https://docs.test/terms",
    } == replace(whole, carriers=(header(), cookie("__Host-a"), query(), form())).metadata
    assert ["a", "b"] == of(scopes_supported=frozenset({"b", "a"})).metadata["scopes_supported"]  # type: ignore[index]


def test_the_issuers_are_those_that_a_client_can_ask() -> None:
    keys = provider().keys
    several = Guard(
        [
            provider(issuer=["https://new.test", "https://old.test"]),
            provider(name="local", issuer="local", keys=keys),
            provider(name="inner", issuer="http://keycloak:8080/realms/shop", keys=keys),
        ],
        resource=ProtectedResource(URL),
    )

    assert several.metadata is not None
    assert ["https://new.test", "https://old.test"] == several.metadata["authorization_servers"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_anybody_is_told(method: str) -> None:
    """RFC 9728 §3.2: 200, application/json; from any page, since nothing in it is secret."""
    response = asked(of(), method)

    headers = dict(response.headers)
    assert 200 == response.status
    assert of().metadata == json.loads(response.body)
    assert {
        "access-control-allow-origin": "*",
        "content-type": "application/json",
        "cache-control": "public, max-age=3600",
        "content-length": str(len(response.body)),
    } == headers


def test_a_page_may_ask_with_headers_of_its_own() -> None:
    response = asked(of(), "OPTIONS")

    assert (204, b"") == (response.status, response.body)
    assert "*" == dict(response.headers)["access-control-allow-origin"]
    assert "*" == dict(response.headers)["access-control-allow-headers"]
    assert "GET, HEAD, OPTIONS" == dict(response.headers)["access-control-allow-methods"]


@pytest.mark.parametrize("method", ["POST", "DELETE", "get"])
def test_nobody_can_do_anything_else_with_it(method: str) -> None:
    response = asked(of(), method)

    assert (405, b"") == (response.status, response.body)
    assert "GET, HEAD, OPTIONS" == dict(response.headers)["allow"]


@pytest.mark.parametrize(
    "path",
    ["/orders", WELL_KNOWN, f"{WELL_KNOWN}/orders/", f"{WELL_KNOWN}/orders/1", f"{WELL_KNOWN}/Orders", "",
     f"{WELL_KNOWN}//orders", f"/x{WELL_KNOWN}/orders", "/.well-known/oauth-protected-resourc%65/orders"],
)  # fmt: skip
def test_no_other_path_is_open_for_it(path: str) -> None:
    assert None is asked(of(), path=path)
    assert None is asked(guard(), path=path)


def test_a_server_may_put_the_place_of_the_application_before_the_path() -> None:
    assert 200 == asked(of(), path=f"/api{WELL_KNOWN}/orders", root="/api").status
    assert 200 == asked(of(), root="/api").status
    assert None is asked(of(), path=f"/x{WELL_KNOWN}/orders", root="/api")


def test_a_challenge_says_where_the_metadata_are() -> None:
    """RFC 9728 §5.1, with whatever else the challenge says."""
    realm = of().realm
    said = 'resource_metadata="https://api.test/.well-known/oauth-protected-resource/orders"'
    for error in (MissingToken(), MalformedRequest("x"), InvalidToken("x"), InsufficientScope(frozenset({"a"}))):
        challenge = dict(refusal(error, realm, "0").headers)["www-authenticate"]

        assert challenge.endswith(f", {said}"), error
        assert challenge.startswith('Bearer realm="api"')
    for other in (Unavailable("x"), ContentTooLarge("x"), CrossOrigin("x")):
        assert "www-authenticate" not in dict(refusal(other, realm, "0").headers)
    assert "resource_metadata" not in dict(refusal(MissingToken(), guard().realm, "0").headers)["www-authenticate"]


def test_a_realm_is_a_text_that_doors_hand_on() -> None:
    realm = of().realm
    again = pickle.loads(pickle.dumps(realm))  # noqa: S301 - of our own making

    assert "api" == realm
    assert isinstance(again, Realm)
    assert realm.metadata_url == again.metadata_url  # type: ignore[attr-defined]
    assert None is replace(of(), resource=None).realm.metadata_url  # type: ignore[attr-defined]
    assert of().realm.metadata_url == of().requiring(guard().policy).realm.metadata_url  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (CrossOrigin("SECRET"), 403, "The request does not come from a page of this site"),
        (ClientTooSlow("SECRET"), 408, "The rest of the request did not come in time"),
        (ContentTooLarge("SECRET"), 413, "The form is too long"),
    ],
)
def test_what_no_token_would_change_has_no_challenge(error: Any, status: int, words: str) -> None:
    """RFC 6750 §3 asks for one where a token is missing or not enough; here another would do no better."""
    response = refusal(error, "api", "0")

    assert (status, words) == (response.status, json.loads(response.body)["detail"])
    assert "www-authenticate" not in dict(response.headers)
    assert b"SECRET" not in response.body
