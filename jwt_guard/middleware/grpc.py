"""gRPC call → Request, and decision → status: interceptors for ``grpc.server`` and ``grpc.aio.server``.

A call is a POST to ``/package.Service/Method``, as it is in HTTP/2, so that routes work on methods.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing, closing, contextmanager
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial, wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, cast

import grpc
import grpc.aio

from ..access.lifetime import good_until
from ..access.policy import scopes as needs
from ..credentials import CURRENT
from ..decision import Allow, Deny
from ..errors import Expired, Unavailable
from ..messages import PlainRequest
from ..runners import awaiting, blocking
from .expiring import checked
from .refusing import CREDENTIALS, missing, refuse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
    from contextvars import Context

    from ..access.guard import Guard
    from ..credentials import Credentials
    from ..decision import Decision
    from ..errors import GuardError

__all__ = ["AioGuardInterceptor", "GuardInterceptor", "requires"]

F = TypeVar("F", bound="Callable[..., Any]")
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Behaviour: TypeAlias = "Callable[[Any, Any], Any]"
Trailers: TypeAlias = "tuple[tuple[str, str], ...]"
Message: TypeAlias = Any
"""What the application takes or gives: one message, or an iterator of them."""
Servicing: TypeAlias = Any
"""A grpc.ServicerContext or a grpc.aio.ServicerContext, which have no class in common."""

_CODES = {
    400: grpc.StatusCode.UNAUTHENTICATED,
    401: grpc.StatusCode.UNAUTHENTICATED,
    503: grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that was let in."""

    guard: Guard
    request: PlainRequest
    credentials: Credentials | None
    grace: float | None = 0
    """Seconds that its messages may come after its token is over; None: for as long as it likes."""

    def left(self) -> float | None:
        """Return for how many seconds its messages may come."""
        if self.credentials is None or self.grace is None:
            return None
        return good_until(self.guard, self.credentials) - self.guard.clock() + self.grace

    def is_over(self) -> bool:
        left = self.left()
        return left is not None and left <= 0

    def context(self) -> Context:
        """Return a context in which the code of the application runs: nothing of it stays on a worker thread."""
        context = copy_context()
        context.run(CURRENT.set, self.credentials)
        context.run(_CALL.set, self)
        return context

    @contextmanager
    def entered(self) -> Generator[None]:
        """Do the same to a task."""
        credentials, call = CURRENT.set(self.credentials), _CALL.set(self)
        try:
            yield
        finally:
            _CALL.reset(call)
            CURRENT.reset(credentials)


_CALL: ContextVar[_Call | None] = ContextVar("jwt_guard_grpc_call", default=None)


class _Interceptor:
    """What the two have in common.  Raises Misconfigured for a grace that is neither a number of seconds nor None."""

    def __init__(self, guard: Guard, *, grace: float | None = 0) -> None:
        self.guard = guard
        self.grace = checked(grace)

    def _at_sight(self, request: PlainRequest) -> Decision | None:
        """Return the decision where no code of the application is needed for it, nor a look into a token."""
        guard, sent = self.guard, request.values("authorization")
        if len(sent) == 1:
            return guard.at_sight_of_text(sent[0])
        # Without one token there is nothing to wait for: that is open, or refused.
        return blocking.run(guard.decide(request)) if sent or guard.carried.is_header_only else None

    def _glance(self, request: PlainRequest) -> Decision | None:
        """Return the decision where it takes no wait."""
        sent = request.values("authorization")
        return self.guard.glance(sent[0], request) if sent else None

    def _admitted(self, request: PlainRequest, credentials: Credentials | None) -> _Call:
        return _Call(self.guard, request, credentials, self.grace)


