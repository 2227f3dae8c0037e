"""Claims, and the rules about them: who issued, for whom, from when to when, and what kind of token.

A rule looks at what a token says and at the time, raises
:class:`~jwt_guard.errors.ClaimRejected`, or says until when its yes holds.  Rules read statements, not
only verified claims, so that a token that could not be good whichever key signed it needs no key.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import ClaimRejected, Expired, shown
from .compact import media_type

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
    "has_control",
    "id_token",
    "issued_by",
    "meant_for",
    "no_older_than",
    "not_before",
    "not_expired",
    "not_from_the_future",
    "of_type",
    "one_of",
    "usual",
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


class Claims(NamedTuple):
    """What a token says and a key has vouched for; made by :func:`~jwt_guard.tokens.verify.verify` alone."""

    header: Header
    values: Mapping[str, Any]

    def __repr__(self) -> str:
        """Show only the header: the rest belongs in no log."""
        return f"Claims({self.header!r})"

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
    means: tuple[object, ...] = ()
    """Which function made it, and of what, for those who say it in another language; empty: only it itself can tell."""


def check(statement: Statement, rules: Iterable[Rule], now: float) -> float:
    """Return until when all *rules* hold of *statement*, or raise the first ClaimRejected."""
    until = FOREVER
    for rule in rules:
        moment = rule.holds_until(statement, now)
        if moment < until:  # noqa: PLR1730 - min() takes three times as long
            until = moment
    return until


# --- of what type the claims are ---------------------------------------------------------------------

_LAST_DATE = 253_402_300_799  # the end of the year 9999: beyond it are milliseconds, and dates nobody can show


def has_control(text: str) -> bool:
    """Say whether *text* has a control character, which could end a header or a line of a log."""
    return not text.isprintable() and any(character < " " or "\x7f" <= character <= "\x9f" for character in text)


def _is_date(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LAST_DATE


# RFC 7519 §4.1, RFC 9068 §2.2, OpenID Connect Core §2.  The others of RFC 7519 have rules of their own below.
_TEXTS = ("sub", "azp", "client_id", "jti", "sid", "acr")
_WORDS = ("scope", "scp")  # RFC 8693 §4.2 has a text; some issuers write a list


def well_typed() -> Rule:
    """Demand that every registered claim that is there, and has no rule of its own, has its type.

    A control character in a name is refused where names are read: they end up in headers and logs.
    """

    def holds_until(statement: Statement, _now: float) -> float:
        values = statement.values
        for name in _TEXTS:
            if name in values and values[name].__class__ is not str:
                raise ClaimRejected(name, "is not a text")
        for name in _WORDS:
            if name in values and values[name].__class__ is not str and not _are_texts(values[name]):
                raise ClaimRejected(name, "is not a text or a list of texts")
        if "auth_time" in values:
            _date(statement, "auth_time")
        return FOREVER

    return Rule("types", "every registered claim has its type", holds_until)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and _only_texts(value)


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
    elsewhere = claim != "aud"

    def holds_until(statement: Statement, _now: float) -> float:
        audience = statement.values.get(claim)
        if isinstance(audience, str):
            audience = [audience]
        elif not (isinstance(audience, list) and _only_texts(audience)):
            raise ClaimRejected(claim, "is not a text or a list of texts", expected=expected, got=audience)
        if audiences.isdisjoint(audience):
            raise ClaimRejected(claim, "does not name us", expected=expected, got=audience)
        if elsewhere:  # "aud" is registered all the same
            named = statement.values.get("aud", "")
            if not isinstance(named, str) and not _are_texts(named):
                raise ClaimRejected("aud", "is not a text or a list of texts")
        return FOREVER

    return Rule(claim, f"the audience is {_one_of(expected)}", holds_until)


def _only_texts(items: list[object]) -> bool:
    try:
        "".join(items)  # type: ignore[arg-type]  # the quickest way to ask all of them
    except TypeError:
        return False
    return True


def has(claim: str, *others: str, advice: str | None = None) -> Rule:
    """Demand that *claim*, or one of *others*, is there, and neither null nor empty; *advice* is for people."""
    names = (claim, *others)
    either = " or ".join(names)

    def holds_until(statement: Statement, _now: float) -> float:
        for name in names:
            if statement.values.get(name) not in (None, "", [], {}):
                return FOREVER
        raise ClaimRejected(either, "is required", advice=advice)

    return Rule(claim, f"{either} is there", holds_until, means=("has", names))


def one_of(claim: str, values: frozenset[str], *, advice: str) -> Rule:
    """Demand that *claim* is exactly one of *values*, which name no person; *advice* is for people."""
    expected = sorted(values)

    def holds_until(statement: Statement, _now: float) -> float:
        value = statement.values.get(claim)
        if not isinstance(value, str) or value not in values:
            raise ClaimRejected(claim, "is not one we take", expected=expected, got=value, advice=advice)
        return FOREVER

    return Rule(claim, f"{claim} is {_one_of(expected)}", holds_until, means=("one_of", claim, values))


# --- from when to when -------------------------------------------------------------------------------


def _date(statement: Statement, claim: str) -> float | None:
    """Return the NumericDate *claim* (RFC 7519 §2), or None where it is absent."""
    if claim not in statement.values:
        return None
    value = statement.values[claim]
    if value.__class__ is int and 0 <= value <= _LAST_DATE:  # the usual case, in a third of the time
        return value
    if not _is_date(value):
        got = value if isinstance(value, int | float) else type(value).__name__
        raise ClaimRejected(claim, "is not a date in seconds", expected="seconds since 1970", got=got)
    return value  # type: ignore[no-any-return]


def not_expired(leeway: float, *, exp_may_be_missing: bool = False) -> Rule:
    """Demand an ``exp`` that is ahead: "on or after" it the token is refused (RFC 7519 §4.1.4)."""

    def holds_until(statement: Statement, now: float) -> float:
        expires = _date(statement, "exp")
        if expires is None:
            if exp_may_be_missing:
                return FOREVER
            raise ClaimRejected("exp", "is required")
        end = expires + leeway
        if end <= now:
            raise Expired("exp", "is over", expected=f"later than {now - leeway:.0f}", got=expires)
        return end

    condition = ", if it ever does" if exp_may_be_missing else ""
    return Rule("exp", f"it has not expired{condition} (± {leeway:g} s)", holds_until)


def not_before(leeway: float) -> Rule:
    """Demand that ``nbf``, if there, has come (RFC 7519 §4.1.5)."""

    def holds_until(statement: Statement, now: float) -> float:
        if "nbf" not in statement.values:
            return FOREVER
        begins = _date(statement, "nbf")
        if begins is not None and begins - leeway > now:
            raise ClaimRejected("nbf", "has not come yet", expected=f"at most {now + leeway:.0f}", got=begins)
        return FOREVER

    return Rule("nbf", f"it is valid already (± {leeway:g} s)", holds_until)


def not_from_the_future(leeway: float) -> Rule:
    """Demand that ``iat``, if there, is not ahead of our clock (RFC 7519 §4.1.6)."""

    def holds_until(statement: Statement, now: float) -> float:
        issued = _date(statement, "iat")
        if issued is not None and issued - leeway > now:
            raise ClaimRejected("iat", "is in the future", expected=f"at most {now + leeway:.0f}", got=issued)
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
            raise Expired("iat", "is too long ago", expected=f"later than {now - seconds - leeway:.0f}", got=issued)
        return end

    return Rule("iat", f"it is no older than {seconds:g} s (± {leeway:g} s)", holds_until)


# --- what kind of token it is ------------------------------------------------------------------------

ACCESS_TOKEN_TYPES: frozenset[str | None] = frozenset({"at+jwt", "jwt", None})
"""The ``typ`` of access tokens: RFC 9068 §2.1, RFC 7519 §5.1, or none."""


def of_type(types: frozenset[str | None]) -> Rule:
    """Demand that the header's ``typ`` is one of *types*; None stands for no ``typ``."""
    allowed = frozenset(map(media_type, types))
    expected = sorted("(none)" if name is None else name for name in allowed)

    def holds_until(statement: Statement, _now: float) -> float:
        if statement.header.media_type not in allowed:
            raise ClaimRejected("typ", "is another kind of token", expected=expected, got=statement.header.typ)
        return FOREVER

    return Rule("typ", f"the type is {_one_of(expected)}", holds_until)


