"""What an administrator takes back → who is refused, from when on, and what is said while nobody can tell."""

from __future__ import annotations

import json
import sys
import threading
import time
from functools import partial
from typing import Any

import pytest

from jwt_guard import Denylist, Guard, Memory, Provider, Resolver, fixed, salted
from jwt_guard.access.denylist import KNOWN
from jwt_guard.access.explain import explain
from jwt_guard.access.once import Once
from jwt_guard.access.remembered import Remembered
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import ClaimRejected, Misconfigured, Revoked, StoreFailed, Unavailable
from jwt_guard.flow import Alone, Call, Later, Pause, Stored, claim
from jwt_guard.messages import PlainRequest
from jwt_guard.runners import blocking
from jwt_guard.sources.introspection import introspection
from jwt_guard.sources.jwks import jwks
from jwt_guard.tokens.claims import FOREVER, Rule
from tests.support.keys import public_jwk, secret
from tests.support.minting import ABSENT, HOUR, ISSUER, NOW, claims, mint, provider, verdict
from tests.support.playing import Clock, Meanwhile, Played, Shelf, play, reply

STORE = "redis://:hidden@store.test"
DAY = 86_400
REQUEST = PlainRequest("GET", "/")


def guarded(denylist: Denylist, *providers: Provider, **more: Any) -> Guard:
    return Guard(providers or (provider(),), clock=lambda: NOW, revoked=denylist, **more)


def in_memory(**more: Any) -> Denylist:
    return Denylist(clock=lambda: NOW, **more)


def is_taken(guard: Guard, token: str) -> bool:
    """Say whether *token* is let in, by each of the ways that are to tell the same."""
    header = f"Bearer {token}"
    said = {
        isinstance(verdict(guard, token), Credentials),
        *(
            isinstance(decision, Allow)
            for decision in (
                guard.at_sight(header.encode()),
                guard.at_sight_of_text(header),
                guard.glance(header, REQUEST),
                blocking.run(guard.decide(PlainRequest("GET", "/", headers=(("Authorization", header),)))),
            )
            if decision is not None
        ),
    }

    assert 1 == len(said), "two ways to two answers"
    return said.pop()


# --- what is meant -----------------------------------------------------------------------------------

MINE = mint(claims(sid="session", iat=NOW - 60))
REVOKED: list[dict[str, Any]] = [
    {"issuer": ISSUER, "jti": "jti-of-this-token"},
    {"issuer": ISSUER, "sub": "ada-lovelace"},
    {"issuer": ISSUER, "sub": "ada-lovelace", "issued_before": NOW - 59},
    {"issuer": ISSUER, "sid": "session"},
    {"issuer": ISSUER, "client": "shop"},
    {"client": "shop"},
    {"client": "shop", "issued_before": NOW - 59.5},
    {"issuer": ISSUER, "kid": "a"},
    {"kid": "a"},
    {"issuer": ISSUER, "jti": "jti-of-this-token", "until": NOW + HOUR},
]
NOT_REVOKED: list[dict[str, Any]] = [
    {"issuer": ISSUER, "jti": "another"},
    {"issuer": "https://other.test", "jti": "jti-of-this-token"},
    {"issuer": ISSUER, "sub": "ada"},
    {"issuer": ISSUER, "sub": "ada-lovelace", "issued_before": NOW - 60},
    {"issuer": ISSUER, "sub": "shop"},
    {"issuer": ISSUER, "sid": "jti-of-this-token"},
    {"issuer": "https://other.test", "client": "shop"},
    {"client": "ada-lovelace"},
    {"client": "shop", "issued_before": NOW - 60},
    {"issuer": "https://other.test", "kid": "a"},
    {"kid": "A"},
    {"issuer": ISSUER, "jti": "jti-of-this-token", "until": NOW - HOUR},
]


