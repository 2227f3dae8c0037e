"""The form of a client that wants a token for its own sake → an access token, or the OAuth error.

The one grant is ``client_credentials`` (RFC 6749 §4.4), as SMART Backend Services have it, too: there is nobody here
to log in, and so there are no codes, no refresh tokens and no ID tokens.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured, shown
from .client_authentication import Client, Clients
from .form_app import NOT_A_POST, not_kept
from .issuer import Issuer
from .oauth_form import OAuthError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..flow import Flow
    from ..messages import Response

__all__ = ["GRANT", "TokenEndpoint"]

GRANT = "client_credentials"
_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 §3.3
_log = logging.getLogger("jwt_guard")


@dataclass(frozen=True)
class TokenEndpoint:
    """Who gives tokens, to whom, and for which API.  Raises Misconfigured."""

    issuer: Issuer
    clients: Clients
    """Who may ask.  What each may ask for are its ``scopes``."""
    audience: str | Sequence[str]
    """The ``aud`` of the tokens; of several, a client may choose one as ``resource`` (RFC 8707 §2)."""
    lifetime: int = 300
    """Seconds that a token lives; SMART Backend Services ask for no more than 300."""

    def __post_init__(self) -> None:
        """Refuse what could give no token."""
        if not isinstance(self.issuer, Issuer) or not isinstance(self.clients, Clients):
            raise Misconfigured("token endpoint: issuer is Issuer(...), and clients is Clients(...)")
        audiences = (self.audience,) if isinstance(self.audience, str) else tuple(self.audience)
        if not audiences or not all(isinstance(each, str) and each for each in audiences):
            raise Misconfigured("token endpoint: audience is the name of an API, or a list of such")
        if self.lifetime.__class__ is not int or self.lifetime < 1:
            raise Misconfigured("token endpoint: lifetime is a whole number of seconds, at least 1")
        plan = self.issuer.keyring.rotation
        if plan is not None and self.lifetime > plan.longest_token:
            raise Misconfigured("token endpoint: lifetime is longer than the plan of the keyring says (longest_token)")
        for client in self.clients.registered:
            _allowed(client)
        object.__setattr__(self, "audience", audiences)

    def answer(
        self, method: str, content_type: str | None, body: bytes, authorization: str | None = None
    ) -> Flow[Response]:
        """Return the answer to a request in these words; several headers of one name are joined by commas.

        A token (RFC 6749 §5.1), else the error (§5.2): 401 where the client is not one of ours, 503 where that
        cannot be told, and 400 for what no client, or not this one, can have.
        """
        if method != "POST":  # §3.2
            return NOT_A_POST.response()
        who = yield from self.clients.authenticate(body, content_type, authorization)
        if isinstance(who, OAuthError):
            return _refused(who, None)
        wanted = self._wanted(who.client, who.form)
        if isinstance(wanted, OAuthError):
            return _refused(wanted, who.client)
        return not_kept(self._token(who.client, *wanted))

    def _wanted(
        self, client: Client, form: Mapping[str, str]
    ) -> tuple[Sequence[str], str | Sequence[str]] | OAuthError:
        """Return for what and for which API *client* wants a token, or why it gets none."""
        grant, resource = form.get("grant_type"), form.get("resource")
        if grant is None:
            return OAuthError("invalid_request", "there is no grant_type")
        if grant != GRANT:
            return OAuthError("unsupported_grant_type", f"the grant is not {GRANT}")
        scopes = _granted(client, form.get("scope"))
        if scopes is None:
            return OAuthError("invalid_scope", "a scope that the client may not have")
        if resource is None:
            return scopes, self.audience[0] if len(self.audience) == 1 else self.audience
        if resource not in self.audience:
            return OAuthError("invalid_target", "no tokens are made for this API")
        return scopes, resource

    def _token(self, client: Client, scopes: Sequence[str], audience: str | Sequence[str]) -> dict[str, Any]:
        scope, name = " ".join(scopes), client.client_id
        said: dict[str, Any] = {
            # RFC 9068 §2.2: where nobody else has a part in it, the subject is the client.
            "access_token": self.issuer.access_token(name, audience, scope, name, self.lifetime),
            "token_type": "bearer",  # as SMART writes it; RFC 6749 §5.1 compares it without case
            "expires_in": self.lifetime,
        }
        _log.info("a token for %s: %s", shown(name), shown(scope))
        return {**said, "scope": scope} if scope else said


def _granted(client: Client, wanted: str | None) -> Sequence[str] | None:
    """Return what *client* gets: what it asks for, or all that it may have where it does not say (RFC 6749 §3.3)."""
    allowed = _allowed(client)
    if wanted is None:
        return allowed
    scopes = tuple(dict.fromkeys(wanted.split(" ")))
    return scopes if set(scopes) <= set(allowed) else None


def _allowed(client: Client) -> Sequence[str]:
    if not all(map(_SCOPE.fullmatch, client.scopes)):
        raise Misconfigured(f"client {shown(client.client_id)}: each of its scopes is one word (RFC 6749 §3.3)")
    return tuple(client.scopes)


def _refused(error: OAuthError, client: Client | None) -> Response:
    _log.info(
        "no token for %s: %s: %s",
        "nobody known" if client is None else shown(client.client_id),
        error.error,
        error.reason,
    )
    return error.response()