_OTHER_KINDS = {
    "at_hash": "an ID token",  # OpenID Connect Core §3.1.3.6
    "c_hash": "an ID token",  # OpenID Connect Core §3.3.2.11
    "hti-version": "an HTI launch token",
    "events": "a logout or security event token",  # RFC 8417 §2.2
    "htm": "a DPoP proof",  # RFC 9449 §4.2
    "htu": "a DPoP proof",
}
_OF_ACCESS_TOKENS = ("azp", "client_id", "cid", "scope", "scp")  # to whom it was issued, and what for
_KEYCLOAK_KINDS = {
    "id": "an ID token",
    "refresh": "a refresh token",
    "offline": "a refresh token",
    "logout": "a logout token",
}


def access_token(known_by: tuple[str, ...] = (), never: tuple[str, ...] = ()) -> Rule:
    """Demand that, where ``typ`` does not say ``at+jwt``, nothing in the token says that it is another kind.

    RFC 8725 §3.12.  A ``nonce`` alone proves nothing, since Keycloak keeps it in access tokens.  What is known of one
    issuer makes it certain: *known_by* are claims that all of its access tokens have and its ID tokens have not, and
    *never* those that its access tokens never have.
    """

    def holds_until(statement: Statement, _now: float) -> float:
        if statement.header.media_type == "at+jwt":
            return FOREVER
        values = statement.values
        kind = _other_kind(values, nonce=not known_by)
        if kind is None:
            kind = next(((claim, "an ID token") for claim in never if claim in values), None)
        if kind is not None:
            raise ClaimRejected(kind[0], f"says that this is {kind[1]}", expected="an access token", got=kind[1])
        missing = next((claim for claim in known_by if claim not in values), None)
        if missing is not None:
            got = "another kind of token, perhaps an ID token"
            raise ClaimRejected(missing, "is missing", expected="an access token", got=got)
        return FOREVER

    return Rule("kind", "it is an access token", holds_until, means=("access_token", known_by, never))


