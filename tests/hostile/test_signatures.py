"""Attacks on who signed: each token here is one that some published verifier has taken."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import partial
from typing import Any

import pytest

from jwt_guard import Guard, Provider, fixed, salted, shared_secret
from jwt_guard.errors import BadSignature, InvalidToken, UnknownIssuer, UnknownKey
from tests.support import keys
from tests.support.keys import decode, encode, public_jwk, sign
from tests.support.minting import AUDIENCE, ISSUER, NOW, claims, guard, mint, minted, refused, verdict


def returned(secret: bytes, _claims: Any) -> bytes:
    return secret


def unsigned(header: dict[str, Any], signature: bytes = b"") -> str:
    head, payload = (encode(json.dumps(part).encode()) for part in (header, claims()))
    return minted(f"{head}.{payload}.{encode(signature)}")


def with_secret(secret: bytes, header: dict[str, Any] | None = None) -> str:
    """Return a token signed by HMAC with whatever an attacker can get hold of."""
    head, payload = (encode(json.dumps(part).encode()) for part in ({"alg": "HS256", **(header or {})}, claims()))
    mac = hmac.digest(secret, f"{head}.{payload}".encode(), hashlib.sha256)
    return minted(f"{head}.{payload}.{encode(mac)}")


def changed_signature(token: str, change: Any) -> str:
    head, _, signature = token.rpartition(".")
    return minted(f"{head}.{encode(change(decode(signature)))}")


def both(*algorithms: str, **options: Any) -> Guard:
    """Return a guard with one key for each of these algorithms, named after it."""
    jwks = {"keys": [public_jwk(alg, kid=alg) for alg in algorithms]}
    return guard(keys=fixed(jwks), **options)


def turned_away(of: Guard, token: str) -> bool:
    """Say whether *token* is refused before any key is asked about it."""
    return type(refused(of, token)) in (InvalidToken, UnknownKey)


@pytest.mark.parametrize("alg", keys.ALGORITHMS)
def test_the_honest_token_is_taken(alg: str) -> None:
    """Without this, every refusal below could be for a reason other than the attack."""
    answer: Any = verdict(guard(alg), mint(alg=alg))

    assert "ada-lovelace" == answer.user


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "nOnE", "NONE ", " none", "none\0", "nonE\n", "", "null"], ids=ascii
)
@pytest.mark.parametrize("with_kid", [True, False])
def test_alg_none_is_refused_in_every_spelling(alg: str, with_kid: bool) -> None:
    """CVE-2015-2951, CVE-2026-28802: a token that says it needs no signature."""
    header = {"alg": alg, **({"kid": "a"} if with_kid else {})}
    stolen = decode(mint().rpartition(".")[2])
    for of in (guard(), guard("HS256"), guard("RS256")):
        assert turned_away(of, unsigned(header))
        assert turned_away(of, unsigned(header, stolen))
        assert turned_away(of, unsigned(header, b"\0"))


def test_nobody_can_configure_a_guard_that_takes_alg_none() -> None:
    """CVE-2015-2951: "none" is no algorithm, in the header or in the configuration."""
    for name in ("none", "None", "NONE"):
        with pytest.raises(ValueError, match="not known here"):
            guard(algorithms=[name])
        with pytest.raises(ValueError, match="does not fit"):
            fixed({**public_jwk("RS256"), "alg": name})


@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_hmac_secret(alg: str) -> None:
    """CVE-2016-10555, CVE-2022-29217, CVE-2024-37568, CVE-2024-33663: RS/HS confusion, in every wrapping of the key."""
    pem, der = keys.pem(alg), keys.der(alg)
    jwk = json.dumps(public_jwk(alg, kid="a")).encode()
    raw = keys.public_key(alg)
    materials = [pem, pem.strip(), pem.decode().replace("\n", "").encode(), der, base64.b64encode(der), jwk]
    if alg in keys.RSA:
        materials.append(encode(raw.public_numbers().n.to_bytes(256)).encode())
    of = guard(alg)
    for material in materials:
        for header in ({}, {"kid": "a"}, {"alg": "HS512", "kid": "a"}):
            assert turned_away(of, with_secret(material, header))


def test_a_set_of_secrets_and_public_keys_is_refused() -> None:
    """CVE-2022-29217: where the two mix, whoever can check with the one could sign for the other."""
    with pytest.raises(ValueError, match="do not mix"):
        both("RS256", "HS256")
    with pytest.raises(ValueError, match="do not fit"):
        guard("RS256", algorithms=["RS256", "HS256"])


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_key_material_is_no_secret_for_the_one_who_configures_either(alg: str) -> None:
    """CVE-2023-48223, CVE-2026-34950 (blanks before PEM), CVE-2026-48526 (a JWK as the secret)."""
    pem, der = keys.pem(alg), keys.der(alg)
    jwk = json.dumps(public_jwk(alg))
    for material in (
        pem,
        b"\n  " + pem,
        der,
        base64.b64encode(der),
        jwk,
        f" {jwk}",
        json.dumps({"keys": [json.loads(jwk)]}),
    ):
        with pytest.raises(ValueError, match="the secret is a"):
            shared_secret(material)


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_key_material_from_a_salt_generator_refuses_the_token(alg: str) -> None:
    """CVE-2026-34950, CVE-2026-48526: the generator returns what everybody can read; the token is signed with that."""
    for material in (keys.pem(alg), b"\n" + keys.pem(alg), keys.der(alg), json.dumps(public_jwk(alg)).encode()):
        of = guard(keys=salted(partial(returned, material)))

        assert "SaltFailed" == type(refused(of, with_secret(material))).__name__


@pytest.mark.parametrize("secret", [b"", "", None, " ", "\t\n", b"\0" * 32, " " * 64, False, 0, [], {}], ids=repr)
def test_an_empty_secret_lets_nobody_in(secret: Any) -> None:
    """CVE-2026-44351, CVE-2026-45363: a lookup that finds nothing must not become a key that everybody has."""
    octets = secret if isinstance(secret, bytes) else secret.encode() if isinstance(secret, str) else b""
    for shortest in (None, 1):
        of = guard(keys=salted(lambda _claims: secret, shortest=shortest))

        assert "SaltFailed" == type(refused(of, with_secret(octets))).__name__
    with pytest.raises(ValueError, match="secret"):
        shared_secret(secret)


def test_a_short_secret_lets_nobody_in() -> None:
    """CWE-326, CVE-2025-45768: what can be guessed is no secret (RFC 7518 §3.2)."""
    short = b"x" * 31
    of = guard(keys=salted(lambda _claims: short))

    assert "SaltFailed" == type(refused(of, with_secret(short))).__name__
    with pytest.raises(ValueError, match="too short"):
        shared_secret(short)


def test_a_salt_generator_cannot_change_what_will_be_checked() -> None:
    """The unverified claims are read-only: an attacker's claims cannot talk the generator into changing them."""
    seen: list[Any] = []

    def generate(given: Any) -> bytes:
        changes: list[Any] = [
            lambda: given.__setitem__("aud", AUDIENCE),
            lambda: given.update(aud=AUDIENCE),
            lambda: given["list"].append(1),
        ]
        for change in changes:
            try:
                change()
            except (AttributeError, TypeError):
                seen.append("refused")
        return keys.secret()

    who: Any = verdict(guard(keys=salted(generate)), mint(claims(list=["x"]), alg="HS256"))

    assert ["refused"] * 3 == seen
    assert ("x",) == who.claims["list"]


