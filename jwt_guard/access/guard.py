"""Guard: a value that decides about requests.  The whole story is on this page."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from ..credentials import Credentials
from ..decision import Allow, Deny
from ..errors import GuardError, InvalidToken, Misconfigured, Revoked, Unavailable, UnknownIssuer, UnknownKey, shown
from ..tokens.bearer import extract, offers_credentials
from ..tokens.claims import FOREVER, check
from ..tokens.compact import DEFAULT_LIMITS, Limits, parse
from ..tokens.keys import Key
from ..tokens.verify import verify
from .at_sight import AtSight
from .carriers import Carrier, Carriers, header
from .challenge import Realm, quoted
from .denylist import Denylist
from .opaque import asked_about_opaque, check_form, claims_of, is_opaque
from .policy import Policy, all_of, ask, at_once, authenticated, is_open, is_settled
from .provider import Provider
from .remembered import Memory, Remembered, Revocation
from .resolver import Resolver
from .resource import ProtectedResource, answer_about, document

if TYPE_CHECKING:
    from ..decision import Decision
    from ..flow import Flow
    from ..messages import Request, Response
    from ..sources.introspection import Answer, Introspection
    from ..sources.key_state import KeyState
    from ..tokens.compact import Header, UnverifiedToken
    from .once import Once

__all__ = ["Guard"]


@dataclass(frozen=True)
class Guard:
    """Providers to trust and a policy to hold: share one between threads, loops and frameworks.

    It holds no client, lock or loop.  Raises Misconfigured for two providers of one name or issuer, and for two that
    are asked about opaque tokens, since a token is shown to one issuer alone.
    """

    providers: Sequence[Provider]
    policy: Policy = authenticated()
    realm: str = "api"
    """What challenges say (RFC 9110 §11.5)."""
    limits: Limits = DEFAULT_LIMITS
    clock: Callable[[], float] = time.time
    """Seconds since the epoch."""
    memory: Memory | None = Memory()
    """How many verdicts are remembered while nothing about them can have changed; None: none."""
    revoked: Revocation | None = None
    """Says of credentials whether they were taken back, and must not wait; a :class:`Denylist`, or a function."""
    resolver: Resolver | None = None
    """Gives the provider of an issuer that none of *providers* has."""
    carriers: Sequence[Carrier] = (header(),)
    """Where a token may be; a request with two of them is refused."""
    resource: ProtectedResource | None = None
    """What is protected: clients are told where its metadata are, and given them (RFC 9728)."""
    carried: Carriers = field(init=False, repr=False, compare=False)
    """The same places, to be asked about a request: for doors."""
    metadata: Mapping[str, object] | None = field(init=False, repr=False, compare=False)
    """The metadata of the resource."""
    _by_issuer: dict[str, Provider] = field(init=False, repr=False, compare=False)
    opaque: tuple[Provider, Introspection] | None = field(init=False, repr=False, compare=False)
    """The one provider whose issuer is asked about tokens that only an issuer can read; None: they are refused."""
    _let_in: list[Header | None] = field(init=False, repr=False, compare=False)
    """The header of the token last let in: most tokens share it, and need no look at it."""
    _denylist: Denylist | None = field(init=False, repr=False, compare=False)
    _remembered: Remembered | None = field(init=False, repr=False, compare=False)
    recall: Callable[[str], Credentials | None] = field(init=False, repr=False, compare=False)
    """(text) → whom a token that was verified a moment ago names, None where that is not so or has to be asked for.

    Raises the GuardError that says why it is not taken any more.
    """
    at_sight: Callable[[bytes], Decision | None] = field(init=False, repr=False, compare=False)
    """(octets of the one ``Authorization`` header) → the decision where it needs nothing else, else None: ask on."""
    at_sight_of_text: Callable[[str], Decision | None] = field(init=False, repr=False, compare=False)
    """The same for the value as text."""
    _seen: AtSight | None = field(init=False, repr=False, compare=False)
    _offers_credentials: Callable[[Request], bool] = field(init=False, repr=False, compare=False)
    _extract: Callable[[Request, int], str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check that each token has one provider at most."""
        providers = tuple(self.providers)
        if not (providers or self.resolver) or not all(isinstance(provider, Provider) for provider in providers):
            raise Misconfigured("a guard needs providers")
        if len({provider.name for provider in providers}) < len(providers):
            raise Misconfigured("two providers have one name")
        by_issuer = {issuer: provider for provider in providers for issuer in provider.issuers}
        if len(by_issuer) < sum(len(provider.issuers) for provider in providers):
            raise Misconfigured("two providers have one issuer")
        if not callable(self.policy):
            raise Misconfigured("the policy is a function of request and credentials")
        if not (self.revoked is None or callable(self.revoked)):
            raise Misconfigured("revoked is a Denylist(...), or a function of credentials")
        if not (self.memory is None or isinstance(self.memory, Memory)):
            raise Misconfigured("memory is Memory(...), or None for none")
        if not (self.resolver is None or isinstance(self.resolver, Resolver)):
            raise Misconfigured("resolver is Resolver(...)")
        if not (self.resource is None or isinstance(self.resource, ProtectedResource)):
            raise Misconfigured("resource is ProtectedResource(...)")
        try:
            quoted(self.realm)
        except ValueError as error:
            raise Misconfigured(f"realm: {error}") from None
        object.__setattr__(
            self, "realm", Realm(self.realm, None if self.resource is None else self.resource.metadata_url)
        )
        object.__setattr__(self, "carried", Carriers(self.carriers))
        object.__setattr__(self, "carriers", tuple(self.carriers))
        object.__setattr__(self, "metadata", self.resource and self._document(self.resource))
        object.__setattr__(self, "providers", providers)
        object.__setattr__(self, "_by_issuer", by_issuer)
        object.__setattr__(self, "opaque", asked_about_opaque(providers))
        object.__setattr__(self, "_denylist", self.revoked if isinstance(self.revoked, Denylist) else None)
        object.__setattr__(self, "_let_in", [None])
        _let_look(self)
        size = self.memory
        _let_remember(self, None if size is None else Remembered(size, self.clock, self.revoked))

    def decide(self, request: Request) -> Flow[Decision]:
        """Return whether *request* may pass, and as whom.

        Only a GuardError becomes a Deny: a bug stays a bug, and never an accidental yes.
        """
        try:
            if is_open(self.policy, request) and not self._offers_credentials(request):
                return Allow(None)  # absent is the only anonymous; a bad token is refused on an open route too
            answer = self.admit(self._extract(request, self.limits.token))
            credentials = answer if isinstance(answer, Credentials) else (yield from answer)
            return (yield from ask(self.policy, request, credentials))
        except GuardError as error:
            return Deny(error)

    def glance(self, authorization: str | bytes | None, request: Request) -> Decision | None:
        """Return the decision where it takes no wait, else None: then run :meth:`decide`, which tells the same.

        *authorization* is the one such header of *request*.  A policy that would have to wait is asked again there.
        """
        try:
            if authorization is None:
                return Allow(None) if is_open(self.policy, request) else None
            seen = None if self._seen is None else self._seen.of(authorization)
            if seen is None or isinstance(seen, Deny) or is_settled(self.policy):
                return seen
            return at_once(self.policy(request, cast("Credentials", seen.credentials)))  # of a token, so of somebody
        except GuardError as error:
            return Deny(error)

    def admit(self, text: str) -> Credentials | Flow[Credentials]:
        """Return whom the token *text* names, or a flow of that where its key must be asked for.

        Raises the GuardError that says why it is not taken.
        """
        return self.recall(text) or self.verified(text)

    def verified(self, text: str) -> Credentials | Flow[Credentials]:
        """Return what :meth:`admit` returns of a token that is not remembered, or not without asking."""
        if self._denylist is not None and not self._denylist.is_known():
            remembered = self._remembered
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
        if self._remembered is not None and isinstance(text, str):
            issuer = self._remembered.issuer_of(text)
            if issuer is not None:
                provider = yield from resolver.provider_for(issuer)
                if not (self._denylist is None or self._denylist.is_known()):
                    yield from self._denylist.freshened()
                credentials = self._remembered.recall_for(text, provider, is_fresh=True)
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
        if self._remembered is not None and provider.is_remembered:
            is_resolved = self.resolver is not None and self._own(token.issuer) is None
            ground = self._remembered.ground(provider, key, is_resolved=is_resolved)
            self._remembered.remember(text, credentials, (now, until), ground)
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

    def requiring(self, policy: Policy) -> Guard:
        """Return this guard with *policy* on top of its own; the two remember verdicts together."""
        stricter = replace(self, policy=all_of(self.policy, policy))
        _let_remember(stricter, self._remembered)
        return stricter

    def provider_for(self, token: UnverifiedToken) -> Provider:
        """Return the provider that the unverified issuer picks; its keys and rules do the rest."""
        provider = self._own(token.issuer)
        if provider is None:
            raise UnknownIssuer(token.issuer)
        return _allowing(provider, token)

    def _own(self, issuer: object) -> Provider | None:
        return self._by_issuer.get(issuer) if isinstance(issuer, str) else None

    def answer(self, request: Request, root: str = "") -> Response | None:
        """Return the metadata of the resource where *request* asks for them, whoever asks (RFC 9728 §3); else None.

        *root* is where the application is mounted, for servers that put it before each path.
        """
        if self.metadata is None or self.resource is None:
            return None
        wanted, path = self.resource.path, request.path
        return answer_about(self.metadata, request) if path in (wanted, root + wanted) else None

    def _document(self, resource: ProtectedResource) -> Mapping[str, object]:
        listed = [provider.issuer for provider in self.providers]
        issuers = [issuer for one in listed for issuer in ((one,) if isinstance(one, str) else one)]
        return document(resource, issuers, self.carried.methods)

    def key_states(self) -> Mapping[str, KeyState]:
        """Return how the keys of each provider are, by its name: for readiness checks, metrics and people."""
        providers = (*self.providers, *(self.resolver.kept if self.resolver else ()))
        states = {provider.name: getattr(provider.source, "state", None) for provider in providers}
        return {name: state() for name, state in states.items() if state is not None}


