"""What Envoy asks over gRPC, by a real channel → what it is told to let in, to set, to take away and to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from jwt_guard import by_route, scopes
from jwt_guard.access.policy import Policy
from jwt_guard.errors import Misconfigured
from jwt_guard.gateway.envoy_grpc import serve_grpc
from jwt_guard.gateway.identity import IdentityHeaders
from jwt_guard.gateway.judging import Judge
from jwt_guard.gateway.settings import Settings
from jwt_guard.sources.jwks import KeySettings, jwks
from tests.support.bad_issuer import BadIssuer, hangs
from tests.support.minting import ABSENT, claims, guard, mint

AUTH: Any = import_module("envoy.service.auth.v3.external_auth_pb2")
CONTEXT: Any = import_module("envoy.service.auth.v3.attribute_context_pb2")
BASE: Any = import_module("envoy.config.core.v3.base_pb2")
IDENTITY = IdentityHeaders(user="X-Auth-User", scopes="X-Auth-Scopes")
ROUTES = by_route([("GET", "/orders", scopes("orders:read")), ("GET", "/orders/{id}", scopes("orders:write"))])
GOOD = {"authorization": f"Bearer {mint()}"}


def question(headers: dict[str, str], method: str = "GET", path: str = "/orders", raw: Any = ()) -> Any:
    http = CONTEXT.AttributeContext.HttpRequest(method=method, path=path, headers={":path": path, **headers})
    if raw:
        listed = [BASE.HeaderValue(key=key, raw_value=value) for key, value in raw]
        http.header_map.CopyFrom(BASE.HeaderMap(headers=listed))
    return AUTH.CheckRequest(attributes=CONTEXT.AttributeContext(request=CONTEXT.AttributeContext.Request(http=http)))


def asked(
    judge: Judge, *questions: Any, settings: Settings | None = None, current: Callable[[], Settings] | None = None
) -> list[Any]:
    async def ask() -> list[Any]:
        server, port = await serve_grpc(settings or Settings(grpc_listen="127.0.0.1:0"), lambda: judge, current)
        where = f"127.0.0.1:{port}" if port else str(settings and settings.grpc_listen)
        try:
            async with grpc.aio.insecure_channel(where) as channel:
                check = channel.unary_unary(
                    "/envoy.service.auth.v3.Authorization/Check",
                    request_serializer=AUTH.CheckRequest.SerializeToString,
                    response_deserializer=AUTH.CheckResponse.FromString,
                )
                return [await check(each, timeout=10) for each in questions]
        finally:
            await server.stop(None)

    return asyncio.run(ask())


def answered(headers: dict[str, str], method: str = "GET", path: str = "/orders", raw: Any = ()) -> Any:
    (answer,) = asked(Judge(guard(policy=ROUTES), IDENTITY), question(headers, method, path, raw))
    return answer


def options(listed: Any) -> dict[str, str]:
    assert all(each.append_action == BASE.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD for each in listed)
    return {each.header.key: each.header.value for each in listed}


def status(answer: Any) -> int:
    """Return what the client is told: 200 where it goes on."""
    if answer.status.code == 0:
        assert answer.WhichOneof("http_response") == "ok_response"
        return 200
    assert answer.WhichOneof("http_response") == "denied_response"
    code: int = answer.denied_response.status.code
    return code


def test_whom_it_believes_is_a_matter_of_the_settings_that_count_by_then() -> None:
    everybody = Settings(grpc_listen="127.0.0.1:0")
    later = iter([everybody, Settings(grpc_listen="127.0.0.1:0", trusted_proxies=("192.0.2.1/32",)), everybody])
    answers = asked(Judge(guard(policy=ROUTES), IDENTITY), *[question(GOOD)] * 3, current=lambda: next(later))

    assert [200, 403, 200] == [status(each) for each in answers]


def test_who_is_let_in_is_told_to_the_upstream_and_nobody_else_says_it() -> None:
    aliases = {"x_auth_user": "root", "x-auth.scopes": "admin", "X-AUTH-USER": "root", "x-other": "1"}
    ok = answered({**GOOD, **aliases}).ok_response

    assert {"X-Auth-User": "ada-lovelace", "X-Auth-Scopes": "orders:read orders:write"} == options(ok.headers)
    assert ["x-auth.scopes", "x_auth_user"] == sorted(ok.headers_to_remove)


def test_what_there_is_nothing_to_say_about_is_taken_away() -> None:
    token = mint(claims(sub=ABSENT))
    ok = answered({"authorization": f"Bearer {token}", "x-auth-user": "root"}).ok_response

    assert {"X-Auth-Scopes": "orders:read orders:write"} == options(ok.headers)
    assert ["x-auth-user"] == list(ok.headers_to_remove)


@pytest.mark.parametrize(
    ("headers", "method", "path", "expected", "error"),
    [
        ({}, "GET", "/orders", 401, None),
        ({"authorization": "Bearer x"}, "GET", "/orders", 401, "invalid_token"),
        (
            {"authorization": f"{GOOD['authorization']},{GOOD['authorization']}"},
            "GET",
            "/orders",
            400,
            "invalid_request",
        ),
        ({"authorization": f"Basic x,{GOOD['authorization']}"}, "GET", "/orders", 400, "invalid_request"),
        (GOOD, "get", "/orders", 403, "insufficient_scope"),
        (GOOD, "POST", "/orders", 403, "insufficient_scope"),
        (GOOD, "GET", "/nowhere", 403, "insufficient_scope"),
        (GOOD, "GET", "/orders/..%2f1", 403, "insufficient_scope"),
        (GOOD, "CONNECT", "/orders", 400, "invalid_request"),
        (GOOD, "GET", "orders", 400, "invalid_request"),
        (GOOD, "GET", "", 400, "invalid_request"),
        (GOOD, "GET", "/orders?a=/nowhere", 200, None),
        (GOOD, "GET", "/orders/1", 200, None),
    ],
)
def test_each_request_is_answered_as_at_every_door(
    headers: dict[str, str], method: str, path: str, expected: int, error: str | None
) -> None:
    answer = answered(headers, method, path)

    assert expected == status(answer)
    if expected != 200:
        told = options(answer.denied_response.headers)

        assert "no-store" == told["cache-control"]
        assert (f'error="{error}"' in told["www-authenticate"]) if error else ("error" not in told["www-authenticate"])
        assert expected == json.loads(answer.denied_response.body)["status"]
        assert "content-length" not in told


def test_headers_that_come_as_they_were_sent_are_read_so() -> None:
    one = GOOD["authorization"].encode()

    assert 200 == status(answered({}, raw=[("authorization", one)]))
    assert 400 == status(answered(GOOD, raw=[("authorization", one), ("Authorization", b"Basic x")]))
    assert 400 == status(answered(GOOD, raw=[("authorization", one + b"\xe9")]))


def test_there_is_an_answer_in_time_while_the_issuer_hangs() -> None:
    with BadIssuer(hangs()) as issuer:
        source: Any = jwks(issuer.url, KeySettings(timeout=5))
        (answer,) = asked(Judge(guard(keys=source), IDENTITY, answer_within=0.05), question(GOOD))

    assert 503 == status(answer)
    assert "1" == options(answer.denied_response.headers)["retry-after"]


def test_a_bug_is_no_yes_and_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    secret = "something that was claimed"

    def buggy(_request: Any, _credentials: Any) -> Any:
        raise KeyError(secret)

    policy: Policy = buggy
    (answer,) = asked(Judge(guard(policy=policy), IDENTITY), question(GOOD))

    assert 503 == status(answer)
    assert secret not in answer.denied_response.body + caplog.text
    assert "KeyError" in caplog.text


def test_who_is_no_gateway_of_ours_is_told_so() -> None:
    settings = Settings(grpc_listen="127.0.0.1:0", trusted_proxies=("10.0.0.0/8",))
    (answer,) = asked(Judge(guard(), IDENTITY), question(GOOD), settings=settings)

    assert 403 == status(answer)


def test_a_unix_socket_is_as_open_as_its_file(tmp_path: Path) -> None:
    settings = Settings(grpc_listen=f"unix:{tmp_path}/s", trusted_proxies=("10.0.0.0/8",))
    (answer,) = asked(Judge(guard(), IDENTITY), question(GOOD), settings=settings)

    assert 200 == status(answer)


def test_an_address_that_is_taken_or_missing_is_said_at_start() -> None:
    with pytest.raises(Misconfigured, match="it is not said where"):
        asyncio.run(serve_grpc(Settings(), lambda: Judge(guard(), IDENTITY)))
    with pytest.raises(Misconfigured, match=r"nobody can listen on 192\.0\.2\.1:1"):
        asyncio.run(serve_grpc(Settings(grpc_listen="192.0.2.1:1"), lambda: Judge(guard(), IDENTITY)))