class GuardInterceptor(_Interceptor, grpc.ServerInterceptor):
    """Let *guard* decide about every call: ``grpc.server(pool, interceptors=[GuardInterceptor(guard)])``.

    Put it first.  A stream ends with its first message that comes *grace* seconds after its token is over; None: it
    may go on.
    """

    # One method for handlers of every kind, which the stubs have no word for.
    def intercept_service(
        self, continuation: Callable[[Any], Handler | None], handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return what answers the call: the application's handler behind the guard, or a refusal."""
        request = _request(handler_call_details.method, handler_call_details.invocation_metadata)
        # This is the thread that serves all calls, so that what may take time is done on a worker's.
        known = self._at_sight(request)
        if isinstance(known, Deny):
            return _of_any_kind(_refusing(known.error, request, self.guard.realm))
        handler = continuation(handler_call_details)
        admit = partial(self._admit, request, known)
        return _of_any_kind(_unknown(admit)) if handler is None else _wrapped(handler, admit, _blocking)

    def _admit(self, request: PlainRequest, known: Decision | None, context: grpc.ServicerContext) -> _Call:
        """Return the call if it is let in, else end it."""
        decision = known
        if decision is None:
            decision = self._glance(request)
        if decision is None:
            decision = blocking.run(self.guard.decide(request))
        if not isinstance(decision, Allow):
            _abort(context, decision.error, request, self.guard.realm)
        return self._admitted(request, decision.credentials)


class AioGuardInterceptor(_Interceptor, grpc.aio.ServerInterceptor):
    """Let *guard* decide about every call: ``grpc.aio.server(interceptors=[AioGuardInterceptor(guard)])``.

    Put it first.  A stream ends *grace* seconds after its token is over (where its handler is no coroutine, with the
    first message after that); None: it may go on.
    """

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler | None]], handler_call_details: grpc.HandlerCallDetails
    ) -> Handler | None:
        """Return what answers the call: the application's handler behind the guard, or a refusal."""
        request = _request(handler_call_details.method, handler_call_details.invocation_metadata)
        decision = self._at_sight(request)
        if decision is None:
            decision = self._glance(request)
        if decision is None:
            decision = await awaiting.run(self.guard.decide(request))
        if not isinstance(decision, Allow):
            return _of_any_kind(_refusing_awaited(decision.error, request, self.guard.realm))
        call = self._admitted(request, decision.credentials)
        with call.entered():
            handler = await continuation(handler_call_details)
        return None if handler is None else _wrapped(handler, lambda _context: call, _awaited)


def requires(*scopes: str, guard: Guard | None = None) -> Callable[[F], F]:
    """Ask for *scopes* at one method of a servicer: ``(self, request, context)``, of any kind, sync or async.

    With *guard* the method is guarded on its own, by a policy that sees no path where there is no interceptor;
    without, an interceptor must be there (RuntimeError where it is not, so that nothing passes).
    """
    policy = needs(*scopes)
    wanted = frozenset(scopes)
    own = None if guard is None else guard.requiring(policy)

    def wrap(method: F) -> F:
        if isasyncgenfunction(method):

            @wraps(method)
            async def stepping(*args: Message, **kwargs: Message) -> AsyncIterator[Message]:
                call = await _required_awaited(own, wanted, _context_of(args, kwargs))
                async with aclosing(_steps_awaited(partial(method, *args, **kwargs), call)) as steps:
                    async for step in steps:
                        yield step

            return cast("F", stepping)
        if iscoroutinefunction(method):

            @wraps(method)
            async def awaiting_it(*args: Message, **kwargs: Message) -> Message:
                call = await _required_awaited(own, wanted, _context_of(args, kwargs))
                with call.entered():
                    return await method(*args, **kwargs)

            return cast("F", awaiting_it)
        if isgeneratorfunction(method):

            @wraps(method)
            def iterating(*args: Message, **kwargs: Message) -> Iterator[Message]:
                call = _required(own, wanted, _context_of(args, kwargs))
                yield from _steps(partial(method, *args, **kwargs), call)

            return cast("F", iterating)

        @wraps(method)
        def calling(*args: Message, **kwargs: Message) -> Message:
            context = _context_of(args, kwargs)
            call = _required(own, wanted, context)
            inner = call.context()
            answer = inner.run(method, *args, **kwargs)
            return _in_context(answer, inner) if hasattr(answer, "__next__") else answer

        return cast("F", calling)

    return wrap


def _context_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Servicing:
    return kwargs["context"] if "context" in kwargs else args[-1]


