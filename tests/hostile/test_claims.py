"""Attacks on what a token says: each is signed by the right key, and none may be let in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jwt_guard import ClaimNames, Guard, Provider, fixed, rfc9068, salted
from jwt_guard.errors import BadSignature, ClaimRejected, Expired, InvalidToken, UnknownIssuer
from tests.support import keys
from tests.support.keys import public_jwk
from tests.support.minting import ABSENT, AUDIENCE, HOUR, ISSUER, NOW, claims, guard, mint, provider, refused, verdict


def raw(members: str) -> bytes:
    """Return the JSON of a good token with *members* in front, as only a hostile writer would write it."""
    return ("{" + members + "," + json.dumps(claims())[1:]).encode()


def rejected(payload: Any, of: Guard | None = None, header: dict[str, Any] | None = None) -> str:
    """Return which claim a token is refused for."""
    error = refused(of or guard(), mint(payload, header))

    assert isinstance(error, ClaimRejected)
    return error.claim


@pytest.mark.parametrize(
    "issuer",
    [
        "https://id.tes",
        "https://id.test/",
        "https://id.test.evil.test",
        "https://evil.test/https://id.test",
        "HTTPS://ID.TEST",
        "https://id.test ",
        "https://id.test\n",
        "h",
        "",
        "*",
        "https://id.test:443",
        "https://\u0456d.test",
        "https://id.test\x00",
    ],
    ids=ascii,
)
def test_an_issuer_is_compared_whole(issuer: str) -> None:
    """CVE-2024-53861: PyJWT 2.10.0 took every substring of the issuer."""
    assert UnknownIssuer is type(refused(guard(), mint(claims(iss=issuer))))


@pytest.mark.parametrize(
    "issuer", [[ISSUER], [ISSUER, "https://evil.test"], {ISSUER: 1}, None, True, 5, [], ABSENT], ids=repr
)
def test_an_issuer_is_one_text(issuer: object) -> None:
    """CVE-2025-30144, fast-jwt#552: a list that names the trusted issuer beside the attacker's."""
    assert UnknownIssuer is type(refused(guard(), mint(claims(iss=issuer))))
    assert UnknownIssuer is type(refused(guard(issuer=[ISSUER, "https://two.test"]), mint(claims(iss=issuer))))


def test_one_configured_issuer_still_means_that_issuer() -> None:
    """CVE-2025-46647: with a single provider, its key was tried on tokens of any issuer."""
    for issuer in ("https://evil.test", "", ABSENT):
        assert UnknownIssuer is type(refused(guard(), mint(claims(iss=issuer))))


@pytest.mark.parametrize(
    "audience",
    [
        "order",
        "orders2",
        "Orders",
        "orders ",
        " orders",
        "orders billing",
        "orders,billing",
        "*",
        "",
        "o",
        None,
        True,
        5,
        {},
        {"orders": True},
        [],
        [""],
        ["order", "s"],
        [["orders"]],
        [5, "orders"],
        ["orders", None],
        [{}, "orders"],
        ABSENT,
    ],
    ids=repr,
)
def test_an_audience_is_compared_whole_and_is_always_there(audience: object) -> None:
    """CVE-2020-26160, CVE-2025-62610: prefixes, mixed lists, the empty one and none at all were taken."""
    assert "aud" == rejected(claims(aud=audience))


FAR = NOW + HOUR
NO_DATE = [str(FAR), True, None, [], [FAR], {}, -1, -FAR, 10**18, "never", 1e18, FAR * 1_000]


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "auth_time"])
@pytest.mark.parametrize("value", NO_DATE, ids=repr)
def test_a_time_is_a_number_of_seconds(claim: str, value: object) -> None:
    """Measured in the field: texts, truth values, milliseconds and lists passed or crashed."""
    assert claim == rejected(claims(**{claim: value}))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "number",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "9" * 21,
        "9" * 5_000,
        "1" + "0" * 4_299,
        "0x10",
        "1_000",
        "+1",
        "01",
        "1.",
    ],
    ids=lambda text: text[:10] + str(len(text)),
)
def test_a_number_that_breaks_arithmetic_is_no_number(claim: str, number: str) -> None:
    """Measured in the field: NaN compares false to everything, and 1e400 overflows in a date."""
    payload = json.dumps({name: value for name, value in claims().items() if name != claim})
    token = mint(f'{{"{claim}":{number},{payload[1:]}'.encode())

    assert InvalidToken is type(refused(guard(), token))