@pytest.mark.parametrize("memory", [Memory(), None])
@pytest.mark.parametrize(
    ("what", "is_meant"), [*((what, True) for what in REVOKED), *((what, False) for what in NOT_REVOKED)]
)
def test_what_is_revoked_is_refused_from_the_next_request_on(
    what: dict[str, Any], is_meant: bool, memory: Memory | None
) -> None:
    denylist = in_memory()
    guard, stranger = guarded(denylist, memory=memory), guarded(denylist, memory=memory)

    for _ in range(3):
        assert is_taken(guard, MINE)
    denylist.revoke(**what)
    for of in (guard, stranger):
        for _ in range(3):
            assert is_taken(of, MINE) is not is_meant
    if is_meant:
        error = verdict(guard, MINE)
        assert isinstance(error, Revoked)
        assert 401 == error.status


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jti": "a", "sid": "b"},
        {"jti": "a"},
        {"sub": "a"},
        {"sid": "a"},
        {"issuer": ISSUER, "jti": ""},
        {"issuer": "", "client": "a"},
        {"issuer": ISSUER, "jti": 5},
        {"issuer": 5, "jti": "a"},
        {"issuer": ISSUER, "jti": "x" * 2_049},
        {"issuer": ISSUER, "jti": "\ud800"},
        {"client": "a", "issued_before": "now"},
        {"client": "a", "issued_before": True},
        {"client": "a", "until": float("nan")},
        {"client": "a", "until": NOW + 31 * DAY},
    ],
)
def test_what_is_not_clear_is_no_revocation(what: dict[str, Any]) -> None:
    denylist = in_memory()

    with pytest.raises(ValueError, match=r"."):
        denylist.revoke(**what)
    assert is_taken(guarded(denylist), MINE)
    assert not denylist.names_keys


@pytest.mark.parametrize(
    "changes",
    [
        {"store": ""},
        {"store": 5},
        {"when_unknown": "maybe"},
        {"every_request": True},
        {"store": STORE, "every_request": 1},
        {"longest_life": 0},
        {"longest_life": True},
        {"longest_life": float("inf")},
        {"most": 0},
        {"most": True},
        {"most": 1.5},
    ],
)
def test_a_wrong_list_does_not_come_to_be(changes: dict[str, Any]) -> None:
    with pytest.raises(Misconfigured, match=r"^denylist: "):
        Denylist(**changes)


def test_people_come_back_and_a_session_does_not() -> None:
    clock = Clock(NOW)
    denylist = Denylist(clock=clock)
    guard = Guard([provider()], clock=clock, revoked=denylist)
    denylist.revoke(issuer=ISSUER, sub="ada-lovelace")
    denylist.revoke(issuer=ISSUER, sid="gone")
    clock.forward(5)

    assert not is_taken(guard, mint(claims(iat=NOW - 1)))
    assert not is_taken(guard, mint(claims(iat=ABSENT))), "nobody knows when it was issued"
    assert not is_taken(guard, mint(claims(iat=NOW + 3, sid="gone")))
    assert is_taken(guard, mint(claims(iat=NOW + 3, sid="new")))


def test_what_is_over_is_held_no_longer_and_till_then_it_is() -> None:
    clock = Clock(NOW)
    denylist = Denylist(clock=clock, longest_life=HOUR, most=2)
    token = mint(claims(exp=NOW + 30 * DAY))
    guard = Guard([provider()], clock=clock, revoked=denylist)
    denylist.revoke(client="shop")

    clock.forward(HOUR + 299)
    assert not is_taken(guard, token), "a guard may forgive five minutes"
    clock.forward(1)
    assert is_taken(guard, token)


def test_no_more_is_held_than_there_is_room_for() -> None:
    denylist = in_memory(most=2)
    denylist.revoke(client="a")
    denylist.revoke(client="b")

    with pytest.raises(Unavailable):
        denylist.revoke(client="shop")
    denylist.revoke(client="b")


def test_a_list_is_a_function_of_credentials_too() -> None:
    denylist = in_memory()
    credentials = Credentials("ada", "shop", frozenset(), frozenset(), "test", {"iss": ISSUER, "jti": 5})

    assert not denylist(credentials)
    denylist.revoke(client="shop")
    assert denylist(credentials)
    assert "Denylist()" == repr(denylist)


def test_who_issued_what_names_no_issuer_is_who_is_asked_about_it() -> None:
    denylist = in_memory()
    denylist.revoke(issuer=ISSUER, sub="ada")
    credentials = Credentials("ada", None, frozenset(), frozenset(), "test", {"sub": "ada"})

    assert not denylist.is_revoked(credentials, None)
    assert denylist.is_revoked(credentials, None, {ISSUER, "https://other.test"})


# --- whose key ---------------------------------------------------------------------------------------


def test_a_key_is_revoked_by_its_own_name_whatever_a_token_calls_it() -> None:
    denylist = in_memory()
    guard = guarded(denylist, provider(keys=fixed({"keys": [public_jwk("ES256", "a", kid="real")]})))
    token = mint(header={"kid": "real"})
    nameless = mint(json.dumps(claims()).encode(), json.dumps({"alg": "ES256"}).encode())

    assert is_taken(guard, token)
    assert is_taken(guard, nameless)
    denylist.revoke(kid="real")
    assert not is_taken(guard, token)
    assert not is_taken(guard, nameless)


