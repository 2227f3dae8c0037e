"""Profiles: what is known about a kind of issuer → a Provider, one function each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .identity import ClaimNames
from .provider import Provider

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .provider import KeySource

__all__ = ["keycloak", "rfc9068"]


def rfc9068(
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    *,
    name: str = "rfc9068",
    keys: KeySource | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of RFC 9068 access tokens: ``typ`` is ``at+jwt``, and the required claims are there.

    *more* are the other fields of :class:`~jwt_guard.access.provider.Provider`.
    """
    more.setdefault("typ", ("at+jwt",))
    more.setdefault("required", ("sub", "client_id", "iat", "jti"))  # RFC 9068 §2.2; iss, aud and exp always are
    more.setdefault("claims", ClaimNames(client=("client_id",), scopes=("scope",)))
    return Provider(name=name, issuer=issuer, audience=audience, keys=keys, **more)


def keycloak(
    issuer: str | Sequence[str],
    audience: str | Sequence[str],
    client: str | None = None,
    *,
    name: str = "keycloak",
    keys: KeySource | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider for one Keycloak realm: *issuer* is its URL, ``https://host/realms/NAME``.

    Roles are the realm's, or with *client* those of that client.  A service account is nobody's user.
    *more* are the other fields of :class:`~jwt_guard.access.provider.Provider`.
    """
    roles = ("realm_access", "roles") if client is None else ("resource_access", client, "roles")
    more.setdefault("claims", ClaimNames(client=("client_id", "azp"), scopes=("scope",), roles=(roles,)))
    more.setdefault("is_machine", _is_service_account)
    return Provider(name=name, issuer=issuer, audience=audience, keys=keys, **more)


def _is_service_account(values: Mapping[str, Any]) -> bool:
    name = values.get("preferred_username")
    if not isinstance(name, str) or not name.startswith("service-account-"):
        return False
    client = values.get("client_id", values.get("azp"))
    # Keycloak writes user names in small letters; somebody else may be called like the account of another client.
    return isinstance(client, str) and name == f"service-account-{client.lower()}"