def test_a_token_without_an_end_is_refused() -> None:
    """Measured in the field: four of seven libraries take a token without exp for ever."""
    assert "exp" == rejected(claims(exp=ABSENT))


@pytest.mark.parametrize(
    ("leeway", "still", "over"), [(30, NOW - 29, NOW - 30), (0, NOW + 1, NOW), (300, NOW - 299, NOW - 300)]
)
def test_the_end_is_the_end(leeway: int, still: int, over: int) -> None:
    """RFC 7519 §4.1.4: "on or after"; leeway makes it later, and by no more than it says."""
    of = guard(leeway=leeway)

    assert "ada-lovelace" == verdict(of, mint(claims(exp=still))).user  # type: ignore[union-attr]
    assert Expired is type(refused(of, mint(claims(exp=over))))


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_from_the_future_is_refused(claim: str) -> None:
    """Measured in the field: two libraries never look at nbf and iat."""
    assert "ada-lovelace" == verdict(guard(), mint(claims(**{claim: NOW + 30}))).user  # type: ignore[union-attr]
    assert claim == rejected(claims(**{claim: NOW + 31}))
    assert claim == rejected(claims(**{claim: NOW + 10 * HOUR, "exp": NOW + 20 * HOUR}))


def test_a_token_can_be_too_old_before_its_end() -> None:
    """A token for ten years is worth ten years to a thief."""
    of = guard(max_age=600)

    assert "ada-lovelace" == verdict(of, mint(claims(iat=NOW - 600))).user  # type: ignore[union-attr]
    assert "iat" == rejected(claims(iat=NOW - 630, exp=NOW + 10 * HOUR), of)
    assert "iat" == rejected(claims(iat=ABSENT), of)


def test_a_member_twice_is_read_in_neither_way() -> None:
    """RFC 8725 §2.4: two parsers take different ones of two members."""
    for twice in (
        '"sub":"eve-the-forger"',
        '"aud":"billing"',
        '"\\u0073ub":"eve-the-forger"',
        '"exp":1',
        '"x":{"y":1,"y":2}',
    ):
        assert InvalidToken is type(refused(guard(), mint(raw(twice))))
    for header in (b'{"alg":"ES256","alg":"none","kid":"a"}', b'{"kid":"b","alg":"ES256","kid":"a"}'):
        assert InvalidToken is type(refused(guard(), mint(header=header)))
    with pytest.raises(ValueError, match="a member twice"):
        fixed(json.dumps(public_jwk("ES256"))[:-1] + ',"kty":"EC"}')


@pytest.mark.parametrize(
    "octets", [b"\xef\xbb\xbf%s", b"%s\0", b"%s%s", b"[%s]", b"%s//", b"\xff%s", b"%s,"], ids=ascii
)
def test_a_claim_set_is_one_json_object_in_utf8(octets: bytes) -> None:
    """RFC 7519 §7.2: a mark, a second object or another encoding is a second reading."""
    payload = json.dumps(claims()).encode()
    for spoilt in (
        octets.replace(b"%s", payload),
        json.dumps(claims()).encode("utf-16"),
        json.dumps(claims()).encode("utf-32"),
    ):
        assert InvalidToken is type(refused(guard(), mint(spoilt)))


@pytest.mark.parametrize(
    "typ",
    [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-authz-req+jwt",
        "client-authentication+jwt",
        "token-introspection+jwt",
        "application/dpop+jwt",
        "JWS",
        "jwt ",
        "at+jwt\x00",
        "AT",
        "",
        "kb+jwt",
        "vc+sd-jwt",
    ],
    ids=ascii,
)
def test_a_token_of_another_type_is_no_access_token(typ: str) -> None:
    """RFC 8725 §3.12; measured in the field: six of seven libraries take DPoP proofs and logout tokens."""
    assert "typ" == rejected(claims(), header={"typ": typ})


OTHER_KINDS: dict[str, dict[str, Any]] = {
    "ID token": {"at_hash": "x"},
    "ID token of a hybrid flow": {"c_hash": "x"},
    "ID token for its client": {"nonce": "n", "azp": AUDIENCE},
    "ID token of Keycloak": {"typ": "ID"},
    "ID token of Cognito": {"token_use": "id"},
    "refresh token": {"typ": "Refresh"},
    "offline token": {"typ": "Offline"},
    "logout token": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
    "logout token of Keycloak": {"typ": "Logout"},
    "DPoP proof": {"htm": "GET", "htu": "https://api.test/orders"},
    "client assertion": {"sub": ISSUER},
}


