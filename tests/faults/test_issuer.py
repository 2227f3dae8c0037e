"""An issuer that misbehaves in each way there is → good tokens are let in all the same, and bad ones are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from jwt_guard.errors import BadSignature, ClaimRejected, Expired, InvalidToken, KeysUnavailable
from jwt_guard.sources import jwks
from jwt_guard.testing import Fault, LocalIssuer, ServedIssuer, faults
from tests.faults.callers import DAYS, WAYS, Passing, guard, kinds, patient_for, state, together, until, without_a_wait

AGE = 301.0
PAUSE = 31.0
"""Seconds: longer than any pause that failures make."""
PATIENCE = 20.0
"""Seconds for an answer that does come, on a machine that has other things to do."""


@dataclass(frozen=True)
class Misbehaviour:
    fault: Callable[[], Fault]
    words: str
    """What the last error says of it."""
    is_silent: bool = False
    """Whether nothing but the end of our patience ends it."""


MISBEHAVIOURS = {
    "slow": Misbehaviour(lambda: faults.slow(60), "no answer within", is_silent=True),
    "hang": Misbehaviour(faults.hang, "no answer within", is_silent=True),
    "drip": Misbehaviour(faults.drip, "no answer within", is_silent=True),
    "500": Misbehaviour(lambda: faults.status(500), "answered with 500"),
    "404": Misbehaviour(lambda: faults.status(404), "answered with 404"),
    "garbage": Misbehaviour(faults.garbage, "not UTF-8"),
    "html": Misbehaviour(faults.html, "JSON"),
    "empty": Misbehaviour(faults.empty, "JSON"),
    "redirect": Misbehaviour(lambda: faults.redirect("/elsewhere"), "a redirect, which is not followed"),
    "huge": Misbehaviour(lambda: faults.body(b" " * 300_000), "longer than 262144 octets"),
    "gzip bomb": Misbehaviour(faults.gzip_bomb, "compressed, though that was not asked for"),
    "reset": Misbehaviour(faults.reset, "no answer (ReadError"),
    "cut short": Misbehaviour(faults.cut_short, "no answer (RemoteProtocolError"),
    "no keys": Misbehaviour(faults.no_keys, "key"),
    "secret keys": Misbehaviour(faults.secret_keys, "key"),
}
SOME = ("500", "garbage", "reset")


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let tries follow each other at once; how long they pause is a matter of tests/sources."""
    monkeypatch.setattr(jwks, "_TRIES", (0.0, 0.0))


def bad_ones(issuer: ServedIssuer) -> dict[str, object]:
    """Return tokens that no key could make good, and what is said of each."""
    return {
        issuer.bad_token("expired"): Expired,
        issuer.bad_token("for another audience"): ClaimRejected,
        issuer.bad_token("unsigned"): InvalidToken,
        issuer.bad_token("no token at all"): InvalidToken,
    }


