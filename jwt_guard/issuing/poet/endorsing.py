"""A payload and a key pair → an endorsement: a JWT (RFC 7519) by RS256 that names its key and its issuer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import Misconfigured
from ...tokens.keys import KeyUnusable, key_from_jwk
from ..issuer import sign as signed
from ..loading import signing_key
from ..signing import SigningKey, make
from .host import why_no_host
from .payload import problems

__all__ = ["ALGORITHM", "LIFETIME", "PRIVATE", "endorsing_key", "key_pair", "public_half", "sign"]

ALGORITHM = "RS256"
LIFETIME = 31_536_000
"""Seconds that an endorsement lives unless it is told otherwise: one year."""
PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""The members of a JWK that nobody else may see (RFC 7518 §6)."""
_PUBLISHED = ("alg", "kty", "kid", "e", "n", "use")


def key_pair(kid: str) -> SigningKey:
    """Return a new RSA key of 2048 bits called *kid*: by custom the host name that it will endorse as."""
    if not isinstance(kid, str) or not kid:
        raise Misconfigured("key pair: its kid is a text that is not empty")
    return make(ALGORITHM, kid)


def endorsing_key(jwk: Mapping[str, Any]) -> SigningKey:
    """Return the key pair that *jwk* is, with ``dp``, ``dq`` and ``qi`` or without; raises Misconfigured."""
    _check_name(jwk)
    return signing_key(jwk, alg=ALGORITHM)


def public_half(jwk: Mapping[str, Any]) -> dict[str, str]:
    """Return what to publish of *jwk*, a key pair or a public key already: six members, and never another.

    Raises Misconfigured where it is no key for RS256 with a ``kid``.
    """
    _check_name(jwk)
    if "d" in jwk:
        public: Mapping[str, Any] = endorsing_key(jwk).public or {}
    else:
        public = {**jwk, "alg": jwk.get("alg", ALGORITHM), "use": "sig"}
        try:
            key = key_from_jwk(dict(jwk), symmetric=False)
        except KeyUnusable as error:
            raise Misconfigured(f"public key: {error}") from None
        if ALGORITHM not in key.algorithms:
            raise Misconfigured(f"public key: it is not for {ALGORITHM}")
    return {name: public[name] for name in _PUBLISHED}


def sign(  # noqa: PLR0913 - what an endorsement is made of
    payload: Mapping[str, Any],
    key: SigningKey,
    issuer: str,
    now: float,
    *,
    expires: int = LIFETIME,
    payload_unchecked: bool = False,
) -> str:
    """Return *payload* as an endorsement by *issuer*, a host name, that lives *expires* seconds from *now*.

    ``iss``, ``iat`` and ``exp`` are set, whatever it says of them.  Raises Misconfigured, with all that is wrong with
    the payload unless *payload_unchecked*.
    """
    if key.alg != ALGORITHM:
        raise Misconfigured(f"endorsement: the key is not for {ALGORITHM}")
    reason = why_no_host(issuer)
    if reason is not None:
        raise Misconfigured(f"endorsement: the issuer is a host name: {reason}")
    if not isinstance(expires, int) or isinstance(expires, bool) or expires < 1:
        raise Misconfigured("endorsement: it lives for a whole number of seconds above 0")
    said = {**payload, "iss": issuer, "iat": int(now), "exp": int(now) + expires}
    found = () if payload_unchecked else problems(said)
    if found:
        raise Misconfigured(f"endorsement: {'; '.join(map(str, found))}")
    try:
        return signed(key, said, typ="JWT")
    except (TypeError, ValueError, RecursionError):  # also half of a surrogate pair, which is no UTF-8
        raise Misconfigured("endorsement: the payload is no JSON that a token can hold") from None


def _check_name(jwk: Mapping[str, Any]) -> None:
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not kid:
        raise Misconfigured("key: it has no kid, by which endorsements name it")
