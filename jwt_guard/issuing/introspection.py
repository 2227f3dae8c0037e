"""The form of a client that asks about a token → what the token says, or that it is not active (RFC 7662).

At Koppeltaal (TOP-KT-021) modules do not know each other's keys, so they ask about launch tokens here, and about
access and ID tokens.  Each is looked at by a guard, as it would be anywhere else.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ..access.guard import Guard
from ..access.hti import hti_launch, is_of_launches
from ..access.launching import provider_of
from ..credentials import Credentials
from ..errors import GuardError, Misconfigured, Unavailable, shown
from ..flow import call
from ..sources.fixed import fixed
from ..sources.jwks import KeySettings, jwks
from ..tokens.compact import parse
from .client_authentication import Clients
from .form_app import NOT_A_POST, FormApp, not_kept, unavailable
from .oauth_form import OAuthError

if TYPE_CHECKING:
    from ..access.once import Once
    from ..access.provider import Provider
    from ..flow import Flow
    from ..messages import Response
    from ..tokens.compact import UnverifiedToken
    from .client_authentication import Client

__all__ = ["Devices", "Introspection", "introspection_app", "launches_of", "of_no_device"]

Devices: TypeAlias = "Callable[[str], Collection[str] | Awaitable[Collection[str]]]"
"""(client_id) → the Devices that belong to that client, ``Device/id``; plain or ``async``."""

_DEVICE = "Device/"
_KEPT = KeySettings(fresh_for=60, usable_for=60)
_log = logging.getLogger("jwt_guard")


def of_no_device(_client: str) -> Collection[str]:
    """Return nothing: no client has a Device, so that nobody is told anything about launch tokens."""
    return ()


def launches_of(
    client: Client,
    *,
    name: str = "hti_launch",
    once: Once | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other arguments of hti_launch, checked there
) -> Provider:
    """Return a provider of the launch tokens that *client* makes for whichever module, for :class:`Introspection`.

    It is for nothing else, since it compares no audience: there the Devices of whoever asks are compared.  Keys at its
    URL are kept for a minute, or as *settings* say.  Raises Misconfigured, also for a client without keys.
    """
    if client.jwks is None and client.jwks_url is None:
        raise Misconfigured(f"client {shown(client.client_id)}: without keys it can launch nothing")
    keys = fixed(client.jwks) if client.jwks is not None else jwks(client.jwks_url or "", settings or _KEPT)
    own = client.client_id
    return hti_launch(own, own, audience_claim="iss", name=name, keys=keys, once=once, **more)


@dataclass(frozen=True)
class Introspection:
    """What is asked about, and by whom.  Raises Misconfigured."""

    guards: Sequence[Guard]
    """Who may have issued what is asked about.  One guard has one provider for each issuer, so that what an issuer
    makes of several kinds, access and ID tokens say, takes several; the first that takes a token answers."""
    clients: Clients
    """Who may ask: nobody else is told anything (RFC 7662 §2.1).  Their audience is what assertions name: the URL of
    this endpoint (TOP-KT-021), and that of the token endpoint where clients use it here."""
    devices: Devices = of_no_device
    """Of which launch tokens a client is told: those for a Device of its own, since it could try out others'."""

    def __post_init__(self) -> None:
        """Refuse what could answer nothing."""
        guards = tuple(self.guards)
        if not guards or not all(isinstance(guard, Guard) for guard in guards):
            raise Misconfigured("introspection: guards are those of the tokens that are asked about")
        if not isinstance(self.clients, Clients):
            raise Misconfigured("introspection: clients is Clients(...)")
        if not callable(self.devices):
            raise Misconfigured("introspection: devices is a function of a client's id")
        object.__setattr__(self, "guards", guards)

    def answer(
        self, method: str, content_type: str | None, body: bytes, authorization: str | None = None
    ) -> Flow[Response]:
        """Return the answer to a request in these words; several headers of one name are joined by commas.

        401 where the client is not one of ours, and then nobody looks at the token; 200 and nothing but
        ``{"active": false}`` for each token that is not good or not the client's to ask about; 503 where that cannot
        be told.
        """
        if method != "POST":
            return NOT_A_POST.response()
        who = yield from self.clients.authenticate(body, content_type, authorization)
        if isinstance(who, OAuthError):
            return who.response()
        token = who.form.get("token")
        if token is None:
            return OAuthError("invalid_request", "no token is asked about").response()
        try:
            claims = yield from self._claims(token, who.client.client_id)
        except Unavailable as error:
            return unavailable(error).response()
        return not_kept({"active": False} if claims is None else {**claims, "active": True})

    def _claims(self, text: str, client: str) -> Flow[dict[str, Any] | None]:
        """Return what the token *text* says, None where it is not active for *client*; raises Unavailable."""
        unknown: Unavailable | None = None
        for guard in self.guards:
            try:
                token = parse(text, guard.limits)
                yield from self._let_ask(guard, token, client)
                found = guard.admit(text)
                if not isinstance(found, Credentials):
                    yield from found
            except Unavailable as error:
                unknown = error
            except GuardError as error:
                _log.info("not active for %s: %s: %s", shown(client), type(error).__name__, error)
            else:
                return dict(token.values)
        if unknown is not None:
            raise unknown
        return None

    def _let_ask(self, guard: Guard, token: UnverifiedToken, client: str) -> Flow[None]:
        """Raise a GuardError unless *client* may hear of *token*: before the guard, which may use the token up.

        Of what is no launch token, each client may: whoever has such a token can use it.
        """
        if not is_of_launches((yield from provider_of(guard, token))):
            return
        audience = token.values.get("aud")
        if isinstance(audience, list) and len(audience) == 1:
            (audience,) = audience
        if isinstance(audience, str) and audience.startswith(_DEVICE):
            own = yield from call(self.devices, client)
            if isinstance(own, Collection) and not isinstance(own, str) and audience in own:
                return
        raise _NotTheirs("the launch is of no Device of whoever asks")


class _NotTheirs(GuardError):
    """A token that another client may ask about."""


def introspection_app(introspection: Introspection) -> Callable[..., Awaitable[None]]:
    """Return the ASGI application that answers as *introspection* says, at whatever path it is mounted."""
    return FormApp(introspection.answer)