def test_a_key_without_a_name_has_that_of_the_token() -> None:
    denylist = in_memory()
    guard = guarded(denylist, provider(keys=fixed(public_jwk("ES256", "a"))))
    first, second = mint(header={"kid": "first"}), mint(header={"kid": "second"})

    for _ in range(2):
        assert is_taken(guard, first)
        assert is_taken(guard, second)
    denylist.revoke(issuer=ISSUER, kid="first")
    for _ in range(2):
        assert not is_taken(guard, first)
        assert is_taken(guard, second)


def test_at_first_sight_a_key_has_the_same_name() -> None:
    denylist = in_memory()
    denylist.revoke(kid="gone")
    own = guarded(denylist, provider(keys=fixed({"keys": [public_jwk("ES256", "a", kid="gone")]})), memory=None)
    nameless = guarded(denylist, provider(keys=fixed(public_jwk("ES256", "a"))), memory=None)

    assert not is_taken(own, mint(json.dumps(claims()).encode(), json.dumps({"alg": "ES256"}).encode()))
    assert not is_taken(nameless, mint(header={"kid": "gone"}))
    assert is_taken(nameless, mint(header={"kid": "another"}))


def test_a_key_that_is_made_for_each_token_is_revoked_by_what_the_token_calls_it() -> None:
    denylist = in_memory()
    guard = guarded(denylist, provider(keys=salted(lambda _claims: secret("a")), remember=True))
    token = mint(alg="HS256", header={"kid": "salt"})

    assert is_taken(guard, token)
    assert is_taken(guard, token)
    denylist.revoke(kid="salt")
    assert not is_taken(guard, token)


# --- what is remembered ------------------------------------------------------------------------------


def memory_of(guard: Guard) -> Remembered:
    assert guard._admission.remembered is not None
    return guard._admission.remembered


def test_a_list_that_does_not_change_is_not_asked_on_every_request(monkeypatch: pytest.MonkeyPatch) -> None:
    denylist = in_memory()
    denylist.revoke(client="another")
    guard = guarded(denylist)
    asked: list[object] = []
    really = Denylist.is_revoked

    def counting(self: Denylist, *words: Any) -> bool:
        asked.append(words)
        return really(self, *words)

    monkeypatch.setattr(Denylist, "is_revoked", counting)
    for _ in range(20):
        assert is_taken(guard, MINE)
    assert 2 == len(asked), "when it came, and when it came again"
    denylist.revoke(client="another", issued_before=NOW)
    assert is_taken(guard, MINE)
    assert 2 == len(asked), "that was nothing new"
    denylist.revoke(client="a third")
    assert is_taken(guard, MINE)
    assert is_taken(guard, MINE)
    assert 3 == len(asked)


def test_who_is_refused_does_not_come_back_with_somebody_who_is_not() -> None:
    denylist = in_memory()
    guard = guarded(denylist)
    hers, his = mint(claims(jti="hers")), mint(claims(jti="his", sub="bob"))
    for _ in range(3):
        assert is_taken(guard, hers)
        assert is_taken(guard, his)
    denylist.revoke(issuer=ISSUER, jti="hers")
    for _ in range(3):
        assert not is_taken(guard, hers)
        assert is_taken(guard, his)


def test_the_same_credentials_are_given_before_and_after() -> None:
    denylist = in_memory()
    guard = guarded(denylist)
    first, *_ = [verdict(guard, MINE) for _ in range(3)]
    before = verdict(guard, MINE)
    denylist.revoke(client="another")

    assert before is verdict(guard, MINE)
    assert before is verdict(guard, MINE)
    assert before == first


def test_a_key_that_is_taken_out_while_the_list_changes_does_not_come_back() -> None:
    source = Held()
    denylist = in_memory()
    guard = guarded(denylist, provider(keys=source))
    for _ in range(2):
        assert is_taken(guard, MINE)
    source.is_held = False
    denylist.revoke(client="another")

    assert None is guard.recall(MINE)
    assert {} == memory_of(guard)._grounds


class Held:
    """A source of one key, which it may hold no longer."""

    remembered = True
    is_held = True

    def __init__(self) -> None:
        self._keys = fixed({"keys": [public_jwk("ES256", "a", kid="a")]})

    def __call__(self, token: Any) -> Any:
        return self._keys(token)

    def holds(self, _key: object) -> bool:
        return self.is_held


def test_what_is_asked_every_time_is_so_with_a_list_too() -> None:
    asked: list[float] = []

    def holds_until(_statement: object, now: float) -> float:
        asked.append(now)
        return FOREVER

    rule = Rule("any", "it is asked", holds_until, every_time=True)
    guard = guarded(in_memory(), provider(extra_rules=[rule]))

    for _ in range(4):
        assert is_taken(guard, MINE)
    assert len(asked) > 8


