"""An endorsement and a key, in hand or published by its issuer → what it says, or why that does not count."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from ...access.guard import Guard
from ...access.identity import ClaimNames
from ...access.provider import Provider
from ...credentials import Credentials
from ...errors import ClaimRejected, Misconfigured, UnknownIssuer
from ...runners import awaiting, blocking
from ...sources.fixed import fixed
from ...tokens.claims import FOREVER, Rule
from ...tokens.compact import parse
from .endorsing import ALGORITHM, public_half
from .payload import PayloadRejected, endorsement, problems
from .published import WellKnownKey, host_of

if TYPE_CHECKING:
    from ...access.provider import KeySource
    from ...flow import Flow
    from ...tokens.claims import Statement

__all__ = ["averify_url", "endorsements", "verified_by_url", "verify", "verify_url"]

_EMPTY = "issuers: an empty list would refuse everybody; None takes any host"


def endorsements(  # noqa: PLR0913 - what may be asked of an endorsement
    issuer: str,
    keys: KeySource,
    *,
    name: str = "poet",
    leeway: float = 30,
    software_id: str | None = None,
    payload_unchecked: bool = False,
) -> Provider:
    """Return a provider of endorsements by *issuer*: for :func:`jwt_guard.verify`, not to let requests in.

    Anybody may have a copy of an endorsement.  The application is the client, its ``scope`` what it may ask for.
    """
    extra = [_names_its_key()]
    if software_id is not None:
        extra.append(_is_about(software_id))
    return Provider(
        name,
        issuer,
        issuer,  # nobody is named in aud: an endorsement is for whomever it is shown to
        keys,
        algorithms=(ALGORITHM,),
        leeway=leeway,
        typ=("JWT",),
        required=("iat",),
        claims=ClaimNames(user=(), client=("software_id",), scopes=("scope",), roles=()),
        audience_claim="iss",
        kind=_anything() if payload_unchecked else endorsement(),
        extra_rules=extra,
    )


def verify(  # noqa: PLR0913 - what may be asked of an endorsement
    jws: str,
    jwk: Mapping[str, Any],
    now: float,
    *,
    issuer: str | None = None,
    leeway: float = 30,
    software_id: str | None = None,
    payload_unchecked: bool = False,
) -> dict[str, Any]:
    """Return the payload of *jws*, which the key *jwk* has signed by RS256, and which holds at *now*.

    Its ``kid`` is the key's, and its ``iss`` is *issuer*, by default that ``kid`` again.  With *software_id* it is
    about that application.  *leeway* is how many seconds two clocks may differ.  Raises InvalidToken, as
    :class:`~jwt_guard.issuing.poet.payload.PayloadRejected` with all that is wrong with the payload unless
    *payload_unchecked*; Misconfigured where *jwk* is no key for this.
    """
    public = public_half(jwk)
    provider = endorsements(
        public["kid"] if issuer is None else issuer,
        fixed(public),
        leeway=leeway,
        software_id=software_id,
        payload_unchecked=payload_unchecked,
    )
    return blocking.run(_admitted(jws, provider, now, payload_unchecked=payload_unchecked))


def verified_by_url(  # noqa: PLR0913 - as above
    jws: str,
    now: float,
    *,
    issuers: Collection[str] | None = None,
    key: WellKnownKey = WellKnownKey(),  # noqa: B008 - frozen
    leeway: float = 30,
    software_id: str | None = None,
    payload_unchecked: bool = False,
) -> Flow[dict[str, Any]]:
    """Return the payload of *jws*, which its issuer's host vouches for: ``https://<iss>/.well-known/poet.jwk``.

    Only the hosts in *issuers* are asked; None: any that has a strict name, so look at whose word it is.  Nobody is
    asked about a token that could not be good.  Raises as :func:`verify` and :class:`WellKnownKey` do.
    """
    if issuers is not None and (isinstance(issuers, str) or not issuers):
        raise Misconfigured(_EMPTY)
    issuer = host_of(parse(jws))
    if issuers is not None and issuer not in issuers:
        raise UnknownIssuer(issuer)
    provider = endorsements(issuer, key, leeway=leeway, software_id=software_id, payload_unchecked=payload_unchecked)
    return (yield from _admitted(jws, provider, now, payload_unchecked=payload_unchecked))


def verify_url(jws: str, now: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - checked there
    """Return what :func:`verified_by_url` does, and block until then."""
    return blocking.run(verified_by_url(jws, now, **more))


async def averify_url(jws: str, now: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - checked there
    """Return what :func:`verified_by_url` does, on asyncio or trio."""
    return await awaiting.run(verified_by_url(jws, now, **more))


def _admitted(jws: str, provider: Provider, now: float, *, payload_unchecked: bool) -> Flow[dict[str, Any]]:
    if not math.isfinite(now):  # nothing is ever later than NaN
        raise Misconfigured("endorsements: now is a number of seconds")
    try:
        answer = Guard([provider], clock=lambda: now, memory=None).verified(jws)
        credentials = answer if isinstance(answer, Credentials) else (yield from answer)
    except (ClaimRejected, UnknownIssuer):
        # It is refused either way: a payload with several mistakes is not told one of them at a time.
        found = () if payload_unchecked else problems(parse(jws).values)
        if found:
            raise PayloadRejected(found) from None
        raise
    return {name: _plain(value) for name, value in credentials.claims.items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - a JSON value
    """Return *value* as the caller may change it, and write it as JSON."""
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _names_its_key() -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        if statement.header.kid is None:  # a key in hand would do without
            raise ClaimRejected("kid", "is missing")
        return FOREVER

    return Rule("kid", "it names its key", holds_until)


def _is_about(software_id: str) -> Rule:
    def holds_until(statement: Statement, _now: float) -> float:
        if statement.values.get("software_id") != software_id:
            raise ClaimRejected("software_id", "is another application's, or missing")
        return FOREVER

    return Rule("software_id", "it is about the application that is meant", holds_until)


def _anything() -> Rule:
    return Rule("payload", "it may say anything", lambda _statement, _now: FOREVER)
