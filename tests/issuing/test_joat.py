"""PyJOAT's calls → what PyJOAT answers, and where this module would rather refuse."""

from __future__ import annotations

import inspect
import json
import time
from asyncio import Future, new_event_loop
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jwt_guard.errors import Misconfigured
from jwt_guard.issuing import joat
from tests.support.joat import CLAIMS, MADE, SECRET, SEED, SEED_NOW, SEED_SECRET, made_salt, token
from tests.support.keys import decode, pem
from tests.support.minting import ABSENT, HOUR, NOW

UNSET = joat.salt_generator
PROVIDER = "My OAuth2 Provider"
THEN = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)  # NOW
WHO: dict[str, Any] = {"client_id": "abc123DEF", "user_id": "12345", "scope": ["email", "profile"]}
PARSED = {
    "provider": PROVIDER,
    "client_id": "abc123DEF",
    "user_id": "12345",
    "authorized_scope": ["email", "profile"],
}


@pytest.fixture(autouse=True)
def _salted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: SECRET)


def issue(**said: Any) -> str:
    return joat.TokenGenerator(PROVIDER).issue_token(**{**WHO, **said})


def claims_of(text: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(decode(text.split(".")[1]))
    return claims


# ── what PyJOAT's README and its own tests say ───────────────────────────────────────────────────────────────────


def test_the_token_of_the_readme_parses_at_its_time_and_no_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: SEED_SECRET)

    expected = {
        "user_id": "1234",
        "authorized_scope": ["profile", "read"],
        "client_id": "abcd",
        "provider": "My OAuth2 Provider",
    }
    assert expected == joat.parse_token(SEED, now=SEED_NOW)
    assert expected == joat.parse_token(SEED.encode(), now=SEED_NOW)
    assert None is joat.parse_token(SEED)
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: SEED_SECRET.upper())
    assert None is joat.parse_token(SEED, now=SEED_NOW)


def test_the_vector_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: SEED_SECRET)
    vectors = json.loads((Path(__file__).parents[1] / "vectors" / "golden_jws.json").read_text(encoding="utf-8"))
    (vector,) = (each for each in vectors if each["id"] == "joat-hs256")

    assert vector["expected_parse"] == joat.parse_token(vector["jws"], now=vector["clock"])


def test_a_token_that_pyjoat_made_parses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", made_salt)

    assert {**PARSED, "jti": 42} == joat.parse_token(MADE, now=NOW)


def test_a_token_says_what_it_was_told() -> None:
    text = issue(issued_at=THEN, lifetime=timedelta(minutes=90), jti="one")

    assert {**CLAIMS, "iat": NOW, "exp": NOW + 5_400, "jti": "one"} == claims_of(text)
    assert {"alg": "HS256", "typ": "JWT"} == json.loads(decode(text.split(".")[0]))


def test_a_token_comes_back_as_it_went() -> None:
    assert PARSED == joat.parse_token(issue())
    assert {**PARSED, "jti": "one"} == joat.parse_token(issue(jti="one"))
    assert {**PARSED, "jti": 7} == joat.parse_token(issue(jti=7))
    assert {**PARSED, "jti": 0} == joat.parse_token(issue(jti=0))
    assert {**PARSED, "authorized_scope": []} == joat.parse_token(issue(scope=[]))
    assert {**PARSED, "user_id": 5} == joat.parse_token(issue(user_id=5))


def test_a_token_is_for_an_hour_from_now_unless_it_is_told_otherwise() -> None:
    before = int(datetime.now(UTC).timestamp())
    claims = claims_of(issue())
    after = datetime.now(UTC).timestamp()

    assert before <= claims["iat"] <= after
    assert 3_600 == claims["exp"] - claims["iat"]
    assert "jti" not in claims
    assert "jti" not in claims_of(issue(jti=None))


def test_now_is_the_same_wherever_the_machine_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        issued_at = claims_of(issue())["iat"]
    time.tzset()

    assert abs(time.time() - issued_at) < 60


def test_what_is_not_said_comes_from_the_generator() -> None:
    class Ours(joat.TokenGenerator):
        user_id = "ada"
        default_lifetime = timedelta(minutes=5)

    generator = Ours("shop", "webshop")
    generator.scope = ["read"]
    claims = claims_of(generator.issue_token(issued_at=THEN))

    assert {"iss": "shop", "aud": "webshop", "sub": "ada", "scp": ["read"], "iat": NOW, "exp": NOW + 300} == claims
    assert "other" == claims_of(generator.issue_token(provider="other"))["iss"]


