"""Changes → a client assertion with them, signed by a key of the tests; and the form that a client sends it in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from .keys import encode, public_jwk, sign
from .minting import ABSENT, NOW, minted

CLIENT = "https://monitor.test"
TOKEN_URL = "https://authorize.test/token"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORM = "application/x-www-form-urlencoded"


def assertion(
    header: Mapping[str, Any] | None = None, claims: Mapping[str, Any] | None = None, *, key: str = "RS384"
) -> str:
    """Return a good assertion of CLIENT at NOW with changes; *key* is the algorithm that really signs."""
    head = {"alg": key, "kid": "a", "typ": "JWT", **(header or {})}
    said = {"iss": CLIENT, "sub": CLIENT, "aud": TOKEN_URL, "exp": NOW + 240, "jti": "a-jti", **(claims or {})}
    parts = ({name: value for name, value in part.items() if value is not ABSENT} for part in (head, said))
    signing_input = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return minted(f"{signing_input}.{encode(sign(key, signing_input.encode()))}")


def jwks(*algorithms: str) -> dict[str, Any]:
    """Return the registered keys, all of them called a."""
    return {"keys": [public_jwk(alg, "a", kid="a") for alg in algorithms or ("RS384",)]}


def form(**changes: Any) -> bytes:
    """Return the body of a token request, with *changes*."""
    sent = {
        "grant_type": "client_credentials",
        "scope": "system/Patient.rs",
        "client_assertion_type": ASSERTION_TYPE,
        **changes,
    }
    if "client_assertion" not in sent:
        sent["client_assertion"] = assertion()
    return urlencode({name: value for name, value in sent.items() if value is not ABSENT}).encode()
