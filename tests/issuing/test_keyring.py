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
from jwt_guard.issuing.keyring import Keyring, Member, Rotation, SigningKey, make
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


# --- a plan ------------------------------------------------------------------------------------------

START = 1_800_000_000.0
PLAN = Rotation(every=1_000, published_before=100, longest_token=300, margin=10)


def planned(plan: Rotation = PLAN, *others: SigningKey) -> Keyring:
    return Keyring(make("ES256", "a"), others, rotation=plan, clock=lambda: START)


def actions(ring: Keyring, at: float) -> list[str]:
    return [step.action for step in ring.turn(START + at)]


def test_a_key_is_published_then_signs_then_retires_and_each_only_when_due() -> None:
    ring = planned()

    assert [[], ["publish"], [], ["sign"], [], ["retire"]] == [
        actions(ring, at) for at in (889, 890, 999, 1_000, 1_309, 1_310)
    ]
    assert 1 == len(ring.keys)
    assert ring.current.kid != "a"
    assert "ES256" == ring.current.alg


def test_a_key_waits_however_late_it_was_published() -> None:
    ring = planned()

    assert ["publish"] == actions(ring, 5_000)  # nobody had turned for long
    assert [] == actions(ring, 5_109)
    assert "a" == ring.current.kid
    assert ["sign"] == actions(ring, 5_110)
    assert [] == actions(ring, 5_110 + 309)
    assert ["retire"] == actions(ring, 5_110 + 310)


def test_every_token_can_be_checked_with_a_key_set_that_is_as_old_as_it_may_be() -> None:
    ring = planned()
    sets: list[tuple[float, set[str]]] = []
    for at in range(0, 20_000, 7):
        ring.turn(START + at)
        sets.append((at, set(kids(ring))))

        oldest = [seen for then, seen in sets if then <= at - 100]
        assert not oldest or ring.current.kid in oldest[-1]
        assert len(kids(ring)) <= 3

    signed: dict[str, float] = {}
    ring = planned()
    for at in range(0, 20_000, 7):
        ring.turn(START + at)
        signed[ring.current.kid or ""] = at
        assert {kid for kid, last in signed.items() if at <= last + 300} <= set(kids(ring))
    assert len(signed) > 15


def test_keys_that_wait_already_are_next_in_their_order() -> None:
    ring = planned(PLAN, make("RS256", "b"), make("EdDSA", "c"))

    assert ["sign"] == actions(ring, 1_000)
    assert "b" == ring.current.kid
    assert ["retire", "sign"] == actions(ring, 2_000)
    assert "c" == ring.current.kid


def test_without_an_interval_the_next_key_is_published_when_somebody_asks() -> None:
    ring = planned(Rotation(published_before=100, longest_token=300, margin=0, alg="EdDSA"))

    assert [] == actions(ring, 9_999)
    (published,) = ring.turn(START + 10_000, prepare=True)
    assert ("publish", ring.keys[1].kid, "EdDSA") == (published.action, published.kid, ring.keys[1].alg)
    assert () == ring.turn(START + 10_001, prepare=True)  # one is waiting
    assert ["sign"] == [step.action for step in ring.turn(START + 10_100, prepare=True)]
    assert ["retire", "publish"] == [step.action for step in ring.turn(START + 10_400, prepare=True)]


def test_what_lies_ahead_is_told() -> None:
    ring = planned()

    assert [("publish", START + 890, None)] == [(step.action, step.at, step.kid) for step in ring.ahead]
    (published,) = ring.turn(START + 890)
    assert [("sign", START + 1_000, published.kid)] == [(step.action, step.at, step.kid) for step in ring.ahead]
    ring.turn(START + 1_000)
    assert [("retire", "a"), ("publish", None)] == [(step.action, step.kid) for step in ring.ahead]


def test_a_rotation_by_hand_starts_the_plan_anew() -> None:
    ring = planned()
    ring.turn(START + 890)

    new = ring.rotate(make("ES256", "by hand"))

    assert new is ring.current
    assert START == next(member.signs_from for member in ring.members if member.signs)
    assert "a" in kids(ring)
    ring.rotate(ring.keys[0])
    assert "a" == ring.current.kid  # back again, which the plan takes as a beginning
    assert ring.rotate(ring.current) is ring.current


def test_a_clock_that_goes_back_does_nothing() -> None:
    ring = planned()
    ring.turn(START + 1_000)

    assert () == ring.turn(START - 5_000)
    for now in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="number"):
            ring.turn(now)


def test_without_a_plan_there_is_nothing_to_turn_by() -> None:
    ring = Keyring(make("ES256"))

    assert () == ring.ahead
    with pytest.raises(Misconfigured, match="no rotation"):
        ring.turn(0)


def test_the_clock_of_the_keyring_is_the_time_where_none_is_given() -> None:
    now = [START]
    ring = Keyring(make("ES256", "a"), rotation=PLAN, clock=lambda: now[0])

    assert () == ring.turn()
    now[0] += 890
    assert ["publish"] == [step.action for step in ring.turn()]


@pytest.mark.parametrize(
    "change",
    [
        {"published_before": 0},
        {"published_before": -1},
        {"longest_token": 0},
        {"longest_token": float("inf")},
        {"longest_token": True},
        {"margin": -1},
        {"margin": "10"},
        {"every": 110},
        {"every": 0},
        {"every": float("nan")},
        {"every": 111, "longest_token": 5_000},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"every": 1_000, "published_before": 100, "longest_token": 300, "margin": 10}

    with pytest.raises(Misconfigured, match="rotation"):
        Rotation(**{**usual, **change})


@pytest.mark.parametrize(
    "times",
    [(float("nan"),), (None,), (1, "x"), (1, None, 2), (1, True)],
)
def test_times_that_no_life_has_are_refused(times: tuple[Any, ...]) -> None:
    with pytest.raises(Misconfigured, match="keyring"):
        Member(make("ES256", "a"), *times)
