"""JWK, JWK Set, PEM or secret → keys that know what they may be used for.

A key's algorithms come from the key: its ``alg``, else what its type and curve allow.  A token can only
choose among them, so RS/HS confusion has nowhere to happen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from ..errors import InvalidToken, shown
from .algorithms import CURVES, ED25519, HMAC, ML_DSA, RSA, Verifier, hmac_verifier, verifier
from .compact import from_base64url
from .secrets import usable_secret
from .strict_json import NotStrictJson, json_object

if TYPE_CHECKING:
    from .algorithms import PublicKey

__all__ = [
    "Key",
    "KeySet",
    "KeyUnusable",
    "Skipped",
    "key_from_jwk",
    "key_from_pem",
    "key_from_secret",
    "key_set_from_jwks",
    "member_octets",
]

_RSA_BITS = range(2_048, 8_193)
_RSA_EXPONENT_BITS = 64
_MOST_KEYS = 100
_JWKS_DEPTH = 16


class KeyUnusable(ValueError):
    """Why a key is not used; never any of the key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key, with a prepared check for each algorithm that it may be used with."""

    kid: str | None
    verifiers: Mapping[str, Verifier] = field(repr=False)
    digest: bytes = field(default=b"", repr=False)
    """SHA-256 of the published JWK, by which it is known again in the next set; empty for any other key."""
    issuer: str | None = field(default=None, repr=False)
    """Whose tokens it is for, where the JWK itself says so, as Microsoft's do in a set that tenants share."""

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms this key may be used with."""
        return frozenset(self.verifiers)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A key of a set that is not used, and why; the others are."""

    kid: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys to choose from by name and algorithm."""

    keys: tuple[Key, ...]
    skipped: tuple[Skipped, ...] = ()
    _index: Mapping[tuple[str | None, str], Key | None] = field(init=False, repr=False, compare=False)
    _nameless: Mapping[str, Key | None] = field(init=False, repr=False, compare=False)
    _names: frozenset[str | None] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the keys; where two could be meant, None says that neither is."""
        index: dict[tuple[str | None, str], Key | None] = {}
        nameless: dict[str, Key | None] = {}
        for key in self.keys:
            for alg in key.verifiers:
                if key.kid is None:
                    nameless[alg] = None if alg in nameless else key
                else:
                    index[key.kid, alg] = None if (key.kid, alg) in index else key
                index[None, alg] = None if (None, alg) in index else key
        every: list[Key | Skipped] = [*self.keys, *self.skipped]
        names = frozenset(named.kid for named in every if named.kid is not None)
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "_nameless", nameless)
        object.__setattr__(self, "_names", names)

    def find(self, kid: str | None, alg: str) -> Key | None:
        """Return the one key that *kid* and *alg* can mean, or None.

        A token without ``kid`` may mean the only key that fits its algorithm, and a token with one may
        mean the only such key that has no name of its own.  Where two would do, none does: keys are not
        tried one after another.
        """
        key = self._index.get((kid, alg))
        if key is None and kid is not None and kid not in self._names:
            return self._nameless.get(alg)
        return key

    @property
    def kids(self) -> frozenset[str | None]:
        """The names in the set, also of keys that are not used."""
        return self._names

    def names(self, kid: str | None) -> bool:
        """Say whether the set has a key called *kid*, usable or not, so that asking for it again is idle."""
        return kid in self._names


