"""A guard or an application behind one → the same, trusting a key of the test's, and callers with tokens by it.

Only the keys of the guard's providers are other ones, and its clock where a test wants that: issuer, audience, rules,
names of claims and the policy stay what they are in production.  There is no hook for this in the guard: for the time
of a test its attributes are replaced in place, and nothing that a request or a configuration says can come here.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, Self

from ..access.guard import Guard
from ..errors import ClaimRejected, GuardError, Misconfigured, UnknownKey, shown
from ..sources.key_state import KeyState
from ..tokens.bearer import offers_credentials
from ..tokens.claims import FOREVER, check
from ..tokens.compact import parse
from ..tokens.keys import Key, KeySet
from ..tokens.verify import verify
from .minting import bearer, mint

if TYPE_CHECKING:
    from types import TracebackType

    from ..access.identity import Path
    from ..access.provider import Provider
    from ..credentials import Credentials
    from ..decision import Decision
    from ..flow import Flow
    from ..issuing.signing import SigningKey
    from ..messages import Request
    from ..tokens.compact import Header, UnverifiedToken

__all__ = ["AsUser", "Caller", "guards_of", "trusting"]

_QUICK = ("ES256", "EdDSA", "ES384", "ES512", "RS256", "PS256", "HS256")
"""Algorithms by how soon there is a new key for one."""
_TRIES = 16  # claims that a provider may want beside those that every token has
_PLACE_OF_NAMES = "*"  # the last step of a path to names that are the members of an object
_CLIENT = "webshop"


# --- callers -----------------------------------------------------------------------------------------


class Caller(dict[str, str]):
    """Somebody with a token: the headers that send it, for the *headers* of any client.

    It is an *auth* of httpx and requests, too.  While it is entered (``with as_user("ada"): ...``) every request that
    brings no credentials is taken for one with this token.
    """

    def __init__(self, token: str, credentials: Credentials, providers: frozenset[int]) -> None:
        super().__init__(bearer(token))
        self.token = token
        """The token, a compact JWS."""
        self.credentials = credentials
        """What the guard makes of it."""
        self._providers = providers
        self._before: list[Mapping[str, object]] = []

    def __repr__(self) -> str:
        return f"<{self.credentials!r}>"  # a token belongs in no log

    def __call__(self, request: Any) -> Any:  # noqa: ANN401 - httpx's or requests' own type
        """Put the header on *request*, and return it."""
        request.headers.update(self)
        return request

    def __enter__(self) -> Self:
        """Have requests without credentials be this caller's, in every thread, until the end of the block."""
        self._before.append({name: getattr(Guard, name) for name in ("decide", "glance")})
        for name, method in _overriding(self._providers, self["Authorization"]).items():
            setattr(Guard, name, method)  # of the class, so that guards are included that a request has made
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let them be nobody's again."""
        for name, method in self._before.pop().items():
            setattr(Guard, name, method)


def _overriding(providers: frozenset[int], authorization: str) -> Mapping[str, Callable[..., object]]:
    """Return methods of Guard that see a request without credentials as if it had *authorization*.

    Those are the guards with one of *providers*, which are all by one test's key.
    """
    decide, glance = Guard.decide, Guard.glance

    def is_meant(guard: Guard, request: Request) -> bool:
        return not offers_credentials(request) and any(id(each) in providers for each in guard.providers)

    def deciding(guard: Guard, request: Request) -> Flow[Decision]:
        return decide(guard, _Sending(request, authorization) if is_meant(guard, request) else request)

    def glancing(guard: Guard, value: str | bytes | None, request: Request) -> Decision | None:
        if value is None and is_meant(guard, request):
            return glance(guard, authorization, _Sending(request, authorization))
        return glance(guard, value, request)

    return {"decide": deciding, "glance": glancing}


class _Sending:
    """A request, as if it had been sent with *authorization*."""

    def __init__(self, request: Request, authorization: str) -> None:
        self._request = request
        self._authorization = authorization

    @property
    def method(self) -> str:
        return self._request.method

    @property
    def path(self) -> str:
        return self._request.path

    @property
    def query(self) -> str:
        return self._request.query

    def values(self, name: str) -> tuple[str, ...]:
        return (self._authorization,) if name.lower() == "authorization" else self._request.values(name)


