"""Issuer → where its keys are: OpenID Connect Discovery 1.0 and RFC 8414."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from ..errors import FetchFailed, Misconfigured, shown
from ..flow import Fetch, Flow, fetch
from ..tokens.strict_json import NotStrictJson, json_object
from .address import why_not
from .jwks import KeySettings, RemoteKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Discovery", "discovered", "well_known"]

_DEPTH = 16
_LIMIT = 262_144
_ASK_AGAIN_AFTER = 3_600.0  # seconds for which an issuer's word on where its keys are is taken
_WELL_KNOWN = "/.well-known/"
_OPENID = "openid-configuration"
_OAUTH = "oauth-authorization-server"


def discovered(
    issuers: str | Iterable[str],
    url: str | None = None,
    settings: KeySettings | None = None,
    *,
    also: Iterable[str] = (),
) -> RemoteKeys:
    """Return a source of the keys that the issuer's metadata points to.

    *url* is where to ask if not the issuer itself, and *also* are further documents, asked where those have nothing;
    whichever it is must still name one of *issuers*.
    Raises Misconfigured for several issuers without *url*, and for a URL that may not be asked.
    """
    settings = settings or KeySettings()
    issuers = frozenset((issuers,) if isinstance(issuers, str) else issuers)
    if url is None:
        if len(issuers) != 1:
            raise Misconfigured("several issuers: say where their keys are (discovery_url, jwks_url or keys)")
        (url,) = issuers
    also = tuple(also)
    for each in (url, *also):
        reason = why_not(each, settings.plain_http_hosts)
        if reason is not None:
            raise Misconfigured(f"discovery: {shown(each)} cannot be asked for its keys: {reason}")
    places = tuple(dict.fromkeys((*well_known(url), *also)))
    name = " ".join(("discovery", places[0], *sorted(issuers), *also))
    return RemoteKeys(Discovery(issuers, places, settings), settings, name=name)


def well_known(url: str) -> tuple[str, ...]:
    """Return where the metadata of the issuer at *url* may be, most likely first.

    OpenID Connect Discovery §4 appends to the issuer's path; RFC 8414 §3.1 inserts before it, and §5 allows
    the OpenID suffix there too.  A *url* that already is one of these stands for itself.
    """
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if _WELL_KNOWN in parts.path:
        return (url,)
    paths = (
        f"{path}{_WELL_KNOWN}{_OPENID}",
        f"{_WELL_KNOWN}{_OAUTH}{path}",
        f"{_WELL_KNOWN}{_OPENID}{path}",
    )
    return tuple(dict.fromkeys(urlunsplit((parts.scheme, parts.netloc, each, "", "")) for each in paths))


class Discovery:
    """Says where the keys are: asks the issuer, and remembers its answer for an hour."""

    def __init__(
        self,
        issuers: frozenset[str],
        urls: tuple[str, ...],
        settings: KeySettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuers = issuers
        self._urls = urls
        self._settings = settings
        self._clock = clock
        self._jwks_uri: str | None = None
        self._asked = -float("inf")

    def __call__(self, afresh: bool, seconds: float) -> Flow[str]:  # noqa: FBT001 - a Locate
        """Return the ``jwks_uri``; *afresh* where the one last given did not work.  Raises FetchFailed.

        *seconds* are for the metadata and the keys together.
        """
        known, now = self._jwks_uri, self._clock()
        if known is not None and not afresh and now - self._asked < _ASK_AGAIN_AFTER:
            return known
        # Where an answer is known, half of the time is left for the keys: metadata that hangs moves no keys either.
        patience = seconds / (1 if known is None else 2)
        try:
            self._jwks_uri = yield from self._ask(now + patience)
        except FetchFailed:
            if known is None:
                raise
            return known  # metadata that cannot be had moves no keys
        self._asked = now
        return self._jwks_uri

    def _ask(self, end: float) -> Flow[str]:
        failure: FetchFailed | None = None
        for url in self._urls:
            remaining = end - self._clock()
            if failure is not None and remaining <= 0:
                break
            need = Fetch(url, {"Accept": "application/json"}, remaining, _LIMIT, self._settings.trust)
            try:
                reply = yield from fetch(need)
            except FetchFailed as error:  # an authorization server may send strangers to its login page
                failure = failure or error
                continue
            if reply.status == 200:  # noqa: PLR2004 - nothing else has a body worth reading
                try:
                    return self._read(url, reply.body)
                except FetchFailed as error:
                    failure = error  # the other place may have the better document
            elif failure is None:
                failure = FetchFailed(url, f"the metadata was answered with {reply.status}")
        raise failure or FetchFailed(self._urls[0], "there is no metadata")

    def _read(self, url: str, body: bytes) -> str:
        try:
            document = json_object(body, _DEPTH)
        except NotStrictJson as error:
            raise FetchFailed(url, f"the metadata {error}") from None
        issuer = document.get("issuer")
        if not isinstance(issuer, str) or issuer not in self._issuers:  # RFC 8414 §3.3
            expected = " or ".join(map(shown, sorted(self._issuers)))
            raise FetchFailed(url, f"the metadata names the issuer {shown(issuer)}, not {expected}")
        jwks_uri = document.get("jwks_uri")
        # An issuer elsewhere must not aim us at what listens on our own machine.
        plain = url.startswith("http:")
        reason = why_not(jwks_uri, self._settings.plain_http_hosts, loopback=plain)
        if reason is not None:
            raise FetchFailed(url, f"the metadata's jwks_uri cannot be asked: {reason}")
        return str(jwks_uri)
