"""Keyring: one key signs, several are published, and nobody sees half a change."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import joserfc.jwk
import jwcrypto.jwk  # type: ignore[import-untyped]
import jwt
import pytest

from jwt_guard import fixed
from jwt_guard.errors import Misconfigured
from jwt_guard.issuing import keyring
from jwt_guard.issuing.keyring import Keyring, make
from tests.support.keys import ASYMMETRIC

PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}
KNOWN_TO_ALL = tuple(alg for alg in ASYMMETRIC if not alg.startswith("ML-DSA"))


def kids(ring: Keyring) -> list[str]:
    return [key["kid"] for key in ring.jwks()["keys"]]


@pytest.mark.parametrize("alg", ASYMMETRIC)
def test_no_private_member_is_ever_published(alg: str) -> None:
    ring = Keyring(make(alg))
    ring.rotate()

    published = json.loads(json.dumps(ring.jwks()))["keys"]

    assert 2 == len(published)
    assert all(set() == PRIVATE & key.keys() for key in published)


def test_others_read_what_we_publish() -> None:
    ring = Keyring(make("RS256", "0"), [make(alg, str(number)) for number, alg in enumerate(KNOWN_TO_ALL, 1)])
    document: Any = ring.jwks()

    everything = kids(ring)
    assert everything == [key.kid for key in joserfc.jwk.KeySet.import_key_set(document).keys]
    assert all(map(jwcrypto.jwk.JWKSet.from_json(json.dumps(document)).get_key, everything))
    assert set(everything) - {str(1 + KNOWN_TO_ALL.index("Ed25519"))} <= {
        key.key_id for key in jwt.PyJWKSet.from_dict(document).keys
    }
    assert set(everything) == {key.kid for key in fixed(document).keys.keys}


def test_rotation_changes_who_signs_and_keeps_the_old_key_published() -> None:
    old = make("ES256", "old")
    ring = Keyring(old)

    new = ring.rotate()

    assert new is ring.current
    assert "ES256" == new.alg
    assert ["old", new.kid] == kids(ring)


def test_a_key_is_published_before_it_signs() -> None:
    ring, following = Keyring(make("ES256", "a")), make("EdDSA", "b")

    ring.publish(following)
    before = ring.current.kid
    ring.rotate(following)

    assert ("a", "b") == (before, ring.current.kid)
    assert ["a", "b"] == kids(ring)


def test_a_retired_key_is_published_no_longer() -> None:
    ring = Keyring(make("ES256", "a"))
    ring.rotate(make("ES256", "b"))

    ring.retire("a")

    assert ["b"] == kids(ring)


def test_the_key_that_signs_cannot_be_retired() -> None:
    ring = Keyring(make("ES256", "a"), [make("ES256", "b")])

    with pytest.raises(Misconfigured, match="rotate first"):
        ring.retire("a")
    with pytest.raises(Misconfigured, match="no key 'c'"):
        ring.retire("c")
    assert ["a", "b"] == kids(ring)


def test_two_keys_of_one_name_are_refused_and_change_nothing() -> None:
    ring = Keyring(make("ES256", "a"))

    with pytest.raises(Misconfigured, match="one kid"):
        ring.rotate(make("ES256", "a"))
    with pytest.raises(Misconfigured, match="one kid"):
        ring.publish(make("ES256", "a"))
    assert ["a"] == kids(ring)


def test_a_secret_cannot_be_published() -> None:
    with pytest.raises(Misconfigured, match="secret"):
        Keyring(make("HS256", "a"))


def test_whoever_reads_during_a_rotation_finds_the_key_that_signs_published(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = keyring._checked

    def slowly(ring: Any) -> Any:
        time.sleep(0.001)  # so that others come in between, if anything lets them
        return checked(ring)

    monkeypatch.setattr(keyring, "_checked", slowly)
    ring = Keyring(make("EdDSA", "0"))
    stop = threading.Event()
    missing: list[str | None] = []

    def read() -> None:
        while not stop.is_set():
            signs = ring.current.kid
            if signs not in kids(ring):
                missing.append(signs)

    def rotate(number: int) -> None:
        for count in range(20):
            ring.rotate(make("EdDSA", f"{number}.{count}"))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=rotate, args=(number,)) for number in range(4)]
    reader.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    reader.join()

    assert [] == missing
    assert 81 == len(kids(ring))  # no rotation lost another's key