def assert_refused(said: list[object], expected: list[object]) -> None:
    assert len(expected) == len(said)
    for each, kind in zip(said, expected, strict=True):
        assert isinstance(each, type), each
        assert issubclass(each, kind if isinstance(kind, type) else InvalidToken)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_with_keys_known_nobody_waits_and_the_set_stays(name: str, way: str) -> None:
    how, clock = MISBEHAVIOURS[name], Passing()
    with LocalIssuer(clock=clock).serve() as issuer:
        good, forged = issuer.token(lifetime=DAYS), issuer.bad_token("changed signature", exp=int(clock() + DAYS))
        bad = bad_ones(issuer)
        of = guard(issuer, clock, timeout=PATIENCE)
        assert ["ada"] == together(way, of, [good])
        clock.forward(AGE)
        issuer.fault = how.fault() if how.is_silent else faults.hang(how.fault())
        patient_for(of, 0.3 if how.is_silent else PATIENCE)

        said = kinds(together(way, of, [good] * 10 + [forged, *bad]))

        issuer.wait_for(lambda: issuer.under_way == 1)  # and nobody waited for what it will say
        assert ["ada"] * 10 == said[:10]
        assert_refused(said[10:], [BadSignature, *bad.values()])
        assert "ada" == without_a_wait(of, good)
        if not how.is_silent:
            issuer.release()
        until(lambda: how.words in str(state(of).last_error))
        assert ["ada", BadSignature] == kinds(together(way, of, [good, forged]))
        assert (1, True, True) == (state(of).keys, state(of).stale, state(of).usable)

        issuer.fault = None
        issuer.release()
        patient_for(of, PATIENCE)
        clock.forward(PAUSE)
        assert "ada" == without_a_wait(of, good)
        until(lambda: not state(of).stale)
        assert state(of).last_error is None


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MISBEHAVIOURS)
def test_without_keys_what_could_be_good_comes_again_and_is_let_in_with_the_first_answer(name: str, way: str) -> None:
    how, clock = MISBEHAVIOURS[name], Passing()
    with LocalIssuer(clock=clock).serve() as issuer:
        good, bad = issuer.token(lifetime=DAYS), bad_ones(issuer)
        of = guard(issuer, clock, timeout=0.3 if how.is_silent else PATIENCE)
        issuer.fault = how.fault()

        assert_refused(kinds(together(way, of, list(bad))), list(bad.values()))
        assert 0 == issuer.requests.total(), "a token that cannot be good asks nobody"
        refusals = together(way, of, [good] * 5)
        assert [KeysUnavailable] * 5 == kinds(refusals)
        assert all(isinstance(error, KeysUnavailable) and 1 <= error.retry_after <= 2 for error in refusals)
        assert_refused(kinds(together(way, of, list(bad))), list(bad.values()))

        until(lambda: not state(of).refreshing)
        issuer.fault = None
        issuer.release()
        patient_for(of, PATIENCE)
        clock.forward(2)
        assert ["ada"] == together(way, of, [good])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", SOME)
def test_a_rotation_during_a_fault_is_seen_with_the_first_answer_after_it(name: str, way: str) -> None:
    clock = Passing()
    with LocalIssuer(clock=clock).serve() as issuer:
        old, of = issuer.token(lifetime=DAYS), guard(issuer, clock, timeout=1.5)  # for so long it is tried
        assert ["ada"] == together(way, of, [old])
        issuer.fault = MISBEHAVIOURS[name].fault()
        issuer.rotate()
        new = issuer.token(lifetime=DAYS)

        said = kinds(together(way, of, [old, new, new]))
        assert ["ada", KeysUnavailable, KeysUnavailable] == said
        issuer.fault = None
        clock.forward(PAUSE)
        assert ["ada", "ada"] == together(way, of, [new, old])


@pytest.mark.parametrize("way", WAYS)
def test_other_keys_under_the_same_names_let_nobody_in_until_the_right_ones_are_back(way: str) -> None:
    clock = Passing()
    with LocalIssuer(clock=clock).serve() as issuer:
        good, of = issuer.token(lifetime=DAYS), guard(issuer, clock, timeout=PATIENCE)
        assert ["ada"] == together(way, of, [good])
        issuer.fault = faults.wrong_keys()
        clock.forward(AGE)
        until(lambda: kinds(together(way, of, [good])) == [BadSignature])

        issuer.fault = None
        clock.forward(AGE)
        until(lambda: ["ada"] == together(way, of, [good]))


def test_of_keys_that_are_published_with_their_private_halves_only_the_public_ones_are_taken() -> None:
    with LocalIssuer().serve() as issuer:
        issuer.fault = faults.private_keys()
        of = guard(issuer, timeout=PATIENCE)

        assert ["ada", BadSignature] == kinds(
            together("threads", of, [issuer.token(), issuer.bad_token("changed signature")])
        )


@pytest.mark.parametrize("way", WAYS)
def test_metadata_of_somebody_else_names_no_keys(way: str) -> None:
    with LocalIssuer().serve() as issuer:
        issuer.fault = faults.wrong_issuer()
        of, good = issuer.guard(), issuer.token()

        assert [KeysUnavailable] == kinds(together(way, of, [good]))
        assert 0 == issuer.requests["/jwks"]
