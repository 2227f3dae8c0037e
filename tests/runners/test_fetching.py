"""A Fetch → a Reply or the reason why not, within its deadline and its limit, whatever the server does."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jwt_guard.errors import FetchFailed
from jwt_guard.flow import Fetch, Reply, Trust, fetch
from jwt_guard.runners import blocking
from jwt_guard.runners.fetching import fetched
from tests.support.bad_issuer import (
    CHUNKED,
    GZIP_BOMB,
    BadIssuer,
    Way,
    answer,
    drips,
    floods,
    hangs,
    key_set,
    resets,
    says,
)

OK = b"HTTP/1.1 200 OK\r\n"
LONG = b"Content-Length: 1000000\r\n\r\n"


def get(url: str, deadline: float = 5, limit: int = 262_144, trust: Trust | None = None) -> Reply:
    return blocking.run(fetch(Fetch(url, {"Accept": "application/json"}, deadline, limit, trust or Trust())))


def reason(url: str, deadline: float = 5, limit: int = 262_144, trust: Trust | None = None) -> str:
    with pytest.raises(FetchFailed) as caught:
        get(url, deadline, limit, trust)
    assert url == caught.value.url
    return caught.value.reason


def test_a_good_answer_comes_back_whole() -> None:
    with BadIssuer(says(answer(b"{}", headers="ETag: x\r\nCACHE-Control: max-age=60\r\n"))) as issuer:
        reply = get(issuer.url)

    assert 200 == reply.status
    assert b"{}" == reply.body
    assert {"content-length": "2", "etag": "x", "cache-control": "max-age=60"} == reply.headers


def test_the_request_is_plain() -> None:
    with BadIssuer() as issuer:
        get(issuer.url)

    (request,) = issuer.requests
    first, *headers = request.decode().split("\r\n")
    said = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in headers if line}
    assert "GET /keys HTTP/1.1" == first
    assert "identity" == said.pop("accept-encoding")
    assert "application/json" == said.pop("accept")
    assert "jwt_guard" == said.pop("user-agent")
    assert f"127.0.0.1:{issuer.port}" == said.pop("host")
    assert set(said) <= {"connection"}


def test_what_is_sent_is_posted_as_it_is() -> None:
    got: list[bytes] = []

    class Posting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["content-length"])))
            got.append(self.headers["content-type"].encode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as its base class calls it
            pass

    with HTTPServer(("127.0.0.1", 0), Posting) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        url = f"http://127.0.0.1:{server.server_port}/introspect"
        need = Fetch(url, {"Content-Type": "application/x-www-form-urlencoded"}, body=b"token=secret")
        reply = blocking.run(fetch(need))
        serving.join()

    assert 200 == reply.status
    assert [b"token=secret", b"application/x-www-form-urlencoded"] == got
    assert "secret" not in repr(need)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "404 Not Found", "500 Oh"])
def test_a_status_is_told_and_not_judged(status: str) -> None:
    with BadIssuer(says(answer(status=status))) as issuer:
        assert int(status[:3]) == get(issuer.url).status


# The deadline of each is 0.3 s: those that never end must be ended.
WAYS: dict[str, tuple[Way, str]] = {
    "hangs before the headers": (hangs(), "no answer within"),
    "hangs in the headers": (hangs(first=OK), "no answer within"),
    "hangs in the body": (hangs(first=OK + LONG + b"{"), "no answer within"),
    "drips its status": (drips(b"1", b"HTTP/1.1 200 "), "no answer within"),
    "drips headers": (drips(b"X-A: b\r\n", OK), "no answer within"),
    "drips its body": (drips(b" ", OK + LONG), "no answer within"),
    "drips chunks": (drips(b"1\r\n \r\n", CHUNKED), "no answer within"),
    "says wait, and waits": (drips(b"HTTP/1.1 100 Continue\r\n\r\n"), "no answer within"),
    "closes at once": (says(b""), "no answer (RemoteProtocolError"),
    "closes in the headers": (says(OK), "no answer (RemoteProtocolError"),
    "closes in the body": (says(OK + LONG + b"{"), "no answer (RemoteProtocolError"),
    "resets at once": (resets(), "no answer (ReadError"),
    "resets in the body": (resets(OK + LONG + b"{"), "no answer (Re"),
    "garbage": (says(b"\x16\x03\x01\0\xff garbage \r\n\r\n"), "no answer (RemoteProtocolError"),
    "another protocol": (says(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "no answer (RemoteProtocolError"),
    "HTTP/0.9": (says(b"{}\r\n\r\n"), "no answer (RemoteProtocolError"),
    "endless headers": (floods(b"X-A: b\r\n" * 5_000, OK), "no answer"),
    "an endless header": (floods(b"a" * 50_000, OK + b"X: "), "no answer"),
    "an endless body": (floods(b" " * 65_536, OK + b"\r\n"), "longer than 1000 octets"),
    "endless chunks": (floods(b"400\r\n" + b" " * 1_024 + b"\r\n", CHUNKED), "longer than 1000 octets"),
    "a huge body": (says(answer(b" " * 100_000)), "longer than 1000 octets"),
    "two lengths": (says(answer(b"{}", headers="Content-Length: 9\r\n")), "no answer (RemoteProtocolError"),
    "a negative length": (says(answer(b"{}", length=-1)), "no answer (RemoteProtocolError"),
    "a redirect": (says(answer(status="302 Found", headers="Location: /other\r\n")), "a redirect"),
    "a redirect elsewhere": (
        says(answer(status="308 X", headers="Location: http://169.254.169.254/\r\n")), "a redirect",
    ),
    "a gzip bomb": (says(GZIP_BOMB), "compressed"),
    "brotli": (says(answer(b"{}", headers="Content-Encoding: br\r\n")), "compressed"),
}  # fmt: skip


@pytest.mark.parametrize("name", WAYS)
def test_no_way_to_behave_badly_outlives_the_deadline_or_the_limit(name: str) -> None:
    way, words = WAYS[name]
    with BadIssuer(way) as issuer:
        before = time.monotonic()
        said = reason(issuer.url, deadline=0.3, limit=1_000)
        took = time.monotonic() - before

    assert said.startswith(words)
    assert 1 == len(issuer.requests)
    assert took < 0.3 + 2, "a crowded machine is slow; without the deadline it would be ten seconds"


def test_a_body_may_be_as_long_as_the_limit() -> None:
    with BadIssuer(says(answer(b" " * 1_000))) as issuer:
        assert 1_000 == len(get(issuer.url, limit=1_000).body)
        assert reason(issuer.url, limit=999).startswith("longer than 999 octets")


def test_without_time_there_is_no_answer() -> None:
    with BadIssuer() as issuer:
        assert reason(issuer.url, deadline=0).startswith("no answer within 0.0 s")
        assert reason(issuer.url, deadline=-1).startswith("no answer within -1.0 s")
        assert [] == issuer.requests


def test_nobody_there_is_told() -> None:
    with BadIssuer() as issuer:
        url = issuer.url

    assert reason(url).startswith("no answer (ConnectError")


@pytest.mark.parametrize(
    "url",
    ["http://a..b/", f"http://{'a' * 70}.test/", "http://.../", "http://%/", "unix:/run/x", "http://[::1", ""],
)
def test_a_strange_url_is_no_other_error(url: str) -> None:
    assert reason(url).startswith("no answer (")


def test_what_the_server_says_cannot_break_a_log_line() -> None:
    with BadIssuer(says(b"\r\n\x1b[31m evil \xff\r\n" * 100 + b"\r\n")) as issuer:
        said = reason(issuer.url)

    assert said.isascii()
    assert said.isprintable() or "…" in said
    assert len(said) < 200


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with BadIssuer() as issuer:
        assert 200 == get(issuer.url).status

    assert b"authorization" not in issuer.requests[0].lower()


def test_a_proxy_that_is_named_is_used() -> None:
    with BadIssuer(says(answer(b"{}"))) as proxy:
        reply = get("http://id.invalid/keys", trust=Trust(proxy=f"http://127.0.0.1:{proxy.port}"))

    assert b"{}" == reply.body
    assert proxy.requests[0].startswith(b"GET http://id.invalid/keys HTTP/1.1\r\n")


def tls(folder: Path, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """Return a server's context and the file that makes its certificate count."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(hours=1), now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    file, secret = folder / "certificate.pem", folder / "key.pem"
    file.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, secret)
    return context, file


