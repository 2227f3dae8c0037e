"""Who, for which client and what → a token of PyJOAT, and back: that module, call for call.

::

    from jwt_guard.issuing import joat

    joat.salt_generator = secret_for  # claims in, secret out
    token = joat.TokenGenerator("My OAuth2 Provider").issue_token(client_id="abcd", user_id="1234", scope=["read"])
    joat.parse_token(token)  # {"provider": …, "client_id": …, "user_id": …, "authorized_scope": […]} or None

It is here so that a program which says ``import joat`` today goes on working.  It promises no more than PyJOAT did:

- whoever holds the secret can sign as well as check, so the API must be trusted as the issuer is;
- any secret passes that is not empty, blank or somebody's published key, however short it is;
- :func:`parse_token` compares neither the provider nor the client with anything: look at both in what it returns;
- the salt generator is one for the whole process, and it is asked about claims that anybody may have written.

Where it is stricter than PyJOAT: only HS256 is read.  A token without ``exp``, or with a ``scp`` that is no list, is
None, where PyJOAT took it or raised KeyError, and so is one that says it is for later (``nbf``), bound to a key
(``cnf``) or of another type.  A token is over on the second in ``exp``, without leeway.  ``issue_token`` refuses an
argument that it does not know.  The salt generator gets a copy of the claims, so that what it changes there changes
nothing.

To move on, let a guard have the same function, through :func:`jwt_guard.providers.joat_tokens`: it compares provider
and client, forgives clocks that differ a little, asks for secrets that are long enough, takes ``async`` functions,
and gives the same credentials as any other provider.  Then have new tokens signed with a key pair
(:class:`~jwt_guard.issuing.issuer.Issuer`), and take both kinds until the last of the old ones has expired.
"""

from __future__ import annotations

import hmac
import inspect
import json
import time
from calendar import timegm
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypedDict, TypeVar, Unpack

from ..errors import ClaimRejected, InvalidToken, Misconfigured
from ..tokens.claims import (
    ACCESS_TOKEN_TYPES,
    FOREVER,
    Rule,
    Statement,
    bearer_only,
    check,
    has,
    not_before,
    not_expired,
    of_type,
)
from ..tokens.compact import Header, parse, to_base64url
from ..tokens.keys import KeyUnusable, key_from_secret
from ..tokens.secrets import usable_secret
from ..tokens.verify import verify

__all__ = ["TokenGenerator", "parse_token", "salt_generator", "timestamp"]

T = TypeVar("T")
_ALG = "HS256"


def _unset(_claims: dict[str, Any]) -> NoReturn:
    raise NotImplementedError("set joat.salt_generator first: a function that takes claims and returns the secret")


salt_generator: Callable[[dict[str, Any]], object] = _unset
"""Claims → the secret that their token is signed with, text or bytes; whoever uses this module sets it."""


def timestamp(from_datetime: datetime) -> int:
    """Return *from_datetime*, in UTC where it names no time zone, as whole seconds since the epoch."""
    return timegm(from_datetime.utctimetuple())


def parse_token(token: str | bytes, *, now: float | None = None) -> dict[str, Any] | None:
    """Return ``provider``, ``client_id``, ``user_id``, ``authorized_scope`` and, if there, ``jti`` of a good *token*.

    Return None for any other.  *now* is in seconds since the epoch; None: what the clock says.

    Raises NotImplementedError where no :data:`salt_generator` is set, whatever that raises itself, and TypeError
    where it is ``async`` or returns neither text nor bytes.
    """
    generate = salt_generator
    try:
        unverified = parse(token.decode("ascii", "replace") if isinstance(token, bytes) else token, look=_look)
    except InvalidToken:
        return None
    if generate is _unset:
        _unset({})  # also where the token is over, so that it shows at once
    try:
        check(unverified, _RULES, time.time() if now is None else now)  # those who fail it bring nobody to a database
    except ClaimRejected:
        return None
    secret = _asked(generate, unverified.values)
    try:
        values = verify(unverified, key_from_secret(secret, alg=_ALG, shortest=1)).values
    except (InvalidToken, KeyUnusable):
        return None
    said = {"user_id": "sub", "client_id": "aud", "authorized_scope": "scp", "provider": "iss"}
    parsed = {name: values[claim] for name, claim in said.items()}
    return {**parsed, "jti": values["jti"]} if "jti" in values else parsed


