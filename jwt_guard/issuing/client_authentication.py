"""A request to a token, introspection or revocation endpoint → the client that it is from, or the OAuth error.

The ways are those of RFC 6749 §2.3 and RFC 7523 §2.2: ``private_key_jwt``, ``client_secret_basic`` and
``client_secret_post``.  Each client has one of keys and secret, and a request uses one of the ways.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from binascii import Error as NotBase64
from binascii import a2b_base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import unquote_plus

from ..access.client_assertion import client_assertion
from ..access.guard import Guard
from ..access.once import Once
from ..credentials import Credentials
from ..errors import GuardError, Misconfigured, Refused, Unavailable, shown
from ..flow import call
from ..tokens.algorithms import ASYMMETRIC
from ..tokens.compact import parse
from .assertion import ASSERTION_TYPE
from .oauth_form import OAuthError, read_form

if TYPE_CHECKING:
    from pathlib import Path

    from ..access.provider import Provider
    from ..flow import Flow
    from ..sources.jwks import KeySettings

__all__ = ["Authenticated", "Client", "Clients", "Method", "OAuthError", "Resolve", "read_form"]

Method: TypeAlias = Literal["private_key_jwt", "client_secret_basic", "client_secret_post"]
"""As in ``token_endpoint_auth_methods_supported`` (RFC 8414 §2)."""
_BY_SECRET: tuple[Method, ...] = ("client_secret_basic", "client_secret_post")
_LONGEST = 1_024


@dataclass(frozen=True)
class Client:
    """What is registered of a client: who it is, and either its keys or its secret.  Raises Misconfigured."""

    client_id: str
    jwks: Mapping[str, Any] | str | bytes | Path | None = field(default=None, repr=False)
    """Its public keys, in hand: a JWK Set, a JWK, or the Path of a file of one.  Each key has a kid."""
    jwks_url: str | None = None
    """Where it publishes them; then a ``jku`` in its assertions may say so, too."""
    secret: str | None = field(default=None, repr=False)
    scopes: Sequence[str] = ()
    """What it may be given a token for: for the endpoint that gives tokens, nothing here asks."""
    algorithms: Sequence[str] | None = None
    """Which of the algorithms that fit its keys it may use; None: all of them."""

    def __post_init__(self) -> None:
        """Refuse what names nobody, and a client that could come in two ways or in none."""
        if not _is_visible(self.client_id) or len(self.client_id) > _LONGEST:
            raise Misconfigured("client: its id is visible ASCII, not empty, and not long")
        if sum(each is not None for each in (self.jwks, self.jwks_url, self.secret)) != 1:
            raise self._wrong("give it one of jwks, jwks_url and secret")
        if self.secret is not None and not _is_visible(self.secret):
            raise self._wrong("its secret is visible ASCII, and not empty")
        if self.secret is not None and self.algorithms is not None:
            raise self._wrong("algorithms are for keys")
        if isinstance(self.scopes, str) or not all(isinstance(each, str) and each for each in self.scopes):
            raise self._wrong("scopes are a list of texts that are not empty")

    @property
    def methods(self) -> tuple[Method, ...]:
        """The ways in which it may authenticate."""
        return ("private_key_jwt",) if self.secret is None else _BY_SECRET

    def _wrong(self, reason: str) -> Misconfigured:
        return Misconfigured(f"client {shown(self.client_id)}: {reason}")


Resolve: TypeAlias = "Callable[[str], Client | Awaitable[Client | None] | None]"
"""(client_id) → what is registered of it, or None where it is nobody's; plain or ``async``."""


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A request that is from who it says."""

    client: Client
    method: Method
    form: Mapping[str, str] = field(repr=False)
    """All of its parameters, each of which was there once."""


@dataclass(frozen=True)
class Clients:
    """The clients of an authorization server, and how it knows them.

    Share one between its endpoints, so that what was used at one of them is not taken at the next.  Everything that
    can be wrong is found when it is made; raises Misconfigured.
    """

    registered: Sequence[Client]
    audience: str | Sequence[str]
    """The URLs that mean this server in the ``aud`` of an assertion: that of its token endpoint first of all."""
    resolve: Resolve | None = None
    """Gives the client of an id that none of *registered* has: for those in a database, say."""
    once: Once = field(default_factory=Once)
    """Which assertions were used; with the URL of a store, for all the processes that share it."""
    settings: KeySettings | None = None
    """How keys at a ``jwks_url`` are fetched and kept; None: no key longer than a minute."""
    leeway: float = 30
    """Seconds that two clocks may differ."""
    several_audiences_are_taken: bool = False
    """True: an assertion may name other servers beside this one, who could then use it here."""
    realm: str = "clients"
    """What challenges say (RFC 9110 §11.5)."""
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    blocking: bool = False
    """True: *resolve* is a plain function that may wait, so an event loop gives it a thread."""
    most: int = 1_000
    """Resolved clients whose keys are kept; who came first goes first."""
    _by_id: dict[str, Client] = field(init=False, repr=False, compare=False)
    _guards: dict[str, tuple[Client, Guard]] = field(init=False, repr=False, compare=False)
    _kept: dict[str, tuple[Client, Guard]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check every client at start."""
        registered = tuple(self.registered)
        if not (registered or self.resolve) or not all(isinstance(client, Client) for client in registered):
            raise Misconfigured("clients: give at least one Client, or resolve")
        if not (self.resolve is None or callable(self.resolve)):
            raise Misconfigured("clients: resolve is a function of a client_id")
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 1:
            raise Misconfigured("clients: most is a whole number above 0")
        if not _is_visible(self.realm) or '"' in self.realm or "\\" in self.realm:
            raise Misconfigured("clients: the realm is visible ASCII without quotes")
        by_id = {client.client_id: client for client in registered}
        if len(by_id) < len(registered):
            raise Misconfigured("clients: two have one client_id")
        guards = {client.client_id: (client, self._guard(client)) for client in registered if client.secret is None}
        for name, value in (("registered", registered), ("_by_id", by_id), ("_guards", guards), ("_kept", {})):
            object.__setattr__(self, name, value)

    @property
    def methods(self) -> tuple[Method, ...]:
        """For ``token_endpoint_auth_methods_supported``: all of them where clients are resolved."""
        if self.resolve is not None:
            return ("private_key_jwt", *_BY_SECRET)
        return tuple(dict.fromkeys(method for client in self.registered for method in client.methods))

    @property
    def signing_algorithms(self) -> tuple[str, ...]:
        """For ``token_endpoint_auth_signing_alg_values_supported``."""
        if self.resolve is not None:
            return tuple(sorted(ASYMMETRIC))
        providers = [guard.providers[0] for _, guard in self._guards.values()]
        return tuple(sorted(frozenset().union(*(provider.allowed for provider in providers))))

    def authenticate(
        self, body: bytes, content_type: str | None, authorization: str | None = None
    ) -> Flow[Authenticated | OAuthError]:
        """Return whose request it is, with the parameters of its form, or the error to answer with.

        *body* is that of a POST; *content_type* and *authorization* are these headers, several of one name joined by
        commas.  An assertion is used up only where everything else about it holds.  The URL is never looked at: no
        credentials belong there (RFC 6749 §2.3.1).
        """
        form = read_form(body, content_type)
        if isinstance(form, OAuthError):
            return form
        try:
            client, method = yield from self._authenticated(form, authorization)
        except _Twice as error:
            return OAuthError("invalid_request", str(error))
        except Unavailable as error:
            later = (("Retry-After", str(error.retry_after)),)
            return OAuthError("temporarily_unavailable", str(error), 503, later)
        except GuardError as error:
            # RFC 6749 §5.2 asks for 401 where there was an Authorization header, and RFC 9110 §15.5.2 for a challenge
            # with each of them; that an unknown client and a bad secret look alike is our own wish.
            challenge = ("WWW-Authenticate", f'Basic realm="{self.realm}", charset="UTF-8"')
            return OAuthError("invalid_client", str(error), 401, (challenge,))
        return Authenticated(client, method, form)

    def _authenticated(self, form: Mapping[str, str], authorization: str | None) -> Flow[tuple[Client, Method]]:
        by_assertion = "client_assertion" in form or "client_assertion_type" in form
        if sum((by_assertion, "client_secret" in form, authorization is not None)) > 1:
            raise _Twice("two ways to authenticate at a time")  # RFC 6749 §2.3
        if by_assertion:
            return (yield from self._by_assertion(form)), "private_key_jwt"
        method: Method = "client_secret_post"
        client_id, secret = form.get("client_id"), form.get("client_secret")
        if authorization is not None:
            method, (client_id, secret) = "client_secret_basic", _basic(authorization)
            if form.get("client_id", client_id) != client_id:
                raise Refused("the client_id is not that of the Authorization header")
        if client_id is None or secret is None:
            raise Refused("the client does not authenticate")
        client = yield from self._find(client_id)
        if not _is_same(secret, None if client is None else client.secret) or client is None:
            raise Refused(f"no such client, or another secret: {shown(client_id)}")
        return client, method

    def _by_assertion(self, form: Mapping[str, str]) -> Flow[Client]:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise Refused("the client_assertion_type is another one")
        text = form.get("client_assertion")
        if text is None:
            raise Refused("there is no client_assertion")
        issuer = parse(text).issuer  # whom nobody has vouched for: good for looking up what is registered
        if form.get("client_id", issuer) != issuer:
            raise Refused("the client_id is not that of the assertion")
        client = (yield from self._find(issuer)) if isinstance(issuer, str) else None
        if client is None or client.secret is not None:
            raise Refused(f"no client with keys has this name: {shown(issuer)}")
        answer = self._guard_of(client).admit(text)
        _who = answer if isinstance(answer, Credentials) else (yield from answer)
        return client

    def _find(self, client_id: str) -> Flow[Client | None]:
        client = self._by_id.get(client_id)
        if client is not None or self.resolve is None or not _is_visible(client_id) or len(client_id) > _LONGEST:
            return client
        try:
            found = yield from call(self.resolve, client_id, blocking=self.blocking)
        except GuardError:
            raise
        except Exception as error:  # noqa: BLE001 - theirs to raise, and not one is a yes
            raise Unavailable(f"resolve raised {type(error).__name__} for {shown(client_id)}") from None
        if found is None:
            self._kept.pop(client_id, None)
            return None
        if not isinstance(found, Client) or found.client_id != client_id:
            message = "resolve answers with the Client that has the id, or None"
            raise TypeError(message)
        return found

    def _guard_of(self, client: Client) -> Guard:
        """Return the guard of *client*: that which has its keys already, where nothing about it has changed."""
        known = self._guards.get(client.client_id) or self._kept.get(client.client_id)
        if known is not None and known[0] == client:
            return known[1]
        try:
            guard = self._guard(client)
        except Misconfigured as error:
            raise Unavailable(f"what is registered cannot be used: {error}") from None
        self._kept[client.client_id] = client, guard
        if len(self._kept) > self.most:
            oldest, *_ = self._kept  # in one step, whatever other threads do
            self._kept.pop(oldest, None)
        return guard

    def _guard(self, client: Client) -> Guard:
        return Guard([self._provider(client)], clock=self.clock, memory=None)

    def _provider(self, client: Client) -> Provider:
        return client_assertion(
            client.client_id,
            self.audience,
            jwks=client.jwks,
            jwks_url=client.jwks_url,
            once=self.once,
            settings=None if client.jwks_url is None else self.settings,
            several_audiences_are_taken=self.several_audiences_are_taken,
            algorithms=client.algorithms,
            leeway=self.leeway,
        )


class _Twice(Refused):
    """More than one way to authenticate in one request."""


def _basic(authorization: str) -> tuple[str, str]:
    """Return the id and the secret in an ``Authorization`` header (RFC 7617 §2, RFC 6749 §2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise Refused("another scheme than Basic")
    try:
        text = a2b_base64(encoded.strip(" "), strict_mode=True).decode("ascii")
    except (NotBase64, UnicodeError):
        raise Refused("the Basic credentials are not base64 of ASCII") from None
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise Refused("the Basic credentials have no colon")
    return unquote_plus(client_id), unquote_plus(secret)


def _is_same(sent: str, registered: str | None) -> bool:
    """Say whether *sent* is the secret; that takes as long where there is none to compare with."""
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (sent, registered or ""))
    return hmac.compare_digest(one, other) and registered is not None


def _is_visible(text: object) -> bool:
    """Say whether *text* is what RFC 6749 appendix A allows, without blanks at its ends."""
    return isinstance(text, str) and bool(text) and text == text.strip() and text.isascii() and text.isprintable()
