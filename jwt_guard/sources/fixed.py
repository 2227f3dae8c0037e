"""Keys in hand → a source that never waits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Misconfigured, UnknownKey, shown
from ..tokens.keys import KeySet, KeyUnusable, key_from_jwk, key_from_pem, key_from_secret, key_set_from_jwks
from ..tokens.strict_json import NotStrictJson, json_object
from .key_state import KeyState

if TYPE_CHECKING:
    from ..tokens.compact import Header, UnverifiedToken
    from ..tokens.keys import Key

__all__ = ["FixedKeys", "fixed", "shared_secret"]

_DEPTH = 16
_MOST_OCTETS = 1_048_576
_PUBLIC = ("kty", "kid", "alg", "use", "key_ops", "n", "e", "crv", "x", "y", "pub")


class FixedKeys:
    """A key source that has all its keys."""

    __slots__ = ("algorithms", "keys", "published")
    remembered = True
    """What its keys have vouched for may be remembered."""

    def __init__(self, keys: KeySet, published: Sequence[Mapping[str, Any]] | bytes = ()) -> None:
        self.keys = keys
        self.published = published
        """The same as it was given, JWKs or one PEM, for those who hand public keys on: nothing secret is in it."""
        self.algorithms = frozenset(alg for key in keys.keys for alg in key.verifiers)
        """Every algorithm that one of the keys may be used with."""

    def __call__(self, token: UnverifiedToken) -> Key:
        """Return the key that *token* means, or raise UnknownKey."""
        header = token.header
        key = self.keys.find(header.kid, header.alg)
        if key is None:
            raise UnknownKey(header.kid, header.alg)
        return key

    def rules_out(self, header: Header) -> bool:
        """Say whether no key is meant by *header*."""
        return self.keys.find(header.kid, header.alg) is None

    def state(self) -> KeyState:
        """Return what there is to see of it."""
        return KeyState(usable=True, keys=len(self.keys.keys), skipped=len(self.keys.skipped))


def fixed(material: Mapping[str, Any] | str | bytes | Path) -> FixedKeys:
    """Return a source of the keys in *material*: a JWK, a JWK Set, a PEM public key or certificate, or a file of one.

    Raises Misconfigured where there is no key in it that can be used; a key of a set that cannot be used is
    skipped, and ``source.keys.skipped`` says why.
    """
    try:
        return FixedKeys(*_read(material))
    except KeyUnusable as error:
        raise Misconfigured(f"fixed keys: {error}") from None


def shared_secret(secret: str | bytes, *, shortest: int | None = None) -> FixedKeys:
    """Return a source of one HMAC secret; Misconfigured for what is empty, short, or somebody's public key.

    *shortest* is the least length in bytes, instead of the hash length that RFC 7518 §3.2 asks for.
    """
    try:
        return FixedKeys(KeySet((key_from_secret(secret, shortest=shortest),)))
    except KeyUnusable as error:
        raise Misconfigured(f"shared secret: {error}") from None


def _read(
    material: Mapping[str, Any] | str | bytes | Path,
) -> tuple[KeySet, Sequence[Mapping[str, Any]] | bytes]:
    if isinstance(material, Path):
        try:
            with material.open("rb") as file:
                octets = file.read(_MOST_OCTETS + 1)
        except OSError as error:
            raise KeyUnusable(f"{shown(str(material))} cannot be read ({type(error).__name__})") from None
        if len(octets) > _MOST_OCTETS:
            raise KeyUnusable("the file is larger than 1 MiB")
    elif isinstance(material, Mapping):
        return _from_object(dict(material))
    elif isinstance(material, str | bytes):
        octets = material.encode("utf-8", "surrogatepass") if isinstance(material, str) else material
    else:
        raise KeyUnusable("they are given as a JWK, a JWK Set, a PEM text, or the Path of a file")
    if not octets.lstrip().startswith(b"{"):
        return KeySet((key_from_pem(octets),)), octets
    try:
        return _from_object(json_object(octets, _DEPTH))
    except NotStrictJson as error:
        raise KeyUnusable(f"the key {error}") from None


def _from_object(document: dict[str, Any]) -> tuple[KeySet, Sequence[Mapping[str, Any]]]:
    if "keys" in document:
        return key_set_from_jwks(document, symmetric=True), tuple(map(_public, document["keys"]))
    return KeySet((key_from_jwk(document),)), (_public(document),)


def _public(jwk: object) -> Mapping[str, Any]:
    members = jwk if isinstance(jwk, Mapping) and jwk.get("kty") != "oct" else {}
    return {name: members[name] for name in _PUBLIC if name in members}