@pytest.mark.parametrize("alg", ["RS512", "PS256", "PS384", "RS384"])
def test_a_token_does_not_choose_among_what_a_key_could_do(alg: str) -> None:
    """CVE-2026-48523: the header's alg must be the one of the JWK, not only fit the kind of key."""
    of = guard("RS256", keys=fixed(public_jwk("RS256", kid="a", alg="RS256")))
    assert UnknownKey is type(refused(of, mint(alg=alg)))


def test_a_token_does_not_choose_among_what_is_configured() -> None:
    """CVE-2026-22817, CVE-2026-22818: a JWK without alg gets its algorithms from its type and the configuration."""
    of = guard("RS256", algorithms=["PS256"])

    assert turned_away(of, mint(alg="RS256"))
    assert "ada-lovelace" == verdict(of, mint(alg="PS256")).user  # type: ignore[union-attr]


@pytest.mark.parametrize("alg", keys.ECDSA)
def test_psychic_signatures_are_refused(alg: str) -> None:
    """CVE-2022-21449: r or s of zero, or the order of the group, verified for every message."""
    width = (keys.CURVES[alg][1].key_size + 7) // 8
    of, token = guard(alg), mint(alg=alg)
    order = {
        "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        "ES384": int("F" * 48 + "C7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973", 16),
        "ES512": int("01" + "F" * 65 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16),
        "ES256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    }[alg]
    numbers = (0, 1, order - 1, order, order + 1)
    for signature in [r.to_bytes(width) + s.to_bytes(width) for r in numbers for s in numbers]:
        assert BadSignature is type(refused(of, changed_signature(token, lambda _, it=signature: it)))


def test_a_signature_whose_numbers_are_wrapped_around_is_another_signature() -> None:
    """CVE-2022-21449's relatives: s + n, r + n and DER are other spellings of a good signature."""
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

    of, token = guard("ES512"), mint(alg="ES512")
    order = int("01" + "F" * 65 + "A51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409", 16)

    def halves(signature: bytes) -> tuple[int, int]:
        return int.from_bytes(signature[:66]), int.from_bytes(signature[66:])

    def wrapped(signature: bytes) -> bytes:
        r, s = halves(signature)
        return r.to_bytes(66) + (s + order).to_bytes(66)

    for change in (wrapped, lambda it: encode_dss_signature(*halves(it)), lambda it: b"\0" + it[:66] + b"\0" + it[66:]):
        assert BadSignature is type(refused(of, changed_signature(token, change)))


@pytest.mark.parametrize(
    ("signs", "key"),
    [("ES256", "ES384"), ("ES384", "ES256"), ("ES256", "ES256K"), ("ES256K", "ES256"), ("ES512", "ES384")],
)
def test_a_curve_takes_its_own_algorithm_alone(signs: str, key: str) -> None:
    """RFC 7518 §3.4, RFC 8812 §3.2: a good signature on one curve, whose header names the algorithm of another."""
    head, payload = (encode(json.dumps(part).encode()) for part in ({"alg": key, "kid": "a"}, claims()))
    forged = minted(f"{head}.{payload}.{encode(sign(signs, f'{head}.{payload}'.encode()))}")

    assert BadSignature is type(refused(guard(key), forged))
    assert UnknownKey is type(
        refused(guard(key, algorithms=None, keys=both(key, "RS256").providers[0].keys), mint(alg=signs))
    )


def test_ed448_is_not_ed25519() -> None:
    """PyJWT 2.11's changelog: "EdDSA" says nothing about the curve, so the key must."""
    with pytest.raises(ValueError, match="not known here"):
        fixed({"kty": "OKP", "crv": "Ed448", "x": encode(bytes(57))})


@pytest.mark.parametrize("alg", ["HS256", "ES256", "RS256", "EdDSA", "ES512"])
def test_a_signature_has_one_spelling(alg: str) -> None:
    """RFC 7515 §2, RFC 4648 §3.5: spare bits, padding, the other alphabet and blanks would make twins of a token."""
    of, token = guard(alg), mint(alg=alg)
    head, _, signature = token.rpartition(".")
    twins = [
        signature + "=",
        signature + "==",
        signature + "\n",
        " " + signature,
        signature + "%3D",
        signature + "A",
        signature[:-1],
    ]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twins += [signature[:-1] + last for last in alphabet if last != signature[-1]]
    twins += [signature[:5] + blank + signature[5:] for blank in "\n\r\t =.!"]
    if "-" in signature or "_" in signature:
        twins.append(signature.replace("-", "+").replace("_", "/"))
    for twin in twins:
        assert isinstance(refused(of, minted(f"{head}.{twin}")), InvalidToken)


@pytest.mark.parametrize("part", [0, 1])
def test_a_signed_part_has_one_spelling_too(part: int) -> None:
    """RFC 7515 §2: an issuer that writes padding or spare bits signs what two parsers could read as two things."""
    for payload in (claims(), claims(x="a"), claims(x="ab")):
        segments = mint(payload).split(".")[:2]
        for spoilt in (
            segments[part] + "=",
            segments[part][:-1] + chr(ord(segments[part][-1]) + 1),
            segments[part] + "\n",
        ):
            parts = [*segments]
            parts[part] = spoilt
            signed = ".".join(parts)
            token = f"{signed}.{encode(sign('ES256', signed.encode()))}"

            assert InvalidToken is type(refused(guard(), minted(token)))


def test_a_mac_is_compared_whole_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2016-7036: the time a comparison takes tells how much of a guess was right."""
    compared: list[tuple[int, int]] = []
    genuine = hmac.compare_digest

    def watched(expected: bytes, given: bytes) -> bool:
        compared.append((len(expected), len(given)))
        return genuine(expected, given)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    of, token = guard("HS256"), mint(alg="HS256")

    verdict(of, token)
    for octets in (0, 1, 16, 31):
        assert BadSignature is type(refused(of, changed_signature(token, lambda it, n=octets: it[:n])))
    assert [(32, 32), (32, 0), (32, 1), (32, 16), (32, 31)] == compared


@pytest.mark.parametrize("with_kid", ["a", "b", None])
def test_a_key_inside_the_token_is_no_key(with_kid: str | None) -> None:
    """CVE-2018-0114, CVE-2026-27962: jwk, jku, x5u and x5c in a header are the attacker's own word."""
    stranger = {k: v for k, v in public_jwk("ES256", "b").items() if k != "kid"}
    chain = [base64.b64encode(keys.der("ES256", "b")).decode()]
    offers: list[dict[str, Any]] = [
        {"jwk": stranger},
        {"jwk": {**stranger, "kid": "a"}},
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"x5u": "http://127.0.0.1:9/cert.pem"},
        {"x5c": chain},
        {"x5t": "AA", "x5t#S256": "AA"},
        {"jwk": stranger, "jku": "https://id.test/jwks", "x5c": chain},
    ]
    for offer in offers:
        header = {**offer, **({} if with_kid is None else {"kid": with_kid})}
        raw = json.dumps({"alg": "ES256", **header}).encode()

        assert isinstance(refused(guard(), mint(header=raw, which="b")), BadSignature | UnknownKey)