def test_the_clock_may_be_put_back() -> None:
    clock = Clock(NOW)
    guard = Guard([provider()], clock=clock, revoked=in_memory())
    for _ in range(3):
        assert isinstance(verdict(guard, MINE), Credentials)
    clock.forward(600)
    again = mint(claims(jti="again"))
    for _ in range(2):
        assert isinstance(verdict(guard, again), Credentials)
    clock.forward(-300)

    assert None is guard.recall(MINE), "it has been later, so that not everything may have come"
    assert isinstance(verdict(guard, MINE), Credentials)


def test_the_clock_may_be_put_back_after_a_hit_too() -> None:
    shared = Shared()
    assert ADA == shared.said()
    shared.clock.forward(600)
    shared.ticks.forward(KNOWN)
    assert ADA == shared.said()
    shared.clock.forward(-300)

    assert None is shared.guard.recall(MINE)


def test_threads_see_what_is_revoked_at_their_next_request() -> None:
    denylist = in_memory()
    guard = guarded(denylist)
    tokens = [mint(claims(jti=str(number))) for number in range(60)]
    others = [mint(claims(jti=f"other {number}")) for number in range(5)]
    over, failed, asked = threading.Event(), list[str](), list[int]()
    gone: set[str] = set()

    def ask() -> None:
        while not over.is_set():
            asked.append(1)
            for token in (*tokens, *others):
                was_gone = token in gone
                is_in = isinstance(guard.glance(f"Bearer {token}", REQUEST), Allow)
                if is_in and was_gone:
                    failed.append(token)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    interval = sys.getswitchinterval()
    for token in (*tokens, *others):
        verdict(guard, token)
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for number, token in enumerate(tokens):
            before = len(asked)
            denylist.revoke(issuer=ISSUER, jti=str(number))
            gone.add(token)
            while len(asked) < before + 2:
                time.sleep(0.0001)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        sys.setswitchinterval(interval)

    assert [] == failed
    assert all(isinstance(verdict(guard, token), Revoked) for token in tokens)
    assert all(isinstance(verdict(guard, token), Credentials) for token in others)


# --- a store -----------------------------------------------------------------------------------------


class Shared:
    """A guard whose list is in a store, and another process that has the same."""

    def __init__(self, *providers: Provider, remember: bool = True, **more: Any) -> None:
        self.clock, self.ticks = Clock(NOW), Clock()
        self.shelf = Shelf(self.ticks)
        self.denylist = self.another(**more)
        memory = Memory() if remember else None
        self.guard = Guard(providers or (provider(),), clock=self.clock, revoked=self.denylist, memory=memory)

    def another(self, **more: Any) -> Denylist:
        return Denylist(STORE, clock=self.clock, ticks=self.ticks, **more)

    def ask(self, token: str = MINE, *answers: Any) -> Played:
        return play(lambda: self.guard.admit(token), *answers, shelf=self.shelf)

    def said(self, token: str = MINE, *answers: Any) -> str | None:
        """Return whom *token* names, or why it is refused."""
        played = self.ask(token, *answers)
        return str(played.error) if played.error else played.value.user

    def elsewhere(self, denylist: Denylist | None = None, **what: Any) -> Played:
        other = denylist or self.another()
        return play(lambda: other.revoking(**what), shelf=self.shelf)

    def look(self) -> Played:
        """Look at the store once more, as whoever follows it does."""
        return play(self.denylist._look, shelf=self.shelf)


ADA, UNKNOWN, GONE = "ada-lovelace", "what was revoked cannot be told", "the token was revoked"


def test_a_first_request_waits_until_it_is_known_what_is_revoked() -> None:
    shared = Shared()
    shared.elsewhere(client="another")
    first = shared.ask()

    assert [Later, Alone, Stored, Stored] == first.kinds
    assert ADA == first.value.user
    assert [] == shared.ask().needs
    assert [] == shared.ask(mint(claims(jti="another"))).needs


def test_what_was_revoked_elsewhere_is_refused() -> None:
    shared = Shared()
    shared.elsewhere(issuer=ISSUER, jti="jti-of-this-token")

    assert GONE == shared.said()
    assert ADA == shared.said(mint(claims(jti="another")))


def test_the_copy_counts_for_a_second_and_then_it_is_looked_again() -> None:
    shared = Shared()
    for _ in range(3):
        assert ADA == shared.said()
    shared.elsewhere(issuer=ISSUER, jti="jti-of-this-token")
    shared.ticks.forward(KNOWN - 0.01)
    assert ADA == shared.said()
    assert isinstance(shared.guard.glance(f"Bearer {MINE}", REQUEST), Allow)

    shared.ticks.forward(0.01)
    shared.clock.forward(1)
    assert None is shared.guard.glance(f"Bearer {MINE}", REQUEST), "that needs to wait"
    assert GONE == shared.said()


