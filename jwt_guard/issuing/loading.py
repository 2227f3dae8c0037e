"""A file with a private JWK, a JWK Set or a PEM key → the SigningKey in it, or what may be published of its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured, shown
from ..tokens.algorithms import ED25519, HMAC, RSA
from ..tokens.keys import KeyUnusable, key_from_jwk, member_octets
from ..tokens.strict_json import NotStrictJson, json_object
from .jwk import REQUIRED, private_key, public_members, thumbprint
from .signing import SigningKey

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .jwk import PrivateKey

__all__ = ["load_signing_key", "public_jwks", "signing_key"]

_DEPTH = 16
_MOST_OCTETS = 1_048_576
_PRIVATE = ("d", "priv", "k")
_PREFERRED = (ED25519[0], RSA[0], *HMAC)  # where the type of a key leaves the choice


def load_signing_key(path: Path, *, kid: str | None = None, alg: str | None = None) -> SigningKey:
    """Return the key to sign with in the file at *path*; reads as :func:`signing_key` does.

    Raises Misconfigured, also where the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            octets = file.read(_MOST_OCTETS + 1)
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror or 'cannot be read'}") from None
    if len(octets) > _MOST_OCTETS:
        raise Misconfigured(f"{path}: the file is larger than 1 MiB")
    try:
        return signing_key(octets, kid=kid, alg=alg)
    except Misconfigured as error:
        raise Misconfigured(f"{path}: {error}") from None


def signing_key(material: Mapping[str, Any] | bytes, *, kid: str | None = None, alg: str | None = None) -> SigningKey:
    """Return the key to sign with in *material*: a private JWK, a JWK Set with one, or a PEM private key.

    *kid* says which of several is meant, or names one that has no name.  *alg* is needed where neither the
    key nor its type says it otherwise than by custom (RS256, EdDSA).  Raises Misconfigured.
    """
    try:
        if isinstance(material, bytes):
            if not material.lstrip().startswith(b"{"):
                return _from_pem(material, kid, alg)
            material = json_object(material, _DEPTH)
        return _from_jwk(_chosen(material, kid) if "keys" in material else material, kid, alg)
    except NotStrictJson as error:
        raise Misconfigured(f"signing key: the file {error}") from None
    except KeyUnusable as error:
        raise Misconfigured(f"signing key: {error}") from None


def public_jwks(material: Mapping[str, Any] | bytes) -> list[dict[str, str]]:
    """Return the public half of each key in *material*: a JWK, private or public, a JWK Set, or a PEM private key.

    Twins, of which one is to sign and the other to verify, are one key.  A key without a name is named by its
    RFC 7638 thumbprint; ``alg`` is there where the key or its type says it.  Nothing else of a key is taken along.
    Raises Misconfigured, also for a secret, of which nothing may be published.
    """
    try:
        if isinstance(material, bytes) and not material.lstrip().startswith(b"{"):
            return [_published(dict(_from_pem(material, None, None).public or {}), {})]
        document = json_object(material, _DEPTH) if isinstance(material, bytes) else material
        found: list[dict[str, str]] = []
        for entry in _entries(document):
            public = _published(_public_half(entry), entry)
            if public not in found:
                found.append(public)
    except NotStrictJson as error:
        raise Misconfigured(f"public keys: the file {error}") from None
    except KeyUnusable as error:
        raise Misconfigured(f"public keys: {error}") from None
    return found


