"""The profiles by name, for users: each takes what is particular to one installation and returns a Provider."""

from __future__ import annotations

from .access.profiles import auth0, authentik, cognito, entra, google_id_token, keycloak, okta, rfc9068, zitadel
from .access.provider import Provider

__all__ = [
    "Provider",
    "auth0",
    "authentik",
    "cognito",
    "entra",
    "google_id_token",
    "keycloak",
    "okta",
    "rfc9068",
    "zitadel",
]
