"""Django's request → one that a guard has decided about: in sync without an event loop, in async without a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest
from django.utils.cache import patch_vary_headers

from ...credentials import CURRENT
from ...decision import Allow
from ...runners import awaiting, blocking
from ..carrying import is_plain
from ..expiring import checked
from ..refusing import CREDENTIALS, REALM, is_preflight
from .answering import arefused, refused
from .beyond import answered, finished
from .configured import USER, function_of, guard_of_settings, is_async
from .seeing import SeenRequest, place
from .streaming import kept
from .users import place_user

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from django.http.response import HttpResponseBase

    from ...access.guard import Guard
    from ...credentials import Credentials
    from ...decision import Decision

__all__ = ["GuardMiddleware", "GuardedRequest", "at_once"]

_PASS = Allow(None)
_set, _reset = CURRENT.set, CURRENT.reset
_CACHING = ("django.middleware.cache.UpdateCacheMiddleware", "django.middleware.cache.CacheMiddleware")


class GuardedRequest(HttpRequest):
    """A request that has passed GuardMiddleware: for annotations, since Django's own type knows no credentials."""

    credentials: Credentials | None


class GuardMiddleware:
    """Let the guard of ``settings.JWT_GUARD`` decide about every request before what stands below sees it.

    A subclass may say otherwise about two things: a CORS preflight passes, and a stream of events ends *grace*
    seconds after its token is over (None: it may go on).
    """

    sync_capable = True
    async_capable = True
    preflight_passes = True
    grace: float | None = 0

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response
        self._is_async = is_async(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        # Django's cache of whole sites tells answers apart by what they vary on, and knows nothing of tokens.
        self._varies = any(name in _CACHING for name in settings.MIDDLEWARE)
        checked(self.grace)
        guard_of_settings()  # what is wrong with it is said at start
        function_of(USER)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        """Serve one request."""
        if self._is_async:
            return self._awaited(request)
        guard = guard_of_settings()
        looks_beyond = not is_plain(guard)
        metadata = answered(guard, request) if looks_beyond else None
        if metadata is not None:
            return metadata
        decision = at_once(guard, request, preflight_passes=self.preflight_passes)
        if decision is None:
            decision = blocking.run(guard.decide(SeenRequest(request)))
        if not isinstance(decision, Allow):
            return self._varied(refused(decision.error, request, guard.realm))
        credentials = decision.credentials
        on = request.__dict__
        on["credentials"] = on[CREDENTIALS] = credentials
        on[REALM] = guard.realm
        if credentials is not None and function_of(USER) is not None:
            place_user(request, credentials)
        token = _set(credentials)
        try:
            response: HttpResponseBase = self.get_response(request)
        finally:
            _reset(token)
        if response.streaming:
            kept(response, credentials, guard, self.grace)
        return self._varied(finished(guard, request, response) if looks_beyond else response)

    async def _awaited(self, request: HttpRequest) -> HttpResponseBase:
        guard = guard_of_settings()
        looks_beyond = not is_plain(guard)
        metadata = answered(guard, request) if looks_beyond else None
        if metadata is not None:
            return metadata
        decision = at_once(guard, request, preflight_passes=self.preflight_passes)
        if decision is None:
            decision = await awaiting.run(guard.decide(SeenRequest(request)))
        if not isinstance(decision, Allow):
            return self._varied(await arefused(decision.error, request, guard.realm))
        credentials = decision.credentials
        place(request, credentials, guard.realm)
        if credentials is not None and function_of(USER) is not None:
            place_user(request, credentials)
        token = _set(credentials)
        try:
            response: HttpResponseBase = await self.get_response(request)
        finally:
            _reset(token)
        if response.streaming:
            kept(response, credentials, guard, self.grace)
        return self._varied(finished(guard, request, response) if looks_beyond else response)

    def _varied(self, response: HttpResponseBase) -> HttpResponseBase:
        if self._varies:
            patch_vary_headers(response, ["Authorization"])
        return response


def at_once(guard: Guard, request: HttpRequest, *, preflight_passes: bool) -> Decision | None:
    """Return the decision about *request* where it takes no wait, else None."""
    authorization: str | None = request.META.get("HTTP_AUTHORIZATION")  # with which it is no preflight
    decision = None if authorization is None else guard.at_sight_of_text(authorization)
    if decision is not None:
        return decision
    seen = SeenRequest(request)
    if preflight_passes and request.method == "OPTIONS" and is_preflight(seen):
        return _PASS
    return guard.glance(authorization, seen)
