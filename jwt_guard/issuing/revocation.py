"""The form of a client that is done with a token → the token is taken back (RFC 7009)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..access.denylist import Denylist
from ..access.guard import Guard
from ..credentials import Credentials
from ..errors import ClaimRejected, GuardError, Misconfigured, Unavailable, shown
from .client_authentication import Clients
from .form_app import NOT_A_POST, not_kept, unavailable
from .oauth_form import OAuthError

if TYPE_CHECKING:
    from ..flow import Flow
    from ..messages import Response

__all__ = ["Revocation"]

_log = logging.getLogger("jwt_guard")


@dataclass(frozen=True)
class Revocation:
    """What can be taken back, by whom, and where that is noted.  Raises Misconfigured."""

    guard: Guard
    """Takes the tokens that are meant, from the issuer that has this endpoint."""
    clients: Clients
    """Who may ask, each for what it was given itself."""
    denylist: Denylist
    """Where it is noted, for ``Guard(revoked=…)`` of those who are to know; what they share is its store."""

    def __post_init__(self) -> None:
        """Refuse what could take nothing back."""
        if not isinstance(self.guard, Guard) or not isinstance(self.clients, Clients):
            raise Misconfigured("revocation: guard is Guard(...), and clients is Clients(...)")
        if not isinstance(self.denylist, Denylist):
            raise Misconfigured("revocation: denylist is Denylist(...)")

    def answer(
        self, method: str, content_type: str | None, body: bytes, authorization: str | None = None
    ) -> Flow[Response]:
        """Return the answer to a request in these words; several headers of one name are joined by commas.

        401 where the client is not one of ours; 200 where the token counts no more, be it from now on or because it
        never did (RFC 7009 §2.2); 400 where it was given to another client, or is none that can be taken back; 503
        where that cannot be told, or noted.
        """
        if method != "POST":
            return NOT_A_POST.response()
        who = yield from self.clients.authenticate(body, content_type, authorization)
        if isinstance(who, OAuthError):
            return _refused(who, None)
        name = who.client.client_id
        token = who.form.get("token")
        if token is None:
            return _refused(OAuthError("invalid_request", "no token is meant"), name)
        # A token_type_hint is for servers that have to look in several places (RFC 7009 §2.1).
        try:
            error = yield from self._taken_back(token, name)
        except Unavailable as reason:
            error = unavailable(reason)
        return not_kept(None) if error is None else _refused(error, name)

    def _taken_back(self, text: str, client: str) -> Flow[OAuthError | None]:
        """Take the token *text* back, or return why *client* cannot have that; raises Unavailable."""
        try:
            found = self.guard.admit(text)
            who = found if isinstance(found, Credentials) else (yield from found)
        except Unavailable:
            raise
        except ClaimRejected as error:
            if error.claim == "typ":
                return OAuthError("unsupported_token_type", "it is no access token")
            return None
        except GuardError:
            return None
        if who.client != client:
            return OAuthError("invalid_grant", f"the token was given to {shown(who.client)}")
        issuer, jti, until = (who.claims.get(name) for name in ("iss", "jti", "exp"))
        if not isinstance(jti, str) or not isinstance(issuer, str):
            return OAuthError("unsupported_token_type", "the token has no name")
        try:
            yield from self.denylist.revoking(issuer=issuer, jti=jti, until=until)
        except ValueError as error:  # it lives longer than anything is held there, say
            return OAuthError("unsupported_token_type", str(error))
        _log.info("%s has taken a token back", shown(client))
        return None


def _refused(error: OAuthError, client: str | None) -> Response:
    _log.info(
        "nothing taken back for %s: %s: %s",
        "nobody known" if client is None else shown(client),
        error.error,
        error.reason,
    )
    return error.response()
