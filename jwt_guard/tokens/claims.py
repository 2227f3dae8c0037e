"""Claims, and the rules about them: who issued, for whom, from when to when, and what kind of token.

A rule looks at what a token says and at the time, raises
:class:`~jwt_guard.errors.ClaimRejected`, or says until when its yes holds.  Rules read statements, not
only verified claims, so that a token that could not be good whichever key signed it needs no key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ClaimRejected, Expired, shown

if TYPE_CHECKING:
    from .compact import Header

__all__ = [
    "ACCESS_TOKEN_TYPES",
    "FOREVER",
    "Claims",
    "Rule",
    "Statement",
    "access_token",
    "bearer_only",
    "check",
    "has",
    "issued_by",
    "meant_for",
    "no_older_than",
    "not_before",
    "not_expired",
    "not_from_the_future",
    "of_type",
    "well_typed",
]

FOREVER = math.inf


class Statement(Protocol):
    """What a token says, whether or not anybody has vouched for it."""

    @property
    def header(self) -> Header:
        """The JOSE header."""
        ...

    @property
    def values(self) -> Mapping[str, Any]:
        """The claims."""
        ...


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says and a key has vouched for; made by :func:`~jwt_guard.tokens.verify.verify` alone."""

    header: Header
    values: Mapping[str, Any] = field(repr=False)

    def text(self, name: str) -> str | None:
        """Return the claim *name* if it is a text, and None if it is absent or anything else."""
        value = self.values.get(name)
        return value if isinstance(value, str) else None


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that must hold of a token."""

    about: str
    """The claim or header parameter it looks at first."""
    demand: str
    """What must hold, as a sentence for people."""
    holds_until: Callable[[Statement, float], float]
    """(statement, now) → seconds since the epoch until which the yes holds; raises ClaimRejected."""
    every_time: bool = False
    """True: the answer depends on more than the token and the time, so a remembered yes does not do."""


def check(statement: Statement, rules: Iterable[Rule], now: float) -> float:
    """Return until when all *rules* hold of *statement*, or raise the first ClaimRejected."""
    until = FOREVER
    for rule in rules:
        moment = rule.holds_until(statement, now)
        if moment < until:
            until = moment
    return until


# --- of what type the claims are ---------------------------------------------------------------------

_LAST_DATE = 253_402_300_799  # the end of the year 9999: beyond it are milliseconds, and dates nobody can show


def _is_text(value: object) -> bool:
    return isinstance(value, str) and (value.isprintable() or not any(map(_is_control, value)))


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character <= "\x9f"


def _is_texts(value: object) -> bool:
    return _is_text(value) or (isinstance(value, list) and all(map(_is_text, value)))


def _is_date(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LAST_DATE


_REGISTERED: tuple[tuple[str, str, Callable[[object], bool]], ...] = (
    ("iss", "a text", _is_text),
    ("sub", "a text", _is_text),
    ("aud", "a text or a list of texts", _is_texts),
    ("exp", "a date in seconds", _is_date),
    ("nbf", "a date in seconds", _is_date),
    ("iat", "a date in seconds", _is_date),
    ("jti", "a text", _is_text),
    ("auth_time", "a date in seconds", _is_date),
    ("azp", "a text", _is_text),
    ("client_id", "a text", _is_text),
    ("scope", "a text or a list of texts", _is_texts),
    ("scp", "a text or a list of texts", _is_texts),
    ("sid", "a text", _is_text),
    ("acr", "a text", _is_text),
)


def well_typed() -> Rule:
    """Demand that every registered claim that is there has the type its RFC gives it.

    RFC 7519 §4.1, RFC 9068 §2.2, RFC 8693 §4.2, OpenID Connect Core §2.  Control characters in a text
    are refused with the rest: they end up in headers and logs.
    """

    def holds_until(statement: Statement, _now: float) -> float:
        values = statement.values
        for name, kind, fits in _REGISTERED:
            if name in values and not fits(values[name]):
                raise ClaimRejected(name, f"is not {kind}")
        return FOREVER

    return Rule("types", "every registered claim has its type", holds_until)


# --- who issued it, and for whom ---------------------------------------------------------------------


def issued_by(issuers: frozenset[str]) -> Rule:
    """Demand that ``iss`` is exactly one of *issuers* (RFC 7519 §4.1.1, RFC 9207 §2.4: no normalisation)."""
    expected = sorted(issuers)

    def holds_until(statement: Statement, _now: float) -> float:
        issuer = statement.values.get("iss")
        if not isinstance(issuer, str) or issuer not in issuers:
            raise ClaimRejected("iss", "is not an issuer we trust", expected=expected, got=issuer)
        return FOREVER

    return Rule("iss", f"the issuer is {_one_of(expected)}", holds_until)


def meant_for(audiences: frozenset[str], claim: str = "aud") -> Rule:
    """Demand that *claim* names one of *audiences*, exactly (RFC 7519 §4.1.3)."""
    expected = sorted(audiences)

    def holds_until(statement: Statement, _now: float) -> float:
        audience = statement.values.get(claim)
        if isinstance(audience, str):
            if audience in audiences:
                return FOREVER
        elif isinstance(audience, list):
            for name in audience:
                if isinstance(name, str) and name in audiences:
                    return FOREVER
        raise ClaimRejected(claim, "does not name us", expected=expected, got=audience)

    return Rule(claim, f"the audience is {_one_of(expected)}", holds_until)


def has(claim: str) -> Rule:
    """Demand that *claim* is there, and neither null nor empty."""

    def holds_until(statement: Statement, _now: float) -> float:
        if statement.values.get(claim) in (None, "", [], {}):
            raise ClaimRejected(claim, "is required")
        return FOREVER

    return Rule(claim, f"{claim} is there", holds_until)


# --- from when to when -------------------------------------------------------------------------------


def _date(statement: Statement, claim: str) -> float | None:
    value = statement.values.get(claim)
    if value is None and claim not in statement.values:
        return None
    if not _is_date(value):
        raise ClaimRejected(claim, "is not a date in seconds", expected="seconds since 1970", got=value)
    return value  # type: ignore[no-any-return]  # a number, as was just seen


def not_expired(leeway: float) -> Rule:
    """Demand an ``exp`` that is ahead: "on or after" it the token is refused (RFC 7519 §4.1.4)."""

    def holds_until(statement: Statement, now: float) -> float:
        expires = _date(statement, "exp")
        if expires is None:
            raise ClaimRejected("exp", "is required")
        end = expires + leeway
        if end <= now:
            raise Expired("exp", "is over", expected=f"after {now:.0f} - {leeway:g}", got=expires)
        return end

    return Rule("exp", f"it has not expired (± {leeway:g} s)", holds_until)


def not_before(leeway: float) -> Rule:
    """Demand that ``nbf``, if there, has come (RFC 7519 §4.1.5)."""

    def holds_until(statement: Statement, now: float) -> float:
        begins = _date(statement, "nbf")
        if begins is not None and begins - leeway > now:
            raise ClaimRejected("nbf", "has not come yet", expected=f"at most {now:.0f} + {leeway:g}", got=begins)
        return FOREVER

    return Rule("nbf", f"it is valid already (± {leeway:g} s)", holds_until)


def not_from_the_future(leeway: float) -> Rule:
    """Demand that ``iat``, if there, is not ahead of our clock (RFC 7519 §4.1.6)."""

    def holds_until(statement: Statement, now: float) -> float:
        issued = _date(statement, "iat")
        if issued is not None and issued - leeway > now:
            raise ClaimRejected("iat", "is in the future", expected=f"at most {now:.0f} + {leeway:g}", got=issued)
        return FOREVER

    return Rule("iat", f"it was not issued in the future (± {leeway:g} s)", holds_until)


def no_older_than(seconds: float, leeway: float) -> Rule:
    """Demand an ``iat`` at most *seconds* ago, whatever ``exp`` says."""

    def holds_until(statement: Statement, now: float) -> float:
        issued = _date(statement, "iat")
        if issued is None:
            raise ClaimRejected("iat", "is required, since there is a maximum age")
        end = issued + seconds + leeway
        if end <= now:
            raise Expired("iat", "is too long ago", expected=f"after {now:.0f} - {seconds:g} - {leeway:g}", got=issued)
        return end

    return Rule("iat", f"it is no older than {seconds:g} s (± {leeway:g} s)", holds_until)


# --- what kind of token it is ------------------------------------------------------------------------

ACCESS_TOKEN_TYPES: frozenset[str | None] = frozenset({"at+jwt", "jwt", None})
"""The ``typ`` of access tokens: RFC 9068 §2.1, RFC 7519 §5.1, or none."""


def _media_type(typ: str | None) -> str | None:
    # RFC 7515 §4.1.9: "application/" may be left out, and media types have no case (RFC 2045 §5.1).
    return None if typ is None else typ.lower().removeprefix("application/")


def of_type(types: frozenset[str | None]) -> Rule:
    """Demand that the header's ``typ`` is one of *types*; None stands for no ``typ``."""
    allowed = frozenset(map(_media_type, types))
    expected = sorted("(none)" if name is None else name for name in allowed)

    def holds_until(statement: Statement, _now: float) -> float:
        if _media_type(statement.header.typ) not in allowed:
            raise ClaimRejected("typ", "is another kind of token", expected=expected, got=statement.header.typ)
        return FOREVER

    return Rule("typ", f"the type is {_one_of(expected)}", holds_until)