def _required(own: Guard | None, wanted: frozenset[str], context: Servicing) -> _Call:
    found = _CALL.get()
    if own is None:
        call, error = _looked_at(found, wanted)
        if error is not None:
            _abort(context, error, call.request, call.guard.realm)
        return call
    request = _request("" if found is None else found.request.path, context.invocation_metadata())
    decision = blocking.run(own.decide(request))
    if not isinstance(decision, Allow):
        _abort(context, decision.error, request, own.realm)
    return _Call(own, request, decision.credentials)


async def _required_awaited(own: Guard | None, wanted: frozenset[str], context: Servicing) -> _Call:
    found = _CALL.get()
    if own is None:
        call, error = _looked_at(found, wanted)
        if error is not None:
            await _abort_awaited(context, error, call.request, call.guard.realm)
        return call
    request = _request("" if found is None else found.request.path, context.invocation_metadata())
    decision = await awaiting.run(own.decide(request))
    if not isinstance(decision, Allow):
        await _abort_awaited(context, decision.error, request, own.realm)
    return _Call(own, request, decision.credentials)


def _looked_at(found: _Call | None, wanted: frozenset[str]) -> tuple[_Call, GuardError | None]:
    error = missing({} if found is None else {CREDENTIALS: found.credentials}, wanted)
    return cast("_Call", found), error


def _request(method: str, metadata: Iterable[Any] | None) -> PlainRequest:
    headers = tuple((key, value) for key, value in metadata or () if isinstance(value, str))  # -bin ones are bytes
    return PlainRequest("POST", method, "", headers)


# ── handlers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_any_kind(behaviour: Behaviour) -> Handler:
    """Return a handler of every kind of call that ends it before a message is read: on the wire all are alike."""
    return grpc.stream_stream_rpc_method_handler(behaviour)


def _wrapped(handler: Handler, admit: Callable[[Any], _Call], wrap: Callable[..., Behaviour]) -> Handler:
    """Return *handler* with its behaviour wrapped, whichever of the four kinds it is of."""
    requests, responses = handler.request_streaming, handler.response_streaming
    kind = f"{'stream' if requests else 'unary'}_{'stream' if responses else 'unary'}"
    behaviour = wrap(getattr(handler, kind), admit, requests=requests, responses=responses)
    make: Callable[..., Handler] = getattr(grpc, f"{kind}_rpc_method_handler")
    return make(behaviour, handler.request_deserializer, handler.response_serializer)


def _unknown(admit: Callable[[Any], _Call]) -> Behaviour:
    def unknown(_requests: object, context: grpc.ServicerContext) -> NoReturn:
        admit(context)
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")

    return unknown


def _blocking(behaviour: Behaviour, admit: Callable[[Any], _Call], *, requests: bool, responses: bool) -> Behaviour:
    def stepping(request: Message, context: Servicing) -> Iterator[Message]:
        call = admit(context)
        sent = _until_over(request, call, context) if requests else request
        return _steps(partial(behaviour, sent, context), call, context)

    def generating(request: Message, context: Servicing) -> Iterator[Message]:
        yield from stepping(request, context)  # on a worker thread, also where a loop calls the handler

    def calling(request: Message, context: Servicing) -> Message:
        call = admit(context)
        sent = _until_over(request, call, context) if requests else request
        return call.context().run(behaviour, sent, context)

    return generating if responses else calling


def _awaited(behaviour: Behaviour, admit: Callable[[Any], _Call], *, requests: bool, responses: bool) -> Behaviour:
    if isasyncgenfunction(behaviour):

        async def stepping(request: Message, context: Servicing) -> AsyncIterator[Message]:
            async with aclosing(_steps_awaited(partial(behaviour, request, context), admit(context), context)) as steps:
                async for step in steps:
                    yield step

        return stepping
    if not iscoroutinefunction(behaviour):
        return _blocking(behaviour, admit, requests=requests, responses=responses)

    async def awaiting_it(request: Message, context: Servicing) -> Message:
        call = admit(context)
        limit = asyncio.timeout(call.left() if requests or responses else None)
        try:
            async with limit:
                with call.entered():
                    return await behaviour(request, context)
        except TimeoutError:
            if not limit.expired():
                raise
            return await _abort_awaited(context, _expired(), call.request, call.guard.realm)

    return awaiting_it


