"""A key and an algorithm → a check that takes good signatures, no other, and never fails in another way."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256

from jwt_guard.tokens.algorithms import ASYMMETRIC, CURVES, HMAC, RSA, hmac_verifier, verifier
from tests.support import keys

INPUT = b"head.payload"


def check(alg: str, signature: bytes) -> bool:
    checks = hmac_verifier(alg, keys.secret()) if alg in HMAC else verifier(alg, keys.public_key(alg))
    return checks(INPUT, signature)


def test_the_lists_name_what_the_documents_name() -> None:
    assert set(keys.HMAC) == set(HMAC)
    assert set(keys.ASYMMETRIC) == ASYMMETRIC
    assert set(keys.RSA) == set(RSA)


@pytest.mark.parametrize("alg", keys.ALGORITHMS)
def test_a_good_signature_is_taken_and_a_spoilt_one_is_not(alg: str) -> None:
    good = keys.sign(alg, INPUT)

    assert check(alg, good) is True
    assert check(alg, keys.sign(alg, INPUT + b"x")) is False
    assert check(alg, good[:-1] + bytes([good[-1] ^ 1])) is False
    assert check(alg, bytes([good[0] ^ 1]) + good[1:]) is False


@pytest.mark.parametrize("alg", keys.ALGORITHMS)
def test_the_length_of_a_signature_is_exact(alg: str) -> None:
    good = keys.sign(alg, INPUT)

    for bad in (b"", b"\0", good[:-1], good + b"\0", b"\0" + good, good + good, bytes(len(good)), b"\xff" * len(good)):
        assert check(alg, bad) is False


@pytest.mark.parametrize("alg", keys.RSA)
def test_no_scheme_takes_the_signature_of_another(alg: str) -> None:
    for other in set(keys.RSA) - {alg}:
        assert check(alg, keys.sign(other, INPUT)) is False


@pytest.mark.parametrize("alg", keys.ECDSA)
def test_der_is_not_how_a_jws_writes_two_numbers(alg: str) -> None:
    der = keys.private_key(alg).sign(INPUT, ECDSA(keys.HASHES[alg[2:5]]))

    assert check(alg, der) is False


@pytest.mark.parametrize("alg", keys.ECDSA)
def test_zeros_before_a_number_make_another_signature(alg: str) -> None:
    good = keys.sign(alg, INPUT)
    half = len(good) // 2

    assert check(alg, good[:half] + b"\0" + good[half:]) is False
    assert check(alg, b"\0" + good[:half] + b"\0" + good[half:]) is False


@pytest.mark.parametrize("alg", keys.ECDSA)
def test_two_numbers_that_need_no_key_are_no_signature(alg: str) -> None:
    curve = next(curve for curve in CURVES.values() if curve.alg == alg)
    width = curve.coordinate
    order = {
        "ES256": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
        "ES256K": 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141,
    }.get(alg, 1 << (8 * width - 1))

    for r in (0, 1, order, order + 1):
        for s in (0, 1, order, order + 1):
            assert check(alg, r.to_bytes(width) + s.to_bytes(width)) is False


def test_secp256k1_and_p256_are_two_curves_of_one_length() -> None:
    assert verifier("ES256", keys.public_key("ES256"))(INPUT, keys.sign("ES256K", INPUT)) is False


def test_a_key_of_edwards_with_a_point_of_small_order_does_not_break_the_check() -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    for point in (bytes(32), b"\x01" + bytes(31), b"\xff" * 32):
        checks = verifier("EdDSA", Ed25519PublicKey.from_public_bytes(point))

        assert checks(INPUT, b"\x02" * 64) is False


def test_the_key_of_ecdsa_signs_with_the_hash_of_its_curve_only() -> None:
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    r, s = decode_dss_signature(keys.private_key("ES384").sign(INPUT, ECDSA(SHA256())))

    assert check("ES384", r.to_bytes(48) + s.to_bytes(48)) is False