def test_a_key_inside_a_good_token_does_it_no_harm() -> None:
    """RFC 7515 §4: what is not understood is ignored, also where it is nonsense."""
    answer: Any = verdict(guard(), mint(header={"jwk": "?", "jku": 5, "x5c": None, "x5u": [], "x5t": {}, "url": "x"}))

    assert "ada-lovelace" == answer.user


@pytest.mark.parametrize(
    "kid",
    [
        "../../dev/null",
        "/dev/null",
        "a' OR '1'='1",
        "a\x00",
        "a\r\nSet-Cookie: x=1",
        "A",
        " a",
        "a ",
        "\x1b[31m",
        "$(id)",
        "%61",
        "\u0430",
        "a" * 1025,
        "\u202ea",
    ],
    ids=ascii,
)
def test_a_kid_is_an_opaque_name(kid: str) -> None:
    """A kid that a careless verifier puts into a path, a query or a log: it is looked up exactly, or not at all."""
    assert isinstance(refused(both("ES256", "RS256"), mint(header={"kid": kid})), UnknownKey | InvalidToken)


@pytest.mark.parametrize("kid", [1, 0, True, None, ["a"], {"a": "a"}, 1.5], ids=repr)
def test_a_kid_is_a_text(kid: object) -> None:
    """A kid of another type crashed verifiers, or met keys that have none."""
    for of in (guard(), guard(keys=fixed(public_jwk("ES256")))):
        assert InvalidToken is type(refused(of, mint(header={"kid": kid})))


