"""Keys at a URL, and an Envoy that holds the policy itself → what it takes while they change or cannot be had."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from jwt_guard import Guard, Provider, authenticated, by_route, jwks, scopes
from jwt_guard.errors import Misconfigured
from jwt_guard.flow import Trust
from jwt_guard.providers import keycloak
from jwt_guard.sources.jwks import KeySettings
from tests.support.keys import public_jwk
from tests.support.minting import AUDIENCE, ISSUER, mint
from tests.support.servers import Certificates, certificates_for

from .rig import Upstream
from .test_envoy_compiled import Envoy, compiled, envoy, payload

PATIENCE = 30.0


class Keys:
    """What is published, and how often it was asked for."""

    def __init__(self) -> None:
        self.port = 0
        self.says: tuple[int, bytes] = (200, b"")
        self.fetches = 0
        self.publish("a")

    def publish(self, *kids: str) -> None:
        self.says = 200, json.dumps({"keys": [public_jwk("ES256", kid, kid=kid) for kid in kids]}).encode()

    def until_fetched(self, more: int) -> None:
        """Wait until it was asked for so many times *more*."""
        end, wanted = time.monotonic() + PATIENCE, self.fetches + more
        while self.fetches < wanted:
            assert time.monotonic() < end, "nobody fetches the keys"
            time.sleep(0.02)


@contextmanager
def published(tls: Certificates | None = None) -> Generator[Keys]:
    keys = Keys()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = keys.says
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            keys.fetches += 1

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name for it
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        keys.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield keys
        finally:
            server.shutdown()
            thread.join(10)


def guard(url: str, **settings: Any) -> Guard:
    source = jwks(url, KeySettings(fresh_for=1, **settings))
    provider = Provider(name="test", issuer=ISSUER, audience=AUDIENCE, keys=source)
    return Guard([provider], by_route([("GET", "/known", authenticated()), ("GET", "/orders", scopes("orders:read"))]))


def status(of: Envoy, which: str = "a") -> int:
    token = mint(payload(), which=which)
    return of.ask("GET", "/known", [("authorization", f"Bearer {token}")]).status


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.05)


# --- keys that change --------------------------------------------------------------------------------


def test_a_new_key_counts_and_an_old_one_does_not_once_the_set_was_fetched_again(
    tmp_path: Path, upstream: Upstream
) -> None:
    with published() as keys, envoy(guard(f"http://127.0.0.1:{keys.port}/jwks"), tmp_path, upstream) as started:
        until(lambda: status(started) == 200, "the first key never counted")

        assert 401 == status(started, "b")
        keys.publish("b")
        until(lambda: status(started, "b") == 200, "the new key never counted")
        until(lambda: status(started) == 401, "the old key went on counting")


@pytest.mark.parametrize("says", [(500, b""), (200, b"no JSON"), (200, b'{"keys": []}')])
def test_the_last_good_set_counts_while_its_issuer_fails(
    says: tuple[int, bytes], tmp_path: Path, upstream: Upstream
) -> None:
    """For ever, which the page says: Envoy has no end of it."""
    with published() as keys, envoy(guard(f"http://127.0.0.1:{keys.port}/jwks"), tmp_path, upstream) as started:
        until(lambda: status(started) == 200, "the key never counted")
        keys.says = says
        keys.until_fetched(3)

        assert 200 == status(started)
        assert 401 == status(started, "b")
        keys.publish("b")
        until(lambda: status(started, "b") == 200, "it was not asked again")


def test_a_secret_that_is_published_vouches_for_nobody(tmp_path: Path, upstream: Upstream) -> None:
    """Envoy would take it; the rules about algorithms do not."""
    with published() as keys, envoy(guard(f"http://127.0.0.1:{keys.port}/jwks"), tmp_path, upstream) as started:
        until(lambda: status(started) == 200, "the key never counted")
        listed = [public_jwk("HS256", kid="a"), public_jwk("ES256", "b", kid="b")]
        keys.says = 200, json.dumps({"keys": listed}).encode()
        until(lambda: status(started, "b") == 200, "the set never counted")
        token = mint(payload(), alg="HS256")

        assert (401, 401) == started.both(token, target="/known")


def test_without_any_keys_the_answer_is_come_again(tmp_path: Path, upstream: Upstream) -> None:
    with published() as keys:
        keys.says = 500, b""
        with envoy(guard(f"http://127.0.0.1:{keys.port}/jwks"), tmp_path, upstream) as started:
            token = mint(payload())
            got = started.ask("GET", "/known", [("authorization", f"Bearer {token}")])

            assert 503 == got.status
            assert "1" == dict(got.headers)["retry-after"]
            keys.publish("a")
            until(lambda: status(started) == 200, "it was not asked again")


# --- keys over TLS -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Certificates]:
    folder = tmp_path_factory.mktemp("certificates")
    return lambda address: certificates_for(address, folder / address)


def test_keys_are_taken_over_tls_from_whom_our_authority_vouches_for(
    certificates: Callable[[str], Certificates], tmp_path: Path, upstream: Upstream
) -> None:
    files = certificates("127.0.0.1")
    trust = Trust(ca_file=str(files.authority))
    with published(files) as keys:
        policy = guard(f"https://127.0.0.1:{keys.port}/jwks", trust=trust)
        with envoy(policy, tmp_path, upstream) as started:
            until(lambda: status(started) == 200, "the key never counted")


@pytest.mark.parametrize("wrong", ["another authority", "another address", "the usual authorities"])
def test_and_from_nobody_else(
    wrong: str, certificates: Callable[[str], Certificates], tmp_path: Path, upstream: Upstream
) -> None:
    ours, other = certificates("127.0.0.1"), certificates("127.0.0.2")
    served = other if wrong == "another address" else ours
    trusted = {
        "another authority": Trust(ca_file=str(other.authority)),
        "another address": Trust(ca_file=str(other.authority)),
        "the usual authorities": Trust(),
    }
    with published(served) as keys:
        policy = guard(f"https://127.0.0.1:{keys.port}/jwks", trust=trusted[wrong])
        with envoy(policy, tmp_path, upstream) as started:
            assert 503 == status(started)
            assert 503 == status(started)
        assert 0 == keys.fetches


def test_keys_that_come_through_a_proxy_are_refused_by_name() -> None:
    policy = guard("https://id.test/jwks", trust=Trust(proxy="http://127.0.0.1:3128"))

    with pytest.raises(Misconfigured, match=r"route '/known': provider test: its keys are fetched through a proxy"):
        compiled(policy)


# --- websockets --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Envoy]:
    with published() as keys:
        folder = tmp_path_factory.mktemp("keys")
        with envoy(guard(f"http://127.0.0.1:{keys.port}/jwks"), folder, upstream) as running:
            until(lambda: status(running) == 200, "the key never counted")
            yield running


@pytest.mark.parametrize("path", ["/known", "/orders"])
def test_a_websocket_is_switched_to_with_a_good_token(path: str, started: Envoy) -> None:
    headers = {"Authorization": f"Bearer {mint(payload())}", "X-JWT-Guard-Exp": "1"}
    with connect(f"ws://127.0.0.1:{started.port}{path}", additional_headers=headers, proxy=None) as opened:
        told = dict(json.loads(opened.recv(10))["headers"])
        opened.send("and on")

        assert "and on" == opened.recv(10)
        assert not [name for name in told if name.startswith("x-jwt-guard")]
        assert "authorization" not in told


@pytest.mark.parametrize(
    ("path", "changes", "refused"),
    [("/known", None, 401), ("/known", {"exp": 1}, 401), ("/orders", {"scope": "a"}, 403), ("/nowhere", {}, 403)],
)
def test_and_with_no_other(
    path: str, changes: Mapping[str, Any] | None, refused: int, started: Envoy, upstream: Upstream
) -> None:
    headers = {} if changes is None else {"Authorization": f"Bearer {mint(payload(**changes))}"}
    upstream.seen.clear()
    with pytest.raises(InvalidStatus) as caught:
        connect(f"ws://127.0.0.1:{started.port}{path}", additional_headers=headers, proxy=None)

    assert refused == caught.value.response.status_code
    assert [] == upstream.seen


# --- who is a machine --------------------------------------------------------------------------------


def test_who_is_a_machine_changes_no_verdict(tmp_path: Path, upstream: Upstream) -> None:
    """It decides whom credentials name, and Envoy hands on none."""
    issuer = "https://kc.test/realms/a"
    with published() as keys:
        source = jwks(f"http://127.0.0.1:{keys.port}/jwks", KeySettings(fresh_for=1))
        provider = keycloak(issuer, AUDIENCE, keys=source)
        policy = by_route([("GET", "/known", authenticated()), ("GET", "/orders", scopes("orders:read"))])
        with envoy(Guard([provider], policy), tmp_path, upstream) as running:
            until(lambda: running.ask("GET", "/known").status == 401, "it does not answer")
            for name in ("ada", "service-account-shop", "service-account-other", None, 1):
                token = mint(payload(iss=issuer, preferred_username=name))
                for path in ("/known", "/orders"):
                    until(lambda: running.both(token, target=path)[1] != 503, "there are no keys")  # noqa: B023 - at once

                    assert (200, 200) == running.both(token, target=path)
