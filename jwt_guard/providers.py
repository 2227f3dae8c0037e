"""The profiles by name, for users: each takes what is particular to one installation and returns a Provider."""

from __future__ import annotations

from .access.profiles import keycloak, rfc9068
from .access.provider import Provider

__all__ = ["Provider", "keycloak", "rfc9068"]