def key_set_from_jwks(
    document: Mapping[str, Any] | bytes,
    *,
    symmetric: bool = False,
    most: int = _MOST_KEYS,
    known: KeySet | None = None,
) -> KeySet:
    """Read a JWK Set (RFC 7517 §5), skipping with a reason each key that cannot be used.

    *symmetric* says whether it may hold secrets: one that came over the network may not.  A published key that
    is in the *known* set already is that one, the same object, so that what it has vouched for stays good.
    Raises KeyUnusable where it is no JWK Set, has more than *most* keys, or none that can be used.
    """
    if isinstance(document, bytes):
        try:
            document = json_object(document, _JWKS_DEPTH)
        except NotStrictJson as error:
            raise KeyUnusable(f"the key set {error}") from None
    jwks = document.get("keys")
    if not isinstance(jwks, list):
        raise KeyUnusable("the key set has no list of keys")
    if len(jwks) > most:
        raise KeyUnusable(f"the key set has more than {most} keys")
    by_digest = {key.digest: key for key in known.keys} if known is not None else {}
    keys: list[Key] = []
    skipped: list[Skipped] = []
    for jwk in jwks:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        try:
            if symmetric:
                keys.append(key_from_jwk(jwk))
                continue
            digest = hashlib.sha256(json.dumps(jwk, sort_keys=True).encode("ascii")).digest()
            keys.append(by_digest.get(digest) or replace(key_from_jwk(jwk, symmetric=False), digest=digest))
        except KeyUnusable as error:
            skipped.append(Skipped(kid if isinstance(kid, str) else None, str(error)))
    if not keys:
        reasons = "; ".join(f"{shown(key.kid)}: {key.reason}" for key in skipped)
        raise KeyUnusable(f"the key set has no key that can be used ({reasons or 'it is empty'})")
    return KeySet(tuple(keys), tuple(skipped))


def key_from_jwk(jwk: object, *, symmetric: bool = True, shortest_secret: int | None = None) -> Key:
    """Read one JWK (RFC 7517 §4); its private members are ignored.  Raises KeyUnusable."""
    if not isinstance(jwk, dict):
        raise KeyUnusable("a key is a JSON object")
    kid, alg = jwk.get("kid"), jwk.get("alg")
    if kid is not None and not isinstance(kid, str):
        raise KeyUnusable("its kid is no text")
    if alg is not None and not isinstance(alg, str):
        raise KeyUnusable("its alg is no text")
    issuer = jwk.get("issuer")  # of nobody's standard: Microsoft says so whose tokens a key is for
    if issuer is not None and not isinstance(issuer, str):
        raise KeyUnusable("its issuer is no text")
    if jwk.get("use", "sig") != "sig":  # RFC 7517 §4.2
        raise KeyUnusable("its use is not sig")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:  # RFC 7517 §4.3
        raise KeyUnusable("its key_ops have no verify")
    kty = jwk.get("kty")
    if kty == "oct":
        if not symmetric:
            raise KeyUnusable("a secret does not belong in a published key set")
        return key_from_secret(member_octets(jwk, "k"), kid=kid, alg=alg, shortest=shortest_secret)
    read = _READERS.get(kty) if isinstance(kty, str) else None
    if read is None:
        raise KeyUnusable(f"its kty {shown(kty)} is not known here")
    try:
        public = read(jwk)
    except KeyUnusable:
        raise
    except Exception as error:  # noqa: BLE001 - what cryptography raises for bad numbers is not one type, and a set must survive it
        raise KeyUnusable(f"its numbers are no key ({type(error).__name__})") from None
    return _public(public, kid, alg, issuer)


