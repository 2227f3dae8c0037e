"""A Debian package → a running Glewlwyd, set up over its REST interface, that hands out real RFC 9068 tokens."""

import base64
import fcntl
import hashlib
import json
import os
import random
import secrets
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from .rig import ASSERTION_TYPE, BILLING, CALLBACK, ORDERS, UserTokens

ALGORITHMS = ("RS256", "ES256", "EdDSA")
# The tables, with an administrator in them. The copy among the documentation is left out of small images.
SCHEMA = Path("/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3")
MODULES = Path("/usr/lib/glewlwyd")
START_WITHIN = 20.0  # seconds; a start takes less than one
INSTALL_WITHIN = 100.0
LIFETIME = 300  # seconds; of each token


def installed() -> Path:
    """Return the program, which CI installs where it is missing; elsewhere its tests are skipped without it."""
    if os.environ.get("CI") == "true" and os.geteuid() == 0 and shutil.which("apt-get"):
        with Path(__file__).open("rb") as file:  # which is ours to lock, and there for every process of this tree
            fcntl.flock(file, fcntl.LOCK_EX)
            if shutil.which("glewlwyd") is None:
                _install()
    program = shutil.which("glewlwyd")
    if program is None or not SCHEMA.is_file():
        pytest.skip("no Glewlwyd: apt-get install --no-install-recommends glewlwyd")
    return Path(program)


def _install() -> None:
    quietly = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    until = time.monotonic() + INSTALL_WITHIN
    for words in (("update",), ("install", "--yes", "--no-install-recommends", "glewlwyd")):
        ran = subprocess.run(
            ["apt-get", "--quiet", "-o", "DPkg::Lock::Timeout=60", *words],  # noqa: S607 - it is where Debian has it
            env=quietly,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=until - time.monotonic(),
            check=False,
        )
        if ran.returncode:
            raise RuntimeError(f"apt-get {words[0]} ended with {ran.returncode}:\n{ran.stdout[-2_000:]}{ran.stderr}")