def test_a_certificate_must_count_and_name_the_host(tmp_path: Path) -> None:
    context, file = tls(tmp_path)
    with BadIssuer(tls=context) as issuer:
        assert reason(issuer.url).startswith("no answer (ConnectError: ")
        assert key_set("a") == get(issuer.url, trust=Trust(ca_file=str(file))).body
        assert 1 == len(issuer.requests)

    other, named_otherwise = tls(tmp_path, "127.0.0.2")
    with BadIssuer(tls=other) as issuer:
        assert reason(issuer.url, trust=Trust(ca_file=str(named_otherwise), proxy=None)).startswith("no answer")
        assert [] == issuer.requests


def test_a_tls_handshake_that_hangs_is_ended_and_its_connection_closed() -> None:
    with BadIssuer() as issuer:  # waits for the end of a request that is none
        assert reason(issuer.url.replace("http", "https"), deadline=0.3).startswith("no answer within")
    gc.collect()  # with warnings as errors, a connection left open fails the test


def test_a_missing_authority_is_told(tmp_path: Path) -> None:
    with BadIssuer() as issuer:
        assert reason(issuer.url, trust=Trust(ca_file=str(tmp_path / "none.pem"))).startswith("no answer (FileNotFound")


def test_cancelling_a_fetch_closes_its_connection() -> None:
    async def cancel(issuer: BadIssuer) -> None:
        task = asyncio.create_task(fetched(Fetch(issuer.url)))
        await asyncio.to_thread(issuer.wait_for, lambda: issuer.holding == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with BadIssuer(drips(b" ", OK + LONG)) as issuer:
        asyncio.run(cancel(issuer))
        issuer.wait_for(lambda: issuer.holding == 0)
