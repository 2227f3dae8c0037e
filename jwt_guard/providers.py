"""The profiles by name, for users: each takes what is particular to one installation and returns a Provider."""

from __future__ import annotations

from .access.client_assertion import client_assertion
from .access.hti import hti_launch
from .access.id_tokens import id_token
from .access.joat import joat_tokens
from .access.koppeltaal import koppeltaal
from .access.profiles import auth0, authentik, cognito, entra, google_id_token, keycloak, okta, rfc9068, zitadel
from .access.provider import Provider
from .access.smart import smart

__all__ = [
    "Provider",
    "auth0",
    "authentik",
    "client_assertion",
    "cognito",
    "entra",
    "google_id_token",
    "hti_launch",
    "id_token",
    "joat_tokens",
    "keycloak",
    "koppeltaal",
    "okta",
    "rfc9068",
    "smart",
    "zitadel",
]
