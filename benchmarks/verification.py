"""The same access token through raw ``cryptography``, PyJWT, joserfc, Authlib and jwt_guard, never seen before.

Every batch is of tokens that nobody has seen, since a guard remembers: signed outside the timed part, once for all
contestants, and given to each as strings of its own.
"""

from __future__ import annotations

import itertools
import json
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import KeySet as JoserfcKeys

import jwt_guard

from .measure import Figure
from .rounds import Batches, in_turn, side_by_side

__all__ = ["ALGORITHMS", "FASTER", "GOALS", "OURS", "RAW", "REMEMBERING", "claims", "cold", "times", "token"]

ISSUER = "https://id.example/realms/shop"
AUDIENCE = "orders"
KID = "p2Xw8m1dJ5v0cQy7rT3nKz6hLb9aUe4sGf-iOoVWxYA"
ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "HS256")
GOALS = {"RS256": 2.0, "ES256": 1.35, "EdDSA": 1.25, "PS256": 1.95, "HS256": 8.5}
"""The most that jwt_guard may cost, as a multiple of the raw verification in the same run."""
FASTER = 2.7
"""How many times faster than PyJWT's ``decode`` RS256 is to be."""
RAW, OURS, REMEMBERING = "raw cryptography", "jwt_guard", "jwt_guard, remembering it"
"""The second without a memory of verdicts, so that it is the verification alone; the last as people use it."""
_BATCH = 128
_TURNS = 3  # in each round, so that a busy neighbour hits all contestants alike


def claims(number: int) -> dict[str, Any]:
    """Return the claims of a token as Keycloak writes them, about 1 kB, one letter of it not ASCII."""
    now = int(time.time())
    return {
        "exp": now + 3_600,
        "iat": now,
        "auth_time": now - 5,
        "jti": f"onrtac:8d6a2f1e-77c1-4a57-9a0f-{number:012d}",
        "iss": ISSUER,
        "aud": [AUDIENCE, "account"],
        "sub": f"f3b1c2d4-5e6f-4a7b-8c9d-{number:012d}",
        "typ": "Bearer",
        "azp": "storefront",
        "sid": f"0b1c2d3e-4f5a-6b7c-8d9e-{number:012d}",
        "acr": "1",
        "allowed-origins": ["https://shop.example", "https://admin.shop.example"],
        "realm_access": {"roles": ["default-roles-shop", "offline_access", "uma_authorization", "ops"]},
        "resource_access": {
            "account": {"roles": ["manage-account", "manage-account-links", "view-profile"]},
        },
        "scope": "openid email profile orders:read orders:write",
        "email_verified": True,
        "name": "Zoë van der Berg",
        "preferred_username": "zoe.vdberg",
        "given_name": "Zoë",
        "family_name": "van der Berg",
        "email": "zoe.vdberg@mail.example",
        "fhirUser": "https://fhir.example/r4/Practitioner/8d6a2f1e-77c1-4a57",
        "tenant": "northern-wholesale",
        "picture": "https://cdn.shop.example/avatars/f3b1c2d4-5e6f-4a7b-8c9d/large/portrait-2026-11-22.webp",
        "locale": "nl-BE",
        "zoneinfo": "Europe/Brussels",
    }


def cold(algorithm: str, rounds: int) -> dict[str, Figure]:
    """Return what one verification of a token that nobody has seen before costs, as multiples of ``raw``."""
    return side_by_side(times(algorithm, rounds), RAW)


def times(algorithm: str, rounds: int, wanted: Collection[str] | None = None) -> dict[str, list[float]]:
    """Return the microseconds that one verification costs in each round, for the *wanted* contestants, or all."""
    private, public, jwk, raw = _keys(algorithm)
    streams = iter(itertools.tee(_batches(private, algorithm), 6))

    def fresh() -> Callable[[], list[str]]:
        stream = next(streams)
        return lambda: [text.decode() for text in next(stream)]

    def run_raw(pairs: Sequence[tuple[bytes, bytes]]) -> None:
        for data, signature in pairs:
            raw(data, signature)

    texts = fresh()
    contestants = {
        RAW: Batches(lambda: [_raw_arguments(algorithm, text) for text in texts()], run_raw),
        OURS: Batches(fresh(), _ours(jwk, memory=None)),
        REMEMBERING: Batches(fresh(), _ours(jwk, memory=jwt_guard.Memory())),
        "PyJWT": Batches(fresh(), _pyjwt(public, algorithm)),
        "joserfc": Batches(fresh(), _joserfc(jwk, algorithm)),
        "Authlib": Batches(fresh(), _authlib(jwk, algorithm)),
    }
    chosen = {name: each for name, each in contestants.items() if wanted is None or name in wanted}
    return in_turn(chosen, rounds, f"cold {algorithm}: round", turns=_TURNS)


