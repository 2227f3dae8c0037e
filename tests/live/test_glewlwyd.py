"""Tokens of a Glewlwyd that Debian packages → let in or refused, and the same told by ``explain`` and ``doctor``."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import httpx
import jwt
import pytest

from jwt_guard import Guard, GuardError, Provider, authenticated, rfc9068, scopes, verify
from jwt_guard.access.explain import Explanation, explain
from jwt_guard.cli import main
from jwt_guard.credentials import Credentials
from jwt_guard.errors import BadSignature, ClaimRejected, Expired, UnknownKey
from jwt_guard.middleware.wsgi import GuardMiddleware
from jwt_guard.runners import blocking

from .glewlwyd import ALGORITHMS, LIFETIME, Glewlwyd, installed, machine
from .rig import BILLING, ORDERS


@pytest.fixture(scope="module")
def glewlwyd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Glewlwyd]:
    with Glewlwyd.start(installed(), tmp_path_factory.mktemp("glewlwyd")) as running:
        yield running


def guard_for(live: Glewlwyd, audience: str = ORDERS, *, clock: Callable[[], float] = time.time) -> Guard:
    return Guard([rfc9068(live.issuer, audience, name="live", leeway=0)], authenticated(), clock=clock)


def refused(guard: Guard, token: str) -> GuardError:
    with pytest.raises(GuardError) as caught:
        verify(guard, token)
    return caught.value


def explained(guard: Guard, token: str) -> Explanation:
    return blocking.run(explain(guard, token, now=guard.clock(), ask_issuers=True))


def failed(guard: Guard, token: str) -> list[str]:
    return [step.about for step in explained(guard, token).steps if step.verdict == "failed"]


@pytest.mark.parametrize("proof", ["secret", "key"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_credentials_of_a_machine_are_those_it_was_given(
    glewlwyd: Glewlwyd, algorithm: str, proof: Literal["secret", "key"]
) -> None:
    token = glewlwyd.token(algorithm=algorithm, scope="orders:read orders:write", proof=proof)
    guard = guard_for(glewlwyd)
    who = verify(guard, token)

    assert algorithm == jwt.get_unverified_header(token)["alg"]
    assert (None, machine(algorithm)) == (who.user, who.client)
    assert (frozenset({"orders:read", "orders:write"}), frozenset()) == (who.scopes, who.roles)
    assert ("live", glewlwyd.issuer, ORDERS) == (who.provider, who.claims["iss"], who.claims["aud"])
    assert "ok" == explained(guard, token).verdict


def test_a_user_keeps_one_name_and_comes_through_a_website(glewlwyd: Glewlwyd) -> None:
    guard = guard_for(glewlwyd)
    first, second = (verify(guard, glewlwyd.user_tokens().access_token) for _ in range(2))

    assert first.user is not None
    assert first.user == second.user == first.claims["sub"]
    assert "website" == first.client
    assert frozenset({"openid", "orders:read"}) == first.scopes
    assert first.claims["jti"] != second.claims["jti"]


def test_an_id_token_is_no_access_token(glewlwyd: Glewlwyd) -> None:
    token = glewlwyd.user_tokens().id_token
    guard = guard_for(glewlwyd, "website")  # which is the audience of an ID token
    careless = Guard([Provider(name="live", issuer=glewlwyd.issuer, audience="website")])  # of any type
    first, second = refused(guard, token), refused(careless, token)

    assert isinstance(first, ClaimRejected)
    assert ("typ", ["at+jwt"], "JWT") == (first.claim, first.expected, first.got)
    assert "typ" in failed(guard, token)
    assert isinstance(second, ClaimRejected)
    assert "an access token" == second.expected
    assert "failed" == explained(careless, token).verdict


def test_a_token_for_another_resource_is_refused(glewlwyd: Glewlwyd) -> None:
    orders, billing = guard_for(glewlwyd), guard_for(glewlwyd, BILLING)
    token = glewlwyd.token(BILLING, scope="bills:read")
    error = refused(orders, token)

    assert isinstance(error, ClaimRejected)
    assert "aud" == error.claim
    assert ["aud"] == failed(orders, token)
    assert frozenset({"bills:read"}) == verify(billing, token).scopes


def test_a_token_for_no_resource_has_its_scopes_for_an_audience_and_is_refused(glewlwyd: Glewlwyd) -> None:
    token, guard = glewlwyd.token(None), guard_for(glewlwyd)
    error = refused(guard, token)

    assert "orders:read" == jwt.decode(token, options={"verify_signature": False})["aud"]
    assert isinstance(error, ClaimRejected)
    assert "aud" == error.claim
    assert ["aud"] == failed(guard, token)


def test_a_token_of_another_glewlwyd_is_refused(glewlwyd: Glewlwyd, tmp_path: Path) -> None:
    guard = guard_for(glewlwyd)
    with Glewlwyd.start(installed(), tmp_path) as other:
        token = other.token()
        theirs = guard_for(other)
        # Their key has the same kid: it is the issuer that tells them apart, and if that lies, the signature.
        head, claims, _ = token.split(".")
        grafted = f"{head}.{claims}.{glewlwyd.token().rpartition('.')[2]}"

        assert "UnknownIssuer" == type(refused(guard, token)).__name__
        assert machine("RS256") == verify(theirs, token).client
        assert isinstance(refused(theirs, grafted), BadSignature)
        assert ["signature"] == failed(theirs, grafted)


def test_a_token_holds_to_its_last_second_and_no_longer(glewlwyd: Glewlwyd) -> None:
    token = glewlwyd.token()
    claims = jwt.decode(token, options={"verify_signature": False})
    end = float(claims["exp"])
    before, after = guard_for(glewlwyd, clock=lambda: end - 0.01), guard_for(glewlwyd, clock=lambda: end)

    assert LIFETIME == claims["exp"] - claims["iat"]
    assert machine("RS256") == verify(before, token).client
    assert "ok" == explained(before, token).verdict
    assert isinstance(refused(after, token), Expired)
    assert ["exp"] == failed(after, token)


def test_a_key_rotated_in_is_found_at_once_and_one_rotated_away_is_refused(tmp_path: Path) -> None:
    with Glewlwyd.start(installed(), tmp_path) as live:
        guard = guard_for(live)
        first = live.token(algorithm="ES256")
        verify(guard, first)
        both = live.rotate(keep=True)
        second = live.token(algorithm="ES256")
        taken = [verify(guard, token).client for token in (first, second)]
        last = live.rotate(keep=False)
        third = live.token(algorithm="ES256")
        verify(guard, third)

        assert ["ec-0", "ec-1", "ec-2"] == [jwt.get_unverified_header(token)["kid"] for token in (first, second, third)]
        assert {"ec-0", "ec-1"} <= both
        assert {"rsa-2", "ec-2", "ed-2"} == last
        assert [machine("ES256")] * 2 == taken
        assert [UnknownKey] * 2 == [type(refused(guard, token)) for token in (first, second)]
        assert ["key"] == failed(guard, first)


def test_an_application_sees_who_came(glewlwyd: Glewlwyd) -> None:
    def app(environ: dict[str, object], start_response: Callable[..., object]) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        who = environ["jwt_guard"]
        assert isinstance(who, Credentials)
        yield str(who.client).encode()

    guarded = GuardMiddleware(app, Guard([rfc9068(glewlwyd.issuer, ORDERS)], scopes("orders:read")))
    tokens = [
        glewlwyd.token(),
        glewlwyd.user_tokens().access_token,
        glewlwyd.token(scope="orders:write"),
        glewlwyd.token(BILLING),
    ]
    with httpx.Client(transport=httpx.WSGITransport(guarded), base_url="http://api.test") as client:
        answers = [client.get("/", headers={"Authorization": f"Bearer {token}"}) for token in tokens]

    assert [200, 200, 403, 401] == [answer.status_code for answer in answers]
    assert [machine("RS256"), "website"] == [answer.text for answer in answers[:2]]
    assert 'error="insufficient_scope"' in answers[2].headers["www-authenticate"]
    assert 'scope="orders:read"' in answers[2].headers["www-authenticate"]
    assert 'error="invalid_token"' in answers[3].headers["www-authenticate"]


def test_the_tools_at_a_terminal_say_the_same(
    glewlwyd: Glewlwyd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(f'[providers.live]\nprofile = "rfc9068"\nissuer = "{glewlwyd.issuer}"\naudience = "{ORDERS}"\n')

    def said(*words: str) -> tuple[int, str]:
        status = main([*words, "--config", str(file)])
        return status, capsys.readouterr().out

    for token, status in [(glewlwyd.token(), 0), (glewlwyd.token(BILLING), 1)]:
        monkeypatch.setenv("TOKEN", token)

        assert status == said("verify", "env:TOKEN")[0]
        assert status == said("explain", "env:TOKEN", "--online")[0]
        assert token not in said("explain", "env:TOKEN", "--online")[1]


def test_the_doctor_finds_nothing_to_do(glewlwyd: Glewlwyd, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "guard.toml"
    file.write_text(f'[providers.live]\nprofile = "rfc9068"\nissuer = "{glewlwyd.issuer}"\naudience = "{ORDERS}"\n')
    status = main(["doctor", "--config", str(file), "--json"])
    (provider,) = json.loads(capsys.readouterr().out)["providers"]

    assert (0, True) == (status, provider["usable"])
    assert [] == [each for each in provider["findings"] if each["verdict"] != "ok"]
    assert [] == provider["facts"]["skipped"]
    assert set(ALGORITHMS) <= {alg for key in provider["facts"]["keys"] for alg in key["algorithms"]}


def test_one_that_was_ended_answers_no_more(tmp_path: Path) -> None:
    with Glewlwyd.start(installed(), tmp_path) as live:
        document = httpx.get(f"{live.issuer}/.well-known/openid-configuration", trust_env=False).json()

    assert live.issuer == document["issuer"]
    with pytest.raises(httpx.ConnectError):
        httpx.get(live.issuer, trust_env=False)