@cache  # always the same rule, so that a provider of ID tokens can be told by it
def id_token() -> Rule:
    """Demand that nothing in the token says that it is another kind than an ID token (OpenID Connect Core §2).

    Which login it was made for, nobody but the client can say: that is what ``nonce`` is for.
    """

    def holds_until(statement: Statement, _now: float) -> float:
        kind = _other_than_id(statement)
        if kind is not None:
            raise ClaimRejected(kind[0], f"says that this is {kind[1]}", expected="an ID token", got=kind[1])
        return FOREVER

    return Rule("kind", "it is an ID token", holds_until)


def _other_than_id(statement: Statement) -> tuple[str, str] | None:
    values = statement.values
    if statement.header.media_type == "at+jwt":
        return "typ", "an access token"
    for claim in ("scope", "scp"):
        if claim in values:
            return claim, "an access token"
    for claim in ("events", "hti-version", "htm", "htu"):
        if claim in values:
            return claim, _OTHER_KINDS[claim]
    return None


def _other_kind(values: Mapping[str, Any], *, nonce: bool) -> tuple[str, str] | None:
    if not values.keys().isdisjoint(_OTHER_KINDS):
        return next((claim, kind) for claim, kind in _OTHER_KINDS.items() if claim in values)
    said = values.get("typ")  # Keycloak says it in the payload
    if said is not None and said != "Bearer":
        if not isinstance(said, str):
            return "typ", "of no known kind"
        if said.lower() in _KEYCLOAK_KINDS:
            return "typ", _KEYCLOAK_KINDS[said.lower()]
    use = values.get("token_use", "access")  # Amazon Cognito
    if use != "access":
        return "token_use", "an ID token" if use == "id" else "of no known kind"
    if nonce and "nonce" in values and _is_for_a_login(values):
        return "nonce", "an ID token"
    if "sub" in values and values["sub"] == values.get("iss"):
        return "sub", "a client assertion"  # RFC 7523 §3: issued by the client about itself
    return None


