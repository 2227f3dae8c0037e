"""Key material ↔ JWK (RFC 7517): the members that anybody may see, those that nobody may, and the name they give."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..errors import shown
from ..tokens.algorithms import CURVES, ML_DSA
from ..tokens.compact import to_base64url
from ..tokens.keys import KeyUnusable, key_from_jwk, key_from_pem, member_octets

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

    AkpPrivateKey: TypeAlias = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
    PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | AkpPrivateKey

__all__ = [
    "REQUIRED",
    "PrivateKey",
    "members_of_pem",
    "pem_of_public",
    "private_key",
    "private_members",
    "public_members",
    "public_pem",
    "thumbprint",
]

REQUIRED = {
    "RSA": ("e", "kty", "n"),
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "AKP": ("alg", "kty", "pub"),
}
"""By ``kty``: the members of a public key, without which it would be another (RFC 7638 §3.2)."""
_MOST_RSA_BITS = 8_192


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """Return the SHA-256 thumbprint of a public key (RFC 7638 §3, RFC 8037 §2, RFC 9964).

    Raises KeyUnusable.  A secret has none here: it would let anybody who sees it try secrets (RFC 7638 §7).
    """
    kty = jwk.get("kty")
    names = REQUIRED.get(kty) if isinstance(kty, str) else None
    if names is None:
        raise KeyUnusable(f"a key of kty {shown(kty)} has no thumbprint here")
    members = {name: jwk.get(name) for name in names}
    if not all(isinstance(value, str) and value for value in members.values()):
        raise KeyUnusable("a member that its thumbprint needs is missing or no text")
    text = json.dumps(members, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return to_base64url(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def public_members(key: PrivateKey) -> dict[str, str]:
    """Return what the public half of *key* is, as the members of a JWK."""
    return _members(key.public_key())


def members_of_pem(pem: bytes) -> dict[str, str]:
    """Return the public key, or that of the certificate, in *pem* as the members of a JWK.  Raises KeyUnusable."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key_from_pem(pem)  # which knows what is a key and what is none
    if b"-----BEGIN CERTIFICATE-----" in pem:
        return _members(x509.load_pem_x509_certificate(pem).public_key())
    return _members(load_pem_public_key(pem))


def _members(public: object) -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        for name, curve in CURVES.items():
            if isinstance(point.curve, getattr(ec, curve.python)):
                x, y = (_number(value, curve.coordinate) for value in (point.x, point.y))
                return {"kty": "EC", "crv": name, "x": x, "y": y}
        raise KeyUnusable("its curve is not known here")
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": to_base64url(public.public_bytes_raw())}
    raw: Callable[[], bytes] = getattr(public, "public_bytes_raw", bytes)
    for alg, parameters in ML_DSA.items():
        if parameters.public == len(raw()):
            return {"kty": "AKP", "alg": alg, "pub": to_base64url(raw())}
    raise KeyUnusable("its type is not one for signatures here")


