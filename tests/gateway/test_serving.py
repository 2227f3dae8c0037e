"""``jwt-guard serve`` as a process: it starts, is asked, changes its mind, loses workers, and ends in good order."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jwt_guard.cli import main
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.keyring import make
from jwt_guard.issuing.signing import SigningKey
from tests.support.bad_issuer import BadIssuer, hangs
from tests.support.gateway_process import GatewayProcess, gateway_process
from tests.support.leaks import look_at
from tests.support.servers import until

SECRET = "0123456789abcdef" * 3
ORDERS = """
[[routes]]
path = "/open"
allow = "anyone"
[[routes]]
path = "/orders/{id}"
scopes = ["orders:read"]
"""
GATEWAY = """
[gateway]
listen = "127.0.0.1:0"
[gateway.identity_headers]
user = "X-Auth-User"
"""


def provider(name: str, more: str = "") -> str:
    keys = more or f'secret = "{SECRET}"\n'
    return f'[providers.{name}]\nissuer = "https://{name}.example"\naudience = "orders"\n{keys}'


def token(issuer: str = "one", key: SigningKey | None = None) -> str:
    claims = {
        "iss": f"https://{issuer}.example",
        "aud": "orders",
        "sub": "ada",
        "client_id": "shop",
        "scope": "orders:read",
        "exp": int(time.time()) + 3_600,
    }
    return sign(key or SigningKey("HS256", SECRET.encode()), claims)


class Service:
    """The process, what it logs, and where it listens."""

    def __init__(self, folder: Path, text: str, *options: str, **how: object) -> None:
        self.file = folder / "guard.toml"
        self.file.write_text(text, encoding="utf-8")
        environment = {**os.environ, **how.pop("environment", {})}  # type: ignore[dict-item]
        command = [sys.executable, "-m", "jwt_guard", "serve", "--config", str(self.file), *options]
        if "fds" in how:  # as systemd does it: the process knows its own number
            script = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.dup2(int(sys.argv[1]), 3); "
            script += "os.environ['LISTEN_FDS'] = '1'; os.execv(sys.argv[2], sys.argv[2:])"
            command = [sys.executable, "-c", script, str(how["fds"]), *command]
        passed = (int(str(how["fds"])),) if "fds" in how else ()
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, pass_fds=passed)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def log(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str, times: int = 1) -> None:
        def said() -> bool:
            assert self.process.poll() is None or words in self.log, self.log
            return self.log.count(words) >= times

        until(said, 40)

    @property
    def port(self) -> int:
        self.wait_for("ready on ")
        return int(self.log.partition("ready on 127.0.0.1:")[2].partition('"')[0].split()[0])

    def ask(self, bearer: str | None = None, target: str = "/orders/1") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            return answered(connection, bearer, target)
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reader.join(5)
        return status


def answered(connection: http.client.HTTPConnection, bearer: str | None, target: str = "/orders/1") -> int:
    headers = {"X-Original-Method": "GET", "X-Original-URI": target}
    if bearer is not None:
        headers["Authorization"] = f"Bearer {bearer}"
    connection.request("GET", "/auth", headers=headers)
    response = connection.getresponse()
    response.read()
    return response.status


@contextmanager
def serving(folder: Path, text: str, *options: str, **how: object) -> Generator[Service]:
    service = Service(folder, text, *options, **how)
    try:
        yield service
    finally:
        with suppress(ProcessLookupError):
            service.process.kill()
        service.process.wait()
        service._reader.join(5)
        if service.process.stderr is not None:
            service.process.stderr.close()
        look_at(service.log)


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()))


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("workers", [1, 2])
def test_it_starts_answers_and_ends(tmp_path: Path, workers: int) -> None:
    bearer = token()
    with serving(tmp_path, provider("one") + ORDERS + GATEWAY, "--workers", str(workers)) as service:
        assert [200, 401, 200] == [service.ask(bearer), service.ask(), service.ask(target="/open")]
        assert workers == max(1, len(children(service.process.pid)))
        held = children(service.process.pid)
        assert 0 == service.stop()
        assert all(map(is_over, held))
    refused = [json.loads(line) for line in service.lines if "refused" in line]
    assert ["MissingToken"] == [line["error"] for line in refused]
    assert refused[0]["id"] in refused[0]["message"]
    assert bearer not in service.log


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_has_begun_is_finished(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, provider("one") + ORDERS + GATEWAY, "--log", "text") as service:
        idle = socket.create_connection(("127.0.0.1", service.port))
        begun = socket.create_connection(("127.0.0.1", service.port))
        head = f"GET /ext_authz/orders/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
        begun.sendall(head[:30])
        time.sleep(0.1)
        service.process.send_signal(number)
        time.sleep(0.2)
        begun.sendall(head[30:])
        begun.settimeout(10)
        idle.settimeout(10)
        octets = begun.recv(65_536)
        assert octets.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close\r\n" in octets
        assert b"" == idle.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", service.port))
        idle.close()
        begun.close()
        assert 0 == service.process.wait(20)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_provider_that_is_removed_is_refused_and_no_request_is_lost(tmp_path: Path, workers: int) -> None:
    both = provider("one") + provider("two") + ORDERS + GATEWAY
    with serving(tmp_path, both, "--workers", str(workers)) as service:
        port, ones, twos = service.port, token("one"), token("two")
        assert [200, 200] == [service.ask(ones), service.ask(twos)]
        found: list[int] = []
        is_over = threading.Event()

        def keep_asking() -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            while not is_over.is_set():
                found.append(answered(connection, ones))
            connection.close()

        threads = [threading.Thread(target=keep_asking) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            service.file.write_text(provider("one") + ORDERS + GATEWAY, encoding="utf-8")
            service.process.send_signal(signal.SIGHUP)
            service.wait_for("read again", workers)
            assert [401] * 8 == [service.ask(twos) for _ in range(8)]
            service.file.write_text("nonsense", encoding="utf-8")
            service.wait_for("stays as it was", workers)
            service.file.write_text(both, encoding="utf-8")
            service.wait_for("read again", 2 * workers)
            assert [200] * 8 == [service.ask(twos) for _ in range(8)]
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        assert {200} == set(found)
        assert len(found) > 100
        assert 0 == service.stop()


def test_a_worker_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with serving(tmp_path, provider("one") + ORDERS + GATEWAY, "--workers", "2") as service:
        bearer = token()
        assert 200 == service.ask(bearer)
        before = children(service.process.pid)
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(children(service.process.pid) - before) == 1, 30)
        service.wait_for("is started again")
        assert [200] * 10 == [service.ask(bearer) for _ in range(10)]
        assert 0 == service.stop()


def test_workers_whose_minder_is_killed_finish_what_they_began_and_end(tmp_path: Path) -> None:
    with serving(tmp_path, provider("one") + ORDERS + GATEWAY, "--workers", "2") as service, ExitStack() as stack:
        begun = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), 20))
        held, bearer = children(service.process.pid), token()
        for each in held:
            stack.callback(end, each)
        head = f"GET /ext_authz/orders/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n\r\n".encode()
        begun.sendall(head)
        assert begun.recv(65_536).startswith(b"HTTP/1.1 200 ")
        begun.sendall(head[:30])
        service.process.kill()
        service.process.wait()
        until(lambda: 2 == service.log.count("so that this one ends"), 30)
        assert not all(map(is_over, held))
        begun.sendall(head[30:])
        assert begun.recv(65_536).startswith(b"HTTP/1.1 200 ")
        until(lambda: all(map(is_over, held)), 30)
        assert 2 == len(held)


def end(pid: int) -> None:
    """Kill what a test leaves when it fails."""
    if not is_over(pid):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", [1, 2])
def test_systemd_hears_of_it(tmp_path: Path, workers: int) -> None:
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"{folder}/n")
        listener.settimeout(30)
        environment = {"NOTIFY_SOCKET": f"{folder}/n", "WATCHDOG_USEC": "3000000"}
        text = provider("one") + ORDERS + GATEWAY
        with serving(tmp_path, text, "--workers", str(workers), environment=environment) as service:
            heard = [listener.recv(100)]
            while len(heard) < 3:
                heard.append(listener.recv(100))
            assert [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"] == heard
            assert 200 == service.ask(token())
            assert 0 == service.stop()
            while heard[-1] == b"WATCHDOG=1":
                heard.append(listener.recv(100))
            assert b"STOPPING=1" == heard[-1]


def test_a_socket_that_is_handed_over_is_listened_on(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with serving(tmp_path, provider("one") + ORDERS + GATEWAY, fds=listener.fileno()) as service:
            assert port == service.port
            assert 200 == service.ask(token())
            assert 0 == service.stop()


def test_a_unix_socket_is_listened_on_again_after_a_crash(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder:
        for _ in range(2):
            with serving(tmp_path, provider("one") + ORDERS, "--listen", f"unix:{folder}/s") as service:
                service.wait_for("ready on ")
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(f"{folder}/s")
                    client.sendall(b"GET /ext_authz/open HTTP/1.0\r\n\r\n")
                    assert client.recv(1_000).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("is_proxy", [False, True])
def test_who_asks_whether_it_is_ready_hears_that_it_stops_while_it_finishes(tmp_path: Path, is_proxy: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as up:
        more = f'upstream = "http://127.0.0.1:{up.getsockname()[1]}"\n' if is_proxy else ""
        gateway = f'[gateway]\nlisten = "127.0.0.1:0"\nadmin_listen = "127.0.0.1:0"\n{more}'
        (tmp_path / "guard.toml").write_text(provider("one") + ORDERS + gateway, encoding="utf-8")
        with gateway_process(tmp_path / "guard.toml") as service, ExitStack() as stack:
            service.wait_for("ready on ")
            port = int(service.log.rpartition("ready on 127.0.0.1:")[2].partition('"')[0])
            assert (200, False) == stops(service)
            begun = stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
            target = "/open" if is_proxy else "/ext_authz/open"
            head = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            begun.sendall(head if is_proxy else head + head[:-2])  # the one is answered, and the other is not all
            upstream = stack.enter_context(up.accept()[0]) if is_proxy else None
            if upstream is not None:
                assert upstream.recv(65_536)
            else:
                assert begun.recv(65_536).startswith(b"HTTP/1.1 200 ")
            service.process.send_signal(signal.SIGTERM)
            until(lambda: (503, True) == stops(service), 10)
            if upstream is not None:
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                begun.sendall(head[-2:])
            assert begun.recv(65_536).startswith(b"HTTP/1.1 200 ")
            assert 0 == service.process.wait(20)


def stops(service: GatewayProcess) -> tuple[int, bool]:
    status, told = service.tells("/readyz")
    return status, json.loads(told)["stopping"]


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("more", ["", 'upstream = "http://127.0.0.1:1"\n'])
def test_the_files_of_its_unix_sockets_go_with_it(tmp_path: Path, workers: int, more: str) -> None:
    with TemporaryDirectory() as folder:
        gateway = f'[gateway]\nlisten = "unix:{folder}/s"\nadmin_listen = "unix:{folder}/a"\n{more}'
        with serving(tmp_path, provider("one") + gateway, "--workers", str(workers)) as service:
            service.wait_for("ready on ")
            assert {"s", "a"} == {each.name for each in Path(folder).iterdir()}
            assert 0 == service.stop()
        assert [] == list(Path(folder).iterdir())


def test_no_file_is_left_of_a_start_that_failed(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        gateway = f'[gateway]\nlisten = "unix:{folder}/s"\nadmin_listen = "{place}"\n'
        with serving(tmp_path, provider("one") + gateway) as service:
            assert 1 == service.process.wait(30)
        assert [] == list(Path(folder).iterdir())


def test_the_file_of_a_socket_that_is_handed_over_stays(tmp_path: Path) -> None:
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        with serving(tmp_path, provider("one") + ORDERS, fds=listener.fileno()) as service:
            service.wait_for("ready on ")
            assert 0 == service.stop()
        assert [Path(folder, "s")] == list(Path(folder).iterdir())


@pytest.mark.parametrize(
    ("text", "options", "status", "sentence"),
    [
        (provider("one") + '[gateway]\nlisten = "x"\n', (), 1, "gateway.listen: HOST:PORT or unix:PATH is expected"),
        (provider("one"), ("--listen", "x"), 1, "HOST:PORT or unix:PATH is expected"),
        (provider("one"), ("--workers", "0"), 2, "a whole number from 1 to 256 is expected"),
        (provider("one") + "[tokens]\nform = true\n", (), 1, "gateways ask without the body of a request"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    tmp_path: Path, text: str, options: tuple[str, ...], status: int, sentence: str
) -> None:
    with serving(tmp_path, text, *options) as service:
        assert status == service.process.wait(30)
        service._reader.join(5)
        assert sentence in service.log
        assert 1 == service.log.count("\n")


def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with serving(tmp_path, provider("one") + ORDERS, "--listen", address) as service:
            assert 1 == service.process.wait(30)
            service._reader.join(5)
            assert "Address already in use" in service.log


def test_with_an_upstream_it_is_a_reverse_proxy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as up:
        upstream = f'[gateway]\nupstream = "http://127.0.0.1:{up.getsockname()[1]}"'
        seen: list[bytes] = []

        def answer() -> None:
            for _ in range(2):
                connection, _ = up.accept()
                with connection:
                    octets = b""
                    while b"\r\n\r\n" not in octets:
                        octets += connection.recv(65_536)
                    seen.append(octets)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with serving(tmp_path, provider("one") + ORDERS + GATEWAY.replace("[gateway]", upstream, 1)) as service:
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
            for times in (1, 2):
                connection.request("GET", "/orders/1", headers={"Authorization": f"Bearer {token()}"})
                assert b"hello" == connection.getresponse().read()
                connection.request("GET", "/orders/1")
                response = connection.getresponse()
                response.read()
                assert 401 == response.status
                service.process.send_signal(signal.SIGHUP)
                service.wait_for("read again", times)
            connection.close()
            thread.join(10)
            assert all(b"X-Auth-User: ada" in octets or b"x-auth-user: ada" in octets for octets in seen)
            assert 0 == service.stop()


def test_while_the_issuer_hangs_whoever_has_known_keys_notices_nothing(tmp_path: Path) -> None:
    with BadIssuer(hangs()) as issuer:
        hanging = provider("two", f'jwks_url = "{issuer.url}"\n')
        with serving(tmp_path, provider("one") + hanging + ORDERS + GATEWAY) as service:
            port, known, unknown = service.port, token("one"), token("two", make("ES256", "k"))
            assert 503 == service.ask(unknown)
            is_over = threading.Event()

            def wait_for_it() -> None:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                while not is_over.is_set():
                    answered(connection, unknown)
                connection.close()

            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            usual = times(connection, known)
            threads = [threading.Thread(target=wait_for_it) for _ in range(8)]
            for thread in threads:
                thread.start()
            try:
                meanwhile = times(connection, known)
            finally:
                is_over.set()
                for thread in threads:
                    thread.join()
                connection.close()
            # The bound of an answer is 0.1 s; whoever waited for the issuer would take that long.
            assert meanwhile[len(meanwhile) * 9 // 10] < max(0.05, 20 * usual[len(usual) * 9 // 10])


def times(connection: http.client.HTTPConnection, bearer: str) -> list[float]:
    found = []
    for _ in range(200):
        began = time.perf_counter()
        assert 200 == answered(connection, bearer)
        found.append(time.perf_counter() - began)
    return sorted(found)


@pytest.mark.parametrize("missing", ["httptools", "aiohttp"])
def test_what_is_not_installed_is_named(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith(("jwt_guard.gateway.", "jwt_guard.cli.serve"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setattr("jwt_guard.observing.lines.log_to_standard_error", lambda _kind: None)
    file = tmp_path / "guard.toml"
    file.write_text(provider("one") + '[gateway]\nupstream = "http://127.0.0.1:1"\n', encoding="utf-8")
    before = signal.getsignal(signal.SIGHUP)
    try:
        assert 1 == main(["serve", "--config", str(file)])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert f"jwt-guard: serve needs {missing}: pip install 'jwt-guard[gateway]'\n" == capsys.readouterr().err