def _is_for_a_login(values: Mapping[str, Any]) -> bool:
    """Say whether a token with a ``nonce`` is for the client itself, or says nothing that access tokens say."""
    party = values.get("azp")
    if party is not None and values.get("aud") in (party, [party]):
        return True
    return values.keys().isdisjoint(_OF_ACCESS_TOKENS)


def bearer_only() -> Rule:
    """Demand that the token is not bound to its sender, since nothing here could check that (RFC 7800)."""

    def holds_until(statement: Statement, _now: float) -> float:
        if "cnf" in statement.values:
            raise ClaimRejected("cnf", "binds the token to a key, which is not checked here")
        return FOREVER

    return Rule("cnf", "it is a plain bearer token", holds_until)


# --- all of these at once ----------------------------------------------------------------------------

_RARE = frozenset({"scp", "cnf", "nonce", "token_use", *_OTHER_KINDS})
"""Claims that need more than a glance."""


def usual(  # noqa: PLR0913 - what a provider is configured with
    *,
    types: frozenset[str | None],
    issuers: frozenset[str],
    audiences: frozenset[str],
    leeway: float,
    audience_claim: str = "aud",
    kind: Rule | None = None,
    exp_may_be_missing: bool = False,
) -> tuple[tuple[Rule, ...], Rule]:
    """Return what is demanded of every token, rule by rule, and one rule that demands all of it in less time.

    That one sees at a glance that they all hold, as they nearly always do; else it asks them one by one.  *kind* says
    what kind of token it must be, an access token unless it is given.  A token without ``exp`` gets that closer look
    also where *exp_may_be_missing*.
    """
    one_by_one = (
        well_typed(),
        of_type(types),
        issued_by(issuers),
        meant_for(audiences, audience_claim),
        not_expired(leeway, exp_may_be_missing=exp_may_be_missing),
        not_before(leeway),
        not_from_the_future(leeway),
        access_token() if kind is None else kind,
        bearer_only(),
    )
    glance = _glance(frozenset(map(media_type, types)), issuers, audiences, leeway)
    if audience_claim != "aud" or kind is not None:
        glance = _never

    def holds_until(statement: Statement, now: float) -> float:
        return glance(statement, now) or check(statement, one_by_one, now)

    return one_by_one, Rule("token", "it is from an issuer we trust, for us and for now", holds_until)


def _never(_statement: Statement, _now: float) -> float:
    return 0


def _glance(
    types: frozenset[str | None], issuers: frozenset[str], audiences: frozenset[str], leeway: float
) -> Callable[[Statement, float], float]:
    """Return a function that says until when all rules hold, 0 where that takes a closer look.

    Each line says no less than a rule does.  ``type(x) is str`` is what the interpreter does soonest.
    """

    def holds_until(statement: Statement, now: float) -> float:
        values = statement.values
        get = values.get
        issuer, audience, expires = get("iss"), get("aud"), get("exp")
        issued, begins, logged_in = get("iat", 0), get("nbf", 0), get("auth_time", 0)
        if (
            statement.header.media_type in types
            and type(issuer) is str
            and issuer in issuers
            and (
                audience in audiences
                if type(audience) is str
                else type(audience) is list and _only_texts(audience) and not audiences.isdisjoint(audience)
            )
            and type(expires) is int
            and type(issued) is type(begins) is type(logged_in) is int
            and 0 <= expires <= _LAST_DATE
            and expires + leeway > now
            and 0 <= issued <= _LAST_DATE
            and issued - leeway <= now
            and 0 <= begins <= _LAST_DATE
            and begins - leeway <= now
            and 0 <= logged_in <= _LAST_DATE
            and type(get("sub", "")) is str
            and type(get("azp", "")) is str
            and type(get("client_id", "")) is str
            and type(get("jti", "")) is str
            and type(get("sid", "")) is str
            and type(get("acr", "")) is str
            and type(get("scope", "")) is str
            and get("sub") != issuer
            and get("typ", "Bearer") == "Bearer"
            and values.keys().isdisjoint(_RARE)
        ):
            return expires + leeway
        return 0

    return holds_until


def _one_of(names: list[str]) -> str:
    return " or ".join(map(shown, names))
