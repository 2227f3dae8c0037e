"""One table of requests, and every gateway: who is let in, what the others are told, what the application sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

from .rig import Front, away, token


class Row(NamedTuple):
    name: str
    status: int
    error: str | None = None
    """The ``error`` of the challenge; "" for a challenge without one."""
    method: str = "GET"
    target: str = "/orders/1"
    bearers: Callable[[], Sequence[str]] = lambda: (token(),)
    body: bytes = b""


ROWS = [
    Row("a good token", 200),
    Row("a query", 200, target="/orders/1?a=%20b&c"),
    Row("a trailing slash", 200, target="/orders/1/"),
    Row("a segment in other letters", 200, target="/orders/A%C3%A9"),
    Row("HEAD", 200, method="HEAD"),
    Row("no token", 401, "", bearers=tuple),
    Row("a bad signature", 401, "invalid_token", bearers=lambda: (token()[:-6] + "AAAAAA",)),
    Row("no JWT", 401, "invalid_token", bearers=lambda: ("abc",)),
    Row("an expired token", 401, "invalid_token", bearers=lambda: (token(exp=1),)),
    Row("another audience", 401, "invalid_token", bearers=lambda: (token(aud="bills"),)),
    Row("an unknown issuer", 401, "invalid_token", bearers=lambda: (token(issuer="https://other.test"),)),
    Row("a scope that does not do", 403, "insufficient_scope", bearers=lambda: (token(scope="orders:write"),)),
    Row("no method of this route", 403, "insufficient_scope", method="DELETE"),
    Row("a method in small letters", 403, "insufficient_scope", method="get"),
    Row("no route", 403, "insufficient_scope", target="/nothing"),
    Row("the keys are out of reach", 503, bearers=lambda: (away(),)),
    Row("two credentials", 400, "invalid_request", bearers=lambda: (token(), token())),
    Row("a comma", 400, "invalid_request", bearers=lambda: (f"{token()}, Bearer {token()}",)),
    Row("an open route", 200, target="/health", bearers=tuple),
    Row("a bad token on an open route", 401, "invalid_token", target="/health", bearers=lambda: ("abc",)),
    Row("POST", 200, method="POST", target="/orders", body=b"x" * 3_000_000),
    Row("POST without its scope", 403, "insufficient_scope", "POST", "/orders", lambda: (token(scope="a"),), b"x" * 99),
    Row("POST without a token", 401, "", "POST", "/orders", tuple, b"x" * 99),
]
OTHERWISE = {
    # Gateways that refuse such a request by themselves, before anybody is asked.
    ("nginx", "two credentials"): (400, None),
    ("nginx", "a method in small letters"): (400, None),
    ("envoy", "a method in small letters"): (400, None),
}
"""What a gateway does in its own way: the status, and the error of the challenge."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_request_is_answered_alike_at_every_gateway(front: Front, row: Row) -> None:
    headers = [("Authorization", f"Bearer {bearer}") for bearer in row.bearers()]
    status, error = OTHERWISE.get((front.kind.split()[0], row.name), (row.status, row.error))
    before = len(front.upstream.seen)
    answer = front.ask(row.method, row.target, headers, body=row.body)

    assert status == answer.status
    challenge = answer.header("www-authenticate")
    if error is None:
        assert challenge is None
    else:
        assert challenge is not None
        assert challenge.startswith('Bearer realm="api"')
        assert (f'error="{error}"' in challenge) if error else ("error" not in challenge)
    assert [row.target] * (status == 200) == front.upstream.seen[before:]
    if status == 503:
        assert int(answer.header("retry-after") or 0) > 0


def test_the_application_is_told_who_is_asking(front: Front) -> None:
    answer = front.ask(bearer=token())

    assert ["ada"] == answer.sent("x-auth-user")
    assert ["shop"] == answer.sent("x-auth-client")
    assert ["orders:read orders:write"] == answer.sent("x-auth-scopes")
    assert ["shop"] == answer.sent("x-auth-provider")
    assert [] == answer.sent("authorization")
    assert "GET" == answer.told["method"]


def test_a_body_goes_on_whole(front: Front) -> None:
    answer = front.ask("POST", "/orders", bearer=token(), body=b"x" * 3_000_000)

    assert 3_000_000 == answer.told["octets"]
