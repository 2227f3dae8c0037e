"""An issuer of many tenants → its provider from the application, asked for each time and for no other issuer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from jwt_guard import Guard, Memory, Provider, Resolver, averify, fixed, jwks, verify
from jwt_guard.access.identity import ClaimNames
from jwt_guard.decision import Allow, Deny
from jwt_guard.errors import InvalidToken, KeysUnavailable, Misconfigured, Unavailable, UnknownIssuer
from jwt_guard.flow import Call
from jwt_guard.messages import PlainRequest
from tests.support.keys import public_jwk
from tests.support.minting import AUDIENCE, ISSUER, NOW, claims, mint, provider
from tests.support.playing import Played, play, reply

TENANTS = "https://{tenant}.id.test/realms/{realm}"


def issuer(tenant: str = "acme", realm: str = "shop") -> str:
    return f"https://{tenant}.id.test/realms/{realm}"


def tenant_of(of: str = "acme", **changes: Any) -> Provider:
    keys = fixed(public_jwk("ES256", "a", kid="a"))
    settings: dict[str, Any] = {"name": of, "issuer": issuer(of), "audience": AUDIENCE, "keys": keys, **changes}
    return Provider(**settings)


def token_of(of: str = "acme", **changes: Any) -> str:
    return mint(claims(iss=issuer(of), **changes))


class Book:
    """An application's book of tenants."""

    def __init__(self, *tenants: str) -> None:
        self.providers: dict[str, Any] = {issuer(tenant): tenant_of(tenant) for tenant in tenants}
        self.asked: list[str] = []

    def __call__(self, issuer: str) -> Any:
        self.asked.append(issuer)
        return self.providers.get(issuer)


def guarding(resolve: Callable[[str], Any], *providers: Provider, **settings: Any) -> Guard:
    memory = settings.pop("memory", Memory())
    issuers = settings.pop("issuers", TENANTS)
    return Guard(providers, resolver=Resolver(resolve, issuers, **settings), clock=lambda: NOW, memory=memory)


def admitted(guard: Guard, token: str, *answers: Any) -> Played:
    return play(lambda: guard.admit(token), *answers)


# --- whom it asks ------------------------------------------------------------------------------------


def test_each_tenant_has_its_provider() -> None:
    guard = guarding(Book("acme", "umbrella"))

    assert ("acme", "umbrella") == tuple(verify(guard, token_of(of)).provider for of in ("acme", "umbrella"))


def test_an_async_resolver_is_awaited_on_every_loop_and_in_threads() -> None:
    book = Book("acme")

    async def resolve(issuer: str) -> Any:
        await anyio.lowlevel.checkpoint()
        return book(issuer)

    guard = guarding(resolve)

    for backend in ("asyncio", "trio"):
        assert "acme" == anyio.run(averify, guard, token_of(), backend=backend).provider
    assert "acme" == verify(guard, token_of()).provider


def test_a_resolver_that_waits_gets_a_thread() -> None:
    (need,) = admitted(guarding(Book("acme"), blocking=True), token_of(), tenant_of()).needs

    assert isinstance(need, Call)
    assert need.blocking


def test_a_provider_of_the_guard_comes_first() -> None:
    book = Book("acme")
    guard = guarding(book, provider())

    assert "test" == verify(guard, mint()).provider
    assert "acme" == verify(guard, token_of()).provider
    assert [issuer()] == book.asked


@pytest.mark.parametrize(
    "iss",
    [
        "https://evil.test/realms/shop",
        "https://a.b.id.test/realms/shop",
        "https://acme.id.test/realms/shop/",
        "https://acme.id.test/realms/shop\n",
        "https://acme.id.test/realms/../shop",
        "https://acme.id.test/realms/a/b",
        "https://acme.id.test/realms/",
        "https://.id.test/realms/shop",
        "https://acme.id.test@evil.test/realms/shop",
        "https://acmé.id.test/realms/shop",
        "http://acme.id.test/realms/shop",
        "https://" + "a" * 129 + ".id.test/realms/shop",
        ISSUER,
        "",
        None,
        5,
        ["https://acme.id.test/realms/shop"],
        {"a": 1},
    ],
)
def test_an_issuer_that_is_not_on_the_list_is_asked_about_nobody(iss: Any) -> None:
    book = Book("acme")
    guard = guarding(book)

    played = admitted(guard, mint(claims(iss=iss)))

    assert isinstance(played.error, UnknownIssuer)
    assert not played.needs
    assert not book.asked


def test_a_list_may_be_a_function_that_says_true_and_nothing_else() -> None:
    for answer, kind in ((True, type(None)), (False, UnknownIssuer), (1, UnknownIssuer), ("yes", UnknownIssuer)):
        guard = guarding(Book("acme"), issuers=lambda _issuer, answer=answer: answer)
        played = admitted(guard, token_of(), *([tenant_of()] if answer is True else []))

        assert kind is type(played.error)


