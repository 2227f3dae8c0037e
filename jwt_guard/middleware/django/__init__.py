"""Django's request → one with credentials on it: a middleware, requires() for views, and checks of the settings."""

from __future__ import annotations

from . import checks
from .answering import Refusal
from .door import GuardedRequest, GuardMiddleware
from .users import GuardedUser, get_or_create_user
from .views import RequiresScopes, requires

__all__ = [
    "GuardMiddleware",
    "GuardedRequest",
    "GuardedUser",
    "Refusal",
    "RequiresScopes",
    "checks",
    "get_or_create_user",
    "requires",
]
