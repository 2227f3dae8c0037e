"""The text of a token → whom it names: by its provider's keys and rules, and by the word of who is asked about it.

Nearly every token is admitted at once.  The others wait for one thing after another, and each wait comes after all that
could refuse the token without it, so that nobody has an issuer or a store asked about a token that is bad anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..credentials import Credentials
from ..errors import InvalidToken, Revoked, Unavailable, UnknownIssuer, UnknownKey, shown
from ..tokens.claims import FOREVER, check
from ..tokens.compact import parse
from ..tokens.keys import Key
from ..tokens.verify import verify
from .denylist import Denylist
from .opaque import check_form, claims_of, is_opaque

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..flow import Flow
    from ..sources.introspection import Answer, Introspection
    from ..tokens.compact import Header, Limits, UnverifiedToken
    from .once import Once
    from .provider import Provider
    from .remembered import Remembered, Revocation
    from .resolver import Resolver

__all__ = ["Admission"]


@dataclass(frozen=True, slots=True, eq=False)
class Admission:
    """What one guard knows of tokens: whose it takes, and what it remembers of them."""

    providers: Sequence[Provider]
    limits: Limits
    clock: Callable[[], float]
    revoked: Revocation | None
    resolver: Resolver | None
    opaque: tuple[Provider, Introspection] | None
    """The one provider whose issuer is asked about tokens that only an issuer can read."""
    remembered: Remembered | None
    _by_issuer: Mapping[str, Provider] = field(init=False, repr=False)
    _denylist: Denylist | None = field(init=False, repr=False)
    _let_in: list[Header | None] = field(init=False, repr=False)
    """The header of the token last let in: most tokens share it, and need no look at it."""

    def __post_init__(self) -> None:
        """Prepare what each token needs."""
        by_issuer = {issuer: provider for provider in self.providers for issuer in provider.issuers}
        object.__setattr__(self, "_by_issuer", by_issuer)
        object.__setattr__(self, "_denylist", self.revoked if isinstance(self.revoked, Denylist) else None)
        object.__setattr__(self, "_let_in", [None])

    def verified(self, text: str) -> Credentials | Flow[Credentials]:
        """Return whom *text* names, or a flow of that; for one that is not remembered, or not without asking."""
        if self._denylist is not None and not self._denylist.is_known():
            remembered = self.remembered
            if self.resolver is None and remembered is not None and isinstance(text, str) and remembered.knows(text):
                return self._admit_again(self._denylist, remembered, text)
        return self._verified(text)

    def _admit_again(self, denylist: Denylist, remembered: Remembered, text: str) -> Flow[Credentials]:
        """Admit a token that is remembered, once it is known whether it was taken back since."""
        yield from denylist.freshened()
        answer = remembered.recall_for(text, is_fresh=True) or self._verified(text)
        return answer if isinstance(answer, Credentials) else (yield from answer)

    def _verified(self, text: str) -> Credentials | Flow[Credentials]:
        if self.opaque is not None and is_opaque(text):
            return self._admit_opaque(*self.opaque, text)
        if self.resolver is not None:
            return self._admit_of_many(self.resolver, text)
        token = parse(text, self.limits, self._look)
        return self._admit(self.provider_for(token), text, token)

    def _admit(self, provider: Provider, text: str, token: UnverifiedToken) -> Credentials | Flow[Credentials]:
        try:
            key = provider.source(token)
        except Unavailable:
            check(token, provider.demands, self.clock())  # what is bad anyway is 401, also during an outage
            raise
        if isinstance(key, Key):
            return self._admit_by(key, provider, text, token)
        # Whoever makes us wait, or ask somebody, brings a token that could be good.
        check(token, provider.demands, self.clock())
        return self._admit_later(provider, text, token, key)

    def _admit_later(self, provider: Provider, text: str, token: UnverifiedToken, wait: Flow[Key]) -> Flow[Credentials]:
        answer = self._admit_by((yield from wait), provider, text, token)
        return answer if isinstance(answer, Credentials) else (yield from answer)

    def _admit_by(
        self, key: Key, provider: Provider, text: str, token: UnverifiedToken, *, is_fresh: bool = False
    ) -> Credentials | Flow[Credentials]:
        if not (is_fresh or self._denylist is None or self._denylist.is_known()):
            return self._admit_fresh(self._denylist, key, provider, text, token)
        if provider.once is not None:
            return self._admit_once(provider.once, provider, text, token, key)
        if provider.asked_about_jwts is not None:
            return self._admit_asked(provider.asked_about_jwts, provider, text, token, key)
        return self._credentials(provider, text, token, key)

    def _admit_fresh(
        self, denylist: Denylist, key: Key, provider: Provider, text: str, token: UnverifiedToken
    ) -> Flow[Credentials]:
        """Admit a token once it is known what was taken back: last, so that nobody has a store asked for a bad one."""
        check(verify(token, key, provider.key_issuer), provider.demands, self.clock())
        yield from denylist.freshened()
        answer = self._admit_by(key, provider, text, token, is_fresh=True)
        return answer if isinstance(answer, Credentials) else (yield from answer)

    def _admit_asked(
        self, introspection: Introspection, provider: Provider, text: str, token: UnverifiedToken, key: Key
    ) -> Flow[Credentials]:
        """Admit a token that its issuer is asked about, too: last, so that nobody has it asked for a bad one."""
        now = self.clock()
        check(verify(token, key, provider.key_issuer), provider.demands, now)
        answer = introspection.known(text) or (yield from introspection.ask(text, now))
        now = self.clock()
        until = min(check(claims_of(answer.values), provider.about_jwts, now), now + introspection.left(answer))
        return self._credentials(provider, text, token, key, until)

    def _admit_opaque(
        self, provider: Provider, introspection: Introspection, text: str
    ) -> Credentials | Flow[Credentials]:
        """Admit a token by what its issuer says of it, which is kept there and so not remembered here."""
        check_form(text, self.limits.token)
        answer = introspection.known(text)
        if answer is None or not (self._denylist is None or self._denylist.is_known()):
            return self._admit_opaque_later(provider, introspection, text)
        return self._credentials_of(provider, answer)

    def _admit_opaque_later(self, provider: Provider, introspection: Introspection, text: str) -> Flow[Credentials]:
        answer = introspection.known(text) or (yield from introspection.ask(text, self.clock()))
        if not (self._denylist is None or self._denylist.is_known()):
            check(claims_of(answer.values), provider.of_answers, self.clock())
            yield from self._denylist.freshened()
        return self._credentials_of(provider, answer)

    def _credentials_of(self, provider: Provider, answer: Answer) -> Credentials:
        claims = claims_of(answer.values)
        check(claims, provider.of_answers, self.clock())
        credentials = provider.read(claims, provider.name)
        self._refuse_revoked(credentials, provider, None)
        return credentials

    def _refuse_revoked(self, credentials: Credentials, provider: Provider, kid: str | None) -> None:
        denylist = self._denylist
        if denylist is None:
            is_revoked = self.revoked is not None and self.revoked(credentials)
        else:
            is_revoked = denylist.is_revoked(credentials, kid, provider.issuers)
        if is_revoked:
            raise Revoked

    def _admit_once(
        self, once: Once, provider: Provider, text: str, token: UnverifiedToken, key: Key
    ) -> Flow[Credentials]:
        credentials = self._credentials(provider, text, token, key)
        now = self.clock()
        yield from once.burn(token.values, check(token, provider.demands, now), now)
        return credentials

    def _admit_of_many(self, resolver: Resolver, text: str) -> Flow[Credentials]:
        """Admit a token whose provider the application may have to be asked for, also where it is remembered."""
        provider: Provider | None = None
        if self.remembered is not None and isinstance(text, str):
            issuer = self.remembered.issuer_of(text)
            if issuer is not None:
                provider = yield from resolver.provider_for(issuer)
                if not (self._denylist is None or self._denylist.is_known()):
                    yield from self._denylist.freshened()
                credentials = self.remembered.recall_for(text, provider, is_fresh=True)
                if credentials is not None:
                    return credentials
        token = parse(text, self.limits, self._look)
        if provider is None:
            provider = self._own(token.issuer) or (yield from resolver.provider_for(token.issuer))
        answer = self._admit(_allowing(provider, token), text, token)
        return answer if isinstance(answer, Credentials) else (yield from answer)

    def _credentials(
        self, provider: Provider, text: str, token: UnverifiedToken, key: Key, most: float = FOREVER
    ) -> Credentials:
        claims = verify(token, key, provider.key_issuer)
        now = self.clock()
        until = min(check(claims, provider.demands, now), most)
        credentials = provider.read(claims, provider.name)
        self._refuse_revoked(credentials, provider, key.kid or token.kid)
        self._let_in[0] = token.header
        if self.remembered is not None and provider.is_remembered:
            is_resolved = self.resolver is not None and self._own(token.issuer) is None
            ground = self.remembered.ground(provider, key, is_resolved=is_resolved)
            self.remembered.remember(text, credentials, (now, until), ground)
        return credentials

    def _look(self, header: Header) -> None:
        """Raise UnknownKey where the header alone says that no provider can take the token."""
        if header is self._let_in[0] or self.resolver is not None:
            return  # what is no longer good about it, the rest of the way finds
        for provider in self.providers:
            if header.alg in provider.allowed and not provider.source_rules_out(header):
                return
        known = any(header.alg in provider.allowed for provider in self.providers)
        reason = "no provider has such a key" if known else "no provider takes this algorithm"
        raise UnknownKey(header.kid, header.alg, reason)

    def provider_for(self, token: UnverifiedToken) -> Provider:
        """Return the provider that the unverified issuer picks; its keys and rules do the rest."""
        provider = self._own(token.issuer)
        if provider is None:
            raise UnknownIssuer(token.issuer)
        return _allowing(provider, token)

    def _own(self, issuer: object) -> Provider | None:
        return self._by_issuer.get(issuer) if isinstance(issuer, str) else None


def _allowing(provider: Provider, token: UnverifiedToken) -> Provider:
    alg = token.header.alg
    if alg not in provider.allowed:
        raise InvalidToken(f"the algorithm {shown(alg)} is not allowed for {provider.name}")
    return provider