def key_from_pem(pem: bytes, *, kid: str | None = None, alg: str | None = None) -> Key:
    """Read one public key or certificate in PEM (RFC 7468).  Raises KeyUnusable."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY" in pem:
        raise KeyUnusable("that is a private key: a guard needs only the public half")
    if pem.count(b"-----BEGIN ") != 1:
        raise KeyUnusable("a PEM file here holds one public key or one certificate")
    public: object
    try:
        if b"-----BEGIN CERTIFICATE-----" in pem:
            public = x509.load_pem_x509_certificate(pem).public_key()
        else:
            public = load_pem_public_key(pem)
    except Exception as error:  # noqa: BLE001 - as above
        raise KeyUnusable(f"that is no PEM public key ({type(error).__name__})") from None
    return _public(public, kid, alg)


def key_from_secret(
    secret: object, *, kid: str | None = None, alg: str | None = None, shortest: int | None = None
) -> Key:
    """Make an HMAC key of *secret*, text or bytes, for each algorithm it is long enough for.  Raises KeyUnusable.

    *shortest* replaces the lengths that RFC 7518 §3.2 asks for (32, 48 and 64 bytes); it cannot be 0.
    """
    if alg is not None and alg not in HMAC:
        raise KeyUnusable(f"its alg {shown(alg)} does not fit a secret")
    octets = usable_secret(secret)
    if isinstance(octets, str):
        raise KeyUnusable(octets)
    long_enough = [
        name for name, needed in HMAC.items() if len(octets) >= (needed if shortest is None else max(1, shortest))
    ]
    if alg is not None:
        long_enough = [name for name in long_enough if name == alg]
    if not long_enough:
        raise KeyUnusable("the secret is too short")
    return Key(kid, {name: hmac_verifier(name, octets) for name in long_enough})


def _public(public: object, kid: str | None, alg: str | None, issuer: str | None = None) -> Key:
    fitting = _fitting(public)
    if alg is not None and alg not in fitting:
        raise KeyUnusable(f"its alg {shown(alg)} does not fit its type")
    chosen = fitting if alg is None else (alg,)
    return Key(kid, {name: verifier(name, cast("PublicKey", public)) for name in chosen}, issuer=issuer)


def _fitting(public: object) -> tuple[str, ...]:
    """Return the algorithms that a key of this type and size may be used with, or raise KeyUnusable."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, rsa

    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        if public.key_size not in _RSA_BITS:
            raise KeyUnusable("its modulus has not 2048 to 8192 bits")
        if not numbers.n & 1:
            raise KeyUnusable("its modulus is even")
        if numbers.e < 3 or not numbers.e & 1 or numbers.e.bit_length() > _RSA_EXPONENT_BITS:  # noqa: PLR2004
            raise KeyUnusable("its exponent is not odd, 3 or more, and below 2^64")
        return RSA
    if isinstance(public, ec.EllipticCurvePublicKey):
        for curve in CURVES.values():
            if isinstance(public.curve, getattr(ec, curve.python)):
                return (curve.alg,)
        raise KeyUnusable("its curve is not known here")
    if isinstance(public, ed25519.Ed25519PublicKey):
        return ED25519
    for name, parameters in ML_DSA.items():
        if isinstance(public, getattr(mldsa, parameters.python)):
            return (name,)
    raise KeyUnusable("its type is not one for signatures here")


def member_octets(jwk: Mapping[str, Any], member: str) -> bytes:
    """Return what the base64url text *member* of *jwk* stands for.  Raises KeyUnusable."""
    value = jwk.get(member)
    if not isinstance(value, str) or not value:
        raise KeyUnusable(f"its {member} is missing or no text")
    try:
        return from_base64url(value.encode("ascii", "replace"), member)
    except InvalidToken:
        raise KeyUnusable(f"its {member} is not base64url") from None


def _read_rsa(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    n, e = (int.from_bytes(member_octets(jwk, member), "big") for member in ("n", "e"))
    if n.bit_length() not in _RSA_BITS:  # before anybody computes with it
        raise KeyUnusable("its modulus has not 2048 to 8192 bits")
    return RSAPublicNumbers(e, n).public_key()


def _read_ec(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    name = jwk.get("crv")
    curve = CURVES.get(name) if isinstance(name, str) else None
    if curve is None:
        raise KeyUnusable(f"its crv {shown(name)} is not known here")
    x, y = member_octets(jwk, "x"), member_octets(jwk, "y")
    if not len(x) == len(y) == curve.coordinate:  # RFC 7518 §6.2.1.2
        raise KeyUnusable("its coordinates have the wrong length")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(x, "big"), int.from_bytes(y, "big"), getattr(ec, curve.python)()
    )
    return numbers.public_key()


def _read_okp(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if jwk.get("crv") != "Ed25519":
        raise KeyUnusable(f"its crv {shown(jwk.get('crv'))} is not known here")
    return Ed25519PublicKey.from_public_bytes(member_octets(jwk, "x"))


def _read_akp(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import mldsa

    alg = jwk.get("alg")  # RFC 9964: required, since nothing else says which parameter set it is
    parameters = ML_DSA.get(alg) if isinstance(alg, str) else None
    if parameters is None:
        raise KeyUnusable(f"its alg {shown(alg)} is not known here")
    public = member_octets(jwk, "pub")
    if len(public) != parameters.public:
        raise KeyUnusable("its pub has the wrong length")
    key: PublicKey = getattr(mldsa, parameters.python).from_public_bytes(public)
    return key


_READERS: Mapping[str, Callable[[Mapping[str, Any]], PublicKey]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "OKP": _read_okp,
    "AKP": _read_akp,
}