def test_a_key_of_one_issuer_does_not_speak_for_another() -> None:
    """CVE-2024-53861's neighbourhood: two issuers, one kid; each signs tokens in the name of the other."""
    others = "https://other.test"
    of = Guard(
        [
            Provider("one", ISSUER, AUDIENCE, keys=fixed(public_jwk("ES256", "a", kid="k"))),
            Provider("two", others, AUDIENCE, keys=fixed(public_jwk("ES256", "b", kid="k"))),
        ],
        clock=lambda: NOW,
    )
    one, two = claims(), claims(iss=others)

    assert "one" == verdict(of, mint(one, {"kid": "k"})).provider  # type: ignore[union-attr]
    assert "two" == verdict(of, mint(two, {"kid": "k"}, which="b")).provider  # type: ignore[union-attr]
    assert BadSignature is type(refused(of, mint(two, {"kid": "k"})))
    assert BadSignature is type(refused(of, mint(one, {"kid": "k"}, which="b")))


def test_an_algorithm_of_one_issuer_is_not_one_of_another() -> None:
    """RS/HS confusion across issuers: the secret of the one is no key of the other."""
    of = Guard(
        [
            Provider("one", ISSUER, AUDIENCE, keys=fixed(public_jwk("ES256", kid="k"))),
            Provider("two", "https://other.test", AUDIENCE, keys=shared_secret(keys.secret())),
        ],
        clock=lambda: NOW,
    )

    assert "two" == verdict(of, mint(claims(iss="https://other.test"), alg="HS256")).provider  # type: ignore[union-attr]
    assert turned_away(of, mint(alg="HS256"))
    assert turned_away(of, mint(claims(iss="https://other.test")))


