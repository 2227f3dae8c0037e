"""A Node program → a running OpenID provider that hands out real tokens and can be steered."""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock, Timer
from types import TracebackType
from typing import IO, Any, Literal, Self

import httpx

HERE = Path(__file__).parent
ORDERS = "https://orders.test"
BILLING = "https://billing.test"
START_WITHIN = 20.0  # seconds; a start takes half of one, a crowded machine more
STOP_WITHIN = 3.0
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CALLBACK = "https://website.test/callback"


@dataclass(frozen=True, slots=True)
class Fetches:
    """How often somebody asked for keys, and for any address of a discovery document, a wrong one too."""

    discovery: int
    jwks: int

    def __sub__(self, before: "Fetches") -> "Fetches":
        return Fetches(self.discovery - before.discovery, self.jwks - before.jwks)


@dataclass(frozen=True, slots=True)
class UserTokens:
    """What a website holds once a user has logged in."""

    access_token: str = field(repr=False)
    id_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LiveProvider:
    """One oidc-provider in a process of its own; `issuer` is its name and its address."""

    issuer: str
    algorithms: tuple[str, ...]
    _control: str
    _secret: str = field(repr=False)
    _process: subprocess.Popen[str] = field(repr=False)
    _log: IO[str] = field(repr=False)
    _http: httpx.Client = field(repr=False)
    _one_at_a_time: Lock = field(repr=False)

    @classmethod
    def start(
        cls, node: Path, *, path: str = "", discovery: Literal["openid", "oauth", "openid oauth"] = "openid oauth"
    ) -> Self:
        """Return when it can be asked; `path` is the issuer's, `discovery` says which documents it publishes."""
        # Appended to, because the process and we share one position in it, and reading moves it.
        log = tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace")  # noqa: SIM115  # as long as we live
        process = subprocess.Popen(
            [str(node), str(HERE / "provider.mjs")],
            env={**os.environ, "ISSUER_PATH": path, "DISCOVERY": discovery, "STOP_WITH_STDIN": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C is for pytest, which stops us in its own order.
            start_new_session=True,
        )
        try:
            ready = _ready(process, log)
        except BaseException:
            _end(process)
            log.close()
            raise
        return cls(
            issuer=ready["issuer"],
            algorithms=tuple(ready["algorithms"]),
            _control=ready["control"],
            _secret=ready["secret"],
            _process=process,
            _log=log,
            # Node closes idle connections after a while, now and then just as the next request leaves.
            _http=httpx.Client(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)),
            _one_at_a_time=Lock(),
        )

    def stop(self) -> int:
        """Return the exit code of the process: 0 where it went by itself."""
        self._http.close()
        self._log.close()
        return _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def token(
        self,
        resource: str = ORDERS,
        *,
        algorithm: str = "RS256",
        scope: str = "orders:read",
        lifetime: int = 300,
        proof: Literal["secret", "key"] = "secret",
    ) -> str:
        """Return an access token of a machine, which proves who it is by a secret or by a signed assertion."""
        asked = {"grant_type": "client_credentials", "resource": f"{resource}/{algorithm}", "scope": scope}
        if proof == "key":
            asked["client_assertion_type"] = ASSERTION_TYPE
            asked["client_assertion"] = self._steer("POST", "/assertion")["assertion"]
            return self._granted(asked, None, lifetime)["access_token"]
        return self._granted(asked, self.machine, lifetime)["access_token"]

    @property
    def machine(self) -> tuple[str, str]:
        """Name and secret of a client that asks for itself."""
        return "machine-with-secret", self._secret

    def user_tokens(
        self,
        user: str = "alice",
        resource: str = ORDERS,
        *,
        algorithm: str = "RS256",
        scope: str = "openid orders:read",
        lifetime: int = 300,
    ) -> UserTokens:
        """Log a user in at a website, consent, and return the tokens: authorization code and PKCE."""
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        question = {
            "client_id": "website",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "resource": f"{resource}/{algorithm}",
            "nonce": secrets.token_urlsafe(8),
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        asked = {
            "grant_type": "authorization_code",
            "code": self._code(question, user),
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        granted = self._granted(asked, ("website", self._secret), lifetime)
        return UserTokens(granted["access_token"], granted["id_token"])

    def rotate(self, *, keep: bool) -> frozenset[str]:
        """Sign with new keys from now on, and return the kids that are published then."""
        return frozenset(self._steer("POST", "/rotate", {"keep": keep})["kids"])

    def register(self, client_id: str, jwk: Mapping[str, Any]) -> None:
        """Know a machine by assertions of this public key, and of its algorithm alone."""
        said = {"client_id": client_id, "token_endpoint_auth_signing_alg": jwk["alg"], "jwks": {"keys": [dict(jwk)]}}
        self._steer("POST", "/register", {"client": said})

    @property
    def token_url(self) -> str:
        """Where tokens are given."""
        return f"{self._base}/token"

    @property
    def introspection_url(self) -> str:
        """Where it is asked about tokens that only it can read; `algorithm="opaque"` gives such."""
        return f"{self._base}/token/introspection"

    def revoke(self, token: str) -> None:
        """Take *token* back (RFC 7009)."""
        asked = {"token": token, "token_type_hint": "access_token"}
        said = self._http.post(f"{self._base}/token/revocation", data=asked, auth=self.machine)
        if said.status_code != 200:
            raise RuntimeError(f"{said.request.url} said {said.status_code} {said.text}")

    def fetches(self) -> Fetches:
        """Count since the start; take the difference of two."""
        counted = self._steer("GET", "/fetches")
        return Fetches(discovery=counted["discovery"], jwks=counted["jwks"])

    def _code(self, question: Mapping[str, str], user: str) -> str:
        """Do what a browser does: follow, log in, follow, consent, follow, until the website is called back."""
        login = {"prompt": "login", "login": user, "password": "any"}
        with httpx.Client(trust_env=False) as browser:
            page = browser.get(f"{self._base}/auth", params=question)
            for form in (login, {"prompt": "consent"}):
                page = browser.post(self._sent_on(page), data=form)
                page = browser.get(self._sent_on(page))
        return httpx.URL(page.headers["location"]).params["code"]

    def _sent_on(self, page: httpx.Response) -> httpx.URL:
        there = page.url.join(page.headers["location"])
        # The website is nowhere; a provider that calls it back before its time has something to complain about.
        if (there.host, there.port) != (page.url.host, page.url.port):
            raise RuntimeError(f"no code for the website: {there.params}")
        return there

    def _granted(self, asked: Mapping[str, str], client: tuple[str, str] | None, lifetime: int) -> dict[str, str]:
        # The lifetime belongs to the provider, not to the request: nobody else's may come between the two.
        with self._one_at_a_time:
            self._steer("POST", "/lifetime", {"seconds": lifetime})
            granted: dict[str, str] = self._answer(
                self._http.post(f"{self._base}/token", data=asked, auth=client or httpx.USE_CLIENT_DEFAULT)
            )
        return granted

    def _steer(self, method: str, order: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return self._answer(self._http.request(method, f"{self._control}{order}", json=body))

    def _answer(self, response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            said = f"{response.request.url} said {response.status_code} {response.text}"
            raise RuntimeError(f"{said}\n{_written(self._log)}")
        answer: dict[str, Any] = response.json()
        return answer

    @property
    def _base(self) -> str:
        return self.issuer.removesuffix("/")


def _ready(process: subprocess.Popen[str], log: IO[str]) -> dict[str, Any]:
    assert process.stdout is not None
    giving_up = Timer(START_WITHIN, process.kill)
    giving_up.start()
    try:
        line = process.stdout.readline()
    finally:
        giving_up.cancel()
        giving_up.join()
    if not line:
        raise RuntimeError(f"the provider did not start:\n{_written(log)}")
    ready: dict[str, Any] = json.loads(line)
    return ready


def _written(log: IO[str]) -> str:
    log.seek(0)
    return log.read()


def _end(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    # It goes when its standard input ends.
    process.stdin.close()
    try:
        code = process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    process.stdout.close()
    return code
