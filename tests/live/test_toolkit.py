"""What django-oauth-toolkit hands out → its opaque access tokens refused, its ID tokens taken where they are asked for.

It makes no JWT access tokens, so there is nothing of it that a guard for access tokens may let in.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from jwt_guard import Guard, GuardError, Provider, authenticated, rfc9068, verify
from jwt_guard.access.explain import Explanation, explain
from jwt_guard.cli import main
from jwt_guard.errors import ClaimRejected, Expired, InvalidToken, UnknownIssuer
from jwt_guard.middleware.wsgi import GuardMiddleware
from jwt_guard.providers import google_id_token
from jwt_guard.runners import blocking
from jwt_guard.tokens.claims import id_token

from .rig import ORDERS
from .toolkit import Toolkit


@pytest.fixture(scope="module")
def toolkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Toolkit]:
    running = Toolkit.start(tmp_path_factory.mktemp("toolkit"))
    yield running

    assert 0 == running.stop(), "it goes by itself"


def for_access(live: Toolkit, audience: str = ORDERS) -> Guard:
    return Guard([rfc9068(live.issuer, audience)], authenticated())


def for_id_tokens(live: Toolkit, audience: str = "website", *, clock: Callable[[], float] = time.time) -> Guard:
    provider = Provider(
        name="logins", issuer=live.issuer, audience=audience, typ=("JWT",), kind=id_token(), algorithms=("RS256",),
        leeway=0,
    )  # fmt: skip
    return Guard([provider], authenticated(), clock=clock)


def refused(guard: Guard, token: str) -> GuardError:
    with pytest.raises(GuardError) as caught:
        verify(guard, token)
    return caught.value


def explained(guard: Guard, token: str) -> Explanation:
    return blocking.run(explain(guard, token, now=guard.clock(), ask_issuers=True))


def failed(guard: Guard, token: str) -> list[str]:
    return [step.about for step in explained(guard, token).steps if step.verdict == "failed"]


def test_an_opaque_token_is_refused_though_its_server_says_that_it_is_good(toolkit: Toolkit) -> None:
    def app(_environ: dict[str, object], start_response: Callable[..., object]) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"in"]

    tokens = [toolkit.token(), toolkit.user_tokens().access_token]
    guarded = GuardMiddleware(app, for_access(toolkit))
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://api.test") as client:
        answers = [client.get("/", headers={"Authorization": f"Bearer {token}"}) for token in tokens]

    assert [True, True] == [toolkit.introspected(token)["active"] for token in tokens]
    assert [401, 401] == [answer.status_code for answer in answers]
    for token, answer in zip(tokens, answers, strict=True):
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        assert token not in answer.text + str(answer.headers)


def test_explain_says_that_an_opaque_token_is_no_jwt(toolkit: Toolkit) -> None:
    token, guard = toolkit.token(), for_access(toolkit)
    (step,) = explained(guard, token).steps

    assert InvalidToken is type(refused(guard, token))
    assert ("shape", "failed") == (step.about, step.verdict)
    assert step.advice is not None
    assert "This is an opaque token, which only its issuer can read" in step.advice
    assert token not in str(step)


@pytest.mark.parametrize("nonce", [None, "of-this-login"])
def test_an_id_token_is_no_access_token(toolkit: Toolkit, nonce: str | None) -> None:
    token = toolkit.user_tokens(nonce=nonce).id_token
    strict = for_access(toolkit, "website")  # whose audience it has
    careless = Guard([Provider(name="any", issuer=toolkit.issuer, audience="website")], authenticated())
    first, second = refused(strict, token), refused(careless, token)

    assert isinstance(first, ClaimRejected)
    assert ("typ", "JWT") == (first.claim, first.got)
    assert isinstance(second, ClaimRejected)
    assert ("an access token", "an ID token") == (second.expected, second.got)
    assert "typ" in failed(strict, token)
    assert ["kind"] == failed(careless, token)


def test_a_provider_for_id_tokens_takes_them(toolkit: Toolkit) -> None:
    token, guard = toolkit.user_tokens(nonce="of-this-login").id_token, for_id_tokens(toolkit)
    who = verify(guard, token)

    assert (toolkit.user, None, "logins") == (who.user, who.client, who.provider)
    assert frozenset() == who.scopes | who.roles
    assert ("website", "of-this-login") == (who.claims["aud"], who.claims["nonce"])
    assert "ok" == explained(guard, token).verdict


def test_a_provider_for_id_tokens_takes_none_for_another_client_nor_one_that_is_over(toolkit: Toolkit) -> None:
    token = toolkit.user_tokens().id_token
    end = float(jwt.decode(token, options={"verify_signature": False})["exp"])
    elsewhere, later = for_id_tokens(toolkit, "mobile"), for_id_tokens(toolkit, clock=lambda: end)
    error = refused(elsewhere, token)

    assert toolkit.user == verify(for_id_tokens(toolkit, clock=lambda: end - 0.01), token).user
    assert isinstance(error, ClaimRejected)
    assert "aud" == error.claim
    assert ["aud"] == failed(elsewhere, token)
    assert isinstance(refused(later, token), Expired)
    assert ["exp"] == failed(later, token)


def test_a_provider_for_id_tokens_takes_no_opaque_token(toolkit: Toolkit) -> None:
    token, guard = toolkit.user_tokens().access_token, for_id_tokens(toolkit)

    assert InvalidToken is type(refused(guard, token))
    assert ["shape"] == failed(guard, token)


def test_a_provider_for_the_id_tokens_of_google_takes_none_of_somebody_else(toolkit: Toolkit) -> None:
    token = toolkit.user_tokens().id_token
    guard = Guard([google_id_token("website")], authenticated())

    # The issuer is nobody's, so nobody is asked for keys.
    assert isinstance(refused(guard, token), UnknownIssuer)


def test_the_doctor_finds_nothing_to_do(toolkit: Toolkit, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(f'[providers.live]\nissuer = "{toolkit.issuer}"\naudience = "website"\n')
    status = main(["doctor", "--config", str(file), "--json"])
    (provider,) = json.loads(capsys.readouterr().out)["providers"]

    assert (0, True) == (status, provider["usable"])
    assert [] == [each for each in provider["findings"] if each["verdict"] != "ok"]
    assert [["RS256"]] == [key["algorithms"] for key in provider["facts"]["keys"]]
