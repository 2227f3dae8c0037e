"""The name of a flaw → a token with it, which no guard may take."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ..tokens.compact import to_base64url

if TYPE_CHECKING:
    from .issuer import LocalIssuer

    _Maker: TypeAlias = Callable[["LocalIssuer", Mapping[str, Any]], str]

__all__ = ["FLAWS", "Flaw", "flawed"]

Flaw: TypeAlias = Literal[
    "expired",
    "not yet valid",
    "issued in the future",
    "without expiry",
    "for another audience",
    "by another issuer",
    "signed by another key",
    "signed by an unknown key",
    "signed with the public key as a secret",
    "unsigned",
    "changed claims",
    "changed signature",
    "an ID token",
    "no token at all",
]
"""What can be wrong with a token."""

FLAWS: tuple[Flaw, ...] = get_args(Flaw)
"""Every flaw, for a test to go through."""

_HOUR = 3_600  # more than the clocks of a guard and an issuer may ever differ


def flawed(issuer: LocalIssuer, flaw: Flaw, claims: Mapping[str, Any]) -> str:
    """Return a token of *issuer* that says *claims* and has *flaw*; ValueError where there is no such flaw."""
    maker = _MAKERS.get(flaw)
    if maker is None:
        message = f"no such flaw: {flaw!r}; known here: {', '.join(map(repr, FLAWS))}"
        raise ValueError(message)
    return maker(issuer, claims)


def _saying(**changes: Callable[[LocalIssuer], object]) -> _Maker:
    """Return a maker of tokens that are well signed and say something wrong."""

    def make(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
        said: dict[str, Any] = {name: value(issuer) for name, value in changes.items()}
        return issuer.token(**{**claims, **said})

    return make


def _ago(seconds: int) -> Callable[[LocalIssuer], int]:
    return lambda issuer: int(issuer.clock()) - seconds


def _by_another_key(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    from ..issuing.signing import make

    stranger = make(issuer.key.alg, issuer.key.kid)
    return issuer.token(key=stranger, **claims)


def _by_an_unknown_key(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    from ..issuing.signing import make

    return issuer.token(key=make(issuer.key.alg), **claims)


def _by_the_public_key(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    """Sign with what everybody has (RFC 8725 §2.1); done here, since no key of ours can be made to."""
    signing_input, _, _ = issuer.token(header={"alg": "HS256"}, **claims).rpartition(".")
    signature = hmac.digest(issuer.key.public_pem(), signing_input.encode("ascii"), "sha256")
    return f"{signing_input}.{to_base64url(signature)}"


def _unsigned(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    signing_input, _, _ = issuer.token(header={"alg": "none"}, **claims).rpartition(".")
    return f"{signing_input}."


def _changed_claims(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    head, _, signature = issuer.token(**claims).split(".")
    changed: dict[str, Any] = {**claims, "jti": f"not {claims.get('jti')}"}
    _, other, _ = issuer.token(**changed).split(".")
    return f"{head}.{other}.{signature}"


def _changed_signature(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    signing_input, _, signature = issuer.token(**claims).rpartition(".")
    first = "B" if signature.startswith("A") else "A"
    return f"{signing_input}.{first}{signature[1:]}"


def _id_token(issuer: LocalIssuer, claims: Mapping[str, Any]) -> str:
    said: dict[str, Any] = {
        **claims,
        "nonce": "n-0S6_WzA2Mj",
        "at_hash": "MTIzNDU2Nzg5MGFiY2RlZg",
    }  # OIDC Core §3.1.3.6
    return issuer.token(header={"typ": "JWT"}, **said)


def _no_token(_issuer: LocalIssuer, _claims: Mapping[str, Any]) -> str:
    return "no-token-at-all"


_MAKERS: Mapping[Flaw, _Maker] = {
    "expired": _saying(iat=_ago(2 * _HOUR), exp=_ago(_HOUR)),
    "not yet valid": _saying(nbf=_ago(-_HOUR), exp=_ago(-2 * _HOUR)),
    "issued in the future": _saying(iat=_ago(-_HOUR), exp=_ago(-2 * _HOUR)),
    "without expiry": _saying(exp=lambda _issuer: None),
    "for another audience": _saying(aud=lambda issuer: f"not-{issuer.audience}"),
    "by another issuer": _saying(iss=lambda issuer: f"{issuer.url}/another"),
    "signed by another key": _by_another_key,
    "signed by an unknown key": _by_an_unknown_key,
    "signed with the public key as a secret": _by_the_public_key,
    "unsigned": _unsigned,
    "changed claims": _changed_claims,
    "changed signature": _changed_signature,
    "an ID token": _id_token,
    "no token at all": _no_token,
}