def test_what_is_followed_is_known_without_any_request_that_waits() -> None:
    shared = Shared()
    following = shared.ask().needs[0]
    assert isinstance(following, Later)
    shared.elsewhere(issuer=ISSUER, jti="jti-of-this-token")
    followed = play(following.flow, shelf=shared.shelf)

    assert 10 <= sum(followed.pauses) < 11, "and, without any request, it ends"
    assert max(followed.pauses) < KNOWN / 2
    assert shared.denylist.is_known()
    assert [] == shared.ask().needs
    assert GONE == shared.said()


def test_a_request_lets_the_following_go_on() -> None:
    shared = Shared()
    following = shared.ask().needs[0]
    assert isinstance(following, Later)
    asked_at = [9.0, 18.0]
    flow = following.flow()
    answer: Any = None
    begun = shared.ticks()
    while True:
        try:
            need = flow.send(answer)
        except StopIteration:
            break
        if isinstance(need, Stored):
            answer = shared.shelf(need)
            continue
        assert isinstance(need, Pause)
        shared.ticks.forward(need.seconds)
        answer = None
        if asked_at and shared.ticks() - begun >= asked_at[0]:
            asked_at.pop(0)
            shared.clock.forward(2)
            assert [] == shared.ask().needs

    assert shared.ticks() - begun >= 28


def test_while_the_store_cannot_be_asked_nobody_is_let_in() -> None:
    shared = Shared()
    assert ADA == shared.said()
    shared.shelf.is_down = True
    shared.ticks.forward(KNOWN)
    shared.clock.forward(1)

    refused = shared.ask()
    assert UNKNOWN == str(refused.error)
    assert isinstance(refused.error, Unavailable)
    assert (503, 1) == (refused.error.status, refused.error.retry_after)
    again = shared.ask()
    assert (UNKNOWN, []) == (str(again.error), again.needs), "and nobody waits for it each time"
    assert UNKNOWN == shared.said(mint(claims(jti="new")))
    shared.shelf.is_down = False
    shared.ticks.forward(0.5)
    assert ADA == shared.said()


def test_a_bad_token_is_refused_as_ever_and_asks_for_nothing() -> None:
    shared = Shared()
    shared.shelf.is_down = True
    for bad, error in (
        (MINE[:-8] + "AAAAAAAA", "the signature does not verify"),
        (mint(claims(exp=NOW - HOUR)), "exp: is over"),
        ("nonsense", "a token"),
    ):
        played = shared.ask(bad)

        assert 401 == getattr(played.error, "status", None), error
        assert [] == played.needs


def test_what_was_known_last_may_be_what_counts() -> None:
    shared = Shared(when_unknown="allow")
    shared.elsewhere(issuer=ISSUER, jti="gone")
    assert ADA == shared.said()
    shared.shelf.is_down = True
    shared.ticks.forward(KNOWN)
    shared.clock.forward(1)

    assert ADA == shared.said()
    assert GONE == shared.said(mint(claims(jti="gone")))
    assert [] == shared.ask().needs, "nobody waits for it each time"
    assert isinstance(shared.guard.glance(f"Bearer {MINE}", REQUEST), Allow)
    assert 0.0 == shared.denylist.settled_for()
    shared.ticks.forward(0.5)
    assert [Later, Alone, Stored] == shared.ask().kinds


def test_a_list_that_was_never_reached_may_count_as_empty() -> None:
    shared = Shared(when_unknown="allow")
    shared.shelf.is_down = True

    assert ADA == shared.said()


def test_the_store_may_be_asked_for_each_request() -> None:
    shared = Shared(every_request=True)
    shared.elsewhere(client="another")
    for _ in range(3):
        played = shared.ask()

        assert ADA == played.value.user
        assert {Stored} == set(played.kinds)
        assert None is shared.guard.glance(f"Bearer {MINE}", REQUEST)
    shared.elsewhere(issuer=ISSUER, jti="jti-of-this-token")
    assert GONE == shared.said()
    shared.shelf.is_down = True
    assert UNKNOWN == shared.said(mint(claims(jti="new")))
    assert UNKNOWN == shared.said(), "and a rest is none of an answer"


def test_for_each_request_what_was_known_last_may_do_where_the_store_is_down() -> None:
    shared = Shared(every_request=True, when_unknown="allow")
    assert ADA == shared.said()
    shared.shelf.is_down = True

    assert ADA == shared.said()
    assert [] == shared.ask().needs


