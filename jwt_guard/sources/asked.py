"""A signed token whose keys we are not to know + the server that we may ask about it → a Key for that token alone.

That is how Koppeltaal has it (TOP-KT-021): the keys of its applications are known to the domain, which says of a token
whether it is active (RFC 7662).  All that can be seen of the token itself is looked at before anybody is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from ..errors import FetchFailed, InvalidToken, Misconfigured
from ..flow import Fetch, Trust, call, fetch
from ..tokens.compact import to_base64url
from ..tokens.keys import Key
from ..tokens.strict_json import NotStrictJson, json_object
from .address import why_not

if TYPE_CHECKING:
    from collections.abc import Collection

    from ..flow import Flow
    from ..tokens.compact import UnverifiedToken

__all__ = ["Asked", "asked_of"]

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"  # RFC 7523 §2.2
_HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
_OK = 200
_LIMIT = 65_536
_DEPTH = 32
_SAME = ("iss", "sub", "aud", "exp", "iat", "jti")
"""What an answer cannot say of the token in other words than the token itself."""


class Asked:
    """A key source that asks about each token: made by :func:`asked_of`."""

    __slots__ = ("_assertion", "_deadline", "_trust", "_url")
    remembered = False
    """The next answer may be another one."""

    def __init__(self, url: str, assertion: Callable[[], Any], deadline: float, trust: Trust) -> None:
        self._url = url
        self._assertion = assertion
        self._deadline = deadline
        self._trust = trust

    def __repr__(self) -> str:
        return f"asked_of({self._url!r})"

    def __call__(self, token: UnverifiedToken) -> Flow[Key]:
        """Return a key that vouches for *token* and for no other.

        Raises InvalidToken where the server says that it is not active, and FetchFailed where it does not say.
        """
        text = f"{token.signing_input.decode('ascii')}.{to_base64url(token.signature)}"
        answer = yield from self._answer(text)
        active = answer.get("active")
        if active is False:
            raise InvalidToken("the server that was asked says that it is not active")
        if active is not True:
            raise FetchFailed(self._url, "the answer does not say whether the token is active")
        if any(name in answer and _plain(answer[name]) != _plain(token.values.get(name)) for name in _SAME):
            raise FetchFailed(self._url, "the answer is about another token")
        vouched = token.signing_input, token.signature
        return Key(token.kid, {token.alg: lambda *said: said == vouched})

    def _answer(self, text: str) -> Flow[Mapping[str, Any]]:
        assertion = yield from call(self._assertion)
        if not isinstance(assertion, str):
            message = "assertion is a function that returns a client assertion"
            raise TypeError(message)
        form = {"token": text, "client_assertion_type": _ASSERTION_TYPE, "client_assertion": assertion}
        body = urlencode(form).encode("ascii")
        reply = yield from fetch(Fetch(self._url, _HEADERS, self._deadline, _LIMIT, self._trust, body))
        if reply.status != _OK:
            raise FetchFailed(self._url, f"the question was answered with {reply.status}")
        try:
            return json_object(reply.body, _DEPTH)
        except NotStrictJson as error:
            raise FetchFailed(self._url, f"the answer {error}") from None


def asked_of(
    url: str,
    assertion: Callable[[], Any],
    *,
    timeout: float = 5,
    plain_http_hosts: Collection[str] = (),
    trust: Trust | None = None,
) -> Asked:
    """Return a source of keys for tokens that the introspection endpoint at *url* says are active.

    *assertion* makes what we authenticate with, a new one for each question:
    ``jwt_guard.issuing.assertion.assertions(key, client_id, audience)``; it may be ``async``.  *timeout* is in seconds,
    for a whole answer.  Whoever can bring tokens that look good can have the server asked, once for each.
    Raises Misconfigured.
    """
    reason = why_not(url, plain_http_hosts)
    if reason is not None:
        raise Misconfigured(f"asked_of: the URL cannot be asked: {reason}")
    if not callable(assertion):
        raise Misconfigured("asked_of: assertion is a function that makes a client assertion")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
        raise Misconfigured("asked_of: timeout is a number of seconds above 0")
    return Asked(url, assertion, timeout, trust or Trust())


def _plain(audience: object) -> object:
    """Return *audience* without the list that one alone may stand in (RFC 7519 §4.1.3)."""
    return audience[0] if isinstance(audience, list) and len(audience) == 1 else audience