def test_without_a_kid_keys_are_not_tried_one_after_another() -> None:
    """jwt_verify_lib tries them all: each is then work for an attacker to ask for, and a chance to be wrong."""
    jwks = {"keys": [public_jwk("ES256", "a", kid="a"), public_jwk("ES256", "b", kid="b")]}
    nameless = json.dumps({"alg": "ES256"}).encode()

    assert UnknownKey is type(refused(guard(keys=fixed(jwks)), mint(header=nameless)))
    assert "ada-lovelace" == verdict(guard(), mint(header=nameless)).user  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "crit",
    [[], ["exp"], ["typ"], ["b64"], ["alg"], ["x", "x"], [5], "exp", None, {}, 0, False, ["urn:x"], ["kid"]],
    ids=repr,
)
def test_whatever_crit_asks_for_is_refused(crit: object) -> None:
    """CVE-2025-59420, CVE-2026-32597: an extension that must be understood, and is not."""
    header = {"crit": crit, "exp": 1, "typ": "JWT", "urn:x": True, "x": 1}
    assert InvalidToken is type(refused(guard(), mint(header=header)))


@pytest.mark.parametrize("b64", [False, True, None, "false", 0], ids=repr)
@pytest.mark.parametrize("crit", [{}, {"crit": ["b64"]}], ids=["alone", "critical"])
def test_an_unencoded_payload_is_refused(b64: object, crit: dict[str, Any]) -> None:
    """CVE-2026-48525, RFC 7797 §7: a JWT never has one."""
    head = encode(json.dumps({"alg": "ES256", "kid": "a", "b64": b64, **crit}).encode())
    payload = json.dumps(claims(aud=AUDIENCE)).replace(".", "\\u002e")
    raw = f"{head}.{payload}"

    assert InvalidToken is type(refused(guard(), mint(header={"b64": b64, **crit})))
    assert InvalidToken is type(refused(guard(), minted(f"{raw}.{encode(sign('ES256', raw.encode()))}")))


def test_no_serialisation_but_the_compact_one_is_a_token() -> None:
    """CVE-2022-39227: JSON on the outside, compact inside, and two parsers that each see what they like."""
    good = mint()
    head, payload, signature = good.split(".")
    evil = encode(json.dumps(claims(sub="eve-the-forger")).encode())
    general = {"payload": payload, "signatures": [{"protected": head, "signature": signature}]}
    polyglots = [
        json.dumps({"protected": head, "payload": payload, "signature": signature}),
        json.dumps(general),
        f'{{"protected":"{head}","payload":"{payload}","signature":"{signature}"}}',
        f'{{"  {head}.{evil}.":"","protected":"{head}","payload":"{payload}","signature":"{signature}"}}',
        f"{head}.{evil}.{signature}.{payload}",
        f"{head}.{payload}.{signature}.{head}.{evil}",
        f"{head}.{payload}.{signature}~",
        f"{good} {good}",
        f"{good},{good}",
        f"{good}\n",
        f" {good}",
    ]
    for polyglot in polyglots:
        assert InvalidToken is type(refused(guard(), minted(polyglot)))


def test_an_encrypted_token_was_signed_by_nobody() -> None:
    """CVE-2022-3102, GHSA-c8v6-786g-vjx6: anybody can encrypt to a public key."""
    five = ".".join([encode(json.dumps({"alg": "RSA-OAEP", "enc": "A256GCM"}).encode()), *(encode(bytes(16)),) * 4])
    three = mint(header={"enc": "A256GCM"}, which="b")

    assert InvalidToken is type(refused(guard("RS256"), minted(five)))
    assert BadSignature is type(refused(guard(), minted(three))) or UnknownKey is type(refused(guard(), three))
    for alg in ("RSA-OAEP", "dir", "A128KW", "PBES2-HS256+A128KW", "ECDH-ES"):
        assert turned_away(guard("RS256"), unsigned({"alg": alg, "kid": "a"}, bytes(256)))