def test_a_remembered_token_is_not_verified_again_for_that() -> None:
    shared = Shared(every_request=True)
    assert ADA == shared.said()
    memory = memory_of(shared.guard)
    held = dict(memory._young)
    first = shared.ask().value

    assert held == memory._young
    assert first is shared.ask().value
    shared.clock.forward(2 * HOUR)
    assert [] == shared.ask().needs, "it is over, and so nobody asks"


def test_what_a_remembered_token_stands_on_may_have_gone_meanwhile() -> None:
    shared = Shared(every_request=True)
    assert ADA == shared.said()
    memory = memory_of(shared.guard)

    def lose_the_ground() -> Any:
        flow = shared.guard.admit(MINE)
        assert not isinstance(flow, Credentials)
        for ground in tuple(memory._grounds.values()):
            memory._forget(ground)
        return flow

    assert ADA == play(lose_the_ground, shelf=shared.shelf).value.user


def test_a_list_that_was_asked_by_somebody_else_meanwhile_does() -> None:
    shared = Shared()
    played = shared.ask(MINE, Meanwhile(shared.look))

    assert ADA == played.value.user
    assert UNKNOWN == Shared().said(MINE, Meanwhile()), "and one that was not does not"


# --- every kind of provider ---------------------------------------------------------------------------


def test_a_token_that_counts_once_is_not_used_up_by_being_refused() -> None:
    shared = Shared(provider(once=Once()))
    shared.elsewhere(issuer=ISSUER, sub=ADA, issued_before=NOW - 100)
    shared.shelf.is_down = True
    assert UNKNOWN == shared.said()
    shared.shelf.is_down = False
    shared.ticks.forward(1)

    assert ADA == shared.said()
    assert "jti: was used before" == shared.said()


def test_a_key_may_have_to_be_asked_for_first() -> None:
    shared = Shared(provider(keys=jwks("https://id.test/keys")))
    played = shared.ask(MINE, reply({"keys": [public_jwk("ES256", "a", kid="a")]}))

    assert ADA == played.value.user
    assert {Alone, Later, Stored} <= set(played.kinds)
    shared.elsewhere(kid="a")
    shared.ticks.forward(KNOWN)
    shared.clock.forward(1)
    assert GONE == shared.said()


@pytest.mark.parametrize("every_request", [False, True])
def test_a_provider_that_is_resolved_is_asked_about_as_any(every_request: bool) -> None:
    shared = Shared(every_request=every_request)
    tenant = provider()
    resolver = Resolver(lambda _issuer: tenant, issuers="https://id.test")
    shared.guard = Guard([], clock=shared.clock, revoked=shared.denylist, resolver=resolver)

    def asked(token: str) -> Played:
        return play(lambda: blocking_calls(shared.guard.admit(token)), shelf=shared.shelf)

    for _ in range(3):
        assert ADA == asked(MINE).value.user
    shared.elsewhere(issuer=ISSUER, jti="jti-of-this-token")
    shared.ticks.forward(KNOWN)
    shared.clock.forward(1)
    assert GONE == str(asked(MINE).error)


def blocking_calls(flow: Any) -> Any:
    """Answer at once what the resolver asks for."""
    if isinstance(flow, Credentials):
        return flow
    need = next(flow)
    while True:
        try:
            need = flow.send(need.function(*need.args) if isinstance(need, Call) else (yield need))
        except StopIteration as stop:
            return stop.value


# --- what is told --------------------------------------------------------------------------------------


def test_who_revokes_knows_at_once_and_then_tells() -> None:
    shared = Shared()
    assert ADA == shared.said()
    told = shared.elsewhere(shared.denylist, issuer=ISSUER, jti="jti-of-this-token")

    (need,) = told.needs
    assert isinstance(need, Stored)
    assert ("append", 30 * DAY < need.lifetime < 31 * DAY) == (need.command, True)
    assert GONE == shared.said()


def test_a_store_that_cannot_be_told_is_an_error_and_holds_here() -> None:
    shared = Shared()
    assert ADA == shared.said()
    shared.shelf.is_down = True

    assert isinstance(shared.elsewhere(shared.denylist, issuer=ISSUER, sub=ADA).error, StoreFailed)
    assert GONE == shared.said()


def test_without_a_store_nobody_is_told() -> None:
    denylist = in_memory()

    assert [] == play(lambda: denylist.revoking(client="shop")).needs
    assert not is_taken(guarded(denylist), MINE)
    assert denylist.is_known()


def test_with_a_store_others_have_to_be_told() -> None:
    denylist = Denylist(STORE)

    with pytest.raises(ValueError, match=r"jwt_guard\.revoke\(denylist"):
        denylist.revoke(client="shop")
    assert "hidden" not in repr(denylist)


