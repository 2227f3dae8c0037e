"""Guard: a value that decides about requests.  How a token is admitted is in admitting.py; all the rest is here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from ..credentials import Credentials
from ..decision import Allow, Deny
from ..errors import GuardError, Misconfigured
from ..tokens.bearer import extract, offers_credentials
from ..tokens.compact import DEFAULT_LIMITS, Limits
from .admitting import Admission
from .at_sight import AtSight
from .carriers import Carrier, Carriers, header
from .challenge import Realm, quoted
from .opaque import asked_about_opaque
from .policy import Policy, all_of, ask, at_once, authenticated, is_open, is_settled
from .provider import Provider
from .remembered import Memory, Remembered, Revocation
from .resolver import Resolver
from .resource import ProtectedResource, answer_about, document

if TYPE_CHECKING:
    from ..decision import Decision
    from ..flow import Flow
    from ..messages import Request, Response
    from ..sources.introspection import Introspection
    from ..sources.key_state import KeyState
    from ..tokens.compact import UnverifiedToken

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
    opaque: tuple[Provider, Introspection] | None = field(init=False, repr=False, compare=False)
    """The one provider whose issuer is asked about tokens that only an issuer can read; None: they are refused."""
    _admission: Admission = field(init=False, repr=False, compare=False)
    verified: Callable[[str], Credentials | Flow[Credentials]] = field(init=False, repr=False, compare=False)
    """(text) → what :meth:`admit` returns of a token that is not remembered, or not without asking."""
    recall: Callable[[str], Credentials | None] = field(init=False, repr=False, compare=False)
    """(text) → whom a token that was verified a moment ago names, None where that is not so or has to be asked for.

    Raises the GuardError that says why it is not taken any more.
    """
    at_sight: Callable[[bytes], Decision | None] = field(init=False, repr=False, compare=False)
    """(octets of the one ``Authorization`` header) → the decision where it needs nothing else, else None: ask on."""
    at_sight_of_text: Callable[[str], Decision | None] = field(init=False, repr=False, compare=False)
    """The same for the value as text."""
    known_at_sight: Callable[[bytes], Decision | None] = field(init=False, repr=False, compare=False)
    """(the same octets) → whom they name, as an Allow, where that needs nothing else; a policy that looks at the
    request has not been asked, and has to be."""
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
        if len({issuer for one in providers for issuer in one.issuers}) < sum(len(one.issuers) for one in providers):
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
        object.__setattr__(self, "opaque", asked_about_opaque(providers))
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

    def provider_for(self, token: UnverifiedToken) -> Provider:
        """Return the provider that the unverified issuer picks; its keys and rules do the rest.

        Raises UnknownIssuer, and InvalidToken for an algorithm that is not that provider's.
        """
        return self._admission.provider_for(token)

    def requiring(self, policy: Policy) -> Guard:
        """Return this guard with *policy* on top of its own; the two remember verdicts together."""
        stricter = replace(self, policy=all_of(self.policy, policy))
        _let_remember(stricter, self._admission.remembered)
        return stricter

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
    admission = Admission(
        guard.providers, guard.limits, guard.clock, guard.revoked, guard.resolver, guard.opaque, remembered
    )
    object.__setattr__(guard, "_admission", admission)
    object.__setattr__(guard, "verified", admission.verified)
    object.__setattr__(guard, "_seen", seen)
    object.__setattr__(guard, "recall", _nothing if remembered is None else remembered.recall)
    object.__setattr__(guard, "at_sight", _nothing if at_sight is None else at_sight.octets)
    object.__setattr__(guard, "known_at_sight", _nothing if seen is None else seen.octets)
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
