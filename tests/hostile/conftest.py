"""After each attack: nothing of a token, a key or a claim set is in any log line, reason or answer."""

from __future__ import annotations

import binascii
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.keys import decode, encode, pem, secret
from tests.support.minting import MINTED, SAID

PUBLIC = {"iss", "aud", "exp", "nbf", "iat", "auth_time", "scope", "scp", "typ", "token_use"}
"""Claims that name no person: a reason may quote them."""
SHORTEST = 6
"""Below that, chance would find it."""


@pytest.fixture(autouse=True)
def nothing_leaks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    MINTED.clear()
    SAID.clear()
    caplog.set_level(logging.DEBUG)
    yield
    lines = [logging.Formatter().format(record) for record in caplog.get_records("call")]
    everything = "\n".join([*lines, *SAID])
    leaked = [text for text in sensitive() if text in everything]

    assert [] == leaked
    assert all(line.isprintable() for line in lines if "Traceback" not in line)


def sensitive() -> set[str]:
    """Return what must not turn up: parts of tokens, claims about persons, keys."""
    found = {encode(secret()), secret().hex(), pem("RS256").decode()[40:100]}
    for token in MINTED:
        parts = token.split(".")
        found |= {part for part in parts if len(part) > SHORTEST}
        try:
            found |= texts(json.loads(decode(parts[1])))
        except (IndexError, ValueError, binascii.Error, RecursionError):
            continue
    return found


def texts(payload: Any) -> set[str]:
    if not isinstance(payload, dict):
        return set()
    private = [value for name, value in payload.items() if name not in PUBLIC]
    return {text for value in private for text in leaves(value) if len(text) >= SHORTEST}


def leaves(value: Any) -> set[str]:
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        return {text for item in (*value, *value.values()) for text in leaves(item)}
    return {text for item in value for text in leaves(item)} if isinstance(value, list) else set()
