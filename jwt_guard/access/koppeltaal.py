"""What Koppeltaal's authorization server writes → a Provider of its access tokens, and their scopes → Permissions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured
from ..sources.discovery import discovered
from ..tokens.claims import access_token, one_of
from .identity import ClaimNames
from .provider import Provider

if TYPE_CHECKING:
    from ..sources.jwks import KeySettings
    from .provider import KeySource

__all__ = ["Permission", "koppeltaal", "permission", "permissions"]

_AUDIENCE = "fhir-server"
_ACCESS = access_token(known_by=("azp",))
_TYPE = one_of(
    "type",
    frozenset({"access"}),
    advice="This may be an ID token or a launch token: send the access_token of the token response instead.",
)


def koppeltaal(
    issuer: str | Sequence[str],
    audience: str | Sequence[str] = _AUDIENCE,
    *,
    name: str = "koppeltaal",
    keys: KeySource | None = None,
    settings: KeySettings | None = None,
    **more: Any,  # noqa: ANN401 - the other fields of Provider, checked there
) -> Provider:
    """Return a provider of the access tokens of a Koppeltaal 2.0 domain.

    The client is in ``azp``, and scopes say what its role may do: :func:`permissions` reads them.  *keys* are mostly
    ``jwks(url)`` with the ``jwks_uri`` of the domain's SMART configuration.  Raises Misconfigured.
    """
    if keys is not None and settings is not None:
        raise Misconfigured("settings are for keys that are fetched from the issuer: give them to the source of keys")
    if settings is not None:
        keys = discovered(issuer, None, settings)
    more.setdefault("typ", ("JWT", None))
    more.setdefault("claims", ClaimNames(client=("azp",), scopes=("scope",), roles=()))
    return Provider(
        name=name,
        issuer=issuer,
        audience=audience,
        keys=keys,
        kind=_ACCESS,
        extra_rules=(_TYPE, *more.pop("extra_rules", ())),
        **more,
    )


# --- what its scopes allow ---------------------------------------------------------------------------

_DEVICE = r"Device/(?!\.+(?:,|\Z))[A-Za-z0-9.-]{1,64}"
_SCOPE = re.compile(
    r"system/(?P<type>[A-Z][A-Za-z]{0,63}|\*)\.(?=[cruds])(?P<letters>c?r?u?d?s?)"
    rf"(?:\?resource-origin=(?P<origins>{_DEVICE}(?:,{_DEVICE}){{0,999}}))?"
)


@dataclass(frozen=True, slots=True)
class Permission:
    """What one scope allows, and with whose resources."""

    resource_type: str
    """One of FHIR's, or ``*``."""
    letters: frozenset[str]
    """Which of create, read, update, delete and search (``c r u d s``)."""
    origins: frozenset[str] | None
    """The Devices whose resources it is about, as ``Device/id``; None: those of all."""

    def allows(self, resource_type: str, letter: str, origin: str) -> bool:
        """Say whether it allows *letter* on a resource of this type that came from *origin*, a ``Device/id``."""
        return (
            self.resource_type in ("*", resource_type)
            and letter in self.letters
            and (self.origins is None or origin in self.origins)
        )


def permission(scope: str) -> Permission | None:
    """Return what *scope* allows: ``system/Task.cru?resource-origin=Device/a,Device/b``; None where it is no such one.

    Nothing is guessed: letters stand in the order of ``cruds``, and a parameter that is not known makes it none.
    """
    found = _SCOPE.fullmatch(scope)
    if found is None:
        return None
    origins = found["origins"]
    named = None if origins is None else frozenset(origins.split(","))
    return Permission(found["type"], frozenset(found["letters"]), named)


def permissions(scopes: Iterable[str]) -> frozenset[Permission]:
    """Return what all of *scopes* allow, ``credentials.scopes`` say; one that is not understood allows nothing."""
    return frozenset(found for found in map(permission, scopes) if found is not None)
