"""The name of a PyJOAT provider + its salt function → a Provider of the tokens that PyJOAT issues."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import Misconfigured
from ..sources.fixed import FixedKeys
from ..sources.jwks import RemoteKeys
from ..sources.salted import SaltedKeys, salted
from ..tokens.claims import access_token, has
from .identity import ClaimNames
from .provider import Provider

__all__ = ["joat_tokens"]

# Its tokens all have scp, be it an empty list, which tells them from whatever else is signed with the same secret:
# links in mails, say.
_JOAT = access_token(known_by=("scp",))
_ALWAYS = tuple(map(has, ("aud", "sub", "iat")))


def joat_tokens(  # noqa: PLR0913 - what is particular to one installation, and what all profiles take
    name: str | Sequence[str],
    salt: Callable[[Mapping[str, Any]], object] | SaltedKeys | FixedKeys,
    clients: str | Sequence[str] | None = None,
    *,
    shortest_secret: int | None = None,
    blocking: bool = False,
    called: str = "joat_tokens",
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of the tokens of ``joat.TokenGenerator(name)``: HS256, ``aud`` is the client, ``scp`` a list.

    *salt* is what ``joat.salt_generator`` is there, plain or ``async``: claims that are read-only and not yet
    verified in, the secret out.  A plain one that waits is *blocking*.  *shortest_secret* is the least length of a
    secret in bytes, instead of the 32 that RFC 7518 §3.2 asks for.  Where that is said already, *salt* may be
    ``salted(...)``, and for one secret for all tokens ``shared_secret(...)``.

    *clients* are those whose tokens are for us.  None says: those of all clients, since these tokens name no API, and
    nothing but their issuer then says that they are for us.

    *name* is their ``iss``, and *called* what credentials and logs call the provider.  *more* are the other fields of
    :class:`~jwt_guard.access.provider.Provider`.  Raises Misconfigured.
    """
    if clients is not None and not clients:
        raise _wrong(called, "clients are those whose tokens are for this API; leave it out to take those of all")
    more.setdefault("algorithms", ("HS256",))
    more.setdefault("typ", ("JWT", None))
    more.setdefault("claims", ClaimNames(client=("aud",), scopes=("scp",), roles=()))
    # What stands in aud is a client, so for all clients there is only the issuer to compare.
    audience, claim = (name, "iss") if clients is None else (clients, "aud")
    provider = Provider(
        name=called,
        issuer=name,
        audience=audience,
        audience_claim=claim,
        keys=_keys(called, salt, shortest_secret, blocking=blocking),
        kind=_JOAT,
        extra_rules=(*_ALWAYS, *more.pop("extra_rules", ())),
        **more,
    )
    if provider.allowed != {"HS256"}:
        raise _wrong(called, "PyJOAT signs with HS256 and nothing else")
    return provider


def _keys(called: str, salt: object, shortest: int | None, *, blocking: bool) -> SaltedKeys | FixedKeys:
    if isinstance(salt, SaltedKeys | FixedKeys):  # which can be called, too, but with tokens
        if shortest is not None or blocking:
            raise _wrong(called, "shortest_secret and blocking are said where the keys are made")
        return salt
    if isinstance(salt, RemoteKeys) or not callable(salt):
        raise _wrong(called, "its keys are a salt function, claims in and secret out, or one secret")
    return salted(salt, shortest=shortest, blocking=blocking)


def _wrong(called: str, reason: str) -> Misconfigured:
    return Misconfigured(f"provider {called}: {reason}")
