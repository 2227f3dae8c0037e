"""A view of Django → one that asks for scopes: functions, classes, and their async kin."""

from __future__ import annotations

from functools import wraps
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

from django.http import HttpRequest
from django.views import View

from ...access.policy import scopes as needs
from ...credentials import CURRENT
from ...decision import Allow
from ...errors import Misconfigured, shown
from ...runners import awaiting, blocking
from ..refusing import CREDENTIALS, REALM, missing
from .answering import arefused, refused
from .configured import is_async
from .door import at_once
from .seeing import SeenRequest, found_in, place
from .streaming import kept
from .users import place_user

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from django.http.response import HttpResponseBase

    from ...access.guard import Guard
    from ...credentials import Credentials

__all__ = ["RequiresScopes", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one view: a function, plain or async, a method of a class, or what ``as_view()`` gives.

    With *guard* the view is guarded on its own; without, GuardMiddleware must be in MIDDLEWARE (RuntimeError
    where it is not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(view: F) -> F:
        if not callable(view) or isinstance(view, type):
            message = (
                f"requires(): {shown(view)} is no view function; of a class, decorate dispatch, or use RequiresScopes"
            )
            raise Misconfigured(message)
        awaited = _awaited(view, wanted) if own is None else _awaited_on_its_own(view, own)
        plain = _plain(view, wanted) if own is None else _plain_on_its_own(view, own)

        def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
            return (awaited if _is_of_async_class(view, args) else plain)(*args, **kwargs)

        chosen: Any = awaited if is_async(view) else guarded
        return cast("F", wraps(view)(chosen))

    return wrap


def _is_of_async_class(view: Any, args: tuple[Any, ...]) -> bool:  # noqa: ANN401 - a function, or what Django makes of one
    """Say whether *view* is the plain ``dispatch`` of a view whose methods are async: what it gives is awaited."""
    bound = getattr(getattr(view, "func", None), "__self__", None)  # as method_decorator() has it
    return bool(getattr(args[0] if bound is None and args else bound, "view_is_async", False))


def _plain(view: Callable[..., Any], wanted: frozenset[str]) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
        request = _request_of(args)
        found = found_in(request)
        error = missing(found, wanted)
        if error is not None:
            return refused(error, request, found[REALM])
        request.__dict__.setdefault("credentials", found[CREDENTIALS])
        return view(*args, **kwargs)

    return guarded


def _awaited(view: Callable[..., Any], wanted: frozenset[str]) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
        request = _request_of(args)
        found = found_in(request)
        error = missing(found, wanted)
        if error is not None:
            return await arefused(error, request, found[REALM])
        request.__dict__.setdefault("credentials", found[CREDENTIALS])
        return await view(*args, **kwargs)

    return guarded


def _plain_on_its_own(view: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
        request = _request_of(args)
        decision = at_once(guard, request, preflight_passes=False)
        if decision is None:
            decision = blocking.run(guard.decide(SeenRequest(request)))
        if not isinstance(decision, Allow):
            return refused(decision.error, request, guard.realm)
        credentials = _placed(decision, request, guard)
        token = CURRENT.set(credentials)
        try:
            response = view(*args, **kwargs)
        finally:
            CURRENT.reset(token)
        return _later(response, credentials, guard) if isawaitable(response) else _kept(response, credentials, guard)

    return guarded


def _awaited_on_its_own(view: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    async def guarded(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - what the view takes and gives
        request = _request_of(args)
        decision = at_once(guard, request, preflight_passes=False)
        if decision is None:
            decision = await awaiting.run(guard.decide(SeenRequest(request)))
        if not isinstance(decision, Allow):
            return await arefused(decision.error, request, guard.realm)
        credentials = _placed(decision, request, guard)
        return await _later(view(*args, **kwargs), credentials, guard)

    return guarded


def _placed(decision: Allow, request: HttpRequest, guard: Guard) -> Credentials | None:
    credentials = decision.credentials
    place(request, credentials, guard.realm)
    if credentials is not None:
        place_user(request, credentials)
    return credentials


async def _later(response: Awaitable[Any], credentials: Credentials | None, guard: Guard) -> Any:  # noqa: ANN401 - what the view gives
    token = CURRENT.set(credentials)
    try:
        return _kept(await response, credentials, guard)
    finally:
        CURRENT.reset(token)


def _kept(response: Any, credentials: Credentials | None, guard: Guard) -> Any:  # noqa: ANN401 - what the view gives
    return kept(response, credentials, guard, 0) if getattr(response, "streaming", False) else response


def _request_of(args: tuple[Any, ...]) -> HttpRequest:
    """Return the request among the arguments of a view, or of a method, where ``self`` stands before it."""
    for argument in args[:2]:
        request = getattr(argument, "_request", argument)  # REST framework's has Django's inside
        if isinstance(request, HttpRequest):
            return request
    message = "requires() found no request among the arguments of the view"
    raise RuntimeError(message)


class RequiresScopes:
    """Mixin for class-based views: ``class Orders(RequiresScopes, View): scopes = ["orders:read"]``.

    What is asked for holds for every method of the view.  A *guard* of its own is for views outside GuardMiddleware.
    """

    scopes: ClassVar[Sequence[str]] = ()
    guard: ClassVar[Guard | None] = None

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Check that the mixin comes first: behind View it would never be asked."""
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if View in order and order.index(View) < order.index(RequiresScopes):
            raise Misconfigured(f"{cls.__qualname__}: RequiresScopes stands before the view among the bases")

    @classmethod
    def as_view(cls, *args: Any, **initkwargs: Any) -> Callable[..., HttpResponseBase]:  # noqa: ANN401 - as the view has it
        """Return the view function, guarded; Misconfigured where no scopes are asked for."""
        scopes = initkwargs.get("scopes", cls.scopes)
        if isinstance(scopes, str):
            raise Misconfigured(f"{cls.__qualname__}: scopes is a list")
        base: Any = super()
        view: Callable[..., HttpResponseBase] = base.as_view(*args, **initkwargs)
        return requires(*scopes, guard=initkwargs.get("guard", cls.guard))(view)
