"""The settings → what ``manage.py check`` says about them, under ids that stay; no secret is in any of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from .configured import FAILURE_VIEW, USER, function_of, guard_of_settings, is_async

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["check_settings"]

_AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
_FROM_CACHE = ("django.middleware.cache.FetchFromCacheMiddleware", "django.middleware.cache.CacheMiddleware")


@checks.register(checks.Tags.security)
def check_settings(app_configs: Sequence[Any] | None = None, **_: object) -> list[checks.CheckMessage]:  # noqa: ARG001 - as Django calls it
    """Return what is wrong with JWT_GUARD and its companions, and with where the middleware stands."""
    return [*_of_guard(), *_of_functions(), *_of_middleware()]


def _of_guard() -> Iterator[checks.CheckMessage]:
    if getattr(settings, "JWT_GUARD", None) is None:
        hint = 'JWT_GUARD = "shop.guards.guard", where that is a Guard or a function that makes one.'
        yield checks.Error("JWT_GUARD is not set.", hint=hint, id="jwt_guard.E001")
        return
    try:
        guard_of_settings()
    except ImproperlyConfigured as error:
        yield checks.Error(f"{error}.", id="jwt_guard.E002")
    except Exception as error:  # noqa: BLE001 - the project's own code; what it says may hold a secret
        yield checks.Error(f"JWT_GUARD: making the guard failed with {type(error).__name__}.", id="jwt_guard.E002")


def _of_functions() -> Iterator[checks.CheckMessage]:
    for setting, number in ((USER, "E003"), (FAILURE_VIEW, "E004")):
        try:
            function = function_of(setting)
        except ImproperlyConfigured as error:
            yield checks.Error(f"{error}.", id=f"jwt_guard.{number}")
        except Exception as error:  # noqa: BLE001 - the project's own code; what it says may hold a secret
            yield checks.Error(f"{setting}: importing it failed with {type(error).__name__}.", id=f"jwt_guard.{number}")
        else:
            if function is not None and is_async(function):
                hint = "A plain function does in async views, too: it is called in a thread there."
                yield checks.Error(f"{setting} names an async function.", hint=hint, id=f"jwt_guard.{number}")


def _of_middleware() -> Iterator[checks.CheckMessage]:
    names = list(settings.MIDDLEWARE)
    ours = [place for place, name in enumerate(names) if _is_ours(name)]
    if not ours:
        if not _is_ours_in_rest_framework():
            hint = "Views are guarded only where requires() is given a guard, or by a door around Django."
            yield checks.Warning("GuardMiddleware is not in MIDDLEWARE.", hint=hint, id="jwt_guard.W001")
        return
    if len(ours) > 1:
        yield checks.Error("GuardMiddleware is in MIDDLEWARE more than once.", id="jwt_guard.E005")
    before = names[: ours[0]]
    if getattr(settings, USER, None) is not None and _AUTHENTICATION in names[ours[0] :]:
        hint = "Put GuardMiddleware below it."
        yield checks.Error(
            f"AuthenticationMiddleware puts its own request.user over that of {USER}.", hint=hint, id="jwt_guard.E006"
        )
    if any(name in _FROM_CACHE for name in before):
        hint = "Put GuardMiddleware above FetchFromCacheMiddleware, and below UpdateCacheMiddleware."
        yield checks.Error(
            "Pages from the cache are answered before GuardMiddleware is asked.", hint=hint, id="jwt_guard.E007"
        )


def _is_ours(name: object) -> bool:
    from .door import GuardMiddleware

    try:
        found: object = import_string(name) if isinstance(name, str) else None
    except Exception:  # noqa: BLE001 - what is wrong with the middleware of others, Django says
        return False
    return isinstance(found, type) and issubclass(found, GuardMiddleware)


def _is_ours_in_rest_framework() -> bool:
    given = getattr(settings, "REST_FRAMEWORK", None)
    classes = given.get("DEFAULT_AUTHENTICATION_CLASSES", ()) if isinstance(given, dict) else ()
    return any("JWTGuardAuthentication" in str(each) for each in classes)
