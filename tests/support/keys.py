"""Algorithm names → private keys made once per run, their public halves, and signatures, without jwt_guard."""

from __future__ import annotations

import base64
import hashlib
import hmac
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .leaks import note

HMAC = ("HS256", "HS384", "HS512")
RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ECDSA = ("ES256", "ES384", "ES512", "ES256K")
EDWARDS = ("EdDSA", "Ed25519")
ML_DSA = ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87")
ASYMMETRIC = (*RSA, *ECDSA, *EDWARDS, *ML_DSA)
ALGORITHMS = (*HMAC, *ASYMMETRIC)

HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES: dict[str, tuple[str, ec.EllipticCurve]] = {
    "ES256": ("P-256", ec.SECP256R1()),
    "ES384": ("P-384", ec.SECP384R1()),
    "ES512": ("P-521", ec.SECP521R1()),
    "ES256K": ("secp256k1", ec.SECP256K1()),
}


def encode(octets: bytes) -> str:
    """Write *octets* in base64url, without padding."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Read what :func:`encode` writes."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def secret(which: str = "a") -> bytes:
    """Return a secret of 64 octets, another one for another name."""
    return hashlib.sha512(b"the secret called " + which.encode()).digest()


@cache
def private_key(family: str, which: str = "a") -> Any:
    """Make the key of this family and name, once."""
    match family:
        case "RSA":
            return rsa.generate_private_key(65_537, 2_048)
        case "Ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "ML-DSA-44":
            return mldsa.MLDSA44PrivateKey.generate()
        case "ML-DSA-65":
            return mldsa.MLDSA65PrivateKey.generate()
        case "ML-DSA-87":
            return mldsa.MLDSA87PrivateKey.generate()
        case _:
            return ec.generate_private_key(CURVES[family][1])


def family(alg: str) -> str:
    """Say which kind of key *alg* takes; keys are shared where the kind is."""
    return "RSA" if alg in RSA else "Ed25519" if alg in EDWARDS else alg


def public_key(alg: str, which: str = "a") -> Any:
    return private_key(family(alg), which).public_key()


def pem(alg: str, which: str = "a") -> bytes:
    form = PublicFormat.SubjectPublicKeyInfo
    octets: bytes = public_key(alg, which).public_bytes(Encoding.PEM, form)
    return octets


def der(alg: str, which: str = "a") -> bytes:
    form = PublicFormat.SubjectPublicKeyInfo
    octets: bytes = public_key(alg, which).public_bytes(Encoding.DER, form)
    return octets


def public_jwk(alg: str, which: str = "a", /, **members: Any) -> dict[str, Any]:
    """Return the public JWK (the secret itself, for HMAC), with *members* added."""
    if alg in HMAC:
        return {"kty": "oct", "k": encode(secret(which)), **members}
    key = public_key(alg, which)
    if alg in RSA:
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": encode(numbers.n.to_bytes(256)), "e": encode(numbers.e.to_bytes(3)), **members}
    if alg in EDWARDS:
        return {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_bytes_raw()), **members}
    if alg in ML_DSA:
        return {"kty": "AKP", "alg": alg, "pub": encode(key.public_bytes_raw()), **members}
    name, curve = CURVES[alg]
    width = (curve.key_size + 7) // 8
    point = key.public_numbers()
    x, y = (encode(number.to_bytes(width)) for number in (point.x, point.y))
    return {"kty": "EC", "crv": name, "x": x, "y": y, **members}


def sign(alg: str, octets: bytes, which: str = "a") -> bytes:
    """Return the signature of *alg* over *octets*, by the key called *which*."""
    if alg in HMAC:
        return note(hmac.digest(secret(which), octets, f"sha{alg[2:]}"))
    key = private_key(family(alg), which)
    if alg in RSA:
        digest = HASHES[alg[2:]]
        pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
        signature: bytes = key.sign(octets, pss if alg[0] == "P" else padding.PKCS1v15(), digest)
    elif alg in ECDSA:
        width = (CURVES[alg][1].key_size + 7) // 8
        r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(HASHES[alg[2:5]])))
        signature = r.to_bytes(width) + s.to_bytes(width)
    else:
        signature = key.sign(octets)
    return note(signature)