class AsUser:
    """Makes callers whom the guards take: ``as_user("ada", scopes="orders:read")``; :func:`trusting` gives one."""

    def __init__(self, trusted: Mapping[str, Trusted]) -> None:
        self._trusted = dict(trusted)
        self._providers = frozenset(id(each.provider) for each in trusted.values())

    def __repr__(self) -> str:
        return f"<as_user at {', '.join(sorted(self._trusted))}>"

    def __call__(  # noqa: PLR0913 - what there is to say about somebody
        self,
        user: str | None = "ada",
        *,
        scopes: str | Iterable[str] = (),
        roles: str | Iterable[str] = (),
        client: str = _CLIENT,
        provider: str | None = None,
        lifetime: float = 300,
        **claims: Any,  # noqa: ANN401 - JSON values
    ) -> Caller:
        """Return *user* with a token of *provider*, or of the only one, in the words of that provider.

        None is a machine: the token is *client*'s own.  *scopes* and *roles* are each a text of words between spaces,
        or several texts.  It lives *lifetime* seconds by the guard's clock.  *claims* say what else the token says;
        one that is None is left out.  Raises ValueError where the guard would not read those credentials out of it.
        """
        trusted = self.at(provider)
        asked = (user, client, _words(scopes), _words(roles))
        token, credentials = trusted.issue(*asked, lifetime, claims)
        return Caller(token, credentials, self._providers)

    def at(self, provider: str | None = None) -> Trusted:
        """Return what is trusted in place of the keys of *provider*, or of the only one; ValueError for neither."""
        if provider is None and len(self._trusted) == 1:
            (provider,) = self._trusted
        found = None if provider is None else self._trusted.get(provider)
        if found is None:
            named = "say which provider issues the token" if provider is None else f"no provider {shown(provider)}"
            message = f"{named}; known here: {', '.join(sorted(self._trusted))}"
            raise ValueError(message)
        return found


def _words(value: str | Iterable[str]) -> frozenset[str]:
    return frozenset(value.split()) if isinstance(value, str) else frozenset(value)


# --- what the guard takes in place of its keys -------------------------------------------------------