@pytest.mark.parametrize("kind", OTHER_KINDS)
@pytest.mark.parametrize("typ", [None, "JWT", "application/jwt"])
def test_another_kind_of_token_from_the_same_issuer_is_refused(kind: str, typ: str | None) -> None:
    """RFC 8725 §2.8, RFC 9068 §2.1: signed by the right key, for the right audience, and not meant to open doors."""
    assert rejected(claims(**OTHER_KINDS[kind]), header={} if typ is None else {"typ": typ}) in (
        "sub",
        *OTHER_KINDS[kind],
    )


def test_who_asks_for_rfc_9068_gets_no_other_type() -> None:
    """RFC 9068 §4: at+jwt and nothing else, in any of its spellings."""
    of = Guard([rfc9068(ISSUER, AUDIENCE, keys=fixed(public_jwk("ES256", kid="a")))], clock=lambda: NOW)

    for typ in ("at+jwt", "AT+JWT", "application/at+jwt"):
        assert "ada-lovelace" == verdict(of, mint(header={"typ": typ})).user  # type: ignore[union-attr]
    for other in ({}, {"typ": "JWT"}, {"typ": "at+jwt2"}):
        assert "typ" == rejected(claims(), of, other)
    for claim in ("sub", "client_id", "iat", "jti"):
        assert claim == rejected(claims(**{claim: ABSENT}), of, {"typ": "at+jwt"})


@pytest.mark.parametrize("cnf", [{"jkt": "x"}, {"x5t#S256": "x"}, {"jwk": {}}, {"kid": "a"}, {}, None, ""], ids=repr)
@pytest.mark.parametrize("typ", ["at+jwt", "JWT"])
def test_a_token_that_is_bound_to_its_sender_is_no_bearer_token(cnf: object, typ: str) -> None:
    """RFC 9449 §7.2, RFC 8705 §3: whoever stole it would only have to leave the proof out."""
    assert "cnf" == rejected(claims(cnf=cnf), header={"typ": typ})


@pytest.mark.parametrize(
    "scope",
    [
        {"read": 1},
        5,
        True,
        None,
        [1],
        ["a", None],
        [["orders:read"]],
        "a\tb",
        "a\nb",
        "orders:read\r\nX: y",
        ["a\nb"],
        ["a b"],
        [""],
        "\x00",
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["scope", "scp"])
def test_a_scope_of_the_wrong_kind_is_401_and_no_crash(name: str, scope: object) -> None:
    """Measured in the field: Authlib crashed on an object; a tab or a line is no space (RFC 6749 §3.3)."""
    assert isinstance(refused(guard(), mint(claims(scope=ABSENT) | {name: scope})), ClaimRejected)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("orders:read", {"orders:read"}),
        ("orders:readwrite", {"orders:readwrite"}),
        ("ORDERS:READ", {"ORDERS:READ"}),
        ("  orders:read   x ", {"orders:read", "x"}),
        ("orders:read,orders:write", {"orders:read,orders:write"}),
        ("", set()),
        ("orders", {"orders"}),
        (["orders:read"], {"orders:read"}),
        ("orders:read\u00a0admin", {"orders:read\u00a0admin"}),
        ("orders:read\u2003admin", {"orders:read\u2003admin"}),
    ],
    ids=repr,
)
def test_a_scope_is_a_whole_word(scope: object, expected: set[str]) -> None:
    """Substrings, capitals and other separators are other scopes."""
    who: Any = verdict(guard(), mint(claims(scope=scope)))

    assert expected == who.scopes
    assert ("orders:read" in expected) == who.can("orders:read")


@pytest.mark.parametrize("roles", [{"admin": 1}, 5, ["admin", 5], [["admin"]], [None], [""]], ids=repr)
def test_roles_of_the_wrong_kind_are_401_and_no_crash(roles: object) -> None:
    """The same for roles, also where they are deep inside."""
    deep = guard(claims=ClaimNames(roles=(("realm_access", "roles"),)))

    assert isinstance(refused(guard(), mint(claims(roles=roles))), ClaimRejected)
    assert isinstance(refused(deep, mint(claims(realm_access={"roles": roles}))), ClaimRejected)


@pytest.mark.parametrize("access", [5, "admin", ["roles"], None, True], ids=repr)
def test_a_path_that_leads_nowhere_gives_no_roles(access: object) -> None:
    """Keycloak's roles are two levels down; a token may hold anything on the way."""
    who: Any = verdict(guard(claims=ClaimNames(roles=(("realm_access", "roles"),))), mint(claims(realm_access=access)))

    assert set() == who.roles


