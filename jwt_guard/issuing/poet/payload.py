"""The payload of an endorsement → everything that is wrong with it, field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeGuard
from urllib.parse import urlsplit

from ...errors import ClaimRejected
from ...tokens.claims import FOREVER, Rule, has_control
from .host import why_no_host

if TYPE_CHECKING:
    from ...tokens.claims import Statement

__all__ = ["PayloadRejected", "Problem", "endorsement", "problems"]

_LAST_DATE = 253_402_300_799  # the end of the year 9999, as for every other token
_AUTH_METHODS = ("none", "client_secret_post", "client_secret_basic")
_GRANT_TYPES = ("authorization_code", "implicit", "password", "client_credentials", "refresh_token")
_RUN_BY_BROWSERS = frozenset({"about", "blob", "data", "file", "javascript", "vbscript"})
_WEB = frozenset({"http", "https"})


class Problem(NamedTuple):
    """What is wrong with one field; never its value."""

    claim: str
    reason: str

    def __str__(self) -> str:
        """Return it as a part of a sentence."""
        return f"{self.claim} {self.reason}"


class PayloadRejected(ClaimRejected):
    """The payload is not one of an endorsement."""

    def __init__(self, found: tuple[Problem, ...]) -> None:
        super().__init__(found[0].claim, "; ".join(map(str, found)))
        self.problems = found
        """All that is wrong with it; :attr:`claim` is the first."""

    def __str__(self) -> str:
        return f"this is no payload of POET: {self.reason}"


Check: TypeAlias = Callable[[object], "str | None"]
"""A value → why it is none for this field, or None."""


def problems(payload: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return all that is wrong with *payload* by the README of POET; empty where nothing is.

    An application without OAuth has ``[]``, ``""``, ``none`` and ``[]`` for ``redirect_uris``, ``scope``,
    ``token_endpoint_auth_method`` and ``grant_types``; any other has a URI at least.  Further fields are nobody's
    business here (RFC 7591 §2).
    """
    found = [Problem(name, "is missing") for name in _REQUIRED if name not in payload]
    for name, check in (*_REQUIRED.items(), *_OPTIONAL.items()):
        if name in payload:
            reason = check(payload[name])
            if reason is not None:
                found.append(Problem(name, reason))
    wrong = {problem.claim for problem in found}
    if wrong.isdisjoint({"iat", "exp"}) and payload["exp"] <= payload["iat"]:
        found.append(Problem("exp", "is not after iat"))
    if wrong.isdisjoint(_OF_OAUTH):
        found.extend(_of_oauth(payload))
    return tuple(found)


def endorsement() -> Rule:
    """Demand a payload of POET."""

    def holds_until(statement: Statement, _now: float) -> float:
        found = problems(statement.values)
        if found:
            raise PayloadRejected(found)
        return FOREVER

    return Rule("payload", "it is an endorsement of an application", holds_until)


# Nothing but this much is said of an application that takes no part in OAuth.
_OF_OAUTH: Mapping[str, object] = {
    "redirect_uris": [],
    "scope": "",
    "token_endpoint_auth_method": "none",
    "grant_types": [],
}


def _of_oauth(payload: Mapping[str, Any]) -> list[Problem]:
    if all(payload[name] == value for name, value in _OF_OAUTH.items()):
        return []
    found: list[Problem] = []
    if not payload["redirect_uris"]:
        found.append(Problem("redirect_uris", "is empty, though other fields speak of OAuth"))
    if not payload["grant_types"]:
        found.append(Problem("grant_types", "is empty, though other fields speak of OAuth"))
    return found


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return "is no text"
    return "has a control character in it" if has_control(value) else None


def _words(value: object) -> str | None:
    reason = _text(value)
    return reason or (None if str(value).strip() else "is empty")


def _host(value: object) -> str | None:
    reason = why_no_host(value)
    return None if reason is None else f"is no host name: {reason}"


def _date(value: object) -> str | None:
    is_date = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST_DATE
    return None if is_date else "is no whole number of seconds since 1970"


def _auth_method(value: object) -> str | None:
    return None if isinstance(value, str) and value in _AUTH_METHODS else f"is not one of {', '.join(_AUTH_METHODS)}"


def _grant_types(value: object) -> str | None:
    if not _are_texts(value):
        return "is no list of texts"
    if not set(value).issubset(_GRANT_TYPES):
        return f"has one that is not of {', '.join(_GRANT_TYPES)}"
    return None


def _redirect_uris(value: object) -> str | None:
    if not _are_texts(value):
        return "is no list of texts"
    reasons = (_why_not_redirected_to(uri) for uri in value)
    return next((f"has a URI that {reason}" for reason in reasons if reason is not None), None)


def _are_texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _why_not_redirected_to(uri: str) -> str | None:
    """RFC 6749 §3.1.2: absolute, without a fragment; an application on a device may have a scheme of its own."""
    scheme = _scheme(uri)
    if scheme is None:
        return "is not absolute"
    if scheme in _RUN_BY_BROWSERS:
        return "no browser should be sent to"
    if "#" in uri:
        return "has a fragment"
    return None if scheme not in _WEB or _names_a_host(uri) else "names no host, or a user"


def _page(value: object) -> str | None:
    if not isinstance(value, str):
        return "is no text"
    return None if _scheme(value) in _WEB and _names_a_host(value) else "is no http or https URL"


def _scheme(uri: str) -> str | None:
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri:
        return None
    try:
        return urlsplit(uri).scheme or None
    except ValueError:
        return None


def _names_a_host(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc


_REQUIRED: Mapping[str, Check] = {
    "client_name": _words,
    "iss": _host,
    "iat": _date,
    "exp": _date,
    "redirect_uris": _redirect_uris,
    "scope": _text,
    "token_endpoint_auth_method": _auth_method,
    "grant_types": _grant_types,
}
_OPTIONAL: Mapping[str, Check] = {
    "software_id": _words,
    "client_uri": _page,
    "logo_uri": _page,
    "initiate_login_uri": _page,
}