@dataclass(slots=True)
class Glewlwyd:
    """One Glewlwyd in a process of its own, with a machine for each algorithm, a website, and alice."""

    issuer: str
    _process: subprocess.Popen[bytes] = field(repr=False)
    _admin: httpx.Client = field(repr=False)
    _keys: dict[str, list[dict[str, Any]]] = field(repr=False)
    _secret: str = field(repr=False)
    _assertion_key: ec.EllipticCurvePrivateKey = field(repr=False)
    _rotations: int = 0

    @classmethod
    def start(cls, program: Path, folder: Path) -> Self:
        """Return when it can be asked; its data is in *folder*."""
        database = folder / "glewlwyd.db"
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        process, origin = _started(program, folder, database)
        # What it keeps open it closes after a while, now and then just as the next request leaves.
        limits = httpx.Limits(max_keepalive_connections=0)
        glewlwyd = cls(
            issuer=f"{origin}/api/oidc",
            _process=process,
            _admin=httpx.Client(base_url=f"{origin}/api", trust_env=False, limits=limits),
            _keys={},
            _secret=secrets.token_urlsafe(),
            _assertion_key=ec.generate_private_key(ec.SECP256R1()),
        )
        try:
            glewlwyd._set_up()
        except BaseException:
            glewlwyd.stop()
            raise
        return glewlwyd

    def stop(self) -> None:
        self._admin.close()
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def token(
        self,
        resource: str | None = ORDERS,
        *,
        algorithm: str = "RS256",
        scope: str = "orders:read",
        proof: Literal["secret", "key"] = "secret",
    ) -> str:
        """Return an access token of a machine, which proves who it is by a secret or by a signed assertion."""
        asked = {"grant_type": "client_credentials", "scope": scope}
        if resource is not None:
            asked["resource"] = resource
        if proof == "key":
            asked |= {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self._assertion(machine(algorithm))}
            return self._granted(asked, None)["access_token"]
        return self._granted(asked, machine(algorithm))["access_token"]

    def user_tokens(self, resource: str = ORDERS, *, scope: str = "openid orders:read") -> UserTokens:
        """Log alice in at the website, consent, and return the tokens: authorization code and PKCE."""
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        question = {
            "client_id": "website",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "resource": resource,
            "nonce": secrets.token_urlsafe(8),
            "state": secrets.token_urlsafe(8),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            "g_continue": "",  # what the page of consent adds once alice has said yes
        }
        with httpx.Client(base_url=self._admin.base_url, trust_env=False) as browser:
            _done(browser.post("/auth/", json={"username": "alice", "password": self._secret}))
            _done(browser.put("/auth/grant/website", json={"scope": scope}))
            sent_on = httpx.URL(browser.get("/oidc/auth", params=question).headers["location"])
        asked = {
            "grant_type": "authorization_code",
            "code": sent_on.params["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
            "resource": resource,
        }
        granted = self._granted(asked, "website")
        return UserTokens(granted["access_token"], granted["id_token"])

    @property
    def introspection_url(self) -> str:
        """Where it is asked about its tokens."""
        return f"{self.issuer}/introspect"

    def secret_of(self, algorithm: str = "RS256") -> tuple[str, str]:
        """Return name and secret of the machine whose tokens are signed by this *algorithm*."""
        return machine(algorithm), self._secret

    def revoke(self, token: str, *, algorithm: str = "RS256") -> None:
        """Take *token* back (RFC 7009)."""
        auth = self.secret_of(algorithm)
        _done(httpx.post(f"{self.issuer}/revoke", data={"token": token}, auth=auth, trust_env=False))

    def rotate(self, *, keep: bool) -> frozenset[str]:
        """Sign with new keys from now on, and return the kids that are published then."""
        self._rotations += 1
        for algorithm, key in _new_keys(self._rotations).items():
            self._keys[algorithm] = [key, *(self._keys[algorithm] if keep else [])]
        self._ask("PUT", "/mod/plugin/oidc", self._plugin())
        self._ask("PUT", "/mod/plugin/oidc/reset")
        for algorithm in ALGORITHMS:
            self._ask("PUT", f"/client/{machine(algorithm)}", self._machine(algorithm))
        published: dict[str, list[dict[str, str]]] = _done(self._admin.get("/oidc/jwks")).json()
        return frozenset(key["kid"] for key in published["keys"])

    def register(self, client_id: str, jwk: Mapping[str, Any]) -> None:
        """Know a machine by assertions of this public key alone."""
        said = {"client_id": client_id, "token_endpoint_auth_method": ["private_key_jwt"]}
        self._ask("POST", "/client/?source=database", self._machine("RS256") | said | {"jwks": {"keys": [dict(jwk)]}})

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return f"{self.issuer}/token"

    # --- setting up ------------------------------------------------------------------------------

    def _set_up(self) -> None:
        self._ask("POST", "/auth/", {"username": "admin", "password": "password"})  # as the package has it
        self._keys = {algorithm: [key] for algorithm, key in _new_keys(0).items()}
        # Which key signs for a client is a property of that client, if the module that keeps clients has such a one.
        module: dict[str, Any] = _done(self._admin.get("/mod/client/database")).json()
        module["parameters"]["data-format"]["sign_kid"] = {"multiple": False, "read": True, "write": True}
        self._ask("PUT", "/mod/client/database", module)
        self._ask("PUT", "/mod/client/database/reset")
        self._ask("POST", "/mod/plugin/", self._plugin())
        for scope in ("orders:read", "orders:write", "bills:read"):
            words = {"name": scope, "display_name": scope, "description": scope}
            self._ask("POST", "/scope/", {**words, "password_required": False, "scheme": {}})
        for algorithm in ALGORITHMS:
            self._ask("POST", "/client/?source=database", self._machine(algorithm))
        self._ask("POST", "/client/?source=database", self._website())
        alice = {"username": "alice", "name": "Alice", "password": self._secret, "enabled": True}
        scopes = ["g_profile", "openid", "orders:read", "orders:write"]
        self._ask("POST", "/user/?source=database", {**alice, "scope": scopes})

    def _plugin(self) -> dict[str, Any]:
        keys = [key for keys in self._keys.values() for key in keys]
        parameters = {
            "iss": self.issuer,  # where its documents are, so that whoever knows the issuer finds them
            "jwks-private": json.dumps({"keys": keys}),
            "jwks-show": True,
            "jwt-type": "rsa",  # asked for, though the key set says more
            "jwt-key-size": "256",
            "client-sign_kid-parameter": "sign_kid",
            "client-jwks-parameter": "jwks",
            "client-pubkey-parameter": "pubkey",
            "client-jwks_uri-parameter": "jwks_uri",
            "request-parameter-allow": True,  # else no client may prove itself by a key either
            "access-token-duration": LIFETIME,
            "refresh-token-duration": LIFETIME,
            "code-duration": 60,
            "allow-non-oidc": True,  # client credentials are none of OpenID Connect's
            "auth-type-client-enabled": True,
            "auth-type-code-enabled": True,
            "auth-type-token-enabled": False,
            "auth-type-id-token-enabled": True,
            "auth-type-none-enabled": False,
            "auth-type-password-enabled": False,
            "auth-type-refresh-enabled": False,
            "auth-type-device-enabled": False,
            "pkce-allowed": True,
            "introspection-revocation-allowed": True,
            "introspection-revocation-auth-scope": [],
            "introspection-revocation-allow-target-client": True,
            "resource-allowed": True,
            "resource-client-property": "resource",
            "resource-scope": {},
            "resource-scope-and-client-property": False,
            "resource-change-allowed": False,
            "subject-type": "public",
        }
        return {"module": "oidc", "name": "oidc", "display_name": "oidc", "parameters": parameters}

    def _machine(self, algorithm: str) -> dict[str, Any]:
        public = _jwk(ECAlgorithm, self._assertion_key.public_key(), "assertion", "ES256")
        return {
            "client_id": machine(algorithm),
            "name": "A machine",
            "enabled": True,
            "confidential": True,
            "client_secret": self._secret,
            "authorization_type": ["client_credentials"],
            "token_endpoint_auth_method": ["client_secret_basic", "private_key_jwt"],
            "scope": ["orders:read", "orders:write", "bills:read"],
            "redirect_uri": [],
            "resource": [ORDERS, BILLING],
            "jwks": {"keys": [public]},
            "sign_kid": self._keys[algorithm][0]["kid"],
        }

    def _website(self) -> dict[str, Any]:
        return {
            "client_id": "website",
            "name": "A website",
            "enabled": True,
            "confidential": True,
            "client_secret": self._secret,
            "authorization_type": ["code"],
            "token_endpoint_auth_method": ["client_secret_basic"],
            "scope": [],
            "redirect_uri": [CALLBACK],
            "resource": [ORDERS, BILLING],
        }

    def _assertion(self, client: str) -> str:
        now = int(time.time())
        said = {"iss": client, "sub": client, "aud": f"{self.issuer}/token", "jti": secrets.token_urlsafe()}
        times = {"iat": now, "nbf": now, "exp": now + 60}
        return jwt.encode({**said, **times}, self._assertion_key, "ES256", {"kid": "assertion"})

    def _granted(self, asked: dict[str, str], client: str | None) -> dict[str, str]:
        auth = None if client is None else (client, self._secret)
        granted: dict[str, str] = _done(
            httpx.post(f"{self.issuer}/token", data=asked, auth=auth, trust_env=False)
        ).json()
        return granted

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        _done(self._admin.request(method, path, json=body))


def machine(algorithm: str) -> str:
    """Return the name of the client whose tokens are signed by this *algorithm*."""
    return f"machine-{algorithm.lower()}"


def _new_keys(generation: int) -> dict[str, dict[str, Any]]:
    return {
        "RS256": _jwk(RSAAlgorithm, rsa.generate_private_key(65_537, 2_048), f"rsa-{generation}", "RS256"),
        "ES256": _jwk(ECAlgorithm, ec.generate_private_key(ec.SECP256R1()), f"ec-{generation}", "ES256"),
        "EdDSA": _jwk(OKPAlgorithm, ed25519.Ed25519PrivateKey.generate(), f"ed-{generation}", "EdDSA"),
    }


def _jwk(kind: Any, key: object, kid: str, algorithm: str) -> dict[str, Any]:
    members: dict[str, Any] = kind.to_jwk(key, as_dict=True)
    members.pop("key_ops", None)  # which another reader of keys has other words for
    return {**members, "kid": kid, "alg": algorithm, "use": "sig"}


def _done(response: httpx.Response) -> httpx.Response:
    if response.status_code != 200:
        raise RuntimeError(f"{response.request.url.path} said {response.status_code} {response.text}")
    return response


# --- the process ---------------------------------------------------------------------------------


def _started(program: Path, folder: Path, database: Path) -> tuple[subprocess.Popen[bytes], str]:
    for _ in range(20):  # somebody else may take the port before it does
        port = random.randrange(10_000, 30_000)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        origin = f"http://127.0.0.1:{port}"
        file = folder / "glewlwyd.conf"
        file.write_text(_configuration(port, origin, database), encoding="utf-8")
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                # It goes with whoever started it, however that ends.
                ["setpriv", "--pdeathsig", "KILL", str(program), f"--config-file={file}"],  # noqa: S607 - as apt-get
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if _answers(process, origin):
            return process, origin
        _end(process)
    raise RuntimeError(f"Glewlwyd did not start:\n{(folder / 'log').read_text(encoding='utf-8', errors='replace')}")


def _answers(process: subprocess.Popen[bytes], origin: str) -> bool:
    end = time.monotonic() + START_WITHIN
    while time.monotonic() < end and process.poll() is None:
        with suppress(httpx.TransportError):
            said = httpx.get(f"{origin}/config", trust_env=False)
            return process.poll() is None and "api_prefix" in said.text
        time.sleep(0.02)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _configuration(port: int, origin: str, database: Path) -> str:
    rooms = {"user": "user", "client": "client", "user_auth_scheme": "scheme", "plugin": "plugin"}
    # No word of TLS: its switch may not even be off.
    lines = [
        f"port={port}",
        'bind_address="127.0.0.1"',
        f'external_url="{origin}"',
        'login_url="login.html"',
        'api_prefix="api"',
        'log_mode="console"',
        'log_level="ERROR"',
        "cookie_secure=0",
        "session_expiration=3600",
        'session_key="session"',
        'admin_scope="g_admin"',
        'profile_scope="g_profile"',
        'hash_algorithm="SHA512"',
        *(f'{room}_module_path="{MODULES / folder}"' for room, folder in rooms.items()),
        f'database = {{ type = "sqlite3"; path = "{database}"; }};',
    ]
    return "\n".join(lines) + "\n"