def test_much_is_read_bit_by_bit_and_only_what_is_new_afterwards() -> None:
    shared = Shared()
    for number in range(10):
        shared.elsewhere(client=f"client {number}")
    first, second = shared.look(), shared.look()

    assert len(first.needs) > 3
    assert 1 == len(second.needs)
    assert all(shared.denylist(of_client(f"client {number}")) for number in range(10))


def of_client(name: str) -> Credentials:
    return Credentials(None, name, frozenset(), frozenset(), "test", {"iss": ISSUER})


# --- what is lost --------------------------------------------------------------------------------------


def test_what_the_store_has_lost_it_is_told_again() -> None:
    shared = Shared()
    for number in range(50):
        shared.elsewhere(client=f"client {number}")
    assert ADA == shared.said()
    shared.shelf.lose_everything()
    shared.elsewhere(client="after the loss")
    shared.look()

    fresh = shared.another()
    play(fresh._look, shelf=shared.shelf)
    for name in (*(f"client {number}" for number in range(50)), "after the loss"):
        assert fresh(of_client(name)), name
        assert shared.denylist(of_client(name)), name
    lines = len(shared.shelf.lines)
    shared.look()
    assert lines == len(shared.shelf.lines), "once"


def test_of_many_who_see_the_loss_one_tells() -> None:
    shared = Shared()
    shared.elsewhere(client="shop")
    other = shared.another()
    for each in (shared.denylist, other):
        play(each._look, shelf=shared.shelf)
    shared.shelf.lose_everything()
    play(lambda: claim_first(shared), shelf=shared.shelf)
    play(other._look, shelf=shared.shelf)
    assert [] == shared.shelf.lines, "somebody else does it"
    shared.ticks.forward(KNOWN)
    play(other._look, shelf=shared.shelf)
    assert 1 == len(shared.shelf.lines), "somebody else was to, and did not"
    shared.look()
    assert 1 == len(shared.shelf.lines)
    assert not shared.denylist._is_lost


def claim_first(_shared: Shared) -> Any:
    return claim(STORE, "revoked:mending", KNOWN)


def test_a_loss_is_mended_later_where_the_store_fails_in_the_midst_of_it() -> None:
    shared = Shared()
    shared.elsewhere(client="shop")
    shared.look()
    shared.shelf.lose_everything()
    shared.shelf.is_full = True
    shared.look()
    assert shared.denylist.is_known(), "here"
    assert [] == shared.shelf.lines
    shared.shelf.is_full = False
    shared.ticks.forward(KNOWN)
    shared.look()
    assert 1 == len(shared.shelf.lines)


def test_what_is_lost_before_anybody_has_read_it_is_told_again() -> None:
    shared = Shared()
    shared.elsewhere(client="before")
    shared.look()
    shared.elsewhere(shared.denylist, client="shop")
    del shared.shelf.lines[1]
    shared.look()
    assert 1 == len(shared.shelf.lines), "who has not read it all does not know what is missing"
    shared.look()
    assert 2 == len(shared.shelf.lines)
    fresh = shared.another()
    play(fresh._look, shelf=shared.shelf)
    assert fresh(of_client("shop"))
    shared.look()
    shared.look()
    assert 2 == len(shared.shelf.lines)


def test_what_cannot_be_mended_is_not_tried_all_the_time() -> None:
    shared = Shared()
    shared.elsewhere(client="before")
    shared.look()
    shared.elsewhere(shared.denylist, client="shop")
    del shared.shelf.lines[1]
    shared.shelf.is_full = True
    shared.look()
    shared.look()

    assert 1 == len(shared.look().needs)
    shared.ticks.forward(KNOWN)
    assert len(shared.look().needs) > 1


def test_a_slow_store_says_what_it_had_when_it_was_asked() -> None:
    shared = Shared()

    class Slow(Shelf):
        def __call__(self, need: Stored) -> Any:
            self.clock.forward(0.4)
            return super().__call__(need)

    shared.shelf = Slow(shared.ticks)
    shared.look()
    shared.ticks.forward(KNOWN - 0.4)

    assert not shared.denylist.is_known()


def test_whoever_is_let_in_at_sight_is_not_when_nobody_follows_or_looks_in_vain() -> None:
    """Whatever clock the guard goes by: here it stands still."""
    shared = Shared()
    header = f"Bearer {MINE}"
    following = shared.ask().needs[0]
    assert isinstance(following, Later)
    follow_to_the_end = partial(play, following.flow, shelf=shared.shelf)
    for ends in (follow_to_the_end, shared.look):
        shared.said()
        shared.said()
        assert isinstance(shared.guard.at_sight_of_text(header), Allow)
        ends()
        shared.ticks.forward(KNOWN)
        if ends == shared.look:
            assert isinstance(shared.guard.at_sight_of_text(header), Allow), "which is why somebody follows"
            shared.shelf.is_down = True
            shared.look()
        assert None is shared.guard.at_sight_of_text(header)


