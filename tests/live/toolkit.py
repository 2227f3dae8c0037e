"""Django and django-oauth-toolkit → a running authorization server: opaque access tokens, and ID tokens that are JWTs.

Run as a module it is that server, until its standard input ends: Django's settings are a process's own.
"""

import base64
import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread, Timer
from types import TracebackType
from typing import Any, Self

import httpx

from .rig import CALLBACK, UserTokens

START_WITHIN = 60.0  # seconds; a start takes two, a crowded machine more
SCOPES = ("openid", "orders:read", "orders:write")


@dataclass(frozen=True, slots=True)
class Toolkit:
    """One django-oauth-toolkit in a process of its own, with a machine, a website, and alice, who has logged in."""

    issuer: str
    user: str
    """What alice is called in tokens."""
    _session: str = field(repr=False)
    _secret: str = field(repr=False)
    _process: subprocess.Popen[str] = field(repr=False)

    @classmethod
    def start(cls, folder: Path) -> Self:
        """Return when it can be asked; its data is in *folder*."""
        with tempfile.TemporaryFile("a+", encoding="utf-8", errors="replace") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.live.toolkit", str(folder / "toolkit.db")],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C is for pytest, which stops us in its own order
            )
            assert process.stdout is not None
            giving_up = Timer(START_WITHIN, process.kill)
            giving_up.start()
            try:
                line = process.stdout.readline()
            finally:
                giving_up.cancel()
                giving_up.join()
            if not line:
                _end(process)
                log.seek(0)
                raise RuntimeError(f"django-oauth-toolkit did not start:\n{log.read()}")
        ready: dict[str, str] = json.loads(line)
        return cls(ready["issuer"], ready["user"], ready["session"], ready["secret"], process)

    def stop(self) -> int:
        """Return the exit code of the process: 0 where it went by itself."""
        return _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def token(self, scope: str = "orders:read") -> str:
        """Return an access token of a machine."""
        return self._granted({"grant_type": "client_credentials", "scope": scope}, "machine")["access_token"]

    def user_tokens(self, *, scope: str = "openid orders:read", nonce: str | None = None) -> UserTokens:
        """Send alice through the website, and return the tokens: authorization code and PKCE."""
        verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(verifier.encode()).digest()
        question = {
            "client_id": "website",
            "response_type": "code",
            "redirect_uri": CALLBACK,
            "scope": scope,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
            **({} if nonce is None else {"nonce": nonce}),
        }
        with httpx.Client(trust_env=False, cookies={"sessionid": self._session}) as browser:
            page = browser.get(f"{self.issuer}/authorize/", params=question)
        sent_on = httpx.URL(page.headers["location"])
        asked = {
            "grant_type": "authorization_code",
            "code": sent_on.params["code"],
            "redirect_uri": CALLBACK,
            "code_verifier": verifier,
        }
        granted = self._granted(asked, "website")
        return UserTokens(granted["access_token"], granted["id_token"])

    def introspected(self, token: str) -> dict[str, Any]:
        """Return what the server itself says of *token* (RFC 7662)."""
        return self._posted("introspect", {"token": token}, "machine")

    def _granted(self, asked: Mapping[str, str], client: str) -> dict[str, str]:
        return self._posted("token", asked, client)

    def _posted(self, where: str, what: Mapping[str, str], client: str) -> dict[str, Any]:
        response = httpx.post(f"{self.issuer}/{where}/", data=what, auth=(client, self._secret), trust_env=False)
        if not response.is_success:
            raise RuntimeError(f"{response.request.url} said {response.status_code} {response.text}")
        answer: dict[str, Any] = response.json()
        return answer


def _end(process: subprocess.Popen[str]) -> int:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    process.stdout.close()
    return code


# --- the server ----------------------------------------------------------------------------------


def serve(database: str) -> None:
    """Serve until standard input ends; say in one line where, and what opens the doors."""
    _configure(database)
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from waitress.server import create_server

    app = get_wsgi_application()
    # The addresses themselves instead of a module that has them: they cannot be imported before the models are.
    settings.ROOT_URLCONF = _routes()
    told = _filled()
    server: Any = create_server(app, host="127.0.0.1", port=0, threads=4)
    told["issuer"] = f"http://127.0.0.1:{server.effective_port}/o"  # as the toolkit makes it from the request
    print(json.dumps(told), flush=True)
    Thread(target=_end_with_input, daemon=True).start()
    server.run()


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


def _configure(database: str) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from django.conf import settings

    key = rsa.generate_private_key(65_537, 2_048)
    settings.configure(
        SECRET_KEY=secrets.token_urlsafe(),
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # quick; they protect nothing here
        USE_TZ=True,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "SCOPES": {scope: scope for scope in SCOPES},
        },
    )


def _filled() -> dict[str, str]:
    """Make the tables, the clients and alice, and return what lets the tests in."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from oauth2_provider.models import get_application_model  # type: ignore[import-untyped]

    call_command("migrate", verbosity=0)
    secret = secrets.token_urlsafe()
    applications: Any = get_application_model()
    common = {"client_type": "confidential", "client_secret": secret, "algorithm": "RS256"}
    applications.objects.create(
        client_id="machine", name="A machine", authorization_grant_type="client-credentials", **common
    )
    applications.objects.create(
        client_id="website",
        name="A website",
        authorization_grant_type="authorization-code",
        redirect_uris=CALLBACK,
        skip_authorization=True,  # alice has consented
        **common,
    )
    users: Any = get_user_model().objects
    alice = users.create_user("alice")
    session = SessionStore()
    session[SESSION_KEY] = str(alice.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = alice.get_session_auth_hash()
    session.save()
    return {"session": str(session.session_key), "user": str(alice.pk), "secret": secret}


def _routes() -> tuple[Any, ...]:
    from django.urls import include, path

    return (path("o/", include("oauth2_provider.urls")),)


if __name__ == "__main__":
    serve(sys.argv[1])
