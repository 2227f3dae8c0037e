"""settings.JWT_GUARD and its companions → the guard, and the functions of the project that they name."""

from __future__ import annotations

import re
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from ...access.guard import Guard
from ...errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAILURE_VIEW", "GUARD", "USER", "function_of", "guard_of_settings", "is_async"]

GUARD = "JWT_GUARD"
USER = "JWT_GUARD_USER"
FAILURE_VIEW = "JWT_GUARD_FAILURE_VIEW"

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
_built: dict[str, Guard] = {}
_building = Lock()
# What the settings say as they are now: to ask Django for one that is not set takes longer than a whole decision.
_guard: list[Guard] = []
_functions: dict[str, Callable[..., Any] | None] = {}


def _forget(*, setting: str, **_: object) -> None:
    if setting.startswith(GUARD):
        _guard.clear()
        _functions.clear()


setting_changed.connect(_forget, dispatch_uid="jwt_guard")


def guard_of_settings() -> Guard:
    """Return the guard of ``settings.JWT_GUARD``; ImproperlyConfigured where that gives none.

    It is a Guard, or the dotted path of one or of a function that makes one.  What a path names is made once.
    """
    for guard in _guard:
        return guard
    guard = _guard_now()
    _guard[:] = [guard]
    return guard


def _guard_now() -> Guard:
    value = getattr(settings, GUARD, None)
    if isinstance(value, Guard):
        return value
    if not isinstance(value, str):
        # Of what stands there instead only the type: it may be a secret.
        wrong = "is missing" if value is None else f"is a {type(value).__name__}"
        message = f"{GUARD} {wrong}: it is a Guard, or the dotted path of one or of a function that makes one"
        raise ImproperlyConfigured(message)
    return _guard_at(value)


def _guard_at(path: str) -> Guard:
    with _building:  # two of them would fetch the same keys twice, and remember verdicts apart
        if path not in _built:
            found = _imported(GUARD, path)
            if callable(found) and not isinstance(found, Guard | type):
                try:
                    found = found()
                except Misconfigured as error:  # it says what is wrong, and no secret
                    raise ImproperlyConfigured(f"{GUARD}: {path}() made no guard: {error}") from error
            if not isinstance(found, Guard):
                kind = found.__name__ if isinstance(found, type) else type(found).__name__
                raise ImproperlyConfigured(f"{GUARD}: {path} is no Guard, nor a function that makes one, but {kind}")
            _built[path] = found
        return _built[path]


def function_of(setting: str) -> Callable[..., Any] | None:
    """Return the function that *setting* is the dotted path of, None where it is not set.

    ImproperlyConfigured where there is no such function.
    """
    if setting not in _functions:
        _functions[setting] = _function_now(setting)
    return _functions[setting]


def _function_now(setting: str) -> Callable[..., Any] | None:
    path = getattr(settings, setting, None)
    if path is None:
        return None
    if not isinstance(path, str):
        raise ImproperlyConfigured(f"{setting} is the dotted path of a function")
    function = _imported(setting, path)
    if not callable(function):
        raise ImproperlyConfigured(f"{setting}: {path} is no function")
    return cast("Callable[..., Any]", function)


def is_async(function: object) -> bool:
    """Say whether *function* is async, also where Django has marked it as such."""
    return bool(iscoroutinefunction(function))  # pyright: ignore[reportDeprecated] # on Python 3.11, only it knows marks


def _imported(setting: str, path: str) -> Any:  # noqa: ANN401 - whatever stands there
    if not _DOTTED.fullmatch(path):
        raise ImproperlyConfigured(f"{setting} is no dotted path, such as shop.guards.guard")  # and may be a secret
    try:
        return import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(f"{setting}: {path} cannot be imported") from error
