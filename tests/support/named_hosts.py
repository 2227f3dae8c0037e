"""Host names → one TLS server on loopback that has certificates for them, and the proxy by which it is reached.

Nobody here may listen on port 443 or give a name an address, so the client is told of a proxy: it asks that for the
host and port (CONNECT, RFC 9110 §9.3.6), and all of TLS and HTTP is then between the two ends as everywhere.
"""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from jwt_guard.flow import Trust
from tests.support.bad_issuer import BadIssuer, Way

__all__ = ["NamedHosts", "named_hosts"]

_FOR_CERTIFICATES = x509.KeyUsage(  # which newer Pythons want of an authority (RFC 5280 §4.2.1.3)
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


@dataclass
class NamedHosts:
    """Where they are, and what they were asked."""

    server: BadIssuer
    proxy: BadIssuer
    authority: Path

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.proxy.port}"

    @property
    def trust(self) -> Trust:
        return Trust(ca_file=str(self.authority), proxy=self.proxy_url)

    @property
    def connected(self) -> list[str]:
        """The hosts and ports that the proxy was asked for."""
        return [request.decode().split(" ")[1] for request in self.proxy.requests]

    @property
    def asked(self) -> list[str]:
        """The first lines and hosts that came through TLS."""
        found: list[str] = []
        for request in self.server.requests:
            first, *headers = request.decode().split("\r\n")
            host = next(line[6:] for line in headers if line.lower().startswith("host: "))
            found.append(f"{first} {host}")
        return found


@contextmanager
def named_hosts(folder: Path, *names: str) -> Generator[NamedHosts]:
    """Serve *names* until the end of the block; what the server does is its ``way``."""
    context, authority = _certificate(folder, names)
    with BadIssuer(tls=context) as server, BadIssuer(_tunnel(server.port)) as proxy:
        yield NamedHosts(server, proxy, authority)


def _certificate(folder: Path, names: tuple[str, ...]) -> tuple[ssl.SSLContext, Path]:
    key, authority_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    it, us = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]) for name in ("it.test", "us.test"))
    now = datetime.now(UTC)
    from_to = (now - timedelta(hours=1), now + timedelta(hours=1))
    authority = (
        x509.CertificateBuilder(us, us, authority_key.public_key(), 1, *from_to)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_FOR_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    certificate = (
        x509.CertificateBuilder(us, it, key.public_key(), 2, *from_to)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, SHA256())
    )
    folder.mkdir(exist_ok=True)
    ours, its, secret = (folder / name for name in ("authority.pem", "certificate.pem", "certificate-key.pem"))
    ours.write_bytes(authority.public_bytes(Encoding.PEM))
    its.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(its, secret)
    return context, ours


def _tunnel(port: int) -> Way:
    def way(proxy: BadIssuer, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", port), 10) as server:
            connection.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
            ends = {connection: server, server: connection}
            while not proxy.closing.is_set():
                ready, _, _ = select.select(list(ends), [], [], 0.1)
                for end in ready:
                    octets = end.recv(65_536)
                    if not octets:
                        return
                    ends[end].sendall(octets)

    return way
