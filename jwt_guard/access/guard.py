"""Guard: a value that decides about requests.  The whole story is on this page."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..credentials import Credentials
from ..decision import Allow, Deny
from ..errors import GuardError, InvalidToken, Misconfigured, Unavailable, UnknownIssuer, UnknownKey, shown
from ..tokens.bearer import extract, offers_credentials
from ..tokens.claims import check
from ..tokens.compact import DEFAULT_LIMITS, Limits, parse
from ..tokens.keys import Key
from ..tokens.verify import verify
from .challenge import quoted
from .policy import Policy, all_of, ask, authenticated, is_open
from .provider import Provider

if TYPE_CHECKING:
    from ..decision import Decision
    from ..flow import Flow
    from ..messages import Request
    from ..tokens.compact import Header, UnverifiedToken

__all__ = ["Guard"]


@dataclass(frozen=True)
class Guard:
    """Providers to trust and a policy to hold: share one between threads, loops and frameworks.

    It holds no client, lock or loop.  Raises Misconfigured for two providers of one name or issuer.
    """

    providers: Sequence[Provider]
    policy: Policy = authenticated()
    realm: str = "api"
    """What challenges say (RFC 9110 §11.5)."""
    limits: Limits = DEFAULT_LIMITS
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    _by_issuer: dict[str, Provider] = field(init=False, repr=False, compare=False)
    _let_in: list[Header | None] = field(init=False, repr=False, compare=False)
    """The header of the token last let in: most tokens share it, and need no look at it."""

    def __post_init__(self) -> None:
        """Check that each token has one provider at most."""
        providers = tuple(self.providers)
        if not providers or not all(isinstance(provider, Provider) for provider in providers):
            raise Misconfigured("a guard needs providers")
        if len({provider.name for provider in providers}) < len(providers):
            raise Misconfigured("two providers have one name")
        by_issuer = {issuer: provider for provider in providers for issuer in provider.issuers}
        if len(by_issuer) < sum(len(provider.issuers) for provider in providers):
            raise Misconfigured("two providers have one issuer")
        if not callable(self.policy):
            raise Misconfigured("the policy is a function of request and credentials")
        try:
            quoted(self.realm)
        except ValueError as error:
            raise Misconfigured(f"realm: {error}") from None
        object.__setattr__(self, "providers", providers)
        object.__setattr__(self, "_by_issuer", by_issuer)
        object.__setattr__(self, "_let_in", [None])

    def decide(self, request: Request) -> Flow[Decision]:
        """Return whether *request* may pass, and as whom.

        Only a GuardError becomes a Deny: a bug stays a bug, and never an accidental yes.
        """
        try:
            if is_open(self.policy, request) and not offers_credentials(request):
                return Allow(None)  # absent is the only anonymous; a bad token is refused on an open route too
            answer = self.admit(extract(request, self.limits.token))
            credentials = answer if isinstance(answer, Credentials) else (yield from answer)
            return (yield from ask(self.policy, request, credentials))
        except GuardError as error:
            return Deny(error)

    def glance(self, authorization: str | bytes | None, request: Request) -> Decision | None:
        """Return the decision where it takes neither a flow nor a wait, else None: then run :meth:`decide`."""
        if authorization is None and is_open(self.policy, request):
            return Allow(None)
        return None

    def admit(self, text: str) -> Credentials | Flow[Credentials]:
        """Return whom the token *text* names, or a flow of that where its key must be asked for.

        Raises the GuardError that says why it is not taken.
        """
        token = parse(text, self.limits, self._look)
        provider = self.provider_for(token)
        try:
            key = provider.source(token)
        except Unavailable:
            check(token, provider.rules, self.clock())  # what is bad anyway is 401, also during an outage
            raise
        if isinstance(key, Key):
            return self._credentials(provider, token, key)
        # Whoever makes us wait, or ask somebody, brings a token that could be good.
        check(token, provider.rules, self.clock())
        return self._admit_later(provider, token, key)

    def _admit_later(self, provider: Provider, token: UnverifiedToken, wait: Flow[Key]) -> Flow[Credentials]:
        key = yield from wait
        return self._credentials(provider, token, key)

    def _credentials(self, provider: Provider, token: UnverifiedToken, key: Key) -> Credentials:
        claims = verify(token, key)
        check(claims, provider.rules, self.clock())
        self._let_in[0] = token.header
        return provider.read(claims, provider.name)

    def _look(self, header: Header) -> None:
        """Raise UnknownKey where the header alone says that no provider can take the token."""
        if header is self._let_in[0]:
            return  # what is no longer good about it, the rest of the way finds
        for provider in self.providers:
            if header.alg in provider.allowed and not provider.source_rules_out(header):
                return
        known = any(header.alg in provider.allowed for provider in self.providers)
        reason = "no provider has such a key" if known else "no provider takes this algorithm"
        raise UnknownKey(header.kid, header.alg, reason)

    def requiring(self, policy: Policy) -> Guard:
        """Return this guard with *policy* on top of its own."""
        return replace(self, policy=all_of(self.policy, policy))

    def provider_for(self, token: UnverifiedToken) -> Provider:
        """Return the provider that the unverified issuer picks; its keys and rules do the rest."""
        issuer = token.values.get("iss")
        provider = self._by_issuer.get(issuer) if isinstance(issuer, str) else None
        if provider is None:
            raise UnknownIssuer(issuer)
        alg = token.header.alg
        if alg not in provider.allowed:
            raise InvalidToken(f"the algorithm {shown(alg)} is not allowed for {provider.name}")
        return provider
