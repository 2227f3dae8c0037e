"""The text of a token → what its issuer says about it now (RFC 7662), asked once and kept for a little while.

Only a hash of a token is kept, and what cannot be told is never a yes.  Answers that are in hand are given at once;
for others one question is under way at a time for each token, and whoever brings that token meanwhile waits for it.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote_plus, urlencode

from ..errors import GuardError, InvalidToken, Misconfigured, Unavailable
from ..flow import Fetch, Flow, alone, fetch
from ..tokens.strict_json import NotStrictJson, json_object
from .address import why_not
from .jwks import KeySettings

if TYPE_CHECKING:
    from ..flow import Reply

__all__ = ["Answer", "Introspection", "introspection"]

E = TypeVar("E", "Answer", "_Refusal")

_OK = 200
_BAD_REQUEST = 400
_DOTS_OF_A_SIGNED_TOKEN = 2
_REFUSES_US = frozenset({401, 403})
_DEPTH = 32
_LIMIT = 65_536  # octets of an answer
_MOST_OCTETS = 16_777_216  # of all answers together
_ROUNDS = 2  # the question we wait for may have been asked before we came
_PAUSE = 1.0  # seconds after a failure in which nobody asks about the same token again
_IN_A_ROW = 3  # failures after which nobody asks at all for so long: the issuer is down, and each would wait in vain
_AT_ONCE = 64  # questions under way: whoever makes tokens up can have no more asked at a time
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
_NEVER = -float("inf")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the issuer said of a token that is active."""

    values: Mapping[str, Any] = field(repr=False)
    since: float
    """When it was asked, by the clock of the introspection."""
    until: float
    """Until when the answer counts."""
    octets: int = 0


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why a token is not taken; None where the issuer said that it is not active, else why nobody can tell."""

    reason: str | None
    since: float
    until: float
    octets: int = 0

    def error(self) -> GuardError:
        """Return a new error each time: one that is raised twice would keep what both callers had in hand."""
        if self.reason is None:
            return InvalidToken("its issuer says that the token is not active")
        return Unavailable(f"the issuer cannot be asked about the token: {self.reason}")


class Introspection:
    """Whom to ask about tokens, and as which client; made by :func:`introspection`."""

    def __init__(  # noqa: PLR0913 - what introspection() has checked
        self,
        url: str,
        credentials: Callable[[], tuple[Mapping[str, str], Mapping[str, str]]],
        settings: KeySettings,
        *,
        name: tuple[object, ...] = (),
        opaque: bool = True,
        jwts: bool = False,
        aud_may_be_missing: bool = False,
        token_type_may_be_missing: bool = False,
        kept_for: float = 30.0,
        refused_for: float = 5.0,
        most: int = 16_384,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """*credentials* gives headers and parameters that say who asks; *name* is all of this, to be compared."""
        self.url: Final = url
        self.opaque: Final = opaque
        """Whether it is asked about tokens that only the issuer can read."""
        self.jwts: Final = jwts
        """Whether it is asked about signed tokens, too, once everything else about them holds."""
        self.aud_may_be_missing: Final = aud_may_be_missing
        self.token_type_may_be_missing: Final = token_type_may_be_missing
        self._credentials: Final = credentials
        self._settings: Final = settings
        self._name: Final = name
        self._kept_for: Final = kept_for
        self._refused_for: Final = refused_for
        self._most: Final = most
        self._clock: Final = clock
        self._answers: Final[dict[bytes, Answer]] = {}
        self._refusals: Final[dict[bytes, _Refusal]] = {}  # apart: who makes tokens up drives no answer out
        self._octets = 0
        self._asking: dict[object, float] = {}
        self._failures = 0
        self._not_before = _NEVER

    def is_like(self, other: Introspection) -> bool:
        """Say whether *other* would ask the same, as the same client, and keep its answers for as long."""
        return self is other or self._name == other._name != ()

    def known(self, text: str) -> Answer | None:
        """Return what is known of the token *text* without asking, None where nothing is.

        Raises InvalidToken for one that was not active a moment ago, and Unavailable where asking has just failed.
        """
        return self._found(_hash(text), self._clock())

    def left(self, answer: Answer) -> float:
        """Return for how many seconds *answer* still counts."""
        return max(0.0, answer.until - self._clock())

    def ask(self, text: str, now: float) -> Flow[Answer]:
        """Return what the issuer says of the token *text*; *now* are seconds since the epoch, to compare ``exp`` with.

        Raises InvalidToken for one that is not active (RFC 7662 §2.2), and Unavailable where that cannot be told.
        """
        name, came = _hash(text), self._clock()
        for _ in range(_ROUNDS):
            at = self._clock()
            answer = self._found(name, at, came)
            if answer is not None:
                return answer
            yield from alone((self, name), partial(self._ask, name, text, now, came), self._left_of(came, at))
        answer = self._found(name, self._clock(), came)
        if answer is None:
            raise Unavailable("the issuer cannot be asked about the token: no answer in time")
        return answer

    def _found(self, name: bytes, at: float, came: float = float("inf")) -> Answer | None:
        """Return or raise what is known, and counts *at* that time or was asked since somebody *came*."""
        entry = self._entry(name, at, came)
        if isinstance(entry, _Refusal):
            raise entry.error()
        return entry

    def _entry(self, name: bytes, at: float, came: float) -> Answer | _Refusal | None:
        answer, refusal = self._answers.get(name), self._refusals.get(name)
        for entry in (answer, refusal):
            if entry is not None and (at < entry.until or entry.since >= came):
                return entry
        return None

    def _left_of(self, came: float, at: float) -> float:
        return max(0.0, self._settings.timeout - (at - came))

    # --- what runs for one caller at a time, of each token -----------------------------------------------

    def _ask(self, name: bytes, text: str, now: float, came: float) -> Flow[None]:
        since = self._clock()
        if self._entry(name, since, came) is not None:
            return  # the question before this one was answered while this one began
        try:
            values, octets = yield from self._answered(text, since, self._left_of(came, since))
        except Unavailable as error:
            self._hold(self._refusals, name, _Refusal(str(error), since, self._clock() + _PAUSE))
            self._drop(self._answers, name)
            return
        if values is None:
            self._hold(self._refusals, name, _Refusal(None, since, since + self._refused_for))
            self._drop(self._answers, name)
            return
        expires, seconds = values.get("exp"), self._kept_for
        if isinstance(expires, int | float):  # what is no date at all, the guard refuses
            seconds = min(seconds, max(0.0, expires - now))
        self._hold(self._answers, name, Answer(values, since, since + seconds, octets))
        self._drop(self._refusals, name)

    def _answered(self, text: str, since: float, seconds: float) -> Flow[tuple[dict[str, Any] | None, int]]:
        """Return the answer and its length, None for a token that is not active; raises Unavailable."""
        if since < self._not_before:
            raise Unavailable("it has not answered of late")
        self._asking = {question: end for question, end in self._asking.items() if since < end}
        if len(self._asking) >= _AT_ONCE:
            raise Unavailable(f"{_AT_ONCE} questions are under way")
        question = object()
        self._asking[question] = since + seconds  # a process that was forked meanwhile forgets it by then, too
        try:
            reply = yield from fetch(self._question(text, seconds))
        except Unavailable:
            self._failures += 1
            if self._failures >= _IN_A_ROW:
                self._not_before = self._clock() + _PAUSE
            raise
        finally:
            self._asking.pop(question, None)
        self._failures = 0
        return _read(reply, is_signed=text.count(".") == _DOTS_OF_A_SIGNED_TOKEN), len(reply.body)

    def _question(self, text: str, seconds: float) -> Fetch:
        try:
            headers, parameters = self._credentials()
        except Exception as error:  # noqa: BLE001 - a function that makes assertions may be the user's
            raise Unavailable(f"the client assertion raised {type(error).__name__}") from None
        sent = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded", **headers}
        body = urlencode({"token": text, "token_type_hint": "access_token", **parameters}).encode("ascii")
        return Fetch(self.url, sent, seconds, _LIMIT, self._settings.trust, body)

    def _hold(self, entries: dict[bytes, E], name: bytes, entry: E) -> None:
        """Hold *entry*, and no more than there is room for: what was asked about longest ago goes."""
        self._drop(entries, name)
        entries[name] = entry
        self._octets += entry.octets
        while len(entries) > self._most or (entry.octets and self._octets > _MOST_OCTETS):
            self._drop(entries, next(iter(entries)))

    def _drop(self, entries: dict[bytes, E], name: bytes) -> None:
        entry = entries.pop(name, None)
        if entry is not None:
            self._octets -= entry.octets


def introspection(  # noqa: PLR0913 - what can be said of an endpoint
    url: str,
    *,
    client_id: str,
    client_secret: str | None = None,
    assertion: Callable[[], str] | None = None,
    opaque: bool = True,
    jwts: bool = False,
    aud_may_be_missing: bool = False,
    token_type_may_be_missing: bool = False,
    kept_for: float = 30.0,
    refused_for: float = 5.0,
    most: int = 16_384,
    settings: KeySettings | None = None,
) -> Introspection:
    """Return what asks the endpoint at *url* about tokens (RFC 7662), for the field of that name of a Provider.

    We are *client_id* there, by *client_secret* (``client_secret_basic``), or by what *assertion* makes for each
    question (``private_key_jwt``; see :func:`jwt_guard.issuing.assertion.assertions`).
    *opaque* are tokens that only the issuer can read; with *jwts* signed ones are asked about, too.
    A yes counts for *kept_for* seconds, and no longer than the token; a no for *refused_for*.  At most *most* of each
    are kept.  An answer must say ``aud`` and ``token_type``, unless they may be missing.
    Of *settings* the timeout and how servers are reached count.  Raises Misconfigured.
    """
    settings = settings or KeySettings()
    reason = why_not(url, settings.plain_http_hosts)
    if reason is not None:
        raise Misconfigured(f"introspection: the URL cannot be asked: {reason}")
    if not _is_text(client_id):
        raise Misconfigured("introspection: client_id is a text that is not empty")
    if (client_secret is None) == (assertion is None):
        raise Misconfigured("introspection: say who asks by client_secret or by assertion, one of them")
    if client_secret is not None and not _is_text(client_secret):
        raise Misconfigured("introspection: client_secret is a text that is not empty")
    if assertion is not None and not callable(assertion):
        raise Misconfigured("introspection: assertion is a function that makes one")
    flags = (opaque, jwts, aud_may_be_missing, token_type_may_be_missing)
    if not all(isinstance(flag, bool) for flag in flags):
        raise Misconfigured("introspection: opaque, jwts and what may be missing are True or False")
    if not (opaque or jwts):
        raise Misconfigured("introspection: it is for opaque tokens, for jwts, or for both")
    for seconds in (kept_for, refused_for):
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
            raise Misconfigured("introspection: kept_for and refused_for are numbers of seconds, 0 or more")
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise Misconfigured("introspection: most is a whole number above 0")
    return Introspection(
        url,
        partial(_by_secret, client_id, client_secret)
        if assertion is None
        else partial(_by_assertion, client_id, assertion),
        settings,
        name=(url, client_id, client_secret, assertion, settings, *flags, kept_for, refused_for, most),
        opaque=opaque,
        jwts=jwts,
        aud_may_be_missing=aud_may_be_missing,
        token_type_may_be_missing=token_type_may_be_missing,
        kept_for=kept_for,
        refused_for=refused_for,
        most=most,
    )


def _by_secret(client_id: str, client_secret: str | None) -> tuple[Mapping[str, str], Mapping[str, str]]:
    # RFC 6749 §2.3.1: both are form-encoded first.
    pair = f"{quote_plus(client_id)}:{quote_plus(client_secret or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode('ascii')).decode('ascii')}"}, {}


def _by_assertion(client_id: str, make: Callable[[], str]) -> tuple[Mapping[str, str], Mapping[str, str]]:
    # RFC 7521 §4.2: client_id need not be there, but some servers look the client up by it.
    parameters = {"client_id": client_id, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": make()}
    return {}, parameters


def _read(reply: Reply, *, is_signed: bool) -> dict[str, Any] | None:
    """Return what *reply* says of an active token, None for another one (RFC 7662 §2.2); raises Unavailable."""
    if reply.status == _BAD_REQUEST and not is_signed and _is_unsupported(reply.body):
        return None  # else anybody could make a token that nobody can tell about
    if reply.status in _REFUSES_US:  # RFC 7662 §2.3
        raise Unavailable(f"it was answered with {reply.status}, so it does not know who asks, or lets them not ask")
    if reply.status != _OK:
        raise Unavailable(f"it was answered with {reply.status}")
    try:
        values = json_object(reply.body, _DEPTH)
    except NotStrictJson as error:
        raise Unavailable(f"the answer {error}") from None
    active = values.get("active")
    if not isinstance(active, bool):
        raise Unavailable("the answer does not say whether the token is active")
    return values if active else None


def _is_unsupported(body: bytes) -> bool:
    """Say whether the issuer does not look at tokens of this kind (RFC 7009 §2.2.1), such as encrypted ones."""
    try:
        return json_object(body, _DEPTH).get("error") == "unsupported_token_type"
    except NotStrictJson:
        return False


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value) and value == value.strip()
