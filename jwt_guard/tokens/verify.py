"""UnverifiedToken + Key → Claims: the only maker of Claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import BadSignature, UnknownKey
from .claims import Claims

if TYPE_CHECKING:
    from .compact import UnverifiedJws, UnverifiedToken
    from .keys import Key

__all__ = ["KeyIssuer", "check_key_issuer", "check_signature", "verify"]

KeyIssuer: TypeAlias = Callable[[str | None, Mapping[str, Any]], bool]
"""(whose the key is by its own word, claims) → whether it may vouch for them; True lets it, and nothing else."""


_new = tuple.__new__  # what Claims(...) comes to, without the detour that named tuples take


def check_signature(jws: UnverifiedJws | UnverifiedToken, key: Key) -> None:
    """Raise BadSignature unless *key* signed *jws*, and UnknownKey where the algorithm is not the key's."""
    header = jws.header
    check = key.verifiers.get(header.alg)
    if check is None:
        raise UnknownKey(header.kid, header.alg, "the key is not for this algorithm")
    if not check(jws.signing_input, jws.signature):
        raise BadSignature(header.kid, header.alg)


def check_key_issuer(token: UnverifiedToken, key: Key, key_issuer: KeyIssuer) -> None:
    """Raise UnknownKey unless *key* is one that may vouch for what *token* says: sets are shared by issuers."""
    if key_issuer(key.issuer, token.values) is not True:
        raise UnknownKey(token.header.kid, token.header.alg, "the key is another issuer's")


def verify(token: UnverifiedToken, key: Key, key_issuer: KeyIssuer | None = None) -> Claims:
    """Return the claims of *token*, which *key* has signed, and may by what *key_issuer* says.

    Raises as :func:`check_signature` and :func:`check_key_issuer` do.
    """
    check_signature(token, key)
    if key_issuer is not None:
        check_key_issuer(token, key, key_issuer)
    return _new(Claims, (token.header, token.values))
