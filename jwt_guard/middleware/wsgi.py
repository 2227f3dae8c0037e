"""WSGI environ ↔ Request: a guard around any WSGI application, streamed answers included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextvars import copy_context
from functools import partial
from http import HTTPStatus
from itertools import repeat, takewhile
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

from ..access.lifetime import good_until
from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow
from ..runners.blocking import run
from .carrying import is_plain, readable, started_privately
from .expiring import EVENTS, checked
from .refusing import CREDENTIALS, PATH_CHARACTERS, REALM, is_preflight, missing, refuse

if TYPE_CHECKING:
    from contextvars import Context

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..decision import Decision
    from ..messages import Response

__all__ = [
    "App",
    "Environ",
    "EnvironRequest",
    "GuardMiddleware",
    "InContext",
    "StartResponse",
    "called",
    "is_past",
    "requires",
]

T = TypeVar("T")
_EVENTS = EVENTS.decode()
_LENGTH = len("content-type")
Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Any]
App: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]


class EnvironRequest:
    """A view of a WSGI environ that reads what it is asked for."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Environ) -> None:
        self._environ = environ

    @property
    def method(self) -> str:
        """The method as sent."""
        method: str = self._environ["REQUEST_METHOD"]
        return method

    @property
    def path(self) -> str:
        """The path as sent, where the server gives it, else the one the application routes on.

        ``""`` where the two contradict each other: then somebody has rewritten one of them.
        """
        try:
            return self._path()
        except UnicodeError:  # PEP 3333 has no such text; whoever made it does not say what was sent
            return ""

    def _path(self) -> str:
        environ = self._environ
        routed = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
        sent: str | None = environ.get("REQUEST_URI", environ.get("RAW_URI"))
        if sent is None:
            return quote_from_bytes(routed, safe=PATH_CHARACTERS)
        raw = sent.partition("?")[0]
        if not raw.startswith("/"):
            authority = raw.partition("://")[2]  # absolute form (RFC 9112 §3.2.2); what is none has no path
            raw = authority and "/" + authority.partition("/")[2]
        return raw if unquote_to_bytes(raw) == routed else ""

    @property
    def query(self) -> str:
        """The query as sent."""
        query: str = self._environ.get("QUERY_STRING", "")
        return query

    def values(self, name: str) -> tuple[str, ...]:
        """Return the value of the header *name*; a WSGI server joins duplicates with commas."""
        if name == "content-type":  # PEP 3333: a variable of its own, which may be empty
            written: str = self._environ.get("CONTENT_TYPE", "")
            return (written,) if written else ()
        value: str | None = self._environ.get(f"HTTP_{name.upper().replace('-', '_')}")
        return () if value is None else (value,)

    def form(self, limit: int) -> bytes | None:
        """Return the body, which can be read again; None where it has more than *limit* octets."""
        return readable(self._environ, limit)


