"""What an issuer says of a token that only it can read → the rules that hold of it, and the claims to read.

The issuer has vouched for each of these answers itself, over TLS, so no key does.  A header there is none, and of what
RFC 7662 leaves open, what is missing is refused unless somebody has said that it may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..credentials import ReadOnly
from ..errors import ClaimRejected, InvalidToken, MalformedRequest, Misconfigured, MissingToken
from ..tokens import claims
from ..tokens.bearer import bare_token
from ..tokens.claims import FOREVER, Claims, Rule
from ..tokens.compact import Header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..sources.introspection import Introspection
    from ..tokens.claims import Statement
    from .provider import Provider

__all__ = ["asked_about_opaque", "check_form", "claims_of", "is_opaque", "rules_about_jwts", "rules_of_answers"]

_SIGNED = 2  # dots in a signed token (RFC 7515 §7.1)
_NO_HEADER = Header("", None, None, None, ReadOnly({}))
_USES = frozenset({"access", "access_token"})
_NOT_SAID: tuple[object, ...] = (None, "", [])
_AUDIENCE = (
    "Have the token issued for this API (RFC 8707), or, if its issuer never says for whom a token is and has no other "
    "API, set aud_may_be_missing."
)
_TOKEN_TYPE = (
    "A refresh token is active, too, and some issuers say of access tokens alone that they are Bearer: if this one "
    "never says so, and tells this client of no refresh tokens, set token_type_may_be_missing."
)


def is_opaque(text: object) -> bool:
    """Say whether *text* is none of three parts, so that only its issuer could read it: an encrypted token, too."""
    return isinstance(text, str) and text.count(".") != _SIGNED


def asked_about_opaque(providers: Sequence[Provider]) -> tuple[Provider, Introspection] | None:
    """Return the one of *providers* that is asked about such tokens; Misconfigured where there are two."""
    asked = [(each, each.introspection) for each in providers if each.introspection and each.introspection.opaque]
    if len(asked) > 1:
        names = " and ".join(provider.name for provider, _ in asked)
        raise Misconfigured(
            f"{names} are asked about opaque tokens, and no such token says whose it is: one alone can be asked"
        )
    return asked[0] if asked else None


def check_form(text: str, longest: int) -> None:
    """Raise InvalidToken where *text* has more characters than *longest*, or ones that no token has."""
    try:
        bare_token(text, longest)
    except (MalformedRequest, MissingToken) as error:
        raise InvalidToken(str(error)) from None


def claims_of(values: Mapping[str, Any]) -> Claims:
    """Return what the issuer itself said, *values*, as claims."""
    return Claims(_NO_HEADER, values)


def rules_about_jwts(issuers: frozenset[str], leeway: float) -> tuple[Rule, ...]:
    """Return what must hold of the answer about a token that is good by itself."""
    return _if_there("iss", claims.issued_by(issuers)), claims.not_expired(leeway, exp_may_be_missing=True)


def rules_of_answers(  # noqa: PLR0913 - what a provider is configured with
    introspection: Introspection,
    *,
    issuers: frozenset[str],
    audiences: frozenset[str],
    leeway: float,
    audience_claim: str,
    kind: Rule | None,
) -> tuple[Rule, ...]:
    """Return what must hold of each answer, beside what is asked of the provider's tokens in particular.

    ``iss`` and the times may be missing (RFC 7662 §2.2): one issuer alone was asked, and has said "active".
    """
    return (
        claims.well_typed(),
        _if_there("iss", claims.issued_by(issuers)),
        _for_us(claims.meant_for(audiences, audience_claim), may_be_missing=introspection.aud_may_be_missing),
        claims.not_expired(leeway, exp_may_be_missing=True),
        claims.not_before(leeway),
        claims.not_from_the_future(leeway),
        _bearer(may_be_missing=introspection.token_type_may_be_missing),
        _of_kind(claims.access_token() if kind is None else kind),
        claims.bearer_only(),
    )


def _if_there(claim: str, rule: Rule) -> Rule:
    def holds_until(statement: Statement, now: float) -> float:
        return rule.holds_until(statement, now) if claim in statement.values else FOREVER

    return Rule(rule.about, f"{rule.demand}, if it says so", holds_until)


def _for_us(rule: Rule, *, may_be_missing: bool) -> Rule:
    def holds_until(statement: Statement, now: float) -> float:
        if statement.values.get(rule.about) in _NOT_SAID:
            if may_be_missing:
                return FOREVER
            raise ClaimRejected(rule.about, "is missing, so it may be for somebody else", advice=_AUDIENCE)
        return rule.holds_until(statement, now)

    return Rule(rule.about, f"{rule.demand}{', if it says so' if may_be_missing else ''}", holds_until)


def _bearer(*, may_be_missing: bool) -> Rule:
    """Demand that it is an access token for whoever bears it (RFC 7662 §2.2, RFC 6749 §5.1)."""

    def holds_until(statement: Statement, _now: float) -> float:
        values = statement.values
        said = values.get("token_type")
        if said is None:
            # Keycloak and Hydra have words of their own.
            if may_be_missing or values.get("typ") == "Bearer" or _use(values) == "access":
                return FOREVER
            raise ClaimRejected("token_type", "is missing, so it may be a refresh token", advice=_TOKEN_TYPE)
        if not isinstance(said, str) or said.lower() != "bearer":
            raise ClaimRejected("token_type", "is another kind of token", expected="Bearer", got=said)
        return FOREVER

    return Rule("token_type", "it is a bearer token", holds_until)


def _of_kind(rule: Rule) -> Rule:
    """Demand the same as *rule*, which knows Cognito's word for an access token, where Hydra has another."""

    def holds_until(statement: Statement, now: float) -> float:
        values = statement.values
        use = _use(values)
        return rule.holds_until(claims_of(values if use is None else {**values, "token_use": use}), now)

    return Rule(rule.about, rule.demand, holds_until)


def _use(values: Mapping[str, Any]) -> object:
    use = values.get("token_use")
    return "access" if isinstance(use, str) and use in _USES else use