def _batches(private: Any, algorithm: str) -> Iterator[list[bytes]]:
    numbers = itertools.count()
    while True:
        headers = {"kid": KID, "typ": "JWT"}
        yield [token(claims(next(numbers)), private, algorithm, headers).encode() for _ in range(_BATCH)]


def token(values: dict[str, Any], private: Any, algorithm: str, headers: dict[str, str]) -> str:
    """Return *values* signed, its letters as they are, where ``jwt.encode`` would write escapes."""
    payload = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return jwt.PyJWS().encode(payload, private, algorithm, headers)


def _ours(jwk: dict[str, Any], memory: jwt_guard.Memory | None) -> Callable[[Sequence[str]], None]:
    provider = jwt_guard.keycloak(ISSUER, AUDIENCE, keys=jwt_guard.fixed(jwk), remember=True)
    guard = jwt_guard.Guard([provider], jwt_guard.authenticated(), memory=memory)
    verify = jwt_guard.verify

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            verify(guard, text)

    return run


def _pyjwt(key: Any, algorithm: str) -> Callable[[Sequence[str]], None]:
    def run(texts: Sequence[str]) -> None:
        for text in texts:
            jwt.decode(text, key, algorithms=[algorithm], audience=AUDIENCE, issuer=ISSUER)

    return run


def _joserfc(jwk: dict[str, Any], algorithm: str) -> Callable[[Sequence[str]], None]:
    key_set = JoserfcKeys.import_key_set({"keys": [jwk]})
    registry = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER}, aud={"essential": True, "values": [AUDIENCE]}, exp={"essential": True}
    )

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            registry.validate(joserfc_jwt.decode(text, key_set, algorithms=[algorithm]).claims)

    return run


def _authlib(jwk: dict[str, Any], algorithm: str) -> Callable[[Sequence[str]], None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Authlib says that its jose part will go; people still use it
        from authlib.jose import JsonWebKey, JsonWebToken

        key, reader = JsonWebKey.import_key(jwk), JsonWebToken([algorithm])
    options = {
        "iss": {"essential": True, "value": ISSUER},
        "aud": {"essential": True, "values": [AUDIENCE]},
        "exp": {"essential": True},
    }

    def run(texts: Sequence[str]) -> None:
        for text in texts:
            reader.decode(text, key, claims_options=options).validate()

    return run


def _raw_arguments(algorithm: str, token: str) -> tuple[bytes, bytes]:
    signing_input, _, tail = token.rpartition(".")
    signature = jwt.utils.base64url_decode(tail)
    if algorithm == "ES256":
        signature = utils.encode_dss_signature(
            int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        )
    return signing_input.encode(), signature


def _keys(algorithm: str) -> tuple[Any, Any, dict[str, Any], Callable[[bytes, bytes], object]]:
    """Return a private key, its public half for PyJWT, as a JWK, and the bare check that libraries wrap."""
    algorithms = jwt.algorithms
    sha256 = hashes.SHA256()
    if algorithm == "HS256":
        return _hmac_keys()
    if algorithm == "ES256":
        private: Any = ec.generate_private_key(ec.SECP256R1())
        verify, scheme = private.public_key().verify, ec.ECDSA(sha256)
        jwk = json.loads(algorithms.ECAlgorithm.to_jwk(private.public_key()))
        check: Any = lambda data, signature: verify(signature, data, scheme)  # noqa: E731
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
        verify = private.public_key().verify
        jwk = json.loads(algorithms.OKPAlgorithm.to_jwk(private.public_key()))
        check = lambda data, signature: verify(signature, data)  # noqa: E731
    else:
        private = rsa.generate_private_key(65_537, 2_048)
        verify = private.public_key().verify
        pad = padding.PKCS1v15() if algorithm == "RS256" else padding.PSS(padding.MGF1(sha256), 32)
        jwk = json.loads(algorithms.RSAAlgorithm.to_jwk(private.public_key()))
        check = lambda data, signature: verify(signature, data, pad, sha256)  # noqa: E731
    return private, private.public_key(), {**jwk, "kid": KID, "alg": algorithm}, check


def _hmac_keys() -> tuple[Any, Any, dict[str, Any], Callable[[bytes, bytes], object]]:
    import hmac
    import secrets

    secret = secrets.token_bytes(32)
    k = jwt.utils.base64url_encode(secret).decode()

    def check(data: bytes, signature: bytes) -> None:
        if not hmac.compare_digest(hmac.digest(secret, data, "sha256"), signature):
            raise AssertionError

    return secret, secret, {"kty": "oct", "k": k, "kid": KID, "alg": "HS256"}, check
