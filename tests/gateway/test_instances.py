"""Several gateways and one store → what one has burnt or taken back counts at all, whichever of them is killed."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from jwt_guard import Denylist, revoke
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey, make
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.servers import KINDS, StoreServer, program, until

SECRET = "0123456789abcdef" * 3
PORTAL = make("ES256", "portal-1")
assert PORTAL.public is not None
PUBLIC = dict(PORTAL.public)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[StoreServer]:
    """Return a store that forgets nothing when it is killed."""
    folder = tmp_path / "s"
    folder.mkdir()
    with StoreServer(program(request.param), folder, "--appendonly", "yes", "--appendfsync", "always") as running:
        yield running


@pytest.fixture
def file(tmp_path: Path, store: StoreServer) -> Path:
    (tmp_path / "portal.json").write_text(json.dumps({"keys": [PUBLIC]}), encoding="utf-8")
    (tmp_path / "guard.toml").write_text(
        f"""
[providers.one]
issuer = "https://one.example"
audience = "orders"
secret = "{SECRET}"

[providers.portal]
profile = "hti_launch"
issuer = "https://portal.example"
audience = "https://module.example"
jwks_file = "portal.json"

[gateway]
listen = "127.0.0.1:0"

[store]
url = "{store.url}"
""",
        encoding="utf-8",
    )
    return tmp_path / "guard.toml"


def token(**changes: Any) -> str:
    now = int(time.time())
    claims = {"iss": "https://one.example", "aud": "orders", "sub": "ada", "client_id": "shop", "iat": now - 5}
    return sign(SigningKey("HS256", SECRET.encode()), {**claims, "exp": now + 600, "jti": str(uuid4()), **changes})


def launch() -> str:
    now = int(time.time())
    claims = {
        "iss": "https://portal.example", "aud": "https://module.example", "sub": "Practitioner/1", "jti": str(uuid4()),
        "iat": now, "exp": now + 200, "resource": "Task/1", "definition": "ActivityDefinition/1",
        "patient": "Patient/1", "intent": "plan", "hti-version": "2.0",
    }  # fmt: skip
    return sign(PORTAL, claims, typ="JWT")


def answers(gateway: GatewayProcess, bearer: str, status: int) -> bool:
    return gateway.ask(bearer) == status


def both(file: Path) -> tuple[AbstractContextManager[GatewayProcess], AbstractContextManager[GatewayProcess]]:
    return gateway_process(file), gateway_process(file)


def test_a_token_that_counts_once_counts_once_at_all_of_them(file: Path) -> None:
    first, second = both(file)
    with first as one, second as two:
        used = launch()

        assert [200, 401, 401] == [one.ask(used), two.ask(used), one.ask(used)], one.log
        assert [200, 401] == [two.ask(other := launch()), one.ask(other)]

        one.process.kill()  # in the middle of everything
        one.process.wait()

        assert [401, 401] == [two.ask(used), two.ask(other)]
        assert 200 == two.ask(token())
        with gateway_process(file) as again:
            assert [401, 200] == [again.ask(used), again.ask(launch())]


def test_what_is_taken_back_is_taken_back_at_all_of_them(file: Path, store: StoreServer) -> None:
    first, second = both(file)
    with first as one, second as two:
        stolen, good = token(jti="stolen"), token()
        assert [200] * 4 == [one.ask(stolen), two.ask(stolen), one.ask(good), two.ask(good)]

        revoke(Denylist(store.url), issuer="https://one.example", jti="stolen")

        until(lambda: (401, 401) == (one.ask(stolen), two.ask(stolen)), 5)
        assert [200, 200] == [one.ask(good), two.ask(good)]
        with gateway_process(file) as again:  # which has never seen it
            assert [401, 200] == [again.ask(stolen), again.ask(good)]


def test_nothing_bad_is_let_in_while_the_store_is_down_and_all_is_well_when_it_is_back(
    file: Path, store: StoreServer
) -> None:
    first, second = both(file)
    with first as one, second as two:
        used, stolen, good = launch(), token(jti="stolen"), token()
        assert [200, 200, 200] == [one.ask(used), one.ask(stolen), two.ask(good)]
        revoke(Denylist(store.url), issuer="https://one.example", jti="stolen")
        until(lambda: (401, 401) == (one.ask(stolen), two.ask(stolen)), 5)

        store.kill()

        # Used or not: nobody can tell, so it is refused, and it may be brought again.
        fresh = launch()
        assert {401, 503} >= {gateway.ask(used) for gateway in (one, two)}
        assert [503, 503] == [one.ask(fresh), two.ask(fresh)]
        for gateway in (one, two):
            until(partial(answers, gateway, good, 503), 5)  # revocation_when_unknown = "refuse"
            assert gateway.ask(stolen) in (401, 503)

        store.start()

        for gateway in (one, two):
            until(partial(answers, gateway, good, 200), 40)  # a store that was gone is asked again after up to 8 s
            assert [401, 401] == [gateway.ask(stolen), gateway.ask(used)]
        assert [200, 401] == [one.ask(fresh), two.ask(fresh)]


def test_where_the_file_says_so_good_tokens_are_taken_while_the_store_is_down(file: Path, store: StoreServer) -> None:
    file.write_text(f'{file.read_text(encoding="utf-8")}revocation_when_unknown = "allow"\n', encoding="utf-8")
    with gateway_process(file) as gateway:
        stolen, good = token(jti="stolen"), token()
        assert [200, 200] == [gateway.ask(stolen), gateway.ask(good)], gateway.log
        revoke(Denylist(store.url), issuer="https://one.example", jti="stolen")
        until(lambda: gateway.ask(stolen) == 401, 5)

        store.kill()
        refused = watched(gateway, good, stolen, 2.5)

        assert {"good": {200}, "stolen": {401}} == refused
        assert 503 == gateway.ask(launch())


def watched(gateway: GatewayProcess, good: str, stolen: str, seconds: float) -> dict[str, set[int]]:
    """Return every status that each of the two is answered with for so long."""
    found: dict[str, set[int]] = {"good": set(), "stolen": set()}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found["good"].add(gateway.ask(good))
        found["stolen"].add(gateway.ask(stolen))
    return found