@pytest.mark.parametrize("cty", ["JWT", "jwt", "application/jwt", "Application/JWT", ["JWT"], 5], ids=repr)
def test_a_token_within_a_token_is_refused(cty: object) -> None:
    """RFC 7519 §5.2: the outer signature vouches for nothing that the inner one says."""
    inner = mint(claims(sub="somebody-else"), which="b")

    assert InvalidToken is type(refused(guard(), mint(header={"cty": cty})))
    assert InvalidToken is type(refused(guard(), mint(inner.encode(), {"cty": cty})))
    assert InvalidToken is type(refused(guard(), mint(inner.encode())))


def rsa_jwk(n: int, e: int) -> dict[str, str]:
    return {
        "kty": "RSA",
        "n": encode(n.to_bytes((n.bit_length() + 7) // 8)),
        "e": encode(e.to_bytes((e.bit_length() + 7) // 8 or 1)),
    }


@pytest.mark.parametrize("e", [0, 1, 2, 65_536])
def test_an_exponent_that_signs_everything_is_no_key(e: int) -> None:
    """With e = 1 a signature is the padded message itself, which anybody can write."""
    n = keys.public_key("RS256").public_numbers().n
    with pytest.raises(ValueError, match="fixed keys"):
        fixed(rsa_jwk(n, e))


@pytest.mark.parametrize("bits", [512, 1_024, 2_040, 8_200, 16_384, 1_000_000])
def test_a_modulus_is_neither_weak_nor_endless(bits: int) -> None:
    """CWE-326 below; above, one verification would take seconds."""
    with pytest.raises(ValueError, match="2048 to 8192 bits"):
        fixed(rsa_jwk((1 << bits) - 1, 65_537))


@pytest.mark.parametrize("alg", keys.ML_DSA)
def test_a_spoilt_lattice_key_does_not_spoil_the_set(alg: str) -> None:
    """joserfc#104 and fastapi-azure-auth: one AKP key in a set broke all of it."""
    good = public_jwk(alg, kid="good")
    spoilt = [
        {**good, "kid": "no alg", "alg": None},
        {k: v for k, v in good.items() if k != "alg"},
        {**good, "kid": "short", "pub": encode(bytes(10))},
        {**good, "kid": "other", "alg": "ML-DSA-44" if alg != "ML-DSA-44" else "ML-DSA-65"},
        {**good, "kid": "unknown", "alg": "SLH-DSA-SHA2-128s"},
    ]
    source = fixed({"keys": [*spoilt, good]})
    of = guard(keys=source)

    assert len(spoilt) == len(source.keys.skipped)
    assert "ada-lovelace" == verdict(of, mint(header={"kid": "good"}, alg=alg)).user  # type: ignore[union-attr]
    assert UnknownKey is type(refused(of, mint(header={"kid": "other"}, alg=alg)))


def test_a_key_for_encryption_checks_no_signature() -> None:
    """RFC 7517 §4.2, §4.3: a key that its owner gave to others for something else."""
    for members in ({"use": "enc"}, {"key_ops": ["encrypt"]}, {"use": "enc", "key_ops": ["verify"]}):
        with pytest.raises(ValueError, match="fixed keys"):
            fixed(public_jwk("RS256", kid="a", **members))


def test_a_token_that_was_taken_lends_its_good_name_to_no_other() -> None:
    """CVE-2026-35030, GHSA-rp9m-7r4c-75qg, product-apim#7406: what is remembered must be the whole token."""
    of, token = guard(), mint()
    head, payload, signature = token.split(".")
    forged = encode(json.dumps(claims(sub="eve-the-forger")).encode())

    for _ in range(3):
        assert "ada-lovelace" == verdict(of, token).user  # type: ignore[union-attr]
        assert BadSignature is type(refused(of, minted(f"{head}.{forged}.{signature}")))
        assert BadSignature is type(refused(of, minted(f"{head}.{payload}.{encode(sign('ES256', b'?', 'b'))}")))
        assert isinstance(refused(of, token[:-20] + "A" * 20), InvalidToken)


def test_one_guard_does_not_remember_for_another() -> None:
    """GHSA-rp9m-7r4c-75qg: a token good for one audience, asked for at another."""
    token = mint()

    assert "ada-lovelace" == verdict(guard(), token).user  # type: ignore[union-attr]
    assert "ClaimRejected" == type(refused(guard(audience="billing"), token)).__name__
    assert UnknownIssuer is type(refused(guard(issuer="https://other.test"), token))
    assert BadSignature is type(refused(guard(keys=fixed(public_jwk("ES256", "b", kid="a"))), token))