def test_scopes_are_no_roles() -> None:
    """A client that may choose its scopes must not choose its roles by that."""
    who: Any = verdict(guard(), mint(claims(scope="admin", roles=["user"])))

    assert ({"admin"}, {"user"}) == (who.scopes, who.roles)


@pytest.mark.parametrize("sub", [5, True, None, [], ["ada-lovelace"], {"a": 1}], ids=ascii)
@pytest.mark.parametrize("name", ["sub", "client_id", "azp"])
def test_what_is_no_text_names_nobody(name: str, sub: object) -> None:
    assert name == rejected(claims(**{name: sub}))


@pytest.mark.parametrize("name", ["ada\r\nX-Admin: 1", "ada\0", "a\x85b", "\x7f"], ids=ascii)
@pytest.mark.parametrize(("claim", "who"), [("sub", "user"), ("client_id", "client")])
def test_a_name_that_splits_a_header_names_nobody(claim: str, who: str, name: str) -> None:
    """Measured in the field: every peer takes line breaks in sub, which then end up in a header of the upstream."""
    assert who == rejected(claims(**{claim: name}))


def test_half_a_surrogate_is_no_text() -> None:
    """Measured in the field: it passes, and breaks whoever writes it down."""
    for member in ('"sub2":"\\ud800"', '"\\udfff":1', '"x":["\\ud83d"]'):
        assert InvalidToken is type(refused(guard(), mint(raw(member))))


def test_a_template_of_issuers_is_no_issuer() -> None:
    """Microsoft's multi-tenant metadata: "{tenantid}" is filled in by nobody, least of all by the token's tid."""
    template = "https://login.test/{tenantid}/v2.0"
    of = guard(issuer=template)

    assert UnknownIssuer is type(refused(of, mint(claims(iss="https://login.test/evil/v2.0", tid="evil"))))
    assert UnknownIssuer is type(refused(of, mint(claims(iss="https://login.test//v2.0", tid=""))))


def test_nothing_unverified_decides_anything() -> None:
    """CVE-2024-22513's class: claims of a token that nobody signed never reach a policy or a reader."""
    asked: list[object] = []

    def policy(_request: object, credentials: object) -> Any:
        asked.append(credentials)
        raise AssertionError

    def is_machine(values: object) -> bool:
        asked.append(values)
        return False

    of = guard(policy=policy, is_machine=is_machine)
    head, _, _ = mint(which="b").rpartition(".")
    error = refused(of, mint(header={"kid": "a"}, which="b"))

    assert BadSignature is type(error)
    assert isinstance(refused(of, head + "."), InvalidToken)
    assert [] == asked


def test_a_bad_claim_is_no_reason_before_the_signature_is_good() -> None:
    """Which rule fails is the business of whoever was really issued the token."""
    assert BadSignature is type(refused(guard(), mint(claims(exp=1, aud="x"), {"kid": "a"}, which="b")))


def test_a_token_that_could_not_be_good_does_not_reach_the_salt_generator() -> None:
    """Whoever can make us ask a database for each request, with a token of no worth, can take it down."""
    asked: list[object] = []

    def generate(given: Any) -> bytes:
        asked.append(given)
        return keys.secret()

    of = guard(keys=salted(generate))
    for spoilt in (
        claims(exp=NOW - HOUR),
        claims(aud="billing"),
        claims(iat=NOW + HOUR),
        claims(cnf={}),
        claims(at_hash="x"),
    ):
        assert isinstance(refused(of, mint(spoilt, alg="HS256")), ClaimRejected)
    assert isinstance(refused(of, mint(alg="ES256")), InvalidToken)
    assert isinstance(refused(of, mint(claims(iss="https://evil.test"), alg="HS256")), UnknownIssuer)
    assert [] == asked


def test_two_providers_do_not_lend_each_other_their_rules() -> None:
    """The issuer picks one provider, and that one's audience, leeway and names count."""
    of = Guard(
        [
            provider(name="one"),
            Provider("two", "https://two.test", "billing", keys=fixed(public_jwk("ES256", "b", kid="b"))),
        ],
        clock=lambda: NOW,
    )
    two = claims(iss="https://two.test", aud="billing")

    assert "two" == verdict(of, mint(two, which="b")).provider  # type: ignore[union-attr]
    assert "aud" == rejected(claims(aud="billing"), of)
    assert isinstance(refused(of, mint(claims(iss="https://two.test"), which="b")), ClaimRejected)
