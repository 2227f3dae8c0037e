"""`jwt-guard dev-issuer` → what `openid-client` of npm makes of its metadata, tokens, introspection and revocation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import Guard, rfc9068, verify
from tests.support.dev_issuer import Running, running

from .node import HERE

SCOPE = "orders:read"


def asked(node: Path, of: Running, client: str, method: str, **more: Any) -> dict[str, Any]:
    file = Path(of.clients[client]["file"])
    proof = {"jwk": json.loads(file.read_text())} if method == "private_key_jwt" else {"secret": of.secret(client)}
    said = {"issuer": of.issuer, "client": client, "method": method, "scope": SCOPE, **proof, **more}
    command = [str(node), str(HERE / "client.mjs")]
    ran = subprocess.run(command, input=json.dumps(said), capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


@pytest.mark.parametrize(
    ("client", "method"),
    [("service", "client_secret_basic"), ("service", "client_secret_post"), ("backend", "private_key_jwt")],
)
def test_it_gets_a_token_asks_about_it_and_takes_it_back(usable_node: Path, client: str, method: str) -> None:
    with running() as one:
        found = asked(usable_node, one, client, method)
        tokens = found["tokens"]

        assert ("bearer", 300, SCOPE) == (tokens["token_type"], tokens["expires_in"], tokens["scope"])
        assert client == verify(Guard([rfc9068(one.issuer, "api")]), tokens["access_token"]).client
        assert (True, client, SCOPE) == tuple(found["before"][name] for name in ("active", "client_id", "scope"))
        assert {"active": False} == found["after"]
        assert {"error": "invalid_scope"} == asked(usable_node, one, client, method, scope="orders:delete")


def test_another_secret_gets_nothing(usable_node: Path) -> None:
    with running() as one:
        # A challenge is all that it makes of that.
        assert {"error": 401} == asked(usable_node, one, "service", "client_secret_basic", secret="other")
