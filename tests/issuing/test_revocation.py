"""Forms of clients that are done with a token → it is taken back: RFC 7009 line by line."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any
from urllib.parse import urlencode

import pytest

from jwt_guard import Guard, Misconfigured, rfc9068, verify
from jwt_guard.access.denylist import Denylist
from jwt_guard.access.provider import Provider
from jwt_guard.errors import Revoked, StoreFailed
from jwt_guard.issuing.client_authentication import Client, Clients
from jwt_guard.issuing.issuer import Issuer, sign
from jwt_guard.issuing.keyring import Keyring
from jwt_guard.issuing.own_keys import OwnKeys
from jwt_guard.issuing.revocation import Revocation
from jwt_guard.issuing.signing import make
from jwt_guard.messages import Response
from tests.support.assertions import FORM
from tests.support.minting import NOW, SAID, minted
from tests.support.playing import Clock, play

HERE = "https://authorize.test/revoke"
CLOCK = Clock(NOW)
ISSUER = Issuer("https://authorize.test", Keyring(make("ES256")), CLOCK)
SECRETS = {"service": "the-secret-of-service", "other": "the-secret-of-another"}
CLIENTS = Clients([Client(name, secret=secret) for name, secret in SECRETS.items()], HERE, clock=CLOCK)


class Server:
    """An endpoint, and an API whose guard hears of what it does."""

    def __init__(self, denylist: Denylist | None = None, **provider: Any) -> None:
        self.denylist = Denylist(clock=CLOCK) if denylist is None else denylist
        self.keys = OwnKeys(ISSUER.keyring)
        own = rfc9068(ISSUER.url, "orders", keys=self.keys, **provider)
        guard = Guard([own], clock=CLOCK, memory=None, revoked=self.denylist)
        self.guard = Guard([own], clock=CLOCK, revoked=self.denylist)
        self.revocation = Revocation(guard, CLIENTS, self.denylist)

    def asked(self, form: dict[str, str] | bytes, by: str = "service", *answers: Any, method: str = "POST",
              content_type: str | None = FORM, secret: str | None = None) -> tuple[int, Any]:  # fmt: skip
        body = form if isinstance(form, bytes) else urlencode(form).encode()
        authorization = basic(by, secret or SECRETS[by])
        played = play(lambda: self.revocation.answer(method, content_type, body, authorization), *answers)
        answer = played.value
        assert isinstance(answer, Response)
        assert "no-store" == dict(answer.headers)["Cache-Control"]
        if answer.status == 200:
            assert b"" == answer.body
            return 200, None
        SAID.append(answer.body.decode())
        return answer.status, json.loads(answer.body)["error"]


def basic(name: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{secret}'.encode()).decode()}"


def token(client: str = "service", **claims: Any) -> str:
    return minted(ISSUER.access_token(client, "orders", "orders:read", client, **claims))


def is_revoked(server: Server, text: str) -> bool:
    try:
        verify(server.guard, text)
    except Revoked:
        return True
    return False


# --- what is taken back ------------------------------------------------------------------------------


@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "access_token"}, {"token_type_hint": "refresh_token"},
                                  {"token_type_hint": "of my own"}])  # fmt: skip
def test_a_token_counts_no_more_as_soon_as_its_client_says_so(hint: dict[str, str]) -> None:
    server, text, other = Server(), token(), token()

    assert not is_revoked(server, text)
    assert (200, None) == server.asked({"token": text, **hint})  # §2.1: a hint only helps to look
    assert is_revoked(server, text)
    assert not is_revoked(server, other)


def test_once_more_is_as_well(caplog: pytest.LogCaptureFixture) -> None:  # §2.2
    server, text = Server(), token()
    with caplog.at_level(logging.INFO, "jwt_guard"):
        assert [(200, None)] * 2 == [server.asked({"token": text}) for _ in range(2)]

    assert ["'service' has taken a token back"] == caplog.messages


def an_expired_one() -> str:
    CLOCK.now = NOW - 1_000
    try:
        return token()
    finally:
        CLOCK.now = NOW


@pytest.mark.parametrize(
    "text",
    ["a", "a.b.c", "x" * 30_000, "ö", token()[:-4] + "AAAA", an_expired_one(),
     Issuer("https://elsewhere.test", Keyring(make("ES256")), CLOCK).access_token("service", "orders", "", "service"),
     Issuer(ISSUER.url, Keyring(make("ES256")), CLOCK).access_token("service", "orders", "", "service"),
     ISSUER.access_token("service", "another-api", "", "service")],
)  # fmt: skip
def test_what_never_counted_is_none_of_the_clients_worries(text: str) -> None:  # §2.2
    server = Server()

    assert (200, None) == server.asked({"token": text})
    assert not is_revoked(server, token())


# --- what is not -------------------------------------------------------------------------------------


def test_the_token_of_another_client_is_not_taken_back() -> None:  # §2.1
    server, text = Server(), token("other")

    assert (400, "invalid_grant") == server.asked({"token": text})
    assert not is_revoked(server, text)
    assert (200, None) == server.asked({"token": text}, "other")
    assert is_revoked(server, text)


def test_an_id_token_is_of_a_type_that_cannot_be_taken_back() -> None:  # §2.2.1
    assert (400, "unsupported_token_type") == Server().asked({"token": minted(ISSUER.id_token("ada", "service"))})


@pytest.mark.parametrize("jti", [None, "x" * 3_000])
def test_nor_can_a_token_without_a_name(jti: str | None) -> None:
    claims = {"iss": ISSUER.url, "sub": "service", "aud": "orders", "client_id": "service", "exp": NOW + 300,
              "iat": NOW, "jti": jti}  # fmt: skip
    text = minted(sign(ISSUER.keyring.current, {name: value for name, value in claims.items() if value is not None}))

    assert (400, "unsupported_token_type") == Server(required=()).asked({"token": text})


def test_nor_a_token_that_lives_for_longer_than_anything_is_held() -> None:
    server = Server(Denylist(longest_life=60, clock=CLOCK))

    assert (400, "unsupported_token_type") == server.asked({"token": token()})


# --- who asks, and how -------------------------------------------------------------------------------


def test_who_is_not_known_takes_nothing_back() -> None:
    server, text = Server(), token()

    assert (401, "invalid_client") == server.asked({"token": text}, secret="another")
    assert not is_revoked(server, text)


@pytest.mark.parametrize("method", ["GET", "DELETE", "post"])
def test_only_a_post_takes_anything_back(method: str) -> None:
    server, text = Server(), token()

    assert (405, "invalid_request") == server.asked({"token": text}, method=method)
    assert not is_revoked(server, text)


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", FORM, 400),
        (b"token=", FORM, 400),
        (b"token_type_hint=access_token", FORM, 400),
        (b"token=a&token=a", FORM, 400),
        (b"token=a", "application/json", 400),
        (b"token=a", None, 400),
        (b"token=" + b"a" * 65_536, FORM, 413),
    ],
)
def test_a_hostile_form_is_refused(body: bytes, content_type: str | None, status: int) -> None:
    assert (status, "invalid_request") == Server().asked(body, content_type=content_type)


# --- a store that others share -----------------------------------------------------------------------


def test_what_cannot_be_noted_is_not_said_to_be() -> None:  # §2.2.1
    server = Server(Denylist("redis://store.test", clock=CLOCK, ticks=CLOCK))
    form = {"token": token()}

    assert (503, "temporarily_unavailable") == server.asked(form, "service", (), StoreFailed("down"))
    assert (503, "temporarily_unavailable") == Server(Denylist("redis://store.test", clock=CLOCK, ticks=CLOCK)).asked(
        form, "service", StoreFailed("down")
    )


def test_what_is_noted_is_noted_in_the_store() -> None:
    server, text = Server(Denylist("redis://store.test", clock=CLOCK, ticks=CLOCK)), token()

    assert (200, None) == server.asked({"token": text}, "service", (), None)
    assert is_revoked(server, text)


# --- at start, and in the log ------------------------------------------------------------------------


def test_the_log_says_why_and_nothing_secret(caplog: pytest.LogCaptureFixture) -> None:
    server, text = Server(), token("other")
    with caplog.at_level(logging.INFO, "jwt_guard"):
        server.asked({"token": text})
        server.asked({"token": text}, secret="another-secret")

    assert "nothing taken back for 'service': invalid_grant: the token was given to 'other'" == caplog.messages[0]
    assert caplog.messages[1].startswith("nothing taken back for nobody known: invalid_client")
    assert text not in caplog.text
    assert "another-secret" not in caplog.text


def test_what_is_wrong_is_found_at_start() -> None:
    server = Server()
    guard, denylist = server.guard, server.denylist
    wrong: list[Any] = [("guard", CLIENTS, denylist), (guard, [], denylist), (guard, CLIENTS, None)]
    for arguments in wrong:
        with pytest.raises(Misconfigured, match="revocation: "):
            Revocation(*arguments)


def test_a_provider_whose_tokens_name_no_client_takes_none_back() -> None:
    own = Provider("own", ISSUER.url, "orders", OwnKeys(ISSUER.keyring))
    denylist = Denylist(clock=CLOCK)
    revocation = Revocation(Guard([own], clock=CLOCK, memory=None, revoked=denylist), CLIENTS, denylist)
    text = minted(ISSUER.token({"sub": "ada", "aud": "orders"}))
    body = urlencode({"token": text}).encode()
    answer = play(lambda: revocation.answer("POST", FORM, body, basic("service", SECRETS["service"]))).value

    assert (400, "invalid_grant") == (answer.status, json.loads(answer.body)["error"])