def _entries(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    entries = document.get("keys", [document])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise KeyUnusable("the keys of the set are no list of keys")
    return entries


def _public_half(jwk: Mapping[str, Any]) -> dict[str, Any]:
    if jwk.get("kty") == "oct":
        raise KeyUnusable("a secret has no public half")
    if jwk.get("use", "sig") != "sig":  # RFC 7517 §4.2
        raise KeyUnusable("its use is not sig")
    if any(name in jwk for name in _PRIVATE):
        return public_members(private_key(jwk))
    # key_ops say what this half is for; whoever signs with the other one has it elsewhere.
    key_from_jwk({name: value for name, value in jwk.items() if name not in {"key_ops", "kid"}})
    return dict(jwk)


def _published(public: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, str]:
    members = {name: public[name] for name in REQUIRED[public["kty"]]}
    kid, alg = said.get("kid"), said.get("alg", public.get("alg") if said else None)
    if not isinstance(kid, str | None) or not isinstance(alg, str | None):
        raise KeyUnusable("its kid or its alg is no text")
    algorithms = key_from_jwk(members if alg is None else {**members, "alg": alg}).algorithms
    members["kid"] = kid or thumbprint(members)
    if len(algorithms) == 1:  # a type that leaves a choice leaves it to those who sign
        members["alg"] = next(iter(algorithms))
    return {**members, "use": "sig"}


def _chosen(document: Mapping[str, Any], kid: str | None) -> Mapping[str, Any]:
    """Return the one key of a set that may sign; its public twin, often under the same name, does not count."""
    entries = document["keys"]
    if not isinstance(entries, list):
        raise KeyUnusable("the keys of the set are no list")
    able = [entry for entry in entries if isinstance(entry, dict) and _why_not(entry) is None]
    named = [entry for entry in able if kid is None or entry.get("kid") == kid]
    if len(named) == 1:
        return named[0]
    names = ", ".join(shown(entry.get("kid")) for entry in able) or "none"
    raise KeyUnusable(f"the set has {len(named)} keys to sign with that could be meant; its names: {names}")


def _why_not(jwk: Mapping[str, Any]) -> str | None:
    if not any(name in jwk for name in _PRIVATE):
        return "it has no private half"
    if jwk.get("use", "sig") != "sig":  # RFC 7517 §4.2
        return "its use is not sig"
    operations = jwk.get("key_ops", ["sign"])
    if not isinstance(operations, list) or "sign" not in operations:  # RFC 7517 §4.3
        return "its key_ops have no sign"
    return None


def _from_jwk(jwk: Mapping[str, Any], kid: str | None, alg: str | None) -> SigningKey:
    reason = _why_not(jwk)
    if reason is not None:
        raise KeyUnusable(reason)
    own_kid, own_alg = jwk.get("kid"), jwk.get("alg")
    if not isinstance(own_kid, str | None) or not isinstance(own_alg, str | None):
        raise KeyUnusable("its kid or its alg is no text")
    if alg is not None and own_alg is not None and alg != own_alg:
        raise KeyUnusable(f"it is for {shown(own_alg)}, not for {shown(alg)}")
    if kid is not None and own_kid is not None and kid != own_kid:
        raise KeyUnusable(f"its kid is {shown(own_kid)}, not {shown(kid)}")
    chosen, name = own_alg or alg, own_kid or kid
    if jwk.get("kty") == "oct":
        return SigningKey(chosen or next(iter(HMAC)), member_octets(jwk, "k"), name)
    key = private_key(jwk)
    return SigningKey(chosen or _algorithm(key), key, name)


def _from_pem(pem: bytes, kid: str | None, alg: str | None) -> SigningKey:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"ENCRYPTED" in pem:
        raise KeyUnusable("the PEM key is encrypted, and nothing here asks for its password")
    if b"PRIVATE KEY-----" not in pem:
        raise KeyUnusable("that is neither a JWK nor a PEM private key")
    try:
        key: Any = load_pem_private_key(pem, password=None)
        public_members(key)
    except KeyUnusable:
        raise
    except Exception as error:  # noqa: BLE001 - what cryptography raises is not one type, and may show the key
        raise KeyUnusable(f"that is no PEM key to sign with ({type(error).__name__})") from None
    return SigningKey(alg or _algorithm(key), key, kid)


def _algorithm(key: PrivateKey) -> str:
    """Return the algorithm of a key that does not name one: what its type says, by custom where it says several."""
    fitting = key_from_jwk(public_members(key)).algorithms
    return next((alg for alg in _PREFERRED if alg in fitting), min(fitting))