class GuardMiddleware:
    """Let *guard* decide about every request before *app* sees it.

    A CORS preflight passes, unless *preflight_passes* is False.  An event stream ends with its first event that comes
    *grace* seconds after its token is over; None: it may go on.  Raises Misconfigured for a grace that is neither.
    """

    def __init__(self, app: App, guard: Guard, *, preflight_passes: bool = True, grace: float | None = 0) -> None:
        self.app = app
        self.guard = guard
        self.preflight_passes = preflight_passes
        self.grace = checked(grace)
        self._looks_beyond = not is_plain(guard)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        guard = self.guard
        if self._looks_beyond:
            seen = EnvironRequest(environ)
            response = guard.answer(seen)
            if response is not None:
                return answer(response, environ, start_response)
            if guard.carried.is_in_query(seen):
                start_response = started_privately(start_response)
        authorization: str | None = environ.get("HTTP_AUTHORIZATION")  # with which it is no preflight
        decision = None if authorization is None else guard.at_sight_of_text(authorization)
        if decision is None:
            decision = self._decided(environ, authorization)
        if not isinstance(decision, Allow):
            return answer(refuse(decision.error, EnvironRequest(environ), guard.realm), environ, start_response)
        environ[CREDENTIALS] = credentials = decision.credentials
        environ[REALM] = guard.realm
        # The application and each step of its answer run in one context of their own, so that nothing stays
        # on the worker thread and a streamed body still knows for whom it is.
        return self.served(copy_context(), credentials, environ, start_response)

    def _decided(self, environ: Environ, authorization: str | None) -> Decision:
        request = EnvironRequest(environ)
        if self.preflight_passes and is_preflight(request):
            return Allow(None)
        decision = self.guard.glance(authorization, request)
        return run(self.guard.decide(request)) if decision is None else decision

    def served(
        self, context: Context, credentials: Credentials | None, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Return the application's body for whoever has *credentials*, all of it done in *context*."""
        start = _Start(start_response)
        body: Iterable[bytes] = context.run(called, credentials, self.app, environ, start)
        if _is_whole(body, environ):
            return body
        if credentials is None or self.grace is None:
            return InContext(body, context)
        is_over = partial(is_past, self.guard, credentials, self.grace)
        return InContext(body, context, lambda: start.is_of_events and is_over())


def called(credentials: Credentials | None, app: App, environ: Environ, start: StartResponse) -> Iterable[bytes]:
    """Call *app*, which finds *credentials*, in a context of its own."""
    CURRENT.set(credentials)
    return app(environ, start)


def _is_whole(body: Iterable[bytes], environ: Environ) -> bool:
    """Say whether nothing of the application runs any more; a server looks at a file's type to send it faster."""
    if type(body) in (list, tuple):
        return True
    wrapper = environ.get("wsgi.file_wrapper")
    return isinstance(wrapper, type) and type(body) is wrapper


class _Start:
    """A ``start_response`` that notes whether an event stream starts."""

    __slots__ = ("_start_response", "is_of_events")

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self.is_of_events = False

    def __call__(self, status: str, headers: list[tuple[str, str]], *error: Any) -> Any:  # noqa: ANN401 - as PEP 3333 has it
        self.is_of_events = False
        for name, value in headers:
            if len(name) == _LENGTH and name.lower() == "content-type" and value.lower().startswith(_EVENTS):
                self.is_of_events = True
        return self._start_response(status, headers, *error)


def is_past(guard: Guard, credentials: Credentials, grace: float) -> bool:
    """Say whether the token of *credentials* was over *grace* seconds ago."""
    return guard.clock() >= good_until(guard, credentials) + grace


class InContext(Generic[T]):
    """A streamed body, each step of which runs in *context*, and which ends with the step after *is_over*."""

    __slots__ = ("_body", "_context", "_is_over")

    def __init__(self, body: Iterable[T], context: Context, is_over: Callable[[], bool] | None = None) -> None:
        self._body = body
        self._context = context
        self._is_over = is_over

    def __iter__(self) -> Iterator[T]:
        run: Any = self._context.run  # whose type says too little of what it calls
        steps: Iterator[T] = map(run, repeat(next), repeat(run(iter, self._body)))  # with no step of ours in between
        is_over = self._is_over
        return steps if is_over is None else takewhile(lambda _: not is_over(), steps)

    def close(self) -> None:
        """Close the body, where it can be closed."""
        close = getattr(self._body, "close", None)
        if close is not None:
            self._context.run(close)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[App], App]:
    """Wrap a WSGI app so that it asks for *scopes*.

    With *guard* the app is guarded on its own; without, GuardMiddleware must be around it (RuntimeError
    where it is not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)

    def wrap(app: App) -> App:
        if guard is not None:
            return GuardMiddleware(app, guard.requiring(policy), preflight_passes=False)

        def guarded(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            error = missing(environ, wanted)
            if error is not None:
                return answer(refuse(error, EnvironRequest(environ), environ[REALM]), environ, start_response)
            return app(environ, start_response)

        return guarded

    return wrap


def answer(response: Response, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Send *response*."""
    phrase = HTTPStatus(response.status).phrase
    headers = [(name.title(), value) for name, value in response.headers]
    start_response(f"{response.status} {phrase}", headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else response.body]
