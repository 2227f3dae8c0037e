"""JWK, set, PEM or secret → keys that know what they are for, or the reason why there is none."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from jwt_guard.tokens.keys import (
    Key,
    KeySet,
    KeyUnusable,
    Skipped,
    key_from_jwk,
    key_from_pem,
    key_from_secret,
    key_set_from_jwks,
)
from tests.support import keys
from tests.support.keys import encode, public_jwk


def why_not(jwk: object, **options: Any) -> str:
    with pytest.raises(KeyUnusable) as caught:
        key_from_jwk(jwk, **options)
    return str(caught.value)


def key(kid: str | None, *algorithms: str) -> Key:
    return Key(kid, {alg: lambda _input, _signature: False for alg in algorithms})


# --- what a JWK may be used for ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alg", "expected"),
    [
        *((alg, keys.RSA) for alg in ("RS256",)),
        *((alg, (alg,)) for alg in (*keys.ECDSA, *keys.ML_DSA)),
        ("EdDSA", keys.EDWARDS),
        ("HS512", keys.HMAC),
    ],
)
def test_the_algorithms_come_from_the_type_of_the_key(alg: str, expected: tuple[str, ...]) -> None:
    assert set(expected) == key_from_jwk(public_jwk(alg)).algorithms


@pytest.mark.parametrize("alg", keys.ALGORITHMS)
def test_a_key_that_names_its_algorithm_is_for_no_other(alg: str) -> None:
    assert {alg} == key_from_jwk({**public_jwk(alg), "alg": alg}).algorithms


@pytest.mark.parametrize(
    ("of", "alg"),
    [
        ("RS256", "ES256"),
        ("RS256", "HS256"),
        ("RS256", "none"),
        ("RS256", ""),
        ("ES256", "ES384"),
        ("ES384", "ES256"),
        ("ES256", "ES256K"),
        ("EdDSA", "Ed448"),
        ("EdDSA", "RS256"),
        ("RS256", "RSA-OAEP"),
        ("RS256", "rs256"),
    ],
)
def test_an_algorithm_that_does_not_fit_the_type_makes_the_key_useless(of: str, alg: str) -> None:
    assert f"its alg {alg!r} does not fit its type" == why_not({**public_jwk(of), "alg": alg})


@pytest.mark.parametrize("alg", ["RS256", "HS1", "none", "dir"])
def test_a_secret_is_for_hmac_alone(alg: str) -> None:
    assert f"its alg {alg!r} does not fit a secret" == why_not({**public_jwk("HS256"), "alg": alg})


@pytest.mark.parametrize("jwk", [None, [], "jwk", 1, [{"kty": "RSA"}]], ids=ascii)
def test_a_key_is_an_object(jwk: object) -> None:
    assert "a key is a JSON object" == why_not(jwk)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"kid": 5}, "its kid is no text"),
        ({"kid": ["a"]}, "its kid is no text"),
        ({"alg": 5}, "its alg is no text"),
        ({"alg": ["RS256"]}, "its alg is no text"),
        ({"use": "enc"}, "its use is not sig"),
        ({"use": ["sig"]}, "its use is not sig"),
        ({"use": None}, "its use is not sig"),
        ({"key_ops": ["sign"]}, "its key_ops have no verify"),
        ({"key_ops": []}, "its key_ops have no verify"),
        ({"key_ops": "verify"}, "its key_ops have no verify"),
        ({"key_ops": None}, "its key_ops have no verify"),
        ({"issuer": 5}, "its issuer is no text"),
        ({"issuer": ["https://id.test"]}, "its issuer is no text"),
        ({"kty": "rsa"}, "its kty 'rsa' is not known here"),
        ({"kty": None}, "its kty None is not known here"),
        ({"kty": ["RSA"]}, "its kty ['RSA'] is not known here"),
        ({"n": None}, "its n is missing or no text"),
        ({"n": ""}, "its n is missing or no text"),
        ({"n": 5}, "its n is missing or no text"),
        ({"n": "+/=="}, "its n is not base64url"),
        ({"n": "é"}, "its n is not base64url"),
        ({"n": "\ud800"}, "its n is not base64url"),
        ({"e": "AQAB="}, "its e is not base64url"),
    ],
    ids=ascii,
)
def test_a_member_of_the_wrong_kind_makes_the_key_useless(members: dict[str, Any], expected: str) -> None:
    assert expected == why_not({**public_jwk("RS256"), **members})


def test_use_and_operations_that_allow_verifying_do_no_harm() -> None:
    jwk = public_jwk("RS256", "a", use="sig", key_ops=["sign", "verify"], kid="x", x5c=5, d="private")

    assert "x" == key_from_jwk(jwk).kid


def test_a_key_keeps_whose_it_says_it_is_and_another_issuer_makes_another_key() -> None:
    ours, theirs = (public_jwk("RS256", kid="a", issuer=f"https://id.test/{name}") for name in ("a", "b"))
    published = key_set_from_jwks(json.dumps({"keys": [ours]}).encode())
    again = key_set_from_jwks(json.dumps({"keys": [ours]}).encode(), known=published)
    moved = key_set_from_jwks(json.dumps({"keys": [theirs]}).encode(), known=published)

    assert "https://id.test/a" == published.keys[0].issuer
    assert published.keys[0] is again.keys[0]
    assert "https://id.test/b" == moved.keys[0].issuer
    assert None is key_from_jwk(public_jwk("RS256", kid="a", issuer=None)).issuer


def test_no_key_shows_what_it_is_made_of() -> None:
    jwk = public_jwk("HS256", "a", kid="x")

    assert "Key(kid='x')" == repr(key_from_jwk(jwk))


# --- RSA -----------------------------------------------------------------------------------------------------------


def rsa_jwk(n: int, e: int = 65_537) -> dict[str, str]:
    octets = n.to_bytes((n.bit_length() + 7) // 8 or 1)
    return {"kty": "RSA", "n": encode(octets), "e": encode(e.to_bytes((e.bit_length() + 7) // 8 or 1))}


@pytest.mark.parametrize("bits", [1, 512, 1_024, 2_047, 8_193, 16_384, 200_000])
def test_a_modulus_is_neither_weak_nor_a_burden(bits: int) -> None:
    assert "its modulus has not 2048 to 8192 bits" == why_not(rsa_jwk((1 << bits) - 1))


@pytest.mark.parametrize("bits", [2_048, 8_192])
def test_a_modulus_at_the_limit_will_do(bits: int) -> None:
    assert set(keys.RSA) == key_from_jwk(rsa_jwk((1 << bits) - 1)).algorithms


def test_an_even_modulus_is_no_product_of_two_primes() -> None:
    assert why_not(rsa_jwk((1 << 2_048) - 2)) in ("its modulus is even", "its numbers are no key (ValueError)")


@pytest.mark.parametrize("e", [0, 1, 2, 4, 65_536, (1 << 64) + 1, (1 << 2_047) + 1])
def test_an_exponent_is_odd_and_small(e: int) -> None:
    assert why_not(rsa_jwk((1 << 2_048) - 1, e)) in (
        "its exponent is not odd, 3 or more, and below 2^64",
        "its numbers are no key (ValueError)",
    )


def test_zeros_before_a_modulus_do_not_make_it_longer() -> None:
    jwk = public_jwk("RS256")
    padded = encode(bytes(128) + keys.decode(jwk["n"]))

    assert set(keys.RSA) == key_from_jwk({**jwk, "n": padded}).algorithms


# --- curves and lattices -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", keys.ECDSA)
def test_a_point_has_the_coordinates_of_its_curve(alg: str) -> None:
    jwk = public_jwk(alg)
    short = encode(keys.decode(jwk["x"])[1:])
    long_ = encode(b"\0" + keys.decode(jwk["y"]))

    assert "its coordinates have the wrong length" == why_not({**jwk, "x": short})
    assert "its coordinates have the wrong length" == why_not({**jwk, "y": long_})


@pytest.mark.parametrize("alg", keys.ECDSA)
def test_a_point_is_on_its_curve(alg: str) -> None:
    jwk = public_jwk(alg)

    assert "its numbers are no key (ValueError)" == why_not({**jwk, "x": jwk["y"], "y": jwk["x"]})
    assert "its numbers are no key (ValueError)" == why_not({**jwk, "x": "A" * len(jwk["x"]), "y": "A" * len(jwk["y"])})


@pytest.mark.parametrize("crv", ["P-192", "p-256", "secp256r1", "Ed25519", None, ["P-256"], 256])
def test_a_curve_is_one_of_ours(crv: object) -> None:
    assert f"its crv {crv!r} is not known here" == why_not({**public_jwk("ES256"), "crv": crv})


def test_the_point_of_one_curve_is_none_of_another() -> None:
    assert "its numbers are no key (ValueError)" == why_not({**public_jwk("ES256"), "crv": "secp256k1"})


@pytest.mark.parametrize("crv", ["Ed448", "X25519", "ed25519", None, ["Ed25519"]])
def test_only_ed25519_is_an_edwards_curve_here(crv: object) -> None:
    assert f"its crv {crv!r} is not known here" == why_not({**public_jwk("EdDSA"), "crv": crv})


@pytest.mark.parametrize("octets", [0, 31, 33, 64])
def test_an_edwards_point_has_32_octets(octets: int) -> None:
    expected = "its x is missing or no text" if not octets else "its numbers are no key (ValueError)"
    assert expected == why_not({"kty": "OKP", "crv": "Ed25519", "x": encode(bytes(octets))})


@pytest.mark.parametrize("alg", [None, "ML-DSA-99", "ES256", "ml-dsa-44", ["ML-DSA-44"]])
def test_an_akp_key_must_say_its_algorithm(alg: object) -> None:
    assert why_not({**public_jwk("ML-DSA-44"), "alg": alg}) in (
        f"its alg {alg!r} is not known here",
        "its alg is no text",
    )


def test_an_akp_key_has_the_length_of_its_parameters() -> None:
    assert "its pub has the wrong length" == why_not({**public_jwk("ML-DSA-44"), "alg": "ML-DSA-65"})


# --- secrets -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "expected"),
    [(32, {"HS256"}), (47, {"HS256"}), (48, {"HS256", "HS384"}), (64, {"HS256", "HS384", "HS512"})],
)
def test_a_secret_is_for_the_hashes_it_is_as_long_as(octets: int, expected: set[str]) -> None:
    assert expected == key_from_secret(b"x" * octets).algorithms


@pytest.mark.parametrize(("alg", "octets"), [("HS256", 31), ("HS384", 47), ("HS512", 63), (None, 31)])
def test_a_short_secret_is_too_short(alg: str | None, octets: int) -> None:
    with pytest.raises(KeyUnusable, match="too short"):
        key_from_secret(b"x" * octets, alg=alg)


def test_who_asks_for_short_secrets_gets_them_but_never_empty_ones() -> None:
    assert set(keys.HMAC) == key_from_secret("x", shortest=1).algorithms
    assert {"HS512"} == key_from_secret("x" * 30, alg="HS512", shortest=30).algorithms
    for secret, shortest in (("", 0), ("", -5), (" ", 1), ("x" * 29, 30)):
        with pytest.raises(KeyUnusable):
            key_from_secret(secret, shortest=shortest)


@pytest.mark.parametrize("k", [None, "", 5, "\ud800", "é" * 64, "AAA=", "A"], ids=ascii)
def test_a_secret_in_a_jwk_is_base64url(k: object) -> None:
    assert why_not({"kty": "oct", "k": k}) in ("its k is missing or no text", "its k is not base64url")


def test_material_of_a_public_key_is_no_secret_in_a_jwk_either() -> None:
    assert "the secret is a key in PEM" == why_not({"kty": "oct", "k": encode(keys.pem("RS256"))})


# --- PEM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("alg", ["RS256", *keys.ECDSA, "EdDSA"])
def test_a_public_key_in_pem_is_the_same_key(alg: str) -> None:
    from_pem = key_from_pem(b"\n  about this key\n" + keys.pem(alg), kid="x")

    assert key_from_jwk(public_jwk(alg)).algorithms == from_pem.algorithms
    assert "x" == from_pem.kid
    assert from_pem.verifiers[alg](b"input", keys.sign(alg, b"input"))


def certificate() -> bytes:
    private = keys.private_key("ES256")
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "id.test")])
    day = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    builder = x509.CertificateBuilder(name, name, private.public_key(), 1, day, day + dt.timedelta(1))
    return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_certificate_holds_a_key() -> None:
    assert {"ES256"} == key_from_pem(certificate()).algorithms


def private_pem() -> bytes:
    pem: bytes = keys.private_key("ES256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


def foreign(public: Any) -> bytes:
    pem: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (private_pem, "that is a private key: a guard needs only the public half"),
        (lambda: keys.pem("RS256") * 2, "a PEM file here holds one public key or one certificate"),
        (lambda: certificate() + keys.pem("ES256"), "a PEM file here holds one public key or one certificate"),
        (lambda: b"", "a PEM file here holds one public key or one certificate"),
        (
            lambda: b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "that is no PEM public key (ValueError)",
        ),
        (
            lambda: b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "that is no PEM public key (ValueError)",
        ),
        (lambda: foreign(ed448.Ed448PrivateKey.generate().public_key()), "its type is not one for signatures here"),
        (lambda: foreign(x25519.X25519PrivateKey.generate().public_key()), "its type is not one for signatures here"),
        (lambda: foreign(ec.generate_private_key(ec.SECP224R1()).public_key()), "its curve is not known here"),
        (lambda: foreign(weak_rsa()), "its modulus has not 2048 to 8192 bits"),
    ],
    ids=[
        "private",
        "two",
        "certificate and key",
        "empty",
        "no key",
        "no certificate",
        "Ed448",
        "X25519",
        "P-224",
        "RSA",
    ],
)
def test_what_is_no_public_key_for_signatures_is_refused(make: Any, expected: str) -> None:
    with pytest.raises(KeyUnusable) as caught:
        key_from_pem(make())

    assert expected == str(caught.value)


def weak_rsa() -> rsa.RSAPublicKey:
    return rsa.generate_private_key(65_537, 1_024).public_key()


# --- sets ----------------------------------------------------------------------------------------------------------


def test_a_key_that_cannot_be_used_is_skipped_with_a_reason_and_the_rest_works() -> None:
    bad = [5, {"kty": "EC", "crv": "P-256", "kid": "point", "x": "AA", "y": "AA"}, {"kty": "?", "kid": 5}]
    found = key_set_from_jwks({"keys": [*bad, public_jwk("ES256", "a", kid="good")]})

    assert ["good"] == [each.kid for each in found.keys]
    assert (
        Skipped(None, "a key is a JSON object"),
        Skipped("point", "its coordinates have the wrong length"),
        Skipped(None, "its kid is no text"),
    ) == found.skipped


def test_a_set_is_read_from_octets_as_strictly_as_a_token() -> None:
    text = json.dumps({"keys": [public_jwk("ES256", "a", kid="x")]})
    twice = text.replace('"kid"', '"crv": "P-384", "kid"')

    assert ["x"] == [each.kid for each in key_set_from_jwks(text.encode()).keys]
    with pytest.raises(KeyUnusable, match="the key set has a member twice"):
        key_set_from_jwks(twice.encode())
    with pytest.raises(KeyUnusable, match="the key set is no JSON object"):
        key_set_from_jwks(b"<html>")


@pytest.mark.parametrize("document", [{}, {"keys": None}, {"keys": {"a": 1}}, {"keys": "x"}], ids=ascii)
def test_a_set_has_a_list_of_keys(document: dict[str, Any]) -> None:
    with pytest.raises(KeyUnusable, match="no list of keys"):
        key_set_from_jwks(document)


def test_an_empty_set_is_none() -> None:
    with pytest.raises(KeyUnusable, match="it is empty"):
        key_set_from_jwks({"keys": []})


def test_a_set_without_a_usable_key_says_why() -> None:
    with pytest.raises(KeyUnusable, match="'x': its use is not sig"):
        key_set_from_jwks({"keys": [public_jwk("ES256", "a", kid="x", use="enc")]})


def test_a_set_has_a_bounded_number_of_keys() -> None:
    jwks = [public_jwk("ES256")] * 101
    with pytest.raises(KeyUnusable, match="more than 100 keys"):
        key_set_from_jwks({"keys": jwks})

    assert 100 == len(key_set_from_jwks({"keys": jwks[:100]}).keys)


def test_a_published_set_holds_no_secret() -> None:
    document = {"keys": [public_jwk("HS256", "a", kid="s"), public_jwk("ES256", "a", kid="p")]}

    assert (Skipped("s", "a secret does not belong in a published key set"),) == key_set_from_jwks(document).skipped
    assert {"s", "p"} == {each.kid for each in key_set_from_jwks(document, symmetric=True).keys}


# --- which key a token means ---------------------------------------------------------------------------------------

ONE, TWO, NAMELESS = key("1", "ES256"), key("2", "ES256", "RS256"), key(None, "ES256")


@pytest.mark.parametrize(
    ("keys_", "kid", "alg", "expected"),
    [
        ((ONE, TWO), "1", "ES256", ONE),
        ((ONE, TWO), "2", "ES256", TWO),
        ((ONE, TWO), "1", "RS256", None),
        ((ONE, TWO), "3", "ES256", None),
        ((ONE, TWO), None, "ES256", None),
        ((ONE, TWO), None, "RS256", TWO),
        ((ONE, TWO), "", "ES256", None),
        ((ONE,), None, "ES256", ONE),
        ((NAMELESS,), "1", "ES256", NAMELESS),
        ((NAMELESS,), None, "ES256", NAMELESS),
        ((NAMELESS, ONE), "1", "ES256", ONE),
        ((NAMELESS, ONE), "9", "ES256", NAMELESS),
        ((NAMELESS, ONE), "1", "RS256", None),
        ((NAMELESS, ONE), None, "ES256", None),
        ((NAMELESS, NAMELESS), "9", "ES256", None),
        ((NAMELESS, NAMELESS), None, "ES256", None),
        ((ONE, ONE), "1", "ES256", None),
        ((ONE, key("1", "RS256")), "1", "ES256", ONE),
    ],
    ids=range(18),
)
def test_a_token_means_one_key_or_none(keys_: tuple[Key, ...], kid: str | None, alg: str, expected: Key | None) -> None:
    assert expected is KeySet(keys_).find(kid, alg)


def test_a_token_that_names_a_skipped_key_means_no_other() -> None:
    found = KeySet((NAMELESS,), (Skipped("broken", "?"), Skipped(None, "?")))

    assert found.find("broken", "ES256") is None
    assert found.names("broken")
    assert not found.names("other")
    assert not found.names(None)


# --- a set that comes again --------------------------------------------------------------------------


def test_a_key_that_is_published_again_is_the_same_object_and_any_other_is_not() -> None:
    a, b, changed = (keys.public_jwk("ES256", which, kid=kid) for which, kid in (("a", "a"), ("b", "b"), ("c", "b")))
    before = key_set_from_jwks({"keys": [a, b]})

    after = key_set_from_jwks({"keys": [changed, dict(reversed(a.items())), {**a, "kid": "new"}]}, known=before)

    assert before.find("a", "ES256") is after.find("a", "ES256"), "whatever the order of its members"
    assert before.find("b", "ES256") is not after.find("b", "ES256")
    assert before.find("a", "ES256") is not after.find("new", "ES256")
    assert 4 == len({key.digest for key in (*before.keys, *after.keys)})
    assert {32} == {len(key.digest) for key in after.keys}


def test_what_else_a_key_says_makes_it_another() -> None:
    jwk = keys.public_jwk("ES256", kid="a")
    before = key_set_from_jwks({"keys": [jwk]})

    for more in ({"alg": "ES256"}, {"use": "sig"}, {"x5t": "x"}):
        assert before.keys[0] is not key_set_from_jwks({"keys": [{**jwk, **more}]}, known=before).keys[0]


def test_a_key_that_is_there_twice_is_none_the_second_time_either() -> None:
    jwk = keys.public_jwk("ES256", kid="a")
    before = key_set_from_jwks({"keys": [jwk]})

    assert None is key_set_from_jwks({"keys": [jwk, jwk]}, known=before).find("a", "ES256")


def test_a_key_that_did_not_come_from_a_set_is_never_taken_for_one_that_did() -> None:
    jwk = keys.public_jwk("ES256", kid="a")
    in_hand = KeySet((key_from_jwk(jwk),))

    assert in_hand.keys[0] is not key_set_from_jwks({"keys": [jwk]}, known=in_hand).keys[0]


def test_the_digest_of_a_key_is_not_shown() -> None:
    key = key_set_from_jwks({"keys": [keys.public_jwk("ES256", kid="a")]}).keys[0]

    assert "digest" not in repr(key)


def test_a_set_says_the_names_of_its_keys_also_of_those_that_are_not_used() -> None:
    found = key_set_from_jwks({"keys": [keys.public_jwk("ES256", kid="a"), {"kty": "new", "kid": "b"}, {}]})

    assert {"a", "b"} == found.kids