def test_an_endless_issuer_is_shown_to_nobody() -> None:
    asked: list[str] = []
    guard = guarding(Book(), issuers=lambda issuer: asked.append(issuer) or True)  # type: ignore[func-returns-value]

    assert isinstance(admitted(guard, mint(claims(iss="https://" + "a" * 1_100))).error, UnknownIssuer)
    assert [] == asked


def test_several_issuers_may_be_listed_each_exact_but_for_its_places() -> None:
    guard = guarding(Book("acme"), issuers=["https://one.test", "https://acme.id.test/realms/{realm}"])

    assert "acme" == verify(guard, token_of()).provider
    assert isinstance(admitted(guard, mint(claims(iss="https://oneXtest"))).error, UnknownIssuer)


# --- what it answers ---------------------------------------------------------------------------------


def test_a_tenant_that_is_nobody_is_refused() -> None:
    played = admitted(guarding(Book()), token_of(), None)

    assert isinstance(played.error, UnknownIssuer)
    assert 401 == played.error.status


def test_a_resolver_that_fails_is_our_fault_and_repeats_nothing() -> None:
    def resolve(_issuer: str) -> Any:
        message = "password of the database"
        raise ConnectionError(message)

    with pytest.raises(Unavailable, match="the resolver raised ConnectionError") as caught:
        verify(guarding(resolve), token_of())
    assert 503 == caught.value.status
    assert "password" not in str(caught.value)


def test_a_refusal_that_a_resolver_raises_is_a_refusal() -> None:
    def resolve(_issuer: str) -> Any:
        raise KeysUnavailable("try later")

    with pytest.raises(KeysUnavailable, match="try later"):
        verify(guarding(resolve), token_of())


@pytest.mark.parametrize(
    "answer", [True, "acme", tenant_of("umbrella"), object()], ids=["True", "text", "another tenant's", "object"]
)
def test_a_resolver_that_answers_something_else_is_a_bug(answer: Any) -> None:
    with pytest.raises(TypeError, match="a resolver answers with a Provider that has the issuer, or None"):
        verify(guarding(lambda _issuer: answer), token_of())


def test_the_algorithms_of_the_tenants_provider_count() -> None:
    guard = guarding(lambda _issuer: tenant_of(algorithms=["ES256"]))

    assert isinstance(admitted(guard, mint(claims(iss=issuer()), alg="RS256"), tenant_of()).error, InvalidToken)


def test_keys_never_cross_from_one_tenant_to_another() -> None:
    book = Book("acme")
    book.providers[issuer("umbrella")] = tenant_of("umbrella", keys=fixed(public_jwk("ES256", "b", kid="a")))
    guard = guarding(book)

    assert "acme" == verify(guard, token_of()).provider
    with pytest.raises(InvalidToken):
        verify(guard, token_of("umbrella"))


# --- how long it is believed -------------------------------------------------------------------------


def test_a_tenant_that_is_removed_is_refused_at_once_also_with_a_token_that_is_remembered() -> None:
    book = Book("acme")
    guard = guarding(book)
    token = token_of()
    assert [verify(guard, token).provider for _ in range(3)] == ["acme"] * 3

    del book.providers[issuer()]

    with pytest.raises(UnknownIssuer):
        verify(guard, token)
    assert 4 == len(book.asked)
    assert {} == guard.key_states()


def test_a_remembered_token_is_not_verified_again_but_its_tenant_is_asked_for() -> None:
    book = Book("acme")
    guard = guarding(book)
    token = token_of()
    first, second, third = (verify(guard, token) for _ in range(3))

    assert first == second
    assert second is third
    assert None is guard.recall(token)
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token}"),))
    assert None is guard.glance(f"Bearer {token}", request)
    decided = play(partial(guard.decide, request), book.providers[issuer()])
    assert isinstance(decided.value, Allow)
    assert third is decided.value.credentials
    assert [Call] == decided.kinds


def test_a_tenant_is_asked_for_once_a_request_also_where_its_provider_is_another_one() -> None:
    guard = guarding(lambda _issuer: tenant_of())
    token = token_of()
    first = admitted(guard, token, tenant_of())
    again = admitted(guard, token, tenant_of())

    assert [Call] == first.kinds == again.kinds
    assert first.value == again.value
    assert first.value is not again.value


def test_a_remembered_token_of_a_tenant_with_two_issuers_is_read_for_which_it_is() -> None:
    book = Book()
    both = tenant_of(issuer=[issuer("acme"), issuer("umbrella")])
    book.providers = {issuer("acme"): both, issuer("umbrella"): both}
    guard = guarding(book)
    tokens = [token_of("acme"), token_of("umbrella")]
    first = [verify(guard, token) for token in tokens]

    assert first == [verify(guard, token) for token in tokens]
    assert [issuer("acme"), issuer("umbrella")] * 2 == book.asked