class Trusted:
    """A key source with one new key, in the place of that of *provider*; it says whose tokens it has made."""

    def __init__(self, provider: Provider, clock: Callable[[], float]) -> None:
        from ..issuing.signing import make

        alg = next((alg for alg in _QUICK if alg in provider.allowed), None) or min(provider.allowed)
        self.provider = provider
        self.clock = clock
        self.signing: SigningKey = make(alg)
        self.remembered = bool(getattr(provider.source, "remembered", False))
        self.algorithms = frozenset({alg})
        self._set = KeySet((self.signing.verifying,))
        # Where keys are shared by issuers, each says whose it is.
        of_each: dict[object, Key] = {
            issuer: replace(self.signing.verifying, issuer=issuer) for issuer in provider.issuers
        }
        self._of: Mapping[object, Key] = {} if provider.key_issuer is None else of_each
        self._watching: list[Callable[[Key], None]] = []
        self._before = {name: vars(provider)[name] for name in ("source", "source_rules_out")}
        vars(provider).update(source=self, source_rules_out=self.rules_out)

    # As key sources are (see KeySource).

    def __call__(self, token: UnverifiedToken) -> Key:
        key = self._set.find(token.header.kid, token.header.alg)
        if key is None:
            raise UnknownKey(token.header.kid, token.header.alg, "a test trusts its own key alone")
        return self._of.get(token.issuer, key)

    def rules_out(self, header: Header) -> bool:
        return self._set.find(header.kid, header.alg) is None

    def watch(self, taken_out: Callable[[Key], None]) -> None:
        self._watching.append(taken_out)

    def holds(self, _key: Key) -> bool:
        return True

    def settled_for(self) -> float:
        return FOREVER

    def state(self) -> KeyState:
        return KeyState(usable=True, keys=1)

    def end(self) -> None:
        """Put the provider's own source back, and have every memory forget what the key of the test vouched for."""
        vars(self.provider).update(self._before)
        for taken_out in self._watching:
            for key in (self.signing.verifying, *self._of.values()):
                taken_out(key)

    # Tokens.

    def issue(  # noqa: PLR0913, PLR0917 - what there is to say about somebody
        self,
        user: str | None,
        client: str,
        scopes: frozenset[str],
        roles: frozenset[str],
        lifetime: float,
        claims: Mapping[str, Any],
    ) -> tuple[str, Credentials]:
        """Return a token, and what the provider reads from it; ValueError where that is not what was asked for."""
        said = {**self._said(user, client, scopes, roles), **claims}
        error: GuardError | None = None
        for _ in range(_TRIES):
            token = self.token(said, lifetime)
            try:
                credentials = self.read(token)
            except ClaimRejected as refused:
                error = refused
                missing = _what_would_do(refused, said, claims)
                if missing is None:
                    break
                said.update(missing)
            except GuardError as refused:
                error = refused
                break
            else:
                return token, self._checked(credentials, user, scopes, roles)
        message = f"{self.provider.name} would not take the token: {error}; give as_user() the claims that it wants"
        raise ValueError(message)

    def token(self, claims: Mapping[str, Any], lifetime: float = 300) -> str:
        """Return a token that says *claims*, of a type that the provider takes."""
        types = self.provider.typ
        typ = "at+jwt" if types is None else next((typ for typ in sorted(filter(None, types))), None)
        header = {"typ": "JWT" if types is None and self.provider.kind is not None else typ}
        return mint(claims, key=self.signing, header=header, lifetime=lifetime, clock=self.clock)

    def read(self, token: str) -> Credentials:
        """Return what the provider reads from *token*; raises the GuardError that says why it does not."""
        provider = self.provider
        unverified = parse(token)
        claims = verify(unverified, self(unverified), provider.key_issuer)
        check(claims, provider.demands, self.clock())
        return provider.read(claims, provider.name)

    def _said(self, user: str | None, client: str, scopes: frozenset[str], roles: frozenset[str]) -> dict[str, Any]:
        provider, names = self.provider, self.provider.claims
        said: dict[str, Any] = {}
        issuer, audience = _first(provider.issuer), _first(provider.audience)
        if provider.audience_claim in names.client:
            client = audience  # which names the client (as with Cognito)
        who = client if user is None else user  # RFC 9068 §5: the client's own
        for path, value in (
            ("sub", who),
            *((path, who) for path in names.user[:1]),
            *((path, client) for path in names.client[:1]),
            *((path, " ".join(sorted(scopes))) for path in names.scopes[:1] if scopes),
            *((path, sorted(roles)) for path in names.roles[:1] if roles),
        ):
            _put(said, path, value)
        return {**said, "iss": issuer, provider.audience_claim: audience}

    def _checked(
        self, credentials: Credentials, user: str | None, scopes: frozenset[str], roles: frozenset[str]
    ) -> Credentials:
        got = (credentials.user, credentials.scopes, credentials.roles)
        for name, asked, is_so in zip(("user", "scopes", "roles"), (user, scopes, roles), got, strict=True):
            if asked != is_so:
                message = (
                    f"as {self.provider.name} reads tokens, {name} would be {shown(_shown(is_so))}, "
                    f"not {shown(_shown(asked))}; give as_user() the claims that say so"
                )
                raise ValueError(message)
        return credentials


def _shown(value: object) -> object:
    return sorted(value) if isinstance(value, frozenset) else value


def _first(value: object) -> str:
    return value if isinstance(value, str) else next(iter(value))  # type: ignore[call-overload]  # texts, as Provider has seen  # pyright: ignore[reportCallIssue, reportArgumentType]


def _put(claims: dict[str, Any], path: Path, value: object) -> None:
    *steps, last = (path,) if isinstance(path, str) else path
    if last == _PLACE_OF_NAMES and isinstance(value, list):
        *steps, last = steps
        value = {name: {} for name in value}
    for step in steps:
        claims = claims.setdefault(step, {})
    claims[last] = value