_OTHER_KINDS = {
    "at_hash": "an ID token",  # OpenID Connect Core §3.1.3.6
    "c_hash": "an ID token",  # OpenID Connect Core §3.3.2.11
    "events": "a logout or security event token",  # RFC 8417 §2.2
    "htm": "a DPoP proof",  # RFC 9449 §4.2
    "htu": "a DPoP proof",
}
_KEYCLOAK_KINDS = {"id": "an ID token", "refresh": "a refresh token", "offline": "a refresh token", "logout": "a logout token"}


def access_token() -> Rule:
    """Demand that, where ``typ`` does not say ``at+jwt``, nothing in the token says that it is another kind.

    RFC 8725 §3.12.  A ``nonce`` alone proves nothing, since Keycloak keeps it in access tokens.
    """

    def holds_until(statement: Statement, _now: float) -> float:
        if _media_type(statement.header.typ) == "at+jwt":
            return FOREVER
        kind = _other_kind(statement.values)
        if kind is not None:
            raise ClaimRejected(kind[0], f"says that this is {kind[1]}", expected="an access token", got=kind[1])
        return FOREVER

    return Rule("kind", "it is an access token", holds_until)


def _other_kind(values: Mapping[str, Any]) -> tuple[str, str] | None:
    for claim, kind in _OTHER_KINDS.items():
        if claim in values:
            return claim, kind
    said = values.get("typ")  # Keycloak says it in the payload
    if said is not None and (not isinstance(said, str) or said.lower() in _KEYCLOAK_KINDS):
        return "typ", _KEYCLOAK_KINDS.get(said.lower(), "of no known kind") if isinstance(said, str) else "of no known kind"
    use = values.get("token_use", "access")  # Amazon Cognito
    if use != "access":
        return "token_use", "an ID token" if use == "id" else "of no known kind"
    party = values.get("azp")
    if party is not None and "nonce" in values and values.get("aud") in (party, [party]):
        return "nonce", "an ID token"  # for the client itself, and bound to its login
    if "sub" in values and values["sub"] == values.get("iss"):
        return "sub", "a client assertion"  # RFC 7523 §3: issued by the client about itself
    return None


def bearer_only() -> Rule:
    """Demand that the token is not bound to its sender, since nothing here could check that (RFC 7800)."""

    def holds_until(statement: Statement, _now: float) -> float:
        if "cnf" in statement.values:
            raise ClaimRejected("cnf", "binds the token to a key, which is not checked here")
        return FOREVER

    return Rule("cnf", "it is a plain bearer token", holds_until)


def _one_of(names: list[str]) -> str:
    return " or ".join(map(shown, names))