def test_a_tenants_changed_rules_count_at_once() -> None:
    book = Book("acme")
    guard = guarding(book)
    token = token_of()
    verify(guard, token)

    book.providers[issuer()] = tenant_of(audience="something else")

    with pytest.raises(InvalidToken):
        verify(guard, token)


def test_without_a_memory_a_tenant_is_asked_for_all_the_same() -> None:
    book = Book("acme")
    guard = guarding(book, memory=None)
    token = token_of()

    assert ["acme"] * 2 == [verify(guard, token).provider for _ in range(2)]
    assert 2 == len(book.asked)


def remote(of: str = "acme", url: str = "https://id.test/jwks", **changes: Any) -> Provider:
    return tenant_of(of, keys=jwks(url), **changes)


def kept_by(guard: Guard) -> list[Provider]:
    assert guard.resolver is not None
    return list(guard.resolver.kept)


def key_set() -> Any:
    return reply({"keys": [public_jwk("ES256", "a", kid="a")]})


def test_an_equal_provider_is_the_same_one_keys_and_all() -> None:
    guard = guarding(remote)

    first = admitted(guard, token_of(), remote(), key_set())
    again = admitted(guard, token_of(), remote())

    assert "acme" == first.value.provider == again.value.provider
    assert ["https://id.test/jwks"] == first.fetched
    assert [] == again.fetched


@pytest.mark.parametrize(
    "other",
    [
        remote(url="https://id.test/other"),
        remote(audience=[AUDIENCE, "more"]),
        remote(leeway=5),
        remote(claims=ClaimNames(user=("email",))),
        tenant_of(),
    ],
    ids=["another url", "more audiences", "less leeway", "other claims", "keys in hand"],
)
def test_a_provider_that_differs_is_another_one(other: Provider) -> None:
    guard = guarding(remote)
    admitted(guard, token_of(), remote(), key_set())
    (kept,) = kept_by(guard)

    admitted(guard, token_of(), other, *([key_set()] if callable(getattr(other.source, "is_like", None)) else []))

    (now,) = kept_by(guard)
    assert now is not kept
    assert now is other


def test_the_very_same_provider_needs_no_comparison() -> None:
    one = tenant_of(claims=ClaimNames())
    guard = guarding(lambda _issuer: one)
    verify(guard, token_of())
    verify(guard, token_of())

    assert [one] == kept_by(guard)


def test_the_keys_of_so_many_tenants_are_kept_and_who_was_not_asked_for_goes_first() -> None:
    names = [f"tenant-{number}" for number in range(5)]
    guard = guarding(Book(*names), most=3)
    for name in (*names[:3], names[0], *names[3:]):
        verify(guard, token_of(name))

    assert {names[0], *names[3:]} == set(guard.key_states())


def test_what_a_resolver_gave_shows_how_its_keys_are() -> None:
    guard = guarding(Book("acme"), provider())
    assert ["test"] == list(guard.key_states())

    verify(guard, token_of())

    assert ["test", "acme"] == list(guard.key_states())
    assert all(state.usable for state in guard.key_states().values())


# --- how it is made ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"resolve": "nothing"}, "resolve is a function"),
        ({"issuers": ""}, "issuers are texts"),
        ({"issuers": []}, "issuers are texts"),
        ({"issuers": [5]}, "issuers are texts"),
        ({"issuers": " https://x"}, "issuers are texts"),
        ({"issuers": 5}, "issuers are texts"),
        ({"most": 0}, "most is a whole number"),
        ({"most": True}, "most is a whole number"),
        ({"most": "9"}, "most is a whole number"),
    ],
)
def test_a_wrong_resolver_does_not_come_to_be(changes: dict[str, Any], said: str) -> None:
    settings: dict[str, Any] = {"resolve": Book(), "issuers": TENANTS, **changes}

    with pytest.raises(Misconfigured, match=said):
        Resolver(**settings)


def test_a_guard_needs_providers_or_a_resolver() -> None:
    with pytest.raises(Misconfigured, match="a guard needs providers"):
        Guard([])
    assert isinstance(guarding(Book()), Guard)


def test_a_request_is_decided_with_a_resolver_too() -> None:
    guard = guarding(Book("acme"))
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {token_of()}"),))

    assert isinstance(play(partial(guard.decide, request), tenant_of()).value, Allow)
    refused = play(partial(guard.decide, request), None).value
    assert isinstance(refused, Deny)
    assert isinstance(refused.error, UnknownIssuer)
