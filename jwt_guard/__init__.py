"""One guard for every Python API and every gateway in front of one.

The names here are loaded when they are first used, so that importing this package costs next to nothing.

PYTEST_DONT_REWRITE: else pytest, for which we have a plugin, would warn whoever has imported this before.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as type checkers know it: importing typing would be nine tenths of importing this
if TYPE_CHECKING:
    from .access.denylist import Denylist
    from .access.guard import Guard
    from .access.identity import ClaimNames
    from .access.once import Once
    from .access.policy import (
        Policy,
        all_of,
        any_of,
        anyone,
        authenticated,
        claim,
        none_of,
        roles,
        scopes,
    )
    from .access.profiles import keycloak, rfc9068
    from .access.provider import Provider
    from .access.remembered import Memory
    from .access.resolver import Resolver
    from .access.resource import ProtectedResource
    from .access.routes import by_route
    from .config.load import load
    from .credentials import Credentials, current
    from .decision import Allow, Decision, Deny
    from .errors import GuardError, InsufficientScope, InvalidToken, Misconfigured, MissingToken, Unavailable
    from .messages import Request
    from .runners.outside import averify, verify
    from .runners.revoking import arevoke, revoke
    from .runners.signing_in import averify_id_token, verify_id_token
    from .sources.discovery import discovered
    from .sources.fixed import fixed, shared_secret
    from .sources.introspection import introspection
    from .sources.jwks import KeySettings, jwks
    from .sources.key_state import KeyState
    from .sources.salted import salted
    from .tokens.compact import Limits

__all__ = [
    "Allow",
    "ClaimNames",
    "Credentials",
    "Decision",
    "Deny",
    "Denylist",
    "Guard",
    "GuardError",
    "InsufficientScope",
    "InvalidToken",
    "KeySettings",
    "KeyState",
    "Limits",
    "Memory",
    "Misconfigured",
    "MissingToken",
    "Once",
    "Policy",
    "ProtectedResource",
    "Provider",
    "Request",
    "Resolver",
    "Unavailable",
    "all_of",
    "any_of",
    "anyone",
    "arevoke",
    "authenticated",
    "averify",
    "averify_id_token",
    "by_route",
    "claim",
    "current",
    "discovered",
    "fixed",
    "introspection",
    "jwks",
    "keycloak",
    "load",
    "none_of",
    "revoke",
    "rfc9068",
    "roles",
    "salted",
    "scopes",
    "shared_secret",
    "verify",
    "verify_id_token",
]

_HOMES = {
    "access.denylist": ("Denylist",),
    "access.guard": ("Guard",),
    "access.identity": ("ClaimNames",),
    "access.once": ("Once",),
    "access.policy": (
        "Policy", "all_of", "any_of", "anyone", "authenticated", "claim", "none_of", "roles", "scopes",
    ),
    "access.profiles": ("keycloak", "rfc9068"),
    "access.provider": ("Provider",),
    "access.remembered": ("Memory",),
    "access.resolver": ("Resolver",),
    "access.resource": ("ProtectedResource",),
    "access.routes": ("by_route",),
    "config.load": ("load",),
    "credentials": ("Credentials", "current"),
    "decision": ("Allow", "Decision", "Deny"),
    "errors": ("GuardError", "InsufficientScope", "InvalidToken", "Misconfigured", "MissingToken", "Unavailable"),
    "messages": ("Request",),
    "runners.outside": ("averify", "verify"),
    "runners.revoking": ("arevoke", "revoke"),
    "runners.signing_in": ("averify_id_token", "verify_id_token"),
    "sources.discovery": ("discovered",),
    "sources.fixed": ("fixed", "shared_secret"),
    "sources.introspection": ("introspection",),
    "sources.jwks": ("KeySettings", "jwks"),
    "sources.key_state": ("KeyState",),
    "sources.salted": ("salted",),
    "tokens.compact": ("Limits",),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:  # or else type checkers would take any name for one of ours

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            message = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(message)
        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
