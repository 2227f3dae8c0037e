"""A URL → the key set that is published there now: asked with what we know of it, read strictly."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import FetchFailed
from ..flow import Fetch, Flow, fetch
from ..tokens.keys import KeySet, KeyUnusable, key_set_from_jwks
from .freshness import entity_tag, freshness

if TYPE_CHECKING:
    from ..flow import Trust

__all__ = ["Published", "Question", "published"]

_LIMIT = 262_144  # octets: 50 KB were measured to be too few for an issuer with certificates in its set
_OK, _NOT_MODIFIED = 200, 304


@dataclass(frozen=True, slots=True)
class Published:
    """A key set as its issuer published it."""

    keys: KeySet
    body: bytes = field(repr=False)
    """What the keys were read from, for others to read."""
    url: str
    etag: str | None
    """What to ask with whether it has changed; None also for a set that we did not fetch ourselves."""
    fresh_for: float
    """Seconds from *fetched*."""
    fetched: float
    """By the clock of the source."""
    name: str = field(default_factory=lambda: secrets.token_hex(8))
    """What this very answer is called among those who share it."""

    def age(self, now: float) -> float:
        """Return its seconds at *now*."""
        return max(0.0, now - self.fetched)


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask, and how."""

    url: str
    deadline: float
    """Seconds for the whole answer."""
    trust: Trust
    fresh_for: float
    """Seconds, where the issuer does not say."""
    known: Published | None = None
    """What was published before: there, or elsewhere, as long as it is the same issuer's."""
    afresh: bool = False
    """True: an answer that nothing has changed would not do, since somebody names a key that we do not know."""


def published(question: Question, now: float) -> Flow[Published]:
    """Return what is published, as fetched at *now* by the caller's clock; raises FetchFailed."""
    known = question.known
    headers = {"Accept": "application/jwk-set+json, application/json"}
    if known is not None and known.url == question.url and known.etag is not None and not question.afresh:
        headers["If-None-Match"] = known.etag
    reply = yield from fetch(Fetch(question.url, headers, question.deadline, _LIMIT, question.trust))
    if reply.status == _NOT_MODIFIED and known is not None and "If-None-Match" in headers:
        # RFC 9111 §4.3.4: what the answer does not say again still holds.
        fresh_for = freshness(reply.headers, question.fresh_for, known.fresh_for)
        return Published(known.keys, known.body, known.url, entity_tag(reply.headers) or known.etag, fresh_for, now)
    if reply.status != _OK:
        raise FetchFailed(question.url, f"the key set was answered with {reply.status}")
    try:
        keys = key_set_from_jwks(reply.body, known=None if known is None else known.keys)
    except KeyUnusable as error:
        raise FetchFailed(question.url, str(error)) from None
    fresh_for = freshness(reply.headers, question.fresh_for)
    return Published(keys, reply.body, question.url, entity_tag(reply.headers), fresh_for, now)
