"""The rig alone → what the tests that lean on it may take for granted."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import httpx
import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from .rig import BILLING, ORDERS, Fetches, LiveProvider

CLASSICAL = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}


def get(url: str) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(url, trust_env=False).raise_for_status().json()
    return document


def published(provider: LiveProvider) -> dict[str, dict[str, str]]:
    return {key["kid"]: key for key in get(f"{provider.issuer}/jwks")["keys"]}


def verified(token: str, keys: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """By PyJWT, and by cryptography alone under the two names that PyJWT does not know."""
    header = jwt.get_unverified_header(token)
    key = keys[header["kid"]]
    signed, _, signature = token.rpartition(".")
    match header["alg"]:
        case "Ed25519":
            Ed25519PublicKey.from_public_bytes(decoded(key["x"])).verify(decoded(signature), signed.encode())
        case "ML-DSA-44":
            MLDSA44PublicKey.from_public_bytes(decoded(key["pub"])).verify(decoded(signature), signed.encode())
        case algorithm:
            jwt.PyJWS().decode(token, jwt.PyJWK(dict(key)), algorithms=[algorithm])
    return claims_of(token)


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(decoded(token.split(".")[1]))
    return claims


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "==")


def refuses_connections(url: str) -> bool:
    address = httpx.URL(url)
    with socket.socket() as asking:
        return asking.connect_ex((address.host, address.port)) != 0


@pytest.mark.parametrize("algorithm", CLASSICAL)
def test_a_token_of_each_algorithm_verifies_with_the_published_key(live_provider: LiveProvider, algorithm: str) -> None:
    token = live_provider.token(algorithm=algorithm)
    header = jwt.get_unverified_header(token)

    assert algorithm == header["alg"]
    assert "at+jwt" == header["typ"]
    assert "machine-with-secret" == verified(token, published(live_provider))["sub"]


@pytest.mark.parametrize("algorithm", CLASSICAL)
def test_the_node_of_the_system_signs_the_classical_algorithms(system_provider: LiveProvider, algorithm: str) -> None:
    token = system_provider.token(algorithm=algorithm)

    assert "machine-with-secret" == verified(token, published(system_provider))["sub"]


def test_a_post_quantum_token_verifies_with_the_published_key(post_quantum_provider: LiveProvider) -> None:
    token = post_quantum_provider.token(algorithm="ML-DSA-44")
    keys = published(post_quantum_provider)

    assert "machine-with-secret" == verified(token, keys)["sub"]
    assert "AKP" == keys[jwt.get_unverified_header(token)["kid"]]["kty"]


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_pyjwt_finds_issuer_audience_and_times_in_order(live_provider: LiveProvider, algorithm: str) -> None:
    token = live_provider.token(BILLING, algorithm=algorithm, lifetime=120)
    key = jwt.PyJWK(published(live_provider)[jwt.get_unverified_header(token)["kid"]])
    claims = jwt.decode(token, key, algorithms=[algorithm], issuer=live_provider.issuer, audience=BILLING)

    assert 120 == claims["exp"] - claims["iat"]


@pytest.mark.parametrize(
    ("algorithm", "error"),
    [
        ("RS256", jwt.InvalidSignatureError),
        ("ES256", jwt.InvalidSignatureError),
        ("Ed25519", InvalidSignature),
        ("ML-DSA-44", InvalidSignature),
    ],
)
def test_a_changed_token_does_not_verify(
    post_quantum_provider: LiveProvider, algorithm: str, error: type[Exception]
) -> None:
    token = post_quantum_provider.token(algorithm=algorithm)
    head, _, signature = token.split(".")
    other = json.dumps(claims_of(token) | {"sub": "mallory"}).encode()
    changed = f"{head}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}.{signature}"

    with pytest.raises(error):
        verified(changed, published(post_quantum_provider))


def test_no_private_member_of_a_key_is_published(post_quantum_provider: LiveProvider) -> None:
    keys = published(post_quantum_provider)

    assert set(post_quantum_provider.algorithms) == {key["alg"] for key in keys.values()}
    assert set() == PRIVATE & {member for key in keys.values() for member in key}


@pytest.mark.parametrize("resource", [ORDERS, BILLING])
def test_the_resource_is_the_audience(live_provider: LiveProvider, resource: str) -> None:
    token = live_provider.token(resource)

    assert resource == verified(token, published(live_provider))["aud"]


@pytest.mark.parametrize("scope", ["orders:read", "orders:write", "orders:read orders:write"])
def test_a_token_has_the_scopes_that_were_asked_for(live_provider: LiveProvider, scope: str) -> None:
    token = live_provider.token(scope=scope)

    assert scope == verified(token, published(live_provider))["scope"]


@pytest.mark.parametrize(("resource", "algorithm"), [("https://other.test", "RS256"), (ORDERS, "HS256")])
def test_an_unknown_resource_or_algorithm_gets_no_token(
    live_provider: LiveProvider, resource: str, algorithm: str
) -> None:
    with pytest.raises(RuntimeError, match="invalid_target"):
        live_provider.token(resource, algorithm=algorithm)


def test_a_user_gets_no_token_for_an_unknown_resource(live_provider: LiveProvider) -> None:
    with pytest.raises(RuntimeError, match="invalid_target"):
        live_provider.user_tokens(resource="https://other.test")


def test_a_machine_may_prove_itself_with_a_key(live_provider: LiveProvider) -> None:
    token = live_provider.token(proof="key")

    assert "machine-with-key" == verified(token, published(live_provider))["client_id"]


def test_a_user_gets_an_access_token_and_an_id_token(live_provider: LiveProvider) -> None:
    tokens = live_provider.user_tokens("alice", algorithm="ES256")
    access = verified(tokens.access_token, published(live_provider))
    identity = verified(tokens.id_token, published(live_provider))

    assert ("alice", "website", ORDERS) == (access["sub"], access["client_id"], access["aud"])
    assert ("alice", "website") == (identity["sub"], identity["aud"])
    assert "at+jwt" == jwt.get_unverified_header(tokens.access_token)["typ"]


def test_an_id_token_differs_from_an_access_token_in_audience_and_little_else(live_provider: LiveProvider) -> None:
    """No `typ`, no `azp`, no `at_hash`: this is what a guard has to tell apart in practice."""
    token = live_provider.user_tokens().id_token

    assert {"alg", "kid"} == jwt.get_unverified_header(token).keys()
    assert {"iss", "sub", "aud", "exp", "iat", "nonce"} == claims_of(token).keys()


def test_a_token_expires_when_it_was_asked_to(live_provider: LiveProvider) -> None:
    token = live_provider.token(lifetime=1)
    claims = verified(token, published(live_provider))
    key = jwt.PyJWK(published(live_provider)[jwt.get_unverified_header(token)["kid"]])
    # The one clock that cannot be handed in is the provider's; a lifetime that was not heard is not waited for.
    time.sleep(min(2.0, max(0.0, claims["exp"] + 0.05 - time.time())))

    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(token, key, algorithms=["RS256"], audience=ORDERS)


def test_a_short_lifetime_is_not_left_to_the_next_token(live_provider: LiveProvider) -> None:
    live_provider.token(lifetime=1)
    claims = verified(live_provider.token(), published(live_provider))

    assert 300 == claims["exp"] - claims["iat"]


def test_callers_on_several_threads_get_their_own_lifetimes(live_provider: LiveProvider) -> None:
    lifetimes = [100 + number for number in range(40)]
    with ThreadPoolExecutor(4) as pool:
        tokens = list(pool.map(lambda lifetime: live_provider.token(algorithm="ES256", lifetime=lifetime), lifetimes))

    assert lifetimes == [claims["exp"] - claims["iat"] for claims in map(claims_of, tokens)]


def test_a_rotation_that_keeps_adds_keys_and_signs_with_the_new(live_provider: LiveProvider) -> None:
    before = published(live_provider)
    old = live_provider.token()
    kids = live_provider.rotate(keep=True)
    after = published(live_provider)
    new = live_provider.token()

    assert kids == after.keys()
    assert before.keys() < after.keys()
    assert jwt.get_unverified_header(new)["kid"] in after.keys() - before.keys()
    assert "machine-with-secret" == verified(old, after)["sub"]
    assert "machine-with-secret" == verified(new, after)["sub"]


def test_a_rotation_that_does_not_keep_takes_the_old_keys_away(live_provider: LiveProvider) -> None:
    before = published(live_provider)
    old = live_provider.token()
    kids = live_provider.rotate(keep=False)
    after = published(live_provider)

    assert kids == after.keys()
    assert set() == before.keys() & after.keys()
    assert jwt.get_unverified_header(old)["kid"] not in after
    assert "machine-with-secret" == verified(live_provider.token(), after)["sub"]


def test_the_fetches_of_documents_and_keys_are_counted_and_no_others(live_provider: LiveProvider) -> None:
    before = live_provider.fetches()
    live_provider.token()
    live_provider.rotate(keep=True)
    unmoved = live_provider.fetches() - before
    document = get(f"{live_provider.issuer}/.well-known/openid-configuration")
    get(document["jwks_uri"])
    get(document["jwks_uri"])

    assert Fetches(0, 0) == unmoved
    assert Fetches(discovery=1, jwks=2) == live_provider.fetches() - before


def test_an_address_that_has_no_document_is_counted_too(live_provider_with_path: LiveProvider) -> None:
    before = live_provider_with_path.fetches()
    wrong = f"{live_provider_with_path.issuer}/.well-known/oauth-authorization-server"
    status = httpx.get(wrong, trust_env=False).status_code

    assert 404 == status
    assert Fetches(discovery=1, jwks=0) == live_provider_with_path.fetches() - before


@pytest.mark.parametrize("address", ["/jwks", "/.well-known/openid-configuration", "/realms/shopping/jwks"])
def test_an_issuer_with_a_path_is_at_no_other(live_provider_with_path: LiveProvider, address: str) -> None:
    origin = live_provider_with_path.issuer.removesuffix("/realms/shop")

    assert 404 == httpx.get(f"{origin}{address}", trust_env=False).status_code


def test_both_forms_of_discovery_name_the_issuer_with_its_path(live_provider_with_path: LiveProvider) -> None:
    issuer = live_provider_with_path.issuer
    origin = issuer.removesuffix("/realms/shop")
    openid = get(f"{issuer}/.well-known/openid-configuration")
    oauth = get(f"{origin}/.well-known/oauth-authorization-server/realms/shop")

    assert issuer != origin
    assert issuer == openid["issuer"] == oauth["issuer"]
    assert f"{issuer}/jwks" == openid["jwks_uri"] == oauth["jwks_uri"]


def test_an_issuer_with_a_path_issues_to_machines_and_users(live_provider_with_path: LiveProvider) -> None:
    keys = published(live_provider_with_path)
    tokens = live_provider_with_path.user_tokens("bob")

    assert live_provider_with_path.issuer == verified(live_provider_with_path.token(proof="key"), keys)["iss"]
    assert live_provider_with_path.issuer == verified(tokens.access_token, keys)["iss"]
    assert "bob" == verified(tokens.id_token, keys)["sub"]


@pytest.mark.parametrize(("discovery", "statuses"), [("openid", (200, 404)), ("oauth", (404, 200))])
def test_a_provider_may_publish_one_form_of_discovery_only(
    usable_node: Path, discovery: Literal["openid", "oauth"], statuses: tuple[int, int]
) -> None:
    with LiveProvider.start(usable_node, path="/realms/shop", discovery=discovery) as provider:
        origin = provider.issuer.removesuffix("/realms/shop")
        openid = httpx.get(f"{provider.issuer}/.well-known/openid-configuration", trust_env=False)
        oauth = httpx.get(f"{origin}/.well-known/oauth-authorization-server/realms/shop", trust_env=False)

    assert statuses == (openid.status_code, oauth.status_code)


def test_an_issuer_may_end_with_a_slash(usable_node: Path) -> None:
    with LiveProvider.start(usable_node, path="/") as provider:
        document = get(f"{provider.issuer}.well-known/openid-configuration")
        claims = verified(provider.token(), {key["kid"]: key for key in get(document["jwks_uri"])["keys"]})

    assert provider.issuer.endswith("/")
    assert provider.issuer == document["issuer"] == claims["iss"]


def test_steering_is_no_part_of_the_issuer(live_provider: LiveProvider) -> None:
    before = published(live_provider)
    statuses = {
        httpx.request(method, f"{live_provider.issuer}/{path}", trust_env=False).status_code
        for method, path in [("POST", "rotate"), ("POST", "lifetime"), ("POST", "assertion"), ("GET", "fetches")]
    }

    assert {404} == statuses
    assert before == published(live_provider)


def test_stopping_leaves_no_process_and_no_port(usable_node: Path) -> None:
    provider = LiveProvider.start(usable_node)
    listening = not refuses_connections(provider.issuer)

    assert listening
    assert 0 == provider.stop()
    assert refuses_connections(provider.issuer)


def test_a_provider_does_not_outlive_a_killed_owner(usable_node: Path) -> None:
    program = """
import pathlib, sys, time
from tests.live.rig import LiveProvider
print(LiveProvider.start(pathlib.Path(sys.argv[1])).issuer, flush=True)
time.sleep(60)
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(usable_node)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        assert owner.stdout is not None
        issuer = owner.stdout.readline().strip()
        listening = not refuses_connections(issuer)
        os.kill(owner.pid, signal.SIGKILL)
    until = time.monotonic() + 5
    while not (gone := refuses_connections(issuer)) and time.monotonic() < until:
        time.sleep(0.02)

    assert listening
    assert gone


def test_a_provider_that_cannot_start_says_why(usable_node: Path) -> None:
    with pytest.raises(RuntimeError, match="ISSUER_PATH has to start with a slash"):
        LiveProvider.start(usable_node, path="realms/shop")


def test_the_secret_of_the_machine_is_not_shown(live_provider: LiveProvider) -> None:
    assert live_provider._secret not in repr(live_provider)
