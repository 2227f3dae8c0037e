"""A token that was verified a moment ago → the same verdict as verifying it again, without doing so."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jwt_guard import Guard, Memory, Provider, fixed, salted, scopes, verify
from jwt_guard.access.policy import all_of, authenticated, claim, roles
from jwt_guard.access.remembered import _MOST_GROUNDS, _RECENT, Remembered
from jwt_guard.credentials import Credentials
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import (
    ClaimRejected,
    InsufficientScope,
    InvalidToken,
    KeysUnavailable,
    Misconfigured,
    Revoked,
    SaltFailed,
    UnknownKey,
)
from jwt_guard.flow import Later, call
from jwt_guard.messages import PlainRequest
from jwt_guard.sources.fixed import FixedKeys
from jwt_guard.sources.jwks import KeySettings, RemoteKeys, jwks
from jwt_guard.tokens.claims import FOREVER, Rule
from jwt_guard.tokens.keys import Key, KeySet
from tests.support.keys import encode, public_jwk, secret
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, NOW, claims, mint, verdict
from tests.support.playing import Clock, Played, down, play, reply

REQUEST = PlainRequest("GET", "/")


class Checks:
    """A key source whose one key says yes to everything, and counts how often it is asked."""

    remembered = True

    def __init__(self) -> None:
        self.done = 0
        self.key = Key("a", {"ES256": self.check})

    def check(self, _signing_input: bytes, _signature: bytes) -> bool:
        self.done += 1
        return True

    def __call__(self, _token: object) -> Key:
        return self.key


def guarding(source: Any, *, clock: Callable[[], float] = lambda: NOW, **more: Any) -> Guard:
    """Return a guard for *source*; what is not the guard's is the provider's."""
    own = {name: more.pop(name) for name in ("memory", "revoked", "policy", "limits") if name in more}
    return Guard([Provider("test", ISSUER, AUDIENCE, source, **more)], clock=clock, **own)


def named(user: str, signature: str = "", **changes: Any) -> str:
    """Return a token for *user* that only :class:`Checks` takes."""
    signing_input, _, real = mint(claims(sub=user, **changes)).rpartition(".")
    return f"{signing_input}.{encode((signature or real).encode())}"


def memory_of(guard: Guard) -> Remembered:
    assert guard._admission.remembered is not None
    return guard._admission.remembered


# --- what is remembered ------------------------------------------------------------------------------


def test_a_token_is_verified_once() -> None:
    source = Checks()
    guard = guarding(source)
    token = mint()

    first, second, *others = [verify(guard, token) for _ in range(5)]

    assert 1 == source.done
    assert first == second
    assert all(second is other for other in others)


def test_only_the_very_same_text_is_remembered() -> None:
    guard = guarding(fixed(public_jwk("ES256", "a", kid="a")))
    token = mint()
    verify(guard, token)

    for place in range(0, len(token), 7):
        other = token[:place] + ("B" if token[place] != "B" else "C") + token[place + 1 :]
        assert isinstance(verdict(guard, other), InvalidToken), place
    for other in (token + "A", token[:-1], token + "=", " " + token, token + "\n", token.upper(), token[-100:]):
        assert isinstance(verdict(guard, other), InvalidToken)
    assert "ada-lovelace" == verify(guard, token).user


@pytest.mark.parametrize("token", [None, 5, b"x.y.z", ["x"], {}, object()], ids=lambda value: type(value).__name__)
def test_what_is_no_text_is_no_token(token: Any) -> None:
    guard = guarding(fixed(public_jwk("ES256", "a", kid="a")))
    verify(guard, mint())

    assert isinstance(verdict(guard, token), InvalidToken)


def test_two_tokens_that_end_alike_are_two_tokens() -> None:
    source = Checks()
    guard = guarding(source, memory=Memory(tokens=64))
    ada, bob = named("ada", "x" * 64), named("bob", "x" * 64)

    assert ["ada", "bob", "ada", "bob"] == [verify(guard, token).user for token in (ada, bob, ada, bob)]
    assert 4 == source.done, "the one that was seen last is remembered"
    assert "bob" == verify(guard, bob).user
    assert 4 == source.done


def test_a_refusal_is_not_remembered() -> None:
    clock = Clock(NOW - HOUR)
    guard = guarding(fixed(public_jwk("ES256", "a", kid="a")), clock=clock)
    token = mint()
    early = verdict(guard, token)
    clock.now = NOW

    assert isinstance(early, ClaimRejected)
    assert "ada-lovelace" == verify(guard, token).user


def test_without_a_memory_every_token_is_verified() -> None:
    source = Checks()
    guard = guarding(source, memory=None)
    token = mint()

    for _ in range(3):
        verify(guard, token)
        assert isinstance(play(partial(guard.decide, with_token(token))).value, Allow)
        assert None is guard.glance(f"Bearer {token}", REQUEST)

    assert 6 == source.done


# --- for how long ------------------------------------------------------------------------------------


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "exp": st.integers(NOW + 1, NOW + 200),
            "nbf": st.integers(NOW - 100, NOW),
            "iat": st.integers(NOW - 100, NOW),
        },
    ),
    st.lists(st.integers(-250, 250).map(lambda seconds: NOW + seconds), min_size=1, max_size=8),
    st.sampled_from([0, 7, 30]),
    st.sampled_from([None, 60, 150]),
)
def test_it_is_held_for_as_long_as_it_would_be_found_again(
    times: Mapping[str, int], moments: list[int], leeway: int, max_age: int | None
) -> None:
    clock = Clock(NOW)
    remembering = guarding(Checks(), clock=clock, leeway=leeway, max_age=max_age)
    forgetful = guarding(Checks(), clock=clock, leeway=leeway, max_age=max_age, memory=None)
    token = mint(claims(**times))
    verdict(remembering, token)
    for clock.now in moments:  # backwards, too
        assert type(verdict(forgetful, token)) is type(verdict(remembering, token))


def test_the_last_moment_is_the_same_to_the_second() -> None:
    source, clock = Checks(), Clock(NOW)
    guard = guarding(source, clock=clock, leeway=30)
    token = mint(claims(exp=NOW + 10))
    verify(guard, token)

    clock.now = NOW + 39.999
    assert "ada-lovelace" == verify(guard, token).user
    assert 1 == source.done
    clock.now = NOW + 40
    assert isinstance(verdict(guard, token), ClaimRejected)


def test_a_clock_that_is_put_back_takes_the_verdicts_along() -> None:
    source, clock = Checks(), Clock(NOW)
    guard = guarding(source, clock=clock)
    tokens = [named(f"user-{number}") for number in range(3)]
    for token in tokens:
        verify(guard, token)
    clock.now = NOW - HOUR / 2
    late = verdict(guard, mint(claims(nbf=NOW)))
    again = [verify(guard, mint(claims(sub=f"user-{number}", iat=ABSENT))) for number in range(3)]

    assert isinstance(late, ClaimRejected)
    assert ["user-0", "user-1", "user-2"] == [who.user for who in again]
    clock.now = NOW
    assert ["user-0", "user-1", "user-2"] == [verify(guard, token).user for token in tokens]


def test_a_rule_of_every_time_is_asked_every_time() -> None:
    asked: list[float] = []

    def once(_statement: object, now: float) -> float:
        asked.append(now)
        if len(asked) > 2:
            raise ClaimRejected("jti", "was used already")
        return FOREVER

    source = Checks()
    guard = guarding(source, extra_rules=[Rule("jti", "is used twice at most", once, every_time=True)])
    token = mint()

    assert "ada-lovelace" == verify(guard, token).user
    assert "ada-lovelace" == verify(guard, token).user
    assert isinstance(verdict(guard, token), ClaimRejected)
    assert 1 == source.done
    assert isinstance(guard.glance(f"Bearer {token}", REQUEST), Deny)


# --- revocation --------------------------------------------------------------------------------------


def test_revocation_is_asked_on_every_request_and_is_a_401() -> None:
    source, revoked, asked = Checks(), set[str | None](), list[Credentials]()

    def is_revoked(credentials: Credentials) -> bool:
        asked.append(credentials)
        return credentials.claims["jti"] in revoked

    guard = guarding(source, revoked=is_revoked)
    token = mint()

    assert [verify(guard, token).user for _ in range(3)] == ["ada-lovelace"] * 3
    assert 3 == len(asked)
    revoked.add("jti-of-this-token")
    assert isinstance(verdict(guard, token), Revoked)
    glanced = guard.glance(f"Bearer {token}", REQUEST)
    assert isinstance(glanced, Deny)
    assert 401 == glanced.error.status
    revoked.clear()
    assert "ada-lovelace" == verify(guard, token).user
    assert 1 == source.done


def test_what_is_revoked_at_first_sight_is_not_remembered() -> None:
    guard = guarding(Checks(), revoked=lambda _: True)

    assert isinstance(verdict(guard, mint()), Revoked)
    assert 0 == len(memory_of(guard))


def test_revocation_that_fails_lets_nobody_in() -> None:
    def is_revoked(_credentials: Credentials) -> bool:
        raise ZeroDivisionError

    guard = guarding(Checks(), revoked=is_revoked)

    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            verify(guard, mint())


# --- keys --------------------------------------------------------------------------------------------

URL = "https://id.test/jwks"


class Published:
    """A guard with keys from a URL that is played."""

    def __init__(self, *kids: str, **settings: Any) -> None:
        self.clock = Clock(NOW)
        self.source = RemoteKeys(jwks(URL)._locate, KeySettings(**settings), self.clock, chance=lambda: 0)
        self.guard = guarding(self.source, clock=self.clock)
        self(mint(), key_set(*kids))

    def __call__(self, token: str, *answers: Any) -> Played:
        return play(lambda: self.guard.admit(token), *answers)

    def refresh(self, answer: Any) -> None:
        """Have the next request ask for the keys again."""
        self.clock.forward(301)
        self(mint()).behind(answer)


def key_set(*kids: str) -> Any:
    return reply({"keys": [public_jwk("ES256", kid, kid=kid) for kid in kids]})


def test_a_key_that_is_taken_out_takes_its_verdicts_along_at_once() -> None:
    keys = Published("a", "b")
    token, other = keys_token(keys), keys_token(keys, which="b")
    assert None is not keys.guard.recall(token)

    keys.refresh(key_set("b"))

    assert isinstance(keys(token).error, UnknownKey)
    assert None is keys.guard.recall(token)
    keys(other)
    assert "ada-lovelace" == keys.guard.recall(other).user  # type: ignore[union-attr]  # it is there


def test_another_key_of_the_same_name_takes_the_verdicts_along() -> None:
    keys = Published("a")
    token = keys_token(keys)
    assert None is not keys.guard.recall(token)

    keys.refresh(reply({"keys": [public_jwk("ES256", "b", kid="a")]}))

    assert None is keys.guard.recall(token)
    assert isinstance(keys(token).error, InvalidToken)


def test_a_key_that_stays_keeps_its_verdicts() -> None:
    keys = Published("a")
    token = keys_token(keys)
    keys.refresh(key_set("a", "b"))
    keys(token)

    assert None is not keys.guard.recall(token)
    assert keys.guard.recall(token) is keys(token).value


def test_a_key_that_is_taken_out_meanwhile_leaves_no_verdict() -> None:
    source = Checks()
    source.holds = lambda _key: False  # type: ignore[attr-defined]  # as a source may
    guard = guarding(source)
    token = mint()

    verify(guard, token)
    verify(guard, token)

    assert 2 == source.done


def test_a_remembered_token_has_the_keys_asked_for_again_in_time() -> None:
    keys = Published("a", fresh_for=300)
    keys.clock.forward(299)
    token = keys_token(keys)
    assert None is not keys.guard.recall(token)

    keys.clock.forward(1)

    assert None is keys.guard.recall(token)
    assert [Later] == keys(token).kinds


def keys_token(keys: Published, which: str = "a") -> str:
    """Return a token that the guard has seen."""
    token = mint(which=which)
    keys(token)
    return token


def test_while_the_issuer_fails_a_remembered_token_is_good_until_the_hard_limit() -> None:
    keys = Published("a", fresh_for=300, usable_for=1_000)
    token = mint()
    keys.clock.forward(999)
    keys(token).behind(down())
    assert None is not keys.guard.recall(token)

    keys.clock.forward(1)

    assert None is keys.guard.recall(token)
    assert isinstance(keys(token, down()).error, KeysUnavailable)


def test_a_changed_salt_takes_the_token_back_unless_it_may_be_remembered() -> None:
    salt = [secret("a")]
    token = mint(alg="HS256")
    forgetful = guarding(salted(lambda _claims: salt[0]))
    remembering = guarding(salted(lambda _claims: salt[0]), remember=True)
    for guard in (forgetful, remembering):
        assert "ada-lovelace" == verify(guard, token).user

    salt[0] = secret("b")

    assert isinstance(verdict(forgetful, token), InvalidToken)
    assert "ada-lovelace" == verify(remembering, token).user
    assert isinstance(verdict(remembering, mint(claims(sub="x"), alg="HS256")), InvalidToken)


def test_a_provider_may_say_that_nothing_is_remembered() -> None:
    source = Checks()
    guard = guarding(source, remember=False)
    token = mint()

    verify(guard, token)
    verify(guard, token)

    assert 2 == source.done


def test_a_source_of_ones_own_is_not_remembered_unless_it_says_so() -> None:
    calls: list[object] = []
    key = Checks().key

    def source(token: object) -> Key:
        calls.append(token)
        return key

    for remember, expected in ((None, 3), (False, 3), (True, 1)):
        calls.clear()
        guard = guarding(source, remember=remember)
        token = mint()
        for _ in range(3):
            verify(guard, token)
        assert expected == len(calls)


def test_a_salt_that_fails_is_not_remembered_either() -> None:
    def salt(_claims: object) -> bytes:
        raise KeyError

    assert isinstance(verdict(guarding(salted(salt), remember=True), mint(alg="HS256")), SaltFailed)


# --- how much ----------------------------------------------------------------------------------------


def test_so_many_tokens_are_held_and_no_more() -> None:
    source = Checks()
    guard = guarding(source, memory=Memory(tokens=100))
    tokens = [named(f"user-{number}") for number in range(300)]
    for token in tokens:
        verify(guard, token)
        assert len(memory_of(guard)) <= 100
    done = source.done

    for token in tokens[-50:]:
        verify(guard, token)

    assert done == source.done, "at least half of them are there"


def test_so_many_octets_are_held_and_no_more() -> None:
    guard = guarding(Checks(), memory=Memory(tokens=1_000_000, octets=1_000_000))
    for number in range(2_000):
        verify(guard, named(f"user-{number}"))

    memory = memory_of(guard)
    held = sum(len(entry[0]) for entries in (memory._young, memory._old) for entry in entries.values())
    assert 200_000 < held < 1_000_000


def test_only_the_latest_keep_their_credentials() -> None:
    guard = guarding(Checks(), memory=Memory(tokens=20_000))
    for number in range(_RECENT + 2_000):
        token = named(f"user-{number}")
        assert verify(guard, token) == verify(guard, token)

    assert _RECENT / 2 <= len(memory_of(guard)._recent) <= _RECENT


def test_what_is_not_among_the_latest_is_the_same_when_it_is_asked_for() -> None:
    source = Checks()
    guard = guarding(source, memory=Memory(tokens=1_000), claims=replace_names())
    forgetful = guarding(Checks(), memory=None, claims=replace_names())
    said: dict[str, Any] = {"scope": "a b c", "groups": ["x y", "z"], "deep": {"list": [1, {"two": 2}]}}
    tokens = [named(f"user-{number}", **said, azp=None if number % 2 else "shop") for number in range(0, 400, 2)]
    tokens += [named(f"user-{number}", scope=ABSENT, client_id=ABSENT) for number in range(1, 50, 2)]
    for token in tokens:
        verify(guard, token)
    done = source.done
    memory_of(guard)._recent.clear()

    for token in tokens:
        who, same = verify(guard, token), verify(forgetful, token)
        assert same == who
        assert dict(same.claims) == dict(who.claims)
        assert (len(same.claims), list(same.claims), repr(same.claims)) == (
            len(who.claims),
            list(who.claims),
            repr(who.claims),
        )
        assert same.claims.get("nothing") is who.claims.get("nothing") is None
    assert done == source.done


def replace_names() -> Any:
    from jwt_guard.access.identity import ClaimNames

    return ClaimNames(roles=("groups",))


def test_where_there_is_no_room_what_is_asked_for_again_and_again_keeps_its_credentials() -> None:
    guard = guarding(Checks(), memory=Memory(tokens=64))
    for number in range(32):
        token = named(f"user-{number}")
        verify(guard, token)
        verify(guard, token)
    recent = memory_of(guard)._recent
    assert 32 == len(recent)

    often, seldom = named("often"), named("seldom")
    for token in (often, seldom, seldom, *[often] * 16):
        verify(guard, token)

    assert [17] == [len(recent)]
    assert [often] == [entry[0] for entry in recent.values() if entry[0] in (often, seldom)]


def test_what_is_held_for_many_is_not_walked_by_the_garbage_collector() -> None:
    guard = guarding(Checks())
    for number in range(100):
        verify(guard, named(f"user-{number}"))
    gc.collect()

    entries = memory_of(guard)._young.values()
    assert 100 == len(entries)
    assert not any(map(gc.is_tracked, entries))


def test_many_keys_are_held_and_no_more() -> None:
    memory = Remembered(Memory(), lambda: NOW, None)
    provider = Provider("test", ISSUER, AUDIENCE, Checks())
    who = Credentials("ada", None, frozenset(), frozenset(), "test", {})
    tokens = [f"token-{number}-0123456789abcdef"[::-1] for number in range(_MOST_GROUNDS + 10)]
    keys = [Key("a", {}) for _ in tokens]
    for token, key in zip(tokens, keys, strict=True):
        memory.remember(token, who, (NOW, NOW + 60), memory.ground(provider, key))

    assert _MOST_GROUNDS == len(memory._grounds) == len(memory._by_key)
    assert None is memory.recall(tokens[0])
    found = memory.recall(tokens[-1])
    assert found is not None
    assert "ada" == found.user


@pytest.mark.parametrize("size", [0, -1, True, 1.5, None, "5"])
@pytest.mark.parametrize("name", ["tokens", "octets"])
def test_a_memory_holds_something(name: str, size: Any) -> None:
    with pytest.raises(Misconfigured, match=f"memory: {name} is a whole number above 0"):
        Memory(**{name: size})


def test_the_smallest_memory_works() -> None:
    guard = guarding(Checks(), memory=Memory(tokens=1, octets=1))
    for number in range(10):
        token = named(f"user-{number}")
        assert [f"user-{number}"] * 2 == [verify(guard, token).user for _ in range(2)]
    assert 1 >= len(memory_of(guard))


# --- who else ----------------------------------------------------------------------------------------


def test_threads_that_share_a_small_memory_never_mix_people_up() -> None:
    source = Checks()
    guard = guarding(source, memory=Memory(tokens=50))
    tokens = [named(f"user-{number}") for number in range(120)]

    def work(start: int) -> int:
        for turn in range(1_500):
            number = (start + turn * 7) % len(tokens)
            assert f"user-{number}" == verify(guard, tokens[number]).user
            if not turn % 100:
                memory_of(guard).forget(source.key)
        return len(memory_of(guard))

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(work, range(8))) <= 60


def test_when_two_threads_find_the_memory_full_only_one_of_them_turns_it_over() -> None:
    memory = memory_of(guarding(Checks(), memory=Memory(tokens=2)))

    class Full:
        """A size at which another thread turns the memory over while we look at it."""

        octets = 1_000

        @property
        def tokens(self) -> int:
            memory._young = newborn
            return 0

    newborn: dict[int, Any] = {}
    memory._size = Full()  # type: ignore[assignment, misc]  # as an interleaving that chance seldom gives
    memory._count("token")

    assert newborn is memory._young


def test_a_stricter_guard_remembers_with_the_one_it_came_from() -> None:
    source = Checks()
    guard = guarding(source)
    token = mint()
    verify(guard, token)
    stricter = guard.requiring(roles("nobody has this"))

    assert None is not stricter.recall(token)
    assert isinstance(stricter.glance(f"Bearer {token}", REQUEST), Deny)
    assert isinstance(guard.glance(f"Bearer {token}", REQUEST), Allow)
    assert 1 == source.done


def test_another_guard_remembers_for_itself() -> None:
    guard = guarding(Checks())
    token = mint()
    verify(guard, token)

    assert None is replace(guard, realm="other").recall(token)


# --- at a glance -------------------------------------------------------------------------------------


def with_token(token: str) -> PlainRequest:
    return PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),))


def test_a_glance_gives_the_decision_of_the_policy() -> None:
    for policy, kind in ((authenticated(), Allow), (scopes("orders:read"), Allow), (scopes("other"), Deny)):
        guard = guarding(Checks(), policy=policy)
        token = mint()
        assert None is guard.glance(f"Bearer {token}", REQUEST), "not seen yet"
        verify(guard, token)
        glanced = guard.glance(f"Bearer {token}", REQUEST)
        decided = play(partial(guard.decide, with_token(token))).value

        assert kind is type(glanced)
        assert kind is type(decided)
        if isinstance(glanced, Deny):
            assert isinstance(glanced.error, InsufficientScope)
        else:
            assert decided == glanced


def values(token: str) -> tuple[str, bytes]:
    """Return the header with *token* as WSGI and as ASGI have it."""
    return f"Bearer {token}", f"Bearer {token}".encode()


def test_a_header_that_was_seen_is_known_as_it_came() -> None:
    source = Checks()
    guard = guarding(source)
    token, other = named("ada"), named("bob")
    for each in (token, other):
        verify(guard, each)

    for _ in range(3):
        for each, user in ((token, "ada"), (other, "bob")):
            for value in values(each):
                glanced = guard.glance(value, REQUEST)
                assert isinstance(glanced, Allow)
                assert glanced.credentials is guard.recall(each)
                assert user == verify(guard, each).user
    assert 2 == source.done


def test_only_the_very_same_header_is_known() -> None:
    guard = guarding(fixed(public_jwk("ES256", "a", kid="a")))
    token = mint()
    verify(guard, token)
    for value in values(token):
        assert isinstance(guard.glance(value, REQUEST), Allow)

    for changed in (
        f"bearer {token}", f"Bearer  {token}", f" Bearer {token}", f"Bearer {token} ", f"Bearer {token},",
        f"Bearer {token[:-1]}", f"Bearer {token[1:]}", f"Basic {token}", f"Bearer x{token}", f"xBearer {token}",
        f"Bearer {token[:30]}x{token[31:]}", token, token[-16:], "", "Bearer ", "Bearer é",
    ):  # fmt: skip
        assert None is guard.glance(changed, REQUEST)
        assert None is guard.glance(changed.encode("latin-1"), REQUEST)


def test_a_header_that_was_seen_is_forgotten_with_its_key() -> None:
    keys = Published("a", "b")
    token, other = keys_token(keys), keys_token(keys, which="b")
    for value in (*values(token), *values(other)):
        for _ in range(2):
            assert isinstance(keys.guard.glance(value, REQUEST), Allow)

    keys.refresh(key_set("b"))
    keys(other)

    for value in values(token):
        assert None is keys.guard.glance(value, REQUEST)
    for value in values(other):
        assert isinstance(keys.guard.glance(value, REQUEST), Allow)


def test_a_header_that_was_seen_is_good_no_longer_than_its_token() -> None:
    clock = Clock(NOW)
    guard = guarding(Checks(), clock=clock, leeway=0)
    token = mint(claims(exp=NOW + 10))
    verify(guard, token)
    for clock.now, kind in ((NOW, Allow), (NOW + 9.9, Allow), (NOW + 10, type(None)), (NOW - 2, type(None))):
        for value in values(token):
            assert kind is type(guard.glance(value, REQUEST))


def test_so_many_headers_are_held_and_no_more() -> None:
    guard = guarding(Checks())
    for number in range(_RECENT + 1_000):
        token = named(f"user-{number}")
        verify(guard, token)
        for value in values(token):
            guard.glance(value, REQUEST)

    seen = guard._seen
    assert seen is not None
    assert _RECENT / 2 <= len(seen._texts) <= _RECENT
    assert _RECENT / 2 <= len(seen._octets) <= _RECENT


def test_a_header_whose_token_has_no_credentials_at_hand_is_not_held() -> None:
    guard = guarding(Checks(), memory=Memory(octets=10 * 4 * 8_192))
    tokens = [named(f"user-{number}") for number in range(50)]
    for token in tokens:
        verify(guard, token)
    for token in tokens[:30]:
        assert isinstance(guard.glance(f"Bearer {token}", REQUEST), Allow)

    seen = guard._seen
    assert seen is not None
    assert 6 <= len(seen._texts) <= len(memory_of(guard)._recent) <= 10


@pytest.mark.parametrize("needed", ["orders:read", "other"])
def test_what_needs_no_request_is_decided_at_sight(needed: str) -> None:
    guard = guarding(Checks(), policy=scopes(needed))
    token = mint()
    assert None is guard.at_sight(values(token)[1])
    verify(guard, token)
    text, octets = values(token)

    for _ in range(2):
        decisions = [guard.at_sight(octets), guard.at_sight_of_text(text), guard.glance(text, REQUEST)]
        assert [Allow if needed == "orders:read" else Deny] * 3 == [*map(type, decisions)]


def test_what_needs_the_request_is_not_decided_at_sight() -> None:
    guard = guarding(Checks(), policy=lambda _, credentials: Allow(credentials))
    token = mint()
    verify(guard, token)

    assert isinstance(guard.glance(f"Bearer {token}", REQUEST), Allow)
    assert None is guard.at_sight(f"Bearer {token}".encode())
    assert None is guard.at_sight_of_text(f"Bearer {token}")


def test_a_check_of_ones_own_is_asked_every_time() -> None:
    answers = [True, True, False]
    guard = guarding(Checks(), policy=claim("sub", check=lambda _: answers.pop(0)))
    token = mint()
    verify(guard, token)
    text, octets = values(token)

    assert None is guard.at_sight(octets)
    assert [Allow, Allow, Deny] == [type(guard.glance(value, REQUEST)) for value in (text, octets, octets)]


@pytest.mark.parametrize(
    ("asked", "missing"), [(("orders:read",), None), (("orders:read", "b"), "b"), (("b", "c"), "b")]
)
def test_all_of_what_is_settled_is_settled(asked: tuple[str, ...], missing: str | None) -> None:
    guard = guarding(Checks(), policy=all_of(authenticated(), *map(scopes, asked)))
    token = mint()
    verify(guard, token)
    seen = guard.at_sight(values(token)[1])

    if missing is None:
        assert isinstance(seen, Allow)
    else:
        assert isinstance(seen, Deny)
        assert isinstance(seen.error, InsufficientScope)
        assert {missing} == seen.error.required
    assert type(seen) is type(play(partial(guard.decide, with_token(token))).value)


def test_a_yes_of_one_policy_is_none_of_a_stricter_one() -> None:
    guard = guarding(Checks())
    stricter = guard.requiring(scopes("other"))
    token = mint()
    verify(guard, token)
    text, octets = values(token)
    for _ in range(2):
        assert isinstance(guard.at_sight(octets), Allow)
        assert isinstance(guard.at_sight_of_text(text), Allow)

        assert isinstance(stricter.glance(octets, REQUEST), Deny)
        assert isinstance(stricter.glance(text, REQUEST), Deny)


def test_a_policy_that_waits_is_asked_by_the_flow() -> None:
    def waits(_request: object, credentials: Credentials) -> Any:
        yield from call(lambda: None)
        return Allow(credentials)

    guard = guarding(Checks(), policy=waits)
    token = mint()
    verify(guard, token)

    assert None is guard.glance(f"Bearer {token}", REQUEST)
    assert isinstance(play(partial(guard.decide, with_token(token)), None).value, Allow)


def test_a_policy_that_refuses_by_raising_refuses_at_a_glance_too() -> None:
    def raises(_request: object, _credentials: Credentials) -> Any:
        raise InsufficientScope(reason="of its own")

    guard = guarding(Checks(), policy=raises)
    token = mint()
    verify(guard, token)
    glanced = guard.glance(f"Bearer {token}", REQUEST)

    assert isinstance(glanced, Deny)
    assert isinstance(glanced.error, InsufficientScope)


@pytest.mark.parametrize("answer", [True, None, "yes", 1])
def test_a_policy_that_answers_something_else_is_a_bug_at_a_glance_too(answer: Any) -> None:
    guard = guarding(Checks(), policy=lambda _request, _credentials: answer)
    token = mint()
    verify(guard, token)

    with pytest.raises(TypeError, match="a policy answers Allow or Deny"):
        guard.glance(f"Bearer {token}", REQUEST)


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer  ", "Basic ", "Bearer", ""])
def test_what_is_written_in_another_way_is_left_to_the_flow(scheme: str) -> None:
    guard = guarding(Checks())
    token = mint()
    verify(guard, token)

    assert None is guard.glance(f"{scheme}{token}", REQUEST)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"memory": 5}, "memory is Memory"),
        ({"memory": False}, "memory is Memory"),
        ({"revoked": {"jti"}}, "revoked is a Denylist"),
        ({"resolver": lambda _issuer: None}, "resolver is Resolver"),
    ],
)
def test_a_wrong_guard_does_not_come_to_be(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        Guard([Provider("test", ISSUER, AUDIENCE, FixedKeys(KeySet((Checks().key,))))], **changes)
