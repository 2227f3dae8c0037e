"""UnverifiedToken + Key → Claims: the only maker of Claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import BadSignature, UnknownKey
from .claims import Claims

if TYPE_CHECKING:
    from .compact import UnverifiedJws, UnverifiedToken
    from .keys import Key

__all__ = ["check_signature", "verify"]


_new = tuple.__new__  # what Claims(...) comes to, without the detour that named tuples take


def check_signature(jws: UnverifiedJws | UnverifiedToken, key: Key) -> None:
    """Raise BadSignature unless *key* signed *jws*, and UnknownKey where the algorithm is not the key's."""
    header = jws.header
    check = key.verifiers.get(header.alg)
    if check is None:
        raise UnknownKey(header.kid, header.alg, "the key is not for this algorithm")
    if not check(jws.signing_input, jws.signature):
        raise BadSignature(header.kid, header.alg)


def verify(token: UnverifiedToken, key: Key) -> Claims:
    """Return the claims of *token*, which *key* has signed; raises as :func:`check_signature` does."""
    check_signature(token, key)
    return _new(Claims, (token.header, token.values))
