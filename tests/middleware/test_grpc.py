"""gRPC: interceptors for both servers, all four kinds of calls, and requires() at a servicer's method."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import grpc
import grpc.aio
import pytest

from jwt_guard import Allow, Decision, Deny, Guard, Misconfigured, anyone, authenticated, by_route, scopes
from jwt_guard.access.carriers import cookie, header, query
from jwt_guard.errors import KeysUnavailable
from jwt_guard.flow import Flow, call
from jwt_guard.middleware.grpc import AioGuardInterceptor, GuardInterceptor, requires
from tests.support.minting import HOUR, NOW, claims, mint

from .callers import bearer, guarding, whoever

SERVICE = "test.Orders"
# grpcio's aio server hands on what a plain generator gives from a worker thread, with a coroutine that it drops where
# the loop has been closed meanwhile.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'Queue.put' was never awaited:RuntimeWarning")

KINDS = {"Get": "unary_unary", "List": "unary_stream", "Total": "stream_unary", "Chat": "stream_stream"}
SERVERS = ("sync", "aio", "sync in aio")
UNAUTHENTICATED, DENIED = grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED
LEEWAY = 30
NEEDS_WRITE = (
    'Bearer realm="api", error="insufficient_scope", '
    'error_description="The access token does not allow this", scope="orders:write"'
)

Servicer = dict[str, Callable[[Any, Any], Any]]


# ── servers, and what is asked of them ───────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Answer:
    code: grpc.StatusCode
    details: str
    trailers: dict[str, str]
    messages: list[bytes]


@dataclass(frozen=True)
class Client:
    channel: grpc.Channel

    def ask(self, method: str, sent: Any = (), *, requests: Any = (b"1", b"2")) -> Answer:
        """Call *method* with the metadata *sent*, and return all that came of it."""
        kind = KINDS.get(method, "unary_unary")
        metadata = tuple((name, _value(name, value)) for name, value in sent)
        call: Any = getattr(self.channel, kind)(f"/{SERVICE}/{method}")
        what: Any = iter(requests) if kind.startswith("stream") else next(iter(requests))
        if kind.endswith("unary"):
            try:
                message, done = call.with_call(what, metadata=metadata, timeout=20)
            except grpc.RpcError as error:
                return _answer(error, [])
            return _answer(done, [message])
        responses = call(what, metadata=metadata, timeout=20)
        messages: list[bytes] = []
        try:
            messages.extend(responses)
        except grpc.RpcError as error:
            return _answer(error, messages)
        return _answer(responses, messages)


def _value(name: str, value: str | bytes) -> str | bytes:
    return value.decode() if isinstance(value, bytes) and not name.endswith("-bin") else value


def _answer(done: Any, messages: list[bytes]) -> Answer:
    return Answer(done.code(), done.details(), dict(done.trailing_metadata()), messages)


def _handlers(servicer: Servicer) -> grpc.GenericRpcHandler:
    made = {name: getattr(grpc, f"{KINDS[name]}_rpc_method_handler")(method) for name, method in servicer.items()}
    return grpc.method_handlers_generic_handler(SERVICE, made)


@contextmanager
def serving(server: str, servicer: Servicer, *interceptors: Any) -> Generator[Client]:
    with ExitStack() as stack:
        if server == "sync":
            pool = stack.enter_context(ThreadPoolExecutor(4))
            running = grpc.server(pool, interceptors=list(interceptors))
            running.add_generic_rpc_handlers((_handlers(servicer),))
            port = running.add_insecure_port("127.0.0.1:0")
            running.start()
            stack.callback(lambda: running.stop(None).wait())
        else:
            port = stack.enter_context(_aio_server(servicer, interceptors))
        yield Client(stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}")))


@contextmanager
def _aio_server(servicer: Servicer, interceptors: Any) -> Generator[int]:
    ports: list[int] = []
    ready = threading.Event()
    stops: list[Callable[[], object]] = []

    async def serve(pool: ThreadPoolExecutor) -> None:
        server = grpc.aio.server(pool, interceptors=interceptors)
        server.add_generic_rpc_handlers((_handlers(servicer),))
        ports.append(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        stops.append(lambda: loop.call_soon_threadsafe(done.set))
        ready.set()
        await done.wait()
        await server.stop(None)

    with ThreadPoolExecutor(4) as pool:
        thread = threading.Thread(target=asyncio.run, args=(serve(pool),))
        thread.start()
        assert ready.wait(20)
        try:
            yield ports[0]
        finally:
            stops[0]()
            thread.join()


def behind(server: str, guard: Guard, servicer: Servicer, **more: Any) -> Any:
    interceptor: Any = GuardInterceptor if server == "sync" else AioGuardInterceptor
    return serving(server, servicer, interceptor(guard, **more))


def who() -> bytes:
    return whoever().encode()


def blocking_servicer() -> Servicer:
    def get(request: bytes, context: Any) -> bytes:
        return who() + b" " + request

    def several(request: bytes, context: Any) -> Iterator[bytes]:
        yield who()
        yield who()

    def total(requests: Iterator[bytes], context: Any) -> bytes:
        return who() + b" " + b"".join(who() for _ in requests)

    def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        for request in requests:
            yield who() + b" " + request

    return {"Get": get, "List": several, "Total": total, "Chat": chat}


def awaited_servicer() -> Servicer:
    async def get(request: bytes, context: Any) -> bytes:
        return who() + b" " + request

    async def several(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield who()
        await asyncio.sleep(0)
        yield who()

    async def total(requests: AsyncIterator[bytes], context: Any) -> bytes:
        return who() + b" " + b"".join([who() async for _ in requests])

    async def chat(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield who() + b" " + request

    return {"Get": get, "List": several, "Total": total, "Chat": chat}


def servicer_of(server: str) -> Servicer:
    return awaited_servicer() if server == "aio" else blocking_servicer()


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


SAID_TO_ADA = {
    "Get": [b"ada 1"],
    "List": [b"ada", b"ada"],
    "Total": [b"ada adaada"],
    "Chat": [b"ada 1", b"ada 2"],
}


# ── who is let in ────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_kind_of_call_knows_who_asks_at_each_step(server: str) -> None:
    with behind(server, guarding(), servicer_of(server)) as client:
        for method, said in SAID_TO_ADA.items():
            assert said == client.ask(method, bearer()).messages, method


def test_without_a_token_no_call_is_let_in_and_the_challenge_is_in_the_trailers(server: str) -> None:
    with behind(server, guarding(), servicer_of(server)) as client:
        for method in KINDS:
            answer = client.ask(method)

            assert UNAUTHENTICATED == answer.code, method
            assert "An access token is needed" == answer.details
            assert 'Bearer realm="api"' == answer.trailers["www-authenticate"]
            assert [] == answer.messages


BAD = {
    "no JWT": [("authorization", "Bearer no.jwt.here")],
    "expired": [("authorization", f"Bearer {mint(claims(exp=NOW - HOUR), alg='HS256')}")],
    "for somebody else": [("authorization", f"Bearer {mint(claims(aud='billing'), alg='HS256')}")],
    "two headers": [*bearer(), *bearer("eve")],
    "two headers, the first one good": [*bearer(), ("authorization", "Bearer x")],
    "two in one": [("authorization", bearer()[0][1].decode() + ", Bearer x")],
    "another scheme": [("authorization", "Basic YWRhOng=")],
    "binary": [("authorization-bin", bearer()[0][1])],
    "elsewhere": [("x-authorization", bearer()[0][1])],
}


@pytest.mark.parametrize("sent", BAD.values(), ids=BAD)
def test_no_bad_header_gets_in(server: str, sent: Any) -> None:
    with behind(server, guarding(), servicer_of(server)) as client:
        assert UNAUTHENTICATED == client.ask("Get", sent).code
        assert UNAUTHENTICATED == client.ask("Chat", sent).code
        assert [b"ada 1"] == client.ask("Get", bearer()).messages
        assert UNAUTHENTICATED == client.ask("Get", sent).code


def test_the_scheme_is_read_in_any_case(server: str) -> None:
    token = bearer()[0][1].decode().partition(" ")[2]
    with behind(server, guarding(), servicer_of(server)) as client:
        assert [b"ada 1"] == client.ask("Get", [("authorization", f"bearer {token}")]).messages


def test_a_missing_scope_is_permission_denied(server: str) -> None:
    with behind(server, guarding(scopes("orders:write")), servicer_of(server)) as client:
        answer = client.ask("Get", bearer())

        assert DENIED == answer.code
        assert NEEDS_WRITE == answer.trailers["www-authenticate"]


def test_routes_are_methods_and_each_call_is_a_post(server: str) -> None:
    policy = by_route(
        [
            ("POST", f"/{SERVICE}/Get", anyone()),
            ("POST", f"/{SERVICE}/List", scopes("orders:write")),
            ("GET", f"/{SERVICE}/Chat", authenticated()),
        ]
    )
    with behind(server, guarding(policy), servicer_of(server)) as client:
        assert [b"nobody 1"] == client.ask("Get").messages
        assert [b"ada 1"] == client.ask("Get", bearer()).messages
        assert UNAUTHENTICATED == client.ask("Get", [("authorization", "Bearer x")]).code
        assert UNAUTHENTICATED == client.ask("List").code
        assert DENIED == client.ask("List", bearer()).code
        assert DENIED == client.ask("Chat", bearer()).code  # 405 at other doors
        assert DENIED == client.ask("Total", bearer()).code


def test_which_methods_there_are_is_not_told_without_a_token(server: str) -> None:
    with behind(server, guarding(), servicer_of(server)) as client:
        assert UNAUTHENTICATED == client.ask("Nothing").code
        assert UNAUTHENTICATED == client.ask("Nothing", [("authorization", "Bearer x")]).code
        for _ in range(2):  # once it is verified, once it is remembered
            assert grpc.StatusCode.UNIMPLEMENTED == client.ask("Nothing", bearer("bob")).code


def test_keys_out_of_reach_are_unavailable_and_the_client_is_told_when_to_try_again(server: str) -> None:
    def policy(_request: Any, _credentials: Any) -> Deny:
        return Deny(KeysUnavailable("they do not answer", retry_after=7))

    with behind(server, guarding(policy), servicer_of(server)) as client:
        answer = client.ask("Get", bearer())

        assert grpc.StatusCode.UNAVAILABLE == answer.code
        assert "The access token cannot be checked at the moment" == answer.details
        assert "7000" == answer.trailers["grpc-retry-pushback-ms"]
        assert "www-authenticate" not in answer.trailers


def test_the_log_has_the_reason_under_the_id_that_the_client_was_told(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = mint(claims(aud="billing"), alg="HS256")
    with caplog.at_level(logging.INFO, "jwt_guard"), behind(server, guarding(), servicer_of(server)) as client:
        answer = client.ask("Get", [("authorization", f"Bearer {token}")])

    assert answer.trailers["refusal-id"] in caplog.text
    assert "aud" in caplog.text
    assert "'POST' '/test.Orders/Get'" in caplog.text
    assert token not in caplog.text
    assert "billing" not in answer.details


def test_a_policy_that_breaks_lets_nobody_in(server: str) -> None:
    def policy(_request: Any, _credentials: Any) -> Any:
        return True

    with behind(server, guarding(policy), servicer_of(server)) as client:
        answer = client.ask("Get", bearer())

        assert grpc.StatusCode.UNKNOWN == answer.code
        assert [] == answer.messages


def test_nobody_stays_on_a_worker_thread() -> None:
    seen: list[str] = []

    def get(request: bytes, context: Any) -> bytes:
        seen.append(whoever())
        return b""

    guard = guarding(anyone())
    with ThreadPoolExecutor(1) as pool:
        running = grpc.server(pool, interceptors=[GuardInterceptor(guard)])
        running.add_generic_rpc_handlers((_handlers({**blocking_servicer(), "Get": get}),))
        port = running.add_insecure_port("127.0.0.1:0")
        running.start()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = Client(channel)
            for method in KINDS:
                client.ask(method, bearer())
                client.ask("Get")
                seen.append(pool.submit(whoever).result(20))
        running.stop(None).wait()

    assert ["ada", "nobody", "nobody", *["nobody", "nobody"] * 3] == seen


def test_two_streams_at_a_time_do_not_mix(server: str) -> None:
    both = threading.Barrier(2)

    def requests(name: bytes) -> Iterator[bytes]:
        for _ in range(5):
            both.wait(20)
            yield name

    with behind(server, guarding(), servicer_of(server)) as client, ThreadPoolExecutor(2) as pool:
        ada = pool.submit(client.ask, "Chat", bearer("ada"), requests=requests(b"a"))
        bob = pool.submit(client.ask, "Chat", bearer("bob"), requests=requests(b"b"))

        assert [b"ada a"] * 5 == ada.result().messages
        assert [b"bob b"] * 5 == bob.result().messages


# ── streams that outlive their token ─────────────────────────────────────────────────────────────────────────────


class Time:
    """A clock that its owner sets."""

    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def timed(clock: Time) -> Guard:
    return replace(guarding(), clock=clock)


def short_lived(seconds: float = 60) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {mint(claims(sub='ada', exp=NOW + seconds), alg='HS256')}")]


def test_a_blocking_stream_ends_with_the_first_message_after_its_token() -> None:
    clock = Time()

    def several(request: bytes, context: Any) -> Iterator[bytes]:
        yield b"in time"
        clock.now = NOW + 60 + LEEWAY - 1
        yield b"just in time"
        clock.now = NOW + 60 + LEEWAY
        yield b"too late"

    for server in ("sync", "sync in aio"):
        clock.now = NOW
        with behind(server, timed(clock), {"List": several}) as client:
            answer = client.ask("List", short_lived())

            assert [b"in time", b"just in time"] == answer.messages
            assert UNAUTHENTICATED == answer.code
            assert 'error="invalid_token"' in answer.trailers["www-authenticate"]


@pytest.mark.parametrize("server", ["sync", "sync in aio"])
@pytest.mark.parametrize("method", ["Total", "Chat"])
def test_no_message_of_the_client_is_taken_after_its_token(server: str, method: str) -> None:
    clock, taken = Time(), list[bytes]()

    def requests() -> Iterator[bytes]:
        yield b"in time"
        yield b"too late"

    def total(requests: Iterator[bytes], context: Any) -> bytes:
        for request in requests:
            taken.append(request)
            clock.now = NOW + HOUR
        return b"done"

    def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        yield total(requests, context)

    with behind(server, timed(clock), {"Total": total, "Chat": chat}) as client:
        answer = client.ask(method, short_lived(), requests=requests())

    assert UNAUTHENTICATED == answer.code
    assert [b"in time"] == taken


async def _never(cancelled: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.append(whoever())


@pytest.mark.parametrize("method", ["List", "Total", "Chat", "Write"])
def test_a_stream_that_waits_is_ended_when_its_token_is(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "Write", "unary_stream")
    cancelled: list[str] = []
    clock = Time()
    clock.now = NOW + 60 + LEEWAY - 0.3

    async def several(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"in time"
        await _never(cancelled)

    async def total(requests: Any, context: Any) -> bytes:
        await _never(cancelled)
        return b""

    async def write(request: bytes, context: Any) -> None:
        await context.write(b"in time")
        await _never(cancelled)

    servicer: Servicer = {"List": several, "Total": total, "Chat": several, "Write": write}
    with behind("aio", timed(clock), servicer) as client:
        answer = client.ask(method, short_lived())

    assert UNAUTHENTICATED == answer.code
    assert ([] if method == "Total" else [b"in time"]) == answer.messages
    assert ["ada"] == cancelled


def test_a_stream_that_never_waits_is_ended_too() -> None:
    clock = Time()
    clock.now = NOW + 60 + LEEWAY - 0.2

    async def several(request: bytes, context: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 10_000

    with behind("aio", timed(clock), {"List": several}) as client:
        assert UNAUTHENTICATED == client.ask("List", short_lived()).code


def test_a_call_that_is_no_stream_may_take_its_time(server: str) -> None:
    clock = Time()

    def get(request: bytes, context: Any) -> bytes:
        clock.now = NOW + HOUR
        return b"done"

    async def get_awaited(request: bytes, context: Any) -> bytes:
        await asyncio.sleep(0.05)
        return b"done"

    clock.now = NOW + 60 + LEEWAY - 0.01
    with behind(server, timed(clock), {"Get": get_awaited if server == "aio" else get}) as client:
        assert [b"done"] == client.ask("Get", short_lived()).messages


def test_an_interceptor_behind_the_guard_knows_who_asks_with_asyncio() -> None:
    seen: list[str] = []

    class Inner(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
            seen.append(whoever())
            return await continuation(handler_call_details)

    with serving("aio", awaited_servicer(), AioGuardInterceptor(guarding()), Inner()) as client:
        client.ask("Get", bearer())
        client.ask("Get")

    assert ["ada"] == seen


def test_with_grace_none_a_stream_may_go_on(server: str) -> None:
    clock = Time()

    def several(request: bytes, context: Any) -> Iterator[bytes]:
        clock.now = NOW + HOUR
        yield b"late"

    async def several_awaited(request: bytes, context: Any) -> AsyncIterator[bytes]:
        clock.now = NOW + HOUR
        await asyncio.sleep(0)
        yield b"late"

    servicer: Servicer = {"List": several_awaited if server == "aio" else several}
    with behind(server, timed(clock), servicer, grace=None) as client:
        assert [b"late"] == client.ask("List", short_lived()).messages


@pytest.mark.parametrize("interceptor", [GuardInterceptor, AioGuardInterceptor])
def test_a_grace_that_is_no_number_is_refused_at_start(interceptor: Any) -> None:
    with pytest.raises(Misconfigured):
        interceptor(guarding(), grace=-1)


@pytest.mark.parametrize("server", ["sync", "aio"])
def test_what_times_out_in_the_application_is_its_own_affair(server: str, caplog: pytest.LogCaptureFixture) -> None:
    async def several(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        raise TimeoutError

    async def total(requests: Any, context: Any) -> bytes:
        raise TimeoutError

    with behind("aio", guarding(), {"List": several, "Total": total}) as client:
        assert grpc.StatusCode.UNKNOWN == client.ask("List", bearer()).code
        assert grpc.StatusCode.UNKNOWN == client.ask("Total", bearer()).code


def test_what_a_generator_holds_is_given_back_in_the_name_of_its_caller(server: str) -> None:
    given_back: list[str] = []
    done = threading.Event()

    def several(request: bytes, context: Any) -> Iterator[bytes]:
        try:
            yield b"1"
            raise ValueError
        finally:
            given_back.append(whoever())
            done.set()

    async def several_awaited(request: bytes, context: Any) -> AsyncIterator[bytes]:
        try:
            yield b"1"
            raise ValueError
        finally:
            given_back.append(whoever())
            done.set()

    servicer: Servicer = {"List": several_awaited if server == "aio" else several}
    with behind(server, guarding(), servicer) as client:
        assert grpc.StatusCode.UNKNOWN == client.ask("List", bearer()).code
        assert done.wait(20)

    assert ["ada"] == given_back


# ── requires ─────────────────────────────────────────────────────────────────────────────────────────────────────


def requiring(server: str, *needed: str, guard: Guard | None = None) -> Servicer:
    """Return a servicer whose methods are methods, each of which asks for scopes."""
    plain = servicer_of(server)

    class Orders:
        @requires(*needed, guard=guard)
        def get(self, request: bytes, _context: Any) -> bytes:
            return who() + b" " + request

        @requires(*needed, guard=guard)
        def several(self, request: bytes, context: Any) -> Iterator[bytes]:
            yield from plain["List"](request, context)

    class AioOrders:
        @requires(*needed, guard=guard)
        async def get(self, request: bytes, _context: Any) -> bytes:
            return who() + b" " + request

        @requires(*needed, guard=guard)
        async def several(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
            async for step in plain["List"](request, context):
                yield step

    orders = AioOrders() if server == "aio" else Orders()
    decorated = {name: requires(*needed, guard=guard)(method) for name, method in plain.items()}
    return {**decorated, "Get": orders.get, "List": orders.several}


def test_requires_asks_for_scopes_on_top_of_the_guard(server: str) -> None:
    with behind(server, guarding(), requiring(server, "orders:write")) as client:
        for method, said in SAID_TO_ADA.items():
            answer = client.ask(method, bearer())

            assert DENIED == answer.code, method
            assert NEEDS_WRITE == answer.trailers["www-authenticate"]
            assert [] == answer.messages
            assert said == client.ask(method, bearer(scope="orders:write")).messages


def test_requires_on_an_open_method_asks_for_a_token(server: str) -> None:
    with behind(server, guarding(anyone()), requiring(server, "orders:read")) as client:
        for method, said in SAID_TO_ADA.items():
            assert UNAUTHENTICATED == client.ask(method).code, method
            assert said == client.ask(method, bearer()).messages


def test_requires_without_an_interceptor_lets_nobody_in_and_says_why(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(server, requiring(server, "orders:read")) as client:
        for method in KINDS:
            answer = client.ask(method, bearer())

            assert grpc.StatusCode.UNKNOWN == answer.code, method
            assert [] == answer.messages

    assert "requires() found no guard" in caplog.text


def test_requires_with_a_guard_stands_alone(server: str) -> None:
    with serving(server, requiring(server, "orders:read", guard=guarding())) as client:
        for method, said in SAID_TO_ADA.items():
            assert said == client.ask(method, bearer()).messages, method
            assert UNAUTHENTICATED == client.ask(method).code
            assert UNAUTHENTICATED == client.ask(method, [*bearer(), *bearer()]).code
            assert DENIED == client.ask(method, bearer(scope="other")).code


def test_a_guard_of_its_own_sees_the_path_where_there_is_an_interceptor(server: str) -> None:
    own = guarding(by_route([("POST", f"/{SERVICE}/Get", authenticated())]))
    with behind(server, guarding(), requiring(server, "orders:read", guard=own)) as client:
        assert [b"ada 1"] == client.ask("Get", bearer()).messages
        assert DENIED == client.ask("List", bearer()).code


def test_a_method_that_gives_an_iterator_runs_each_of_its_steps_as_its_caller() -> None:
    @requires("orders:read", guard=guarding())
    def several(request: bytes, context: Any) -> Iterator[bytes]:
        return (who() for _ in range(2))

    with serving("sync", {"List": several}) as client:
        assert [b"ada", b"ada"] == client.ask("List", bearer()).messages


def test_requires_takes_the_context_by_name_too() -> None:
    @requires("orders:read")
    def get(*, request: bytes, context: Any) -> bytes:
        return who() + b" " + request

    with behind("sync", guarding(), {"Get": lambda request, context: get(request=request, context=context)}) as client:
        assert [b"ada 1"] == client.ask("Get", bearer()).messages


def test_a_token_in_another_place_is_found_where_the_guard_looks_there(server: str) -> None:
    guard = replace(guarding(), carriers=(header(), query(), cookie("session", ["https://shop.example"])))
    token = bearer()[0][1].decode().partition(" ")[2]
    sent = [("cookie", f"session={token}"), ("origin", "https://shop.example")]
    with behind(server, guard, servicer_of(server)) as client:
        assert [b"ada 1"] == client.ask("Get", sent).messages
        assert [b"ada 1"] == client.ask("Get", bearer()).messages
        assert UNAUTHENTICATED == client.ask("Get", [*sent, *bearer()]).code
        assert UNAUTHENTICATED == client.ask("Get").code
        assert DENIED == client.ask("Get", sent[:1]).code


class Looking(grpc.ServerInterceptor):
    """Stands behind the guard, and counts who comes that far."""

    def __init__(self) -> None:
        self.times = 0

    def intercept_service(self, continuation: Callable[[Any], Any], handler_call_details: Any) -> Any:
        self.times += 1
        return continuation(handler_call_details)


OTHER_PLACES = (header(), cookie("session", ["https://shop.example"]))


def in_cookie(user: str) -> list[tuple[str, str]]:
    token = bearer(user)[0][1].decode().partition(" ")[2]
    return [("cookie", f"session={token}"), ("origin", "https://shop.example")]


def test_what_needs_no_look_into_a_token_is_refused_before_the_application_is_asked() -> None:
    looking = Looking()
    with serving("sync", blocking_servicer(), GuardInterceptor(guarding(scopes("orders:write"))), looking) as client:
        for sent in ([], [*bearer(), *bearer("eve")], [("authorization", "x"), ("authorization", "")]):
            assert UNAUTHENTICATED == client.ask("Get", sent).code
        assert 0 == looking.times

        assert DENIED == client.ask("Get", bearer()).code
        assert 1 == looking.times  # its token was not known yet

        assert DENIED == client.ask("Get", bearer()).code
        assert DENIED == client.ask("Nothing", bearer()).code
        assert 1 == looking.times

        for times in (2, 3):
            assert [b"ada 1"] == client.ask("Get", bearer("ada", "orders:write")).messages
            assert times == looking.times


def test_two_headers_are_refused_at_once_where_the_guard_looks_elsewhere_too() -> None:
    looking = Looking()
    guard = replace(guarding(), carriers=OTHER_PLACES)
    with serving("sync", blocking_servicer(), GuardInterceptor(guard), looking) as client:
        assert [b"ada 1"] == client.ask("Get", bearer()).messages
        assert UNAUTHENTICATED == client.ask("Get", [*bearer(), *bearer("eve")]).code
        assert 1 == looking.times


@pytest.mark.parametrize("sent", [bearer, in_cookie])
def test_what_a_policy_waits_for_keeps_nobody_waiting_wherever_the_token_is(
    server: str, sent: Callable[..., Any]
) -> None:
    """The thread that takes all calls, or the loop, must not be the one that waits."""
    asked, answered = threading.Event(), threading.Event()

    def policy(_request: Any, credentials: Any) -> Flow[Decision]:
        if credentials.user == "slow":
            asked.set()
            yield from call(answered.wait, 20, blocking=True)
        return Allow(credentials)

    guard = replace(guarding(policy), carriers=OTHER_PLACES)
    with behind(server, guard, servicer_of(server)) as client, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.ask, "Get", sent("slow"))
        assert asked.wait(20)
        quick = client.ask("Get", sent("ada"))
        answered.set()

        assert [b"ada 1"] == quick.messages
        assert [b"slow 1"] == slow.result().messages


def test_what_the_policy_waits_for_does_not_keep_others_waiting() -> None:
    asked, answered = threading.Event(), threading.Event()

    def policy(request: Any, credentials: Any) -> Any:
        if credentials.user == "slow":
            asked.set()
            answered.wait(20)
        return Allow(credentials)

    with behind("sync", guarding(policy), blocking_servicer()) as client, ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.ask, "Get", bearer("slow"))
        assert asked.wait(20)
        assert [b"ada 1"] == client.ask("Get", bearer()).messages
        answered.set()
        assert [b"slow 1"] == slow.result().messages
