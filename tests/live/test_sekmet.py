"""`jwt-guard dev-issuer` → tokens for the client in sekmet-fhir, which nobody here has written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, verify
from jwt_guard.issuing.signing import make
from jwt_guard.providers import smart
from tests.support.dev_issuer import running

from .conftest import missing

# Of its many packages the client needs those that are here anyhow, so it comes without them.
PINNED = "sekmet-fhir==0.1.1 --hash=sha256:602284a347c26070fbc0ac5e373e9f86c162c0922ae5b23d66ed4e1ea405a409\n"
FHIR = "http://127.0.0.1:8000/fhir"
SCOPE = "system/*.rs"

KEYS = """
import json, sys
from sekmet.auth.keys import load_private_key, public_jwk
print(json.dumps({"keys": [public_jwk(load_private_key(sys.argv[1]), sys.argv[2])]}))
"""
CLIENT = """
import json, sys
from sekmet.auth.outbound import AuthError, provider_for
from sekmet.config import Peer
auth = provider_for(Peer.model_validate(json.load(sys.stdin)))
try:
    headers = auth.headers()
except AuthError as error:
    sys.exit(f"refused: {error}")
print(json.dumps({**auth.last_token_response, "sent": headers["Authorization"]}))
"""


@pytest.fixture(scope="module")
def sekmet(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a program that imports it."""
    folder = tmp_path_factory.mktemp("sekmet")
    if find_spec("sekmet") is None:
        for needed in ("pydantic", "yaml"):
            if find_spec(needed) is None:
                missing(f"sekmet-fhir needs {needed}, which is not here")
        venv.create(folder / "pip", with_pip=True)
        (folder / "pinned.txt").write_text(PINNED)
        words = ["install", "-q", "--no-deps", "--require-hashes", "--target", "code", "-r", "pinned.txt"]
        python = folder / "pip" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        asked = subprocess.run([python, "-m", "pip", *words], cwd=folder, check=False, capture_output=True, timeout=120)
        if asked.returncode != 0:
            missing("sekmet-fhir cannot be had: there is no package registry here")
    return {**os.environ, "PYTHONPATH": str(folder / "code"), "NO_PROXY": "*"}


def ran(environment: dict[str, str], program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, input=text, env=environment, capture_output=True, text=True, check=False, timeout=60)


def a_client(environment: dict[str, str], folder: Path, alg: str) -> tuple[Path, Path]:
    """Return the file of a private key, and that of what the client itself publishes of it."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private, public = folder / "key.pem", folder / "public.jwks"
    key: Any = make(alg).material
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_text(ran(environment, KEYS, str(private), alg).stdout)
    return private, public


def got(environment: dict[str, str], **auth: Any) -> dict[str, Any]:
    asked = ran(environment, CLIENT, text=json.dumps({"base_url": auth.pop("base"), "auth": auth}))

    assert 0 == asked.returncode, asked.stderr
    said: dict[str, Any] = json.loads(asked.stdout)
    return said


@pytest.mark.parametrize("alg", ["ES384", "RS384", "RS256", "ES256"])
def test_it_gets_a_token_by_its_key(sekmet: dict[str, str], tmp_path: Path, alg: str) -> None:
    private, public = a_client(sekmet, tmp_path, alg)
    auth = {"type": "smart", "client_id": "sekmet", "private_key_path": str(private), "alg": alg, "scope": SCOPE}
    arguments = ("--client", f"sekmet={SCOPE}", "--with-key", f"sekmet={public}", "--smart", "--audience", FHIR)
    with running(*arguments) as one:
        guard = Guard([smart(one.issuer, FHIR)])
        for found in ({"base": one.issuer}, {"base": FHIR, "token_url": one.token_url}):  # by discovery, and told
            said = got(sekmet, **auth, **found)
            who = verify(guard, said["sent"].removeprefix("Bearer "))

            assert ("bearer", SCOPE, 300) == (said["token_type"], said["scope"], said["expires_in"])
            assert ("sekmet", {SCOPE}) == (who.client, set(who.scopes))
        wrong = {"base_url": one.issuer, "auth": {**auth, "scope": "system/*.cruds"}}
        asked = ran(sekmet, CLIENT, text=json.dumps(wrong))

        assert 1 == asked.returncode
        assert "invalid_scope" in asked.stderr


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_it_gets_a_token_by_its_secret(sekmet: dict[str, str], method: str) -> None:
    with running("--client", f"sekmet={SCOPE}", "--smart", "--audience", FHIR) as one:
        said = got(
            sekmet, base=one.issuer, type="client_credentials", client_id="sekmet", scope=SCOPE,
            client_secret_file=one.clients["sekmet"]["file"], client_auth_method=method,
        )  # fmt: skip
        guard = Guard([smart(one.issuer, FHIR)])

        assert "sekmet" == verify(guard, said["sent"].removeprefix("Bearer ")).client