def _until_over(requests: Iterable[Message], call: _Call, context: grpc.ServicerContext) -> Iterator[Message]:
    for request in requests:
        if call.is_over():
            _conclude(context, _expired(), call.request, call.guard.realm)
            raise _Over  # where the client seems to have said all, half of it may be taken for the whole
        yield request


def _steps(start: Callable[[], Any], call: _Call, context: grpc.ServicerContext | None = None) -> Iterator[Message]:
    """Yield what *start* gives, each step in the context of *call*; with *context*, end that once it is over."""
    inner = call.context()
    with closing(_in_context(inner.run(start), inner)) as steps:
        for step in steps:
            if context is not None and call.is_over():
                _conclude(context, _expired(), call.request, call.guard.realm)
                return
            yield step


def _in_context(responses: Iterable[Message], inner: Context) -> Generator[Message]:
    steps = inner.run(iter, responses)
    done = object()
    try:
        while (step := inner.run(next, steps, done)) is not done:
            yield step
    finally:
        close: Callable[[], None] | None = getattr(steps, "close", None)
        if close is not None:
            inner.run(close)


async def _steps_awaited(
    start: Callable[[], Any],
    call: _Call,
    context: Servicing = None,
) -> AsyncGenerator[Message]:
    """Do the same where steps are awaited, and do not wait for one that comes too late."""
    left = None if context is None else call.left()
    end = None if left is None else asyncio.get_running_loop().time() + left
    with call.entered():
        steps = start()
    try:
        while True:
            limit = asyncio.timeout_at(end)
            try:
                async with limit:
                    with call.entered():
                        step = await anext(steps)
            except StopAsyncIteration:
                return
            except TimeoutError:
                if not limit.expired():
                    raise
                break
            if end is not None and asyncio.get_running_loop().time() >= end:
                break  # a generator that never waits is never interrupted
            yield step
    finally:
        with call.entered():
            await steps.aclose()
    await _abort_awaited(context, _expired(), call.request, call.guard.realm)


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


class _Over(Exception):
    """What an application gets that reads on in a stream whose token is over."""


def _expired() -> GuardError:
    return Expired("exp", "the token of an open stream is over")


def _refusal(error: GuardError, request: PlainRequest, realm: str) -> tuple[grpc.StatusCode, str, Trailers]:
    """Return what the client is told: a status, a fixed sentence, and the challenge among the trailers."""
    response = refuse(error, request, realm)
    problem: dict[str, str] = json.loads(response.body)
    trailers = [(name, value) for name, value in response.headers if name == "www-authenticate"]
    if isinstance(error, Unavailable):
        trailers.append(("grpc-retry-pushback-ms", str(error.retry_after * 1000)))  # gRFC A6, "Pushback"
    trailers.append(("refusal-id", problem["id"]))
    return _CODES.get(error.status, grpc.StatusCode.PERMISSION_DENIED), problem["detail"], tuple(trailers)


def _refusing(error: GuardError, request: PlainRequest, realm: str) -> Behaviour:
    def refusing(_requests: object, context: grpc.ServicerContext) -> NoReturn:
        _abort(context, error, request, realm)

    return refusing


def _refusing_awaited(error: GuardError, request: PlainRequest, realm: str) -> Behaviour:
    async def refusing(_requests: object, context: Servicing) -> None:
        await _abort_awaited(context, error, request, realm)

    return refusing


def _abort(context: grpc.ServicerContext, error: GuardError, request: PlainRequest, realm: str) -> NoReturn:
    code, sentence, trailers = _refusal(error, request, realm)
    context.set_trailing_metadata(trailers)
    context.abort(code, sentence)


def _conclude(context: grpc.ServicerContext, error: GuardError, request: PlainRequest, realm: str) -> None:
    """Say how the call ends, without ending it.

    To abort() in the midst of a stream that a worker thread feeds to a loop may leave that thread waiting for ever.
    """
    code, sentence, trailers = _refusal(error, request, realm)
    context.set_trailing_metadata(trailers)
    context.set_code(code)
    context.set_details(sentence)


async def _abort_awaited(context: Servicing, error: GuardError, request: PlainRequest, realm: str) -> NoReturn:
    code, sentence, trailers = _refusal(error, request, realm)
    await context.abort(code, sentence, trailing_metadata=trailers)
    raise AssertionError  # it has raised
