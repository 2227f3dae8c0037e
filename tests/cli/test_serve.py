"""A configuration → the files whose change is a change of it."""

from __future__ import annotations

from pathlib import Path

from jwt_guard.cli.serve import _named
from jwt_guard.config.load import read

CONFIG = """
[keys]
ca_file = "keys-ca.pem"

[providers.one]
issuer = "https://one.example"
audience = "orders"
jwks_file = "one.json"

[[routes]]
openapi = "openapi.yaml"

[gateway]
upstream = "https://orders.internal"

[gateway.proxy]
ca_file = "internal-ca.pem"

[gateway.identity_token]
header = "Authorization"
issuer = "https://gateway.internal"
audience = "orders-app"
key_file = "gateway-key.json"

[shadow]
file = "shadow.toml"
"""


def test_every_file_that_a_configuration_names_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text(CONFIG, encoding="utf-8")
    names = {"keys-ca.pem", "one.json", "openapi.yaml", "internal-ca.pem", "gateway-key.json", "shadow.toml"}

    assert {tmp_path / name for name in names} == set(_named(read(tmp_path / "guard.toml")))


def test_a_configuration_that_names_none_is_enough_by_itself(tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text("[gateway]\nupstream = 'http://127.0.0.1:1'\n", encoding="utf-8")

    assert [] == _named(read(tmp_path / "guard.toml"))