def private_members(key: PrivateKey) -> dict[str, str]:
    """Return what turns the public JWK of *key* into the private one: for a file that nobody else can read."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        values = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
        values |= {"dp": numbers.dmp1, "dq": numbers.dmq1, "qi": numbers.iqmp}
        return {name: _number(value) for name, value in values.items()}
    if isinstance(key, ec.EllipticCurvePrivateKey):
        octets = (key.curve.key_size + 7) // 8  # RFC 7518 §6.2.2.1
        return {"d": _number(key.private_numbers().private_value, octets)}
    return {"d" if isinstance(key, ed25519.Ed25519PrivateKey) else "priv": to_base64url(key.private_bytes_raw())}


def public_pem(key: PrivateKey) -> bytes:
    """Return the public half of *key* in PEM (RFC 7468 §13)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def pem_of_public(jwk: Mapping[str, Any]) -> str:
    """Return the public key that *jwk* is in PEM (RFC 7468 §13).  Raises KeyUnusable."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key_from_jwk(dict(jwk))  # which knows what is a key and what is none
    key: Any
    match jwk["kty"]:
        case "RSA":
            key = rsa.RSAPublicNumbers(_integer(jwk, "e"), _integer(jwk, "n")).public_key()
        case "EC":
            curve = getattr(ec, CURVES[jwk["crv"]].python)()
            key = ec.EllipticCurvePublicNumbers(_integer(jwk, "x"), _integer(jwk, "y"), curve).public_key()
        case "OKP":
            key = ed25519.Ed25519PublicKey.from_public_bytes(member_octets(jwk, "x"))
        case "AKP":
            key = getattr(mldsa, ML_DSA[jwk["alg"]].python).from_public_bytes(member_octets(jwk, "pub"))
        case _:
            raise KeyUnusable("a secret has no public half")
    pem: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode("ascii")


def private_key(jwk: Mapping[str, Any]) -> PrivateKey:
    """Return the private key that *jwk* is, whose public members must fit it.  Raises KeyUnusable."""
    kty = jwk.get("kty")
    read = _READERS.get(kty) if isinstance(kty, str) else None
    if read is None:
        raise KeyUnusable(f"its kty {shown(kty)} is not one to sign with here")
    try:
        key = read(jwk)
        public = public_members(key)
    except KeyUnusable:
        raise
    except Exception as error:  # noqa: BLE001 - what cryptography raises is not one type, and may show numbers
        raise KeyUnusable(f"its numbers are no private key ({type(error).__name__})") from None
    if any(jwk.get(name) != public[name] for name in REQUIRED[public["kty"]]):
        raise KeyUnusable("its public members are not those of its private ones")
    return key


def _number(value: int, octets: int | None = None) -> str:
    return to_base64url(value.to_bytes((value.bit_length() + 7) // 8 if octets is None else octets, "big"))


def _integer(jwk: Mapping[str, Any], member: str) -> int:
    return int.from_bytes(member_octets(jwk, member), "big")


def _read_rsa(jwk: Mapping[str, Any]) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import rsa

    if "oth" in jwk:
        raise KeyUnusable("it has more than two primes")
    n, e, d = (_integer(jwk, member) for member in ("n", "e", "d"))
    if max(n.bit_length(), e.bit_length(), d.bit_length()) > _MOST_RSA_BITS:  # before anybody computes with it
        raise KeyUnusable(f"its numbers have more than {_MOST_RSA_BITS} bits")
    if "p" in jwk and "q" in jwk:
        p, q = _integer(jwk, "p"), _integer(jwk, "q")
    else:  # RFC 7518 §6.3.2: d alone is enough
        p, q = rsa.rsa_recover_prime_factors(n, e, d)
    # Some writers leave these out, and each follows from the others.
    dp = _integer(jwk, "dp") if "dp" in jwk else rsa.rsa_crt_dmp1(d, p)
    dq = _integer(jwk, "dq") if "dq" in jwk else rsa.rsa_crt_dmq1(d, q)
    qi = _integer(jwk, "qi") if "qi" in jwk else rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dp, dq, qi, rsa.RSAPublicNumbers(e, n)).private_key()


def _read_ec(jwk: Mapping[str, Any]) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    name = jwk.get("crv")
    curve = CURVES.get(name) if isinstance(name, str) else None
    if curve is None:
        raise KeyUnusable(f"its crv {shown(name)} is not known here")
    x, y, d = (member_octets(jwk, member) for member in ("x", "y", "d"))
    if not len(x) == len(y) == len(d) == curve.coordinate:  # RFC 7518 §6.2.1.2 and §6.2.2.1
        raise KeyUnusable("one of its numbers has the wrong length")
    point = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), getattr(ec, curve.python)()
    )
    return ec.EllipticCurvePrivateNumbers(int.from_bytes(d, "big"), point).private_key()


def _read_okp(jwk: Mapping[str, Any]) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if jwk.get("crv") != "Ed25519":
        raise KeyUnusable(f"its crv {shown(jwk.get('crv'))} is not known here")
    return Ed25519PrivateKey.from_private_bytes(member_octets(jwk, "d"))


def _read_akp(jwk: Mapping[str, Any]) -> PrivateKey:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    alg = jwk.get("alg")
    parameters = ML_DSA.get(alg) if isinstance(alg, str) else None
    if parameters is None:
        raise KeyUnusable(f"its alg {shown(alg)} is not known here")
    kind = getattr(mldsa, parameters.python.replace("Public", "Private"))
    return cast("PrivateKey", kind.from_seed_bytes(member_octets(jwk, "priv")))  # RFC 9964: priv is the seed


_READERS: Mapping[str, Callable[[Mapping[str, Any]], PrivateKey]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "OKP": _read_okp,
    "AKP": _read_akp,
}