def _what_would_do(
    refused: ClaimRejected, said: Mapping[str, Any], given: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return claims that the rule behind *refused* may be content with, None where the test must say them."""
    names = refused.claim.split(" or ")
    if any(name in given for name in names):
        return None  # it is the test that says otherwise
    expected: Any = refused.expected
    if expected is None:
        name = next((name for name in reversed(names) if name not in said), None)
        return None if name is None else {name: "test"}
    if isinstance(expected, str):
        return {names[0]: expected}
    if isinstance(expected, list | tuple | frozenset) and expected:
        return {names[0]: min(str(value) for value in expected)}
    return None


# --- which guards ------------------------------------------------------------------------------------


@contextmanager
def trusting(*of: object, clock: Callable[[], float] | None = None) -> Generator[AsUser]:
    """Have guards trust a key of the test's instead of their own while this is entered, and give what makes callers.

    Each *of* is a Guard, or an application behind one, for Django its settings, too.  With *clock* they go by it;
    :class:`~jwt_guard.testing.Clock` stands still.  All guards that share a provider with one of them do the same.
    Raises ValueError where there is no guard, and Misconfigured for one that asks a resolver for its providers.
    """
    guards = [guard for each in of for guard in guards_of(each)]
    providers = {id(provider): provider for guard in guards for provider in guard.providers}
    if any(guard.resolver is not None for guard in guards) or not providers:
        if not guards:
            message = f"no guard found in {', '.join(type(each).__name__ for each in of) or 'nothing'}: give the Guard"
            raise ValueError(message)
        raise Misconfigured("a resolver says whom this guard trusts: in tests have it answer LocalIssuer.provider()")
    names = [provider.name for provider in providers.values()]
    if len(set(names)) < len(names):
        raise Misconfigured("providers of one name in several guards: trust one guard at a time")

    def all_of_them() -> list[Guard]:
        return _sharing(guards, providers)

    real = guards[0].clock
    before = [(guard, dict(vars(guard))) for guard in all_of_them()]
    trusted = {provider.name: Trusted(provider, real if clock is None else clock) for provider in providers.values()}
    if clock is not None:
        for guard, _ in before:
            vars(guard).update(vars(replace(guard, clock=clock)))
    try:
        yield AsUser(trusted)
    finally:
        for each in reversed(trusted.values()):
            each.end()
        known = {id(guard) for guard, _ in before}
        for guard in all_of_them():
            if clock is not None and guard.clock is clock and id(guard) not in known:  # made of them meanwhile
                vars(guard).update(vars(replace(guard, clock=real)))
        for guard, attributes in before:
            vars(guard).update(attributes)


def _sharing(guards: Iterable[Guard], providers: Mapping[int, Provider]) -> list[Guard]:
    """Return *guards* and all others with one of *providers*: ``guard.requiring(...)`` has made them."""
    alive = (each for each in gc.get_objects() if issubclass(type(each), Guard))
    found = {id(guard): guard for guard in (*guards, *alive) if any(id(each) in providers for each in guard.providers)}
    return list(found.values())


# What leads from an application to everything there is.
_NOT_OF_IT = (
    type,
    str,
    bytes,
    int,
    float,
    ModuleType,
    FrameType,
    CodeType,
    BuiltinFunctionType,
    MemberDescriptorType,
    GetSetDescriptorType,
)
_MOST = 500_000


def guards_of(of: object) -> list[Guard]:
    """Return the guards in *of*: a Guard, or an application, in the parts of which they are looked for."""
    if isinstance(of, Guard):
        return [of]
    if type(of).__module__.startswith("django."):
        from ..middleware.django.configured import guard_of_settings

        return [guard_of_settings()]
    found: list[Guard] = []
    seen = {id(of)}
    ahead = [of]
    while ahead and len(seen) < _MOST:
        present = ahead.pop()
        if issubclass(type(present), Guard):
            found.append(present)  # type: ignore[arg-type]  # that is what was asked  # pyright: ignore[reportArgumentType]
            continue
        for part in _parts(present):
            if id(part) not in seen and not issubclass(type(part), _NOT_OF_IT):
                seen.add(id(part))
                ahead.append(part)
    return found


def _parts(of: object) -> Iterator[Any]:
    if type(of) is FunctionType:  # and not the module that it stands in
        yield from (of.__closure__ or (), of.__defaults__, of.__kwdefaults__, of.__dict__)
    elif of is not sys.modules:
        yield from gc.get_referents(of)
