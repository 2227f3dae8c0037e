"""A keyring → a source of its keys as they are at the moment."""

from __future__ import annotations

import pytest

from jwt_guard import Guard, rfc9068, verify
from jwt_guard.errors import UnknownKey
from jwt_guard.issuing.issuer import Issuer
from jwt_guard.issuing.keyring import Keyring
from jwt_guard.issuing.own_keys import OwnKeys
from jwt_guard.issuing.signing import make
from tests.support.minting import minted


def test_a_key_counts_from_the_moment_it_is_there_until_it_is_not() -> None:
    ring = Keyring(make("ES256", "a"))
    issuer, keys = Issuer("https://id.test", ring), OwnKeys(ring)
    guard = Guard([rfc9068(issuer.url, "orders", keys=keys)])

    def token() -> str:
        return minted(issuer.access_token("service", "orders", "", "service"))

    old = token()
    ring.rotate(make("EdDSA", "b"))
    new = token()

    assert ["service", "service"] == [verify(guard, each).client for each in (old, new)]
    assert 2 == guard.key_states()["rfc9068"].keys
    ring.retire("a")
    assert "service" == verify(guard, new).client
    assert 1 == keys.state().keys
    with pytest.raises(UnknownKey):
        verify(guard, old)