def _let_remember(guard: Guard, remembered: Remembered | None) -> None:
    policy = guard.policy if is_settled(guard.policy) else None
    # Where a token may be in another place too, one header says nothing about the request.
    seen = None if remembered is None or not guard.carried.is_header_only else AtSight(remembered, guard.clock, policy)
    at_sight = None if policy is None else seen
    object.__setattr__(guard, "_remembered", remembered)
    object.__setattr__(guard, "_seen", seen)
    object.__setattr__(guard, "recall", _nothing if remembered is None else remembered.recall)
    object.__setattr__(guard, "at_sight", _nothing if at_sight is None else at_sight.octets)
    object.__setattr__(guard, "at_sight_of_text", _nothing if at_sight is None else at_sight.text)


def _let_look(guard: Guard) -> None:
    if guard.carried.is_header_only:
        looks: tuple[Callable[[Request], bool], Callable[[Request, int], str]] = (offers_credentials, extract)
    else:
        looks = (guard.carried.offers_credentials, guard.carried.extract)
        object.__setattr__(guard, "glance", _no_glance)  # so that those who look in the header alone pay nothing for it
    object.__setattr__(guard, "_offers_credentials", looks[0])
    object.__setattr__(guard, "_extract", looks[1])


def _no_glance(_authorization: str | bytes | None, _request: Request) -> None:
    return None


def _nothing(_text: str | bytes) -> None:
    return None


def _allowing(provider: Provider, token: UnverifiedToken) -> Provider:
    alg = token.header.alg
    if alg not in provider.allowed:
        raise InvalidToken(f"the algorithm {shown(alg)} is not allowed for {provider.name}")
    return provider