def test_what_could_not_be_told_is_told_by_whoever_follows() -> None:
    shared = Shared()
    shared.look()
    shared.shelf.is_full = True
    assert isinstance(shared.elsewhere(shared.denylist, client="shop").error, StoreFailed)
    shared.ticks.forward(KNOWN)
    shared.look()
    shared.look()
    assert [] == shared.shelf.lines
    shared.shelf.is_full = False
    shared.ticks.forward(KNOWN)
    shared.look()
    assert 1 == len(shared.shelf.lines)


def test_what_is_over_is_not_told_again() -> None:
    shared = Shared()
    shared.elsewhere(client="shop", until=NOW + 60)
    shared.look()
    shared.shelf.lose_everything()
    shared.clock.forward(HOUR)
    shared.look()

    assert [] == shared.shelf.lines
    assert shared.denylist.is_known()


@pytest.mark.parametrize("octets", [b"nonsense", b'{"revoked": [["realm", null, "x", null, 1]]}'])
def test_what_is_not_understood_may_be_more_than_is_known(octets: bytes) -> None:
    shared = Shared()
    shared.elsewhere(client="before")
    shared.shelf.append(octets)
    shared.elsewhere(issuer=ISSUER, jti="gone")

    assert UNKNOWN == shared.said()
    shared.ticks.forward(0.5)
    assert UNKNOWN == shared.said()
    assert shared.denylist(of_client("before"))
    del shared.shelf.lines[1]
    shared.ticks.forward(0.5)
    assert ADA == shared.said()
    assert GONE == shared.said(mint(claims(jti="gone")))


def test_what_there_is_no_room_for_may_be_anybody() -> None:
    shared = Shared(most=1)
    shared.elsewhere(client="a")
    shared.elsewhere(client="b")

    assert UNKNOWN == shared.said()


# --- what is explained -----------------------------------------------------------------------------------


def explained(shared: Shared, *, ask: bool) -> tuple[str, str]:
    played = play(lambda: explain(shared.guard, MINE, now=NOW, request=None, ask_issuers=ask), shelf=shared.shelf)
    (step,) = (step for step in played.value.steps if step.about == "revocation")
    return step.verdict, step.got or ""


def test_it_is_explained_as_it_is_decided() -> None:
    shared = Shared()
    assert ("not checked", "") == explained(shared, ask=False)
    assert ("ok", "") == explained(shared, ask=True)
    shared.elsewhere(shared.denylist, kid="a")
    assert ("failed", "") == explained(shared, ask=False)
    shared.shelf.is_down = True
    shared.ticks.forward(KNOWN)
    assert ("failed", UNKNOWN) == explained(shared, ask=True)


def test_of_a_list_with_nothing_on_it_there_is_nothing_to_explain() -> None:
    denylist = in_memory()

    def steps() -> set[str]:
        played = play(lambda: explain(guarded(denylist), MINE, now=NOW))
        return {step.about for step in played.value.steps}

    assert denylist.is_idle
    assert "revocation" not in steps()
    denylist.revoke(client="another")
    assert "revocation" in steps()
    assert not Denylist(STORE).is_idle


def test_who_is_refused_at_sight_is_refused_with_the_same_error() -> None:
    denylist = in_memory()
    guard = guarded(denylist)
    assert is_taken(guard, MINE)
    denylist.revoke(client="shop")
    decision = guard.at_sight(f"Bearer {MINE}".encode())

    assert isinstance(decision, Deny)
    assert isinstance(decision.error, Revoked)
    assert not isinstance(verdict(guard, mint(claims(exp=NOW - HOUR))), Revoked)
    assert isinstance(verdict(guard, mint(claims(exp=NOW - HOUR))), ClaimRejected)


# --- opaque tokens ---------------------------------------------------------------------------------------


def test_what_an_issuer_says_of_an_opaque_token_may_be_revoked_too() -> None:
    asks = introspection("https://id.test/introspect", client_id="orders-api", client_secret="s3cret")
    shared = Shared(provider(introspection=asks), every_request=True)
    said = reply({"active": True, "token_type": "Bearer", **claims(iss=ABSENT)})
    first, again = shared.ask("opaque", said), shared.ask("opaque")

    assert (ADA, {Stored}) == (again.value.user, set(again.kinds))
    assert first.kinds[-1] == Stored, "last, so that nobody has a store asked for a bad one"
    shared.elsewhere(issuer=ISSUER, sub=ADA)
    assert GONE == shared.said("opaque")
    shared.shelf.is_down = True
    assert UNKNOWN == shared.said("opaque")