def _look(header: Header) -> None:
    if header.alg != _ALG:
        raise InvalidToken("the algorithm is not HS256")


def _lists_scopes(statement: Statement, _now: float) -> float:
    if not isinstance(statement.values.get("scp"), list):  # in a text, "read" would be found in "thread"
        raise ClaimRejected("scp", "is not a list")
    return FOREVER


_RULES = (
    of_type(ACCESS_TOKEN_TYPES),
    not_expired(0),
    not_before(0),
    bearer_only(),
    *map(has, ("iss", "aud", "sub")),
    Rule("scp", "the scopes are a list", _lists_scopes),
)


def _asked(generate: Callable[[dict[str, Any]], object], claims: Mapping[str, Any]) -> str | bytes:
    """Return the secret for *claims*, of which *generate* gets a copy: a dict, as it always did."""
    secret = generate(deepcopy(dict(claims)))
    if inspect.isawaitable(secret):
        if inspect.iscoroutine(secret):
            secret.close()  # which would complain that nobody awaited it
        raise TypeError("joat.salt_generator is async, which only jwt_guard.providers.joat_tokens() can wait for")
    if not isinstance(secret, str | bytes):
        raise TypeError(f"joat.salt_generator returned neither text nor bytes, but {type(secret).__name__}")
    return secret


def _present(value: T | None, name: str) -> T:
    if value is None:
        raise TypeError(f"a token needs a {name}")
    return value


def _instance(value: object, of: type[T], name: str) -> T:
    if not isinstance(value, of):
        raise TypeError(f"{name} is a {of.__name__}")
    return value


def _signed(claims: Mapping[str, Any], secret: str | bytes) -> str:
    octets = usable_secret(secret)
    if isinstance(octets, str):
        raise Misconfigured(f"joat.salt_generator: {octets}")
    parts = ({"alg": _ALG, "typ": "JWT"}, claims)
    text = ".".join(to_base64url(json.dumps(part, separators=(",", ":"), allow_nan=False).encode()) for part in parts)
    return f"{text}.{to_base64url(hmac.digest(octets, text.encode(), 'sha256'))}"


class _Said(TypedDict, total=False):
    provider: str
    client_id: str
    user_id: str
    scope: list[str]
    issued_at: datetime
    lifetime: timedelta
    jti: str | int | None


class TokenGenerator:
    """Issues the tokens of one provider, and perhaps for one client.

    What a token says and :meth:`issue_token` is not told, it takes from these attributes; they may be set.
    """

    provider_name: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    scope: list[str] | None = None
    default_lifetime: timedelta = timedelta(hours=1)

    def __init__(self, name: str, client_id: str | None = None) -> None:
        """Raise NotImplementedError where no :data:`salt_generator` is set."""
        self.provider_name = name
        self.client_id = client_id
        if salt_generator is _unset:
            _unset({})

    def issue_token(self, **said: Unpack[_Said]) -> str:
        """Return a token for *client_id* to act for *user_id* with the *scope*, a list.

        *provider*, *client_id*, *user_id*, *scope* and *lifetime* come from the attributes where they are not given,
        *issued_at* (UTC where it names no time zone) is now, and a *jti* is only there if it is given.

        Raises TypeError for what is missing, None, of another type or not known here, and where the salt generator
        is ``async`` or returns neither text nor bytes; Misconfigured for a secret that is empty, blank or a key that
        others know; and whatever the salt generator raises.
        """
        unknown = said.keys() - _Said.__optional_keys__
        if unknown:
            raise TypeError(f"issue_token() knows no {' or '.join(sorted(unknown))}")
        provider = _present(said.get("provider", self.provider_name), "provider")
        client_id = _present(said.get("client_id", self.client_id), "client_id")
        user_id = _present(said.get("user_id", self.user_id), "user_id")
        scope = _instance(said.get("scope", self.scope), list, "scope")
        issued_at = _instance(said.get("issued_at", datetime.now(UTC)), datetime, "issued_at")
        lifetime = _instance(said.get("lifetime", self.default_lifetime), timedelta, "lifetime")
        claims: dict[str, Any] = {
            "iss": provider,
            "aud": client_id,
            "sub": user_id,
            "scp": scope,
            "iat": timestamp(issued_at),
            "exp": timestamp(issued_at + lifetime),
        }
        jti = said.get("jti")
        if jti is not None:
            claims["jti"] = jti
        return _signed(claims, _asked(salt_generator, claims))
