"""What did not hold → what to do about it, in a sentence for the people who run the issuer, the client or the guard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ..errors import ClaimRejected, InsufficientScope, KeysUnavailable, MethodNotAllowed, SaltFailed, UnknownKey, shown
from ..tokens.algorithms import ASYMMETRIC, HMAC
from ..tokens.keys import KeySet

if TYPE_CHECKING:
    from ..credentials import Credentials
    from ..errors import GuardError
    from ..tokens.compact import Limits, UnverifiedToken

__all__ = [
    "about_algorithm",
    "about_claim",
    "about_decision",
    "about_issuer",
    "about_key",
    "about_signature",
    "about_text",
    "ago",
    "bare",
    "difference",
]

_SIGNED = 2  # dots in a signed token
_ENCRYPTED = 4  # dots in an encrypted one (RFC 7516 §7.1)
_DAY = 86_400
_HOUR = 3_600
_MINUTE = 60
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this is the year 5138; as milliseconds, 1973


# --- the text ----------------------------------------------------------------------------------------


def bare(text: str) -> str:
    """Return *text* without what comes along when a token is copied: blanks, quotes and the word Bearer."""
    before = None
    while text != before:
        before = text
        text = text.strip().strip("\"'`")
        if text[:7].lower() == "bearer ":
            text = text[7:]
    return "".join(text.split()) if text.count(".") == _SIGNED else text


def about_text(text: str, limits: Limits) -> str:
    """Say what *text*, which is no well-formed token, may be instead."""
    plain = bare(text)
    if plain != text and plain.count(".") == _SIGNED:
        return (
            "Leave out what was copied along with it: the word Bearer, quotes, blanks or line ends. "
            "What follows is about the token without them."
        )
    if plain.startswith("{"):
        return "This is a JSON document: send the value of its access_token alone."
    if "..." in plain or "\N{HORIZONTAL ELLIPSIS}" in plain:
        return "Whatever showed this token has shortened it: copy it from where it was issued."
    if len(plain) > limits.token:
        return "If your issuer makes tokens of this size, raise token under [limits]; fewer claims are better."
    dots = plain.count(".")
    if dots == _ENCRYPTED:
        return "This is an encrypted token (JWE): have the issuer sign its access tokens, not encrypt them."
    if not dots:
        return (
            "This is an opaque token, which only its issuer can read: have the issuer make JWT access tokens "
            "(some do so only if the request for the token names an audience)."
        )
    if dots < _SIGNED:
        return "A part is missing: the token was cut off."
    return "If it was copied by hand, a part may be missing: copy it again from where it was issued."


# --- whose it is -------------------------------------------------------------------------------------


def difference(got: str, expected: str) -> str | None:
    """Say in what two names differ that are nearly the same, or None where they are not."""
    if got.strip() == expected:
        return "a blank at one end"
    if got.rstrip("/") == expected.rstrip("/"):
        return "a slash at the end"
    if got.casefold() == expected.casefold():
        return "upper and lower case"
    ours, theirs = _parts(expected), _parts(got)
    if ours is None or theirs is None:
        return None
    differing = [name for name, part in ours.items() if theirs[name] != part]
    # The same host, or the same path on another one: a port or a proxy in between, seen from inside and outside.
    if "path" in differing and ("host" in differing or _parent(ours["path"]) != _parent(theirs["path"])):
        return None
    if "host" in differing and not ours["path"]:
        return None
    return " and ".join(differing) or None


def _parts(url: str) -> Mapping[str, str] | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.scheme or not parts.hostname:
        return None
    return {
        "http or https": parts.scheme,
        "host": parts.hostname,
        "port": str(port or ""),
        "path": parts.path.rstrip("/"),
    }


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def about_issuer(issuer: object, known: Iterable[str]) -> str:
    """Say what to do about an *issuer* that is none of the *known* ones."""
    if not isinstance(issuer, str) or not issuer:
        return "The token names no issuer: have the issuer write iss, or use another of its token formats."
    known = sorted(known)
    if any(expected.startswith(f"{issuer}/oauth2/") for expected in known):
        return _OKTA
    for expected in known:
        what = difference(issuer, expected)
        if what is not None:
            return (
                f"The token's issuer and the configured one differ in {what}, and they are compared exactly. "
                "If it is yours, configure issuer as the token has it, and say in discovery_url or jwks_url where to "
                "ask; or set the issuer's own public address (Keycloak: its hostname setting)."
            )
    return "Configure a provider with this issuer if you trust it, or get the token from one that is configured."


_OKTA = (
    "This is a token of Okta's org authorization server, which is for Okta alone and not for us: have the client get "
    "its token from the custom authorization server that is configured."
)


def about_algorithm(alg: str, allowed: Iterable[str]) -> str:
    """Say what to do about a token that is signed with *alg*, which is not *allowed*."""
    if alg.lower() == "none":
        return "The token is not signed, and never accepted."
    allowed = frozenset(allowed)
    if alg in HMAC and not allowed & HMAC.keys():
        return (
            "The token is signed with a shared secret: have the issuer sign with a key pair (RS256 or ES256), "
            "or configure the secret."
        )
    if alg in ASYMMETRIC and allowed & HMAC.keys():
        return "The token is signed with a key pair, but the provider is configured with a secret: configure its keys."
    if alg in ASYMMETRIC or alg in HMAC:
        return f"If the issuer means to use {alg}, it needs a fitting key, and a place in algorithms where that is set."
    return "This algorithm is not known here: have the issuer use RS256, ES256 or EdDSA."


# --- which key ---------------------------------------------------------------------------------------


def about_key(error: GuardError, keys: KeySet | None) -> str:
    """Say what to do where no key was found; *keys* are those that we have."""
    if isinstance(error, KeysUnavailable):
        return "See whether this machine reaches the issuer, over TLS it trusts, and that discovery works there."
    if isinstance(error, SaltFailed):
        return "See that the salt function knows these claims, and returns a secret that is long enough."
    if not isinstance(error, UnknownKey) or keys is None:
        return "See that the provider's keys are those the issuer signs with."
    for skipped in keys.skipped:
        if skipped.kid is not None and skipped.kid == error.kid:
            return f"The key is there, but cannot be used: {skipped.reason}."
    names = ", ".join(sorted({shown(key.kid) for key in keys.keys if key.kid is not None}))
    have = f"We have {names}" if names else "Our keys have no names"
    if error.kid is None:
        return f"The token does not say which key signed it, and not exactly one fits {shown(error.alg)}. {have}."
    if keys.names(error.kid):
        return f"The key of this name is not for {shown(error.alg)}: the issuer's key and its tokens disagree."
    return (
        f"{have}. The issuer may have rotated its keys: get a new token; if that has this kid too, the keys here are "
        "old, or another issuer's."
    )


def about_signature(signature: bytes) -> str:
    """Say what a *signature* that does not verify may come from."""
    if not signature:
        return "The signature is missing: the token was cut off, or never signed."
    return (
        "The token was changed or cut off after it was signed, or the issuer has another key by this name "
        "(a realm that was made anew, another environment)."
    )


# --- what it says ------------------------------------------------------------------------------------


def about_claim(error: ClaimRejected, token: UnverifiedToken, now: float) -> str | None:
    """Say what to do about a rule that does not hold."""
    if error.advice is not None:
        return error.advice
    if error.expected == "an access token":
        return f"This is {error.got}: send the access_token of the token response instead."
    if error.expected == "an ID token":
        return f"This is {error.got}: send the id_token of the token response instead, as this provider expects."
    if error.claim == "cnf":
        return (
            "The client asked for a token bound to a key (DPoP or mTLS), which is not checked by this version: "
            "turn that off for this client."
        )
    if error.claim == "typ":
        if token.header.media_type == "okta-internal-at+jwt":
            return _OKTA
        return (
            "If the issuer writes this type into its access tokens, name it in typ; "
            "if not, another kind of token was sent (an ID token, perhaps)."
        )
    if error.claim in ("exp", "nbf", "iat", "auth_time"):
        return _about_time(error, now)
    if error.expected is not None:
        return _about_audience(error, token.values)
    if error.claim == "sub":
        return "Have the issuer write sub (Keycloak: the client scope basic has it; a lightweight token has not)."
    return f"Have the issuer write {shown(error.claim)} into its access tokens, as its type says."


def _about_time(error: ClaimRejected, now: float) -> str:
    moment = error.got
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return f"Have the issuer write {error.claim} as a number of seconds since 1970."
    if moment > _MILLISECONDS_FROM:
        return f"That looks like milliseconds: have the issuer write {error.claim} in seconds."
    apart = abs(now - moment)
    if error.claim == "exp" or moment < now:
        return f"Get a new token: this one expired {_span(apart)} ago. If it is new, the two clocks differ: {_CLOCKS}"
    if apart < _DAY:
        return f"The issuer's clock is {_span(apart)} ahead of the one here: {_CLOCKS}"
    return f"It is {_span(apart)} ahead: see what the issuer means by that, and what date it is here."


_CLOCKS = "set both by NTP; if it is whole hours, somebody took local time for UTC."


def ago(moment: object, now: float) -> str:
    """Return how far the date *moment* is from *now*, or nothing where it is no date."""
    if isinstance(moment, bool) or not isinstance(moment, int | float) or not 0 <= moment < _MILLISECONDS_FROM:
        return ""
    return f"{_span(now - moment)} ago" if moment <= now else f"in {_span(moment - now)}"


def _span(seconds: float) -> str:
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _about_audience(error: ClaimRejected, values: Mapping[str, Any]) -> str:
    got = error.got if isinstance(error.got, list) else [error.got]
    expected = error.expected if isinstance(error.expected, list) else []
    for named in got:
        for wanted in expected:
            what = difference(str(named), str(wanted))
            if what is not None:
                return f"It differs from ours in {what}, and audiences are compared exactly."
    if error.got in (None, [], ""):
        return f"The token is for nobody in particular. {_MAPPER}"
    if error.claim != "aud":
        return "The token was issued to another client: name it in the configuration if its tokens are for us."
    clients = {values.get(name) for name in ("azp", "client_id", "cid") if isinstance(values.get(name), str)}
    if not _GRAPH.isdisjoint(str(named) for named in got):
        return "This is a token for Microsoft Graph: have the client ask for a scope of this API (api://ID/SCOPE)."
    if "account" in got:
        return f"'account' is what a fresh Keycloak writes. {_MAPPER}"
    if any(isinstance(named, str) and named in clients for named in got):
        return f"That is the client's own id, so this may be an ID token, or a token that names no API. {_MAPPER}"
    return f"The token is meant for somebody else. {_MAPPER}"


_GRAPH = frozenset({"00000003-0000-0000-c000-000000000000", "https://graph.microsoft.com"})
_MAPPER = (
    "Have the issuer name this API in aud (Keycloak: an audience mapper in a client scope; "
    "others: ask for the audience or resource with the token)."
)


# --- whether it is enough ----------------------------------------------------------------------------


def about_decision(error: GuardError, credentials: Credentials) -> str | None:
    """Say what would let this request in."""
    if isinstance(error, MethodNotAllowed):
        return f"The route has {', '.join(sorted(error.allowed))} only: use one of them, or add the method to a route."
    if isinstance(error, InsufficientScope):
        missing = sorted(error.required - credentials.scopes)
        if missing:
            names = shown(" ".join(missing))
            return f"Have the client ask for {names} with its token, and the issuer grant that to the client."
        return "Give the caller what the route asks for, or add a route that lets it in."
    return None
