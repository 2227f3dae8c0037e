"""Algorithm name + key material → a function that checks signatures: the one place that calls cryptography.

``cryptography`` is loaded with the first key, so that a program that only builds guards starts quickly.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

    AkpPublicKey: TypeAlias = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
    PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | AkpPublicKey

__all__ = ["ASYMMETRIC", "CURVES", "HMAC", "ML_DSA", "RSA", "Verifier", "hmac_verifier", "verifier"]

Verifier: TypeAlias = Callable[[bytes, bytes], bool]
"""(signing input, signature) → whether the key made the one over the other."""


@dataclass(frozen=True, slots=True)
class Curve:
    """What a JWK curve is good for."""

    alg: str
    hash: str
    """The hash of its algorithm, by ``cryptography``'s class name."""
    coordinate: int
    """Octets of one coordinate (RFC 7518 §6.2.1.2), and of r and of s (§3.4)."""
    python: str
    """The class of ``cryptography``'s ``ec``."""


@dataclass(frozen=True, slots=True)
class ModuleLattice:
    """One parameter set of ML-DSA (FIPS 204)."""

    public: int
    """Octets of the public key."""
    signature: int
    python: str
    """The class of ``cryptography``'s ``mldsa``."""


HMAC = {"HS256": 32, "HS384": 48, "HS512": 64}
"""RFC 7518 §3.2, with the octets that a secret must have: as many as the hash."""
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
"""RFC 7518 §3.3 and §3.5."""
CURVES = {
    "P-256": Curve("ES256", "SHA256", 32, "SECP256R1"),
    "P-384": Curve("ES384", "SHA384", 48, "SECP384R1"),
    "P-521": Curve("ES512", "SHA512", 66, "SECP521R1"),
    "secp256k1": Curve("ES256K", "SHA256", 32, "SECP256K1"),
}
"""RFC 7518 §3.4 and RFC 8812 §3.2: one algorithm a curve."""
ED25519 = ("EdDSA", "Ed25519")
"""RFC 8037 §3.1 and its fully specified name, RFC 9864 §2.2."""
ML_DSA = {
    "ML-DSA-44": ModuleLattice(1_312, 2_420, "MLDSA44PublicKey"),
    "ML-DSA-65": ModuleLattice(1_952, 3_309, "MLDSA65PublicKey"),
    "ML-DSA-87": ModuleLattice(2_592, 4_627, "MLDSA87PublicKey"),
}
"""RFC 9964: one algorithm a key, named in the key."""
ASYMMETRIC = frozenset((*RSA, *(curve.alg for curve in CURVES.values()), *ED25519, *ML_DSA))
"""What a provider accepts unless it says otherwise."""


def hmac_verifier(alg: str, secret: bytes) -> Verifier:
    """Return the check of *alg*, one of :data:`HMAC`, with *secret*."""
    keyed = hmac.new(secret, digestmod=f"sha{alg[2:]}")
    compare = hmac.compare_digest

    def check(signing_input: bytes, signature: bytes) -> bool:
        mac = keyed.copy()  # what the secret alone contributes is reckoned once
        mac.update(signing_input)
        return compare(mac.digest(), signature)

    return check


def verifier(alg: str, key: PublicKey) -> Verifier:
    """Return the check of *alg*, one of :data:`ASYMMETRIC`, with a *key* of the type that it takes."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return _rsa(alg, key)
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _ecdsa(next(curve for curve in CURVES.values() if curve.alg == alg), key)
    return _plain(key)


def _rsa(alg: str, key: rsa.RSAPublicKey) -> Verifier:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    digest: hashes.HashAlgorithm = getattr(hashes, f"SHA{alg[2:]}")()
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if alg.startswith("PS"):  # RFC 7518 §3.5: the salt is as long as the hash
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    octets = (key.key_size + 7) // 8
    verify = key.verify

    def check(signing_input: bytes, signature: bytes) -> bool:
        if len(signature) != octets:
            return False
        try:
            verify(signature, signing_input, scheme, digest)
        except InvalidSignature:
            return False
        return True

    return check


def _ecdsa(curve: Curve, key: ec.EllipticCurvePublicKey) -> Verifier:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    scheme = ec.ECDSA(getattr(hashes, curve.hash)())
    half = curve.coordinate
    encode = utils.encode_dss_signature
    verify = key.verify

    def check(signing_input: bytes, signature: bytes) -> bool:
        if len(signature) != 2 * half:  # RFC 7518 §3.4: r and s side by side, no DER
            return False
        r = int.from_bytes(signature[:half], "big")
        s = int.from_bytes(signature[half:], "big")
        try:
            verify(encode(r, s), signing_input, scheme)  # refuses r or s that is 0 or not below the order
        except InvalidSignature:
            return False
        return True

    return check


def _plain(key: ed25519.Ed25519PublicKey | AkpPublicKey) -> Verifier:
    from cryptography.exceptions import InvalidSignature

    verify = key.verify

    def check(signing_input: bytes, signature: bytes) -> bool:
        try:
            verify(signature, signing_input)
        except InvalidSignature:
            return False
        return True

    return check