@pytest.mark.parametrize(
    "said",
    [
        {"provider": None}, {"client_id": None}, {"user_id": None}, {"scope": None}, {"scope": "email profile"},
        {"scope": ("email",)}, {"issued_at": None}, {"issued_at": NOW}, {"lifetime": None}, {"lifetime": 3_600},
        {"scopes": ["email"]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_missing_or_of_another_type_is_a_type_error(said: dict[str, Any]) -> None:
    name = next(iter(said))

    with pytest.raises(TypeError, match=name):
        issue(**said)


@pytest.mark.parametrize("name", ["client_id", "user_id", "scope"])
def test_what_nobody_said_is_a_type_error(name: str) -> None:
    with pytest.raises(TypeError, match=name):
        joat.TokenGenerator(PROVIDER).issue_token(**{key: value for key, value in WHO.items() if key != name})


def test_a_salt_of_the_claims_keeps_tokens_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = issue(jti="one", issued_at=datetime.now(UTC))
    monkeypatch.setattr(joat, "salt_generator", made_salt)
    salted = issue(jti="one", issued_at=datetime.now(UTC))

    assert None is joat.parse_token(plain)
    assert {**PARSED, "jti": "one"} == joat.parse_token(salted)
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: SECRET)
    assert None is joat.parse_token(salted)
    assert {**PARSED, "jti": "one"} == joat.parse_token(plain)


def test_a_token_is_over_on_the_second() -> None:
    text = issue(issued_at=THEN, lifetime=timedelta(seconds=1))

    assert PARSED == joat.parse_token(text, now=NOW + 0.999)
    assert None is joat.parse_token(text, now=NOW + 1)
    assert None is joat.parse_token(issue(lifetime=timedelta(seconds=0)))


def test_a_token_from_a_clock_that_is_ahead_parses_as_it_did() -> None:
    assert PARSED == joat.parse_token(token({"iat": NOW + 600}), now=NOW)


# ── times ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "when",
    [
        THEN,
        datetime(2027, 1, 15, 8, 0),  # noqa: DTZ001 - as PyJOAT's users wrote it
        datetime(2027, 1, 15, 8, 0, 0, 999_999, tzinfo=UTC),
        datetime(2027, 1, 15, 13, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    ],
    ids=str,
)
def test_a_time_without_a_zone_is_in_utc(when: datetime) -> None:
    assert NOW == joat.timestamp(when)
    assert NOW == claims_of(issue(issued_at=when))["iat"]


# ── the salt generator ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_salt_generator_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = joat.TokenGenerator(PROVIDER)
    monkeypatch.setattr(joat, "salt_generator", UNSET)
    for call in (
        lambda: joat.TokenGenerator(PROVIDER),
        lambda: joat.parse_token(SEED),
        lambda: joat.parse_token(token(), now=NOW),
        lambda: generator.issue_token(**WHO),
    ):
        with pytest.raises(NotImplementedError, match=r"set joat\.salt_generator"):
            call()
    assert None is joat.parse_token("no token")


def test_the_salt_generator_sees_every_claim_each_time_and_cannot_change_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def generate(claims: dict[str, Any]) -> str:
        seen.append(json.loads(json.dumps(claims)))
        claims["scp"].append("admin")
        claims.update(sub="root", exp=NOW * 2)
        return SECRET

    monkeypatch.setattr(joat, "salt_generator", generate)
    text = issue(issued_at=THEN, jti="one")

    assert {**PARSED, "jti": "one"} == joat.parse_token(text, now=NOW)
    assert 2 * [{**CLAIMS, "iat": NOW, "exp": NOW + HOUR, "jti": "one"}] == seen


@pytest.mark.parametrize("secret", ["x", b"x", "é", b"\xff\x00" * 20, "s" * 500], ids=repr)
def test_any_secret_that_is_not_empty_does(secret: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: secret)

    assert PARSED == joat.parse_token(issue())
    assert PARSED == joat.parse_token(token(secret=secret), now=NOW)
    assert None is joat.parse_token(token(secret=b"another"), now=NOW)


@pytest.mark.parametrize(
    "secret", ["", b"", "  \n", pem("RS256"), pem("RS256").decode()], ids=lambda each: repr(each)[:12]
)
def test_what_everybody_knows_is_no_secret(secret: str | bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    text = token(secret=secret)
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: secret)

    assert None is joat.parse_token(text, now=NOW)
    with pytest.raises(Misconfigured, match=r"joat\.salt_generator: the secret is"):
        issue()


@pytest.mark.parametrize("secret", [None, 5, ["x"], True, bytearray(b"x")], ids=repr)
def test_what_is_neither_text_nor_bytes_is_a_type_error(secret: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joat, "salt_generator", lambda _claims: secret)
    for call in (issue, lambda: joat.parse_token(token(), now=NOW)):
        with pytest.raises(TypeError, match=f"neither text nor bytes, but {type(secret).__name__}$"):
            call()


async def waiting(_claims: Mapping[str, Any]) -> str:
    raise AssertionError


def test_an_async_salt_generator_is_refused_in_clear_words(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = new_event_loop()
    later: Future[str] = loop.create_future()
    generators: tuple[Callable[[Any], object], ...] = (waiting, lambda _claims: later)
    for generate in generators:
        monkeypatch.setattr(joat, "salt_generator", generate)
        for call in (issue, lambda: joat.parse_token(token(), now=NOW)):
            with pytest.raises(TypeError, match=r"is async, which only jwt_guard\.providers\.joat_tokens\(\)"):
                call()
    loop.close()


@pytest.mark.parametrize("error", [KeyError("client"), LookupError(), Misconfigured("x")], ids=repr)
def test_what_a_salt_generator_raises_goes_to_whoever_called(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(_claims: object) -> str:
        raise error

    monkeypatch.setattr(joat, "salt_generator", generate)
    for call in (issue, lambda: joat.parse_token(token(), now=NOW)):
        with pytest.raises(type(error)) as caught:
            call()
        assert error is caught.value


# ── what is not taken ────────────────────────────────────────────────────────────────────────────────────────────

head, body, signature = token().split(".")
UNSIGNED = f"{token(alg='none').rpartition('.')[0]}."
BAD: dict[str, Any] = {
    "nothing": "",
    "no token": "x",
    "two parts": f"{head}.{body}",
    "four parts": f"{head}.{body}.{signature}.{signature}",
    "no text": None,
    "a number": 5,
    "not ASCII": f"{head}.{body}.é",
    "bytes that are not ASCII": b"\xff.\xff.\xff",
    "an edited payload": f"{head}.{body[:-4]}AAAA.{signature}",
    "another header": f"{token(typ=ABSENT).split('.')[0]}.{body}.{signature}",
    "no signature": f"{head}.{body}.",
    "half a signature": f"{head}.{body}.{signature[:20]}",
    "alg none": UNSIGNED,
    "alg None": token(alg="None"),
    "HS384": token(alg="HS384", digest="sha384"),
    "HS512": token(alg="HS512", digest="sha512"),
    "RS256": token(alg="RS256"),
    "an extension": token(crit=["exp"]),
    "too long": token({"jti": "x" * 20_000}),
    "another type": token(typ="secevent+jwt"),
    "expired": token({"exp": NOW}),
    "for later": token({"nbf": NOW + 1}),
    "a date that is none": token({"exp": "soon"}),
    "for ever": token({"exp": ABSENT}),
    "milliseconds": token({"exp": NOW * 1_000}),
    "of nobody": token({"iss": ABSENT}),
    "for no client": token({"aud": ""}),
    "for no user": token({"sub": None}),
    "without scopes": token({"scp": ABSENT}),
    "scopes in a text": token({"scp": "email profile"}),
    "bound to a key": token({"cnf": {"jkt": "x"}}),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD.keys())
def test_what_is_no_good_token_is_none(bad: Any) -> None:
    assert None is joat.parse_token(bad, now=NOW)


@pytest.mark.parametrize(
    "bad", [name for name in BAD if name not in ("an edited payload", "another header", "no signature",
                                                 "half a signature")]
)  # fmt: skip
def test_what_is_bad_anyway_does_not_reach_the_salt_generator(bad: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(joat, "salt_generator", asked.append)

    joat.parse_token(BAD[bad], now=NOW)

    assert [] == asked


def test_a_type_may_be_left_out() -> None:
    assert PARSED == joat.parse_token(token(typ=ABSENT), now=NOW)


def test_no_number_that_json_has_not_is_signed() -> None:
    with pytest.raises(ValueError, match="JSON"):
        issue(jti=float("nan"))


# ── the face ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_names_are_those_of_pyjoat() -> None:
    assert {"TokenGenerator", "parse_token", "salt_generator", "timestamp"} == set(joat.__all__)
    assert ["name", "client_id"] == list(inspect.signature(joat.TokenGenerator).parameters)
    assert "token" == next(iter(inspect.signature(joat.parse_token).parameters))
    generator = joat.TokenGenerator("a", "b")
    assert ("a", "b", None, None, timedelta(hours=1)) == (
        generator.provider_name,
        generator.client_id,
        generator.user_id,
        generator.scope,
        generator.default_lifetime,
    )
