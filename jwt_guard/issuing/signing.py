"""Algorithm + private key or secret → SigningKey: a function that signs, and what may be published of it."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..errors import Misconfigured, shown
from ..tokens.algorithms import CURVES, ED25519, HMAC, ML_DSA, RSA
from ..tokens.compact import to_base64url
from ..tokens.keys import KeyUnusable, key_from_jwk, key_from_secret
from .jwk import private_members, public_members, public_pem, thumbprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from ..tokens.algorithms import Curve
    from ..tokens.keys import Key
    from .jwk import PrivateKey

__all__ = ["SigningKey", "make"]

Signer: TypeAlias = Callable[[bytes], bytes]

_RSA_BITS = 2_048
_RSA_EXPONENT = 65_537


def make(alg: str, kid: str | None = None) -> SigningKey:
    """Return a new key for *alg*; Misconfigured for one that nothing here can sign with."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

    if alg in HMAC:
        return SigningKey(alg, secrets.token_bytes(HMAC[alg]), kid)
    if alg in RSA:
        return SigningKey(alg, rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS), kid)
    if alg in ED25519:
        return SigningKey(alg, ed25519.Ed25519PrivateKey.generate(), kid)
    if alg in ML_DSA:
        kind = getattr(mldsa, ML_DSA[alg].python.replace("Public", "Private"))
        return SigningKey(alg, cast("PrivateKey", kind.generate()), kid)
    for curve in CURVES.values():
        if curve.alg == alg:
            return SigningKey(alg, ec.generate_private_key(getattr(ec, curve.python)()), kid)
    raise Misconfigured(f"signing key: {shown(alg)} is no algorithm to sign with here")


@dataclass(frozen=True, slots=True, eq=False)
class SigningKey:
    """A key to sign with, held to the same measure as a key to verify with.

    Raises Misconfigured for an algorithm that does not fit, and for a key that no guard here would take.
    """

    alg: str
    material: PrivateKey | bytes = field(repr=False)
    """A private key of ``cryptography``, or the octets of a secret."""
    kid: str | None = None
    """Its name; None becomes the RFC 7638 thumbprint (a secret stays nameless)."""
    public: Mapping[str, str] | None = field(init=False, repr=False)
    """What may be published, as a JWK; None for a secret, of which nothing may."""
    verifying: Key = field(init=False, repr=False)
    """The half that a guard needs."""
    sign: Signer = field(init=False, repr=False)
    """The octets to sign → the signature, as a JWS has it."""

    def __post_init__(self) -> None:
        """Check that the three fit together, and prepare what signing and publishing need."""
        if self.kid is not None and not (isinstance(self.kid, str) and self.kid):
            raise Misconfigured("signing key: its kid is a text that is not empty")
        try:
            if isinstance(self.material, bytes):
                self._set("public", None)
                self._set("verifying", key_from_secret(self.material, kid=self.kid, alg=self.alg))
                self._set("sign", _hmac(self.alg, self.material))
                return
            jwk = _published(self.alg, self.material, self.kid)
            self._set("kid", jwk["kid"])
            self._set("public", MappingProxyType(jwk))
            self._set("verifying", key_from_jwk(jwk))
            self._set("sign", _signer(self.alg, self.material))
        except KeyUnusable as error:
            raise Misconfigured(f"signing key: {error}") from None

    def private_jwk(self) -> dict[str, Any]:
        """Return the whole key as a JWK: for a file that nobody else can read, and nothing else."""
        if isinstance(self.material, bytes):
            jwk = {"kty": "oct", "k": to_base64url(self.material), "alg": self.alg, "use": "sig"}
            return jwk if self.kid is None else {**jwk, "kid": self.kid}
        return {**(self.public or {}), **private_members(self.material)}

    def public_pem(self) -> bytes:
        """Return the public half in PEM; Misconfigured for a secret, which has none."""
        if isinstance(self.material, bytes):
            raise Misconfigured("signing key: a secret has no public half")
        return public_pem(self.material)

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)


def _published(alg: str, key: PrivateKey, kid: str | None) -> dict[str, str]:
    members = public_members(key)
    if members.get("alg", alg) != alg:  # a key of ML-DSA is for one algorithm alone, and says which
        raise KeyUnusable(f"its alg {shown(alg)} does not fit its type")
    return {**members, "kid": thumbprint(members) if kid is None else kid, "alg": alg, "use": "sig"}


def _hmac(alg: str, secret: bytes) -> Signer:
    name = f"sha{alg[2:]}"
    return lambda octets: hmac.digest(secret, octets, name)


def _signer(alg: str, key: PrivateKey) -> Signer:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    if isinstance(key, rsa.RSAPrivateKey):
        return _rsa(alg, key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return _ecdsa(next(curve for curve in CURVES.values() if curve.alg == alg), key)
    return key.sign


def _rsa(alg: str, key: rsa.RSAPrivateKey) -> Signer:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    digest: hashes.HashAlgorithm = getattr(hashes, f"SHA{alg[2:]}")()
    scheme: padding.AsymmetricPadding = padding.PKCS1v15()
    if alg.startswith("PS"):  # RFC 7518 §3.5: the salt is as long as the hash
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size)
    sign = key.sign
    return lambda octets: sign(octets, scheme, digest)


def _ecdsa(curve: Curve, key: ec.EllipticCurvePrivateKey) -> Signer:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    scheme = ec.ECDSA(getattr(hashes, curve.hash)())
    half = curve.coordinate
    decode = utils.decode_dss_signature
    sign = key.sign

    def signature(octets: bytes) -> bytes:  # RFC 7518 §3.4: r and s, each of full length, and no ASN.1
        r, s = decode(sign(octets, scheme))
        return r.to_bytes(half, "big") + s.to_bytes(half, "big")

    return signature
