"""Each vector of this folder → proof, by libraries other than jwt_guard, that it says the truth about itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import joserfc.errors
import joserfc.jwk
import joserfc.jws
import jwcrypto.jwk  # type: ignore[import-untyped]
import jwcrypto.jws  # type: ignore[import-untyped]
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Vector = dict[str, Any]

HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES: dict[str, tuple[str, ec.EllipticCurve]] = {
    "ES256": ("P-256", ec.SECP256R1()),
    "ES256K": ("secp256k1", ec.SECP256K1()),
    "ES384": ("P-384", ec.SECP384R1()),
    "ES512": ("P-521", ec.SECP521R1()),
}
EDWARDS: dict[str, type[ed25519.Ed25519PublicKey | ed448.Ed448PublicKey]] = {
    "Ed25519": ed25519.Ed25519PublicKey,
    "Ed448": ed448.Ed448PublicKey,
}
MLDSA: dict[str, type[mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey]] = {
    "ML-DSA-44": mldsa.MLDSA44PublicKey,
    "ML-DSA-65": mldsa.MLDSA65PublicKey,
    "ML-DSA-87": mldsa.MLDSA87PublicKey,
}
REQUIRED = {"id", "source", "alg", "jws", "key", "header", "payload", "verifies", "note"}
OPTIONAL = {"pem", "clock", "expected_audience", "client_id", "expected_parse"}
SECRET = {"d", "p", "q", "dp", "dq", "qi", "oth", "priv"}

# Where a library is known to read otherwise than the RFCs; the strict reader below has no such list.
DIFFERS = {
    ("jwcrypto", "joat-hs256"),  # wants 32 octets of secret
    ("jwcrypto", "hostile-json-serialization"),  # reads both serializations with one function
    ("jwcrypto", "hostile-padded"),
    ("jwcrypto", "hostile-plain-base64-alphabet"),
    ("jwcrypto", "hostile-stray-bits-in-signature"),
    ("jwcrypto", "hostile-empty-critical-list"),
    ("joserfc", "hostile-empty-critical-list"),
    ("jwcrypto", "hostile-es256-wide-numbers"),
}


def load() -> list[Vector]:
    files = sorted(Path(__file__).parent.glob("*.json"))
    return [vector for file in files for vector in json.loads(file.read_text(encoding="utf-8"))]


VECTORS = load()
BY_ID = {vector["id"]: vector for vector in VECTORS}


def each(vectors: Iterable[Vector]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector["id"]) for vector in vectors])


def each_known_to(library: str, *unknown: str) -> pytest.MarkDecorator:
    """Leave out what has no key to check with, and what the library does not know or reads otherwise."""
    with_key = (vector for vector in VECTORS if vector["key"] is not None)
    known = (vector for vector in with_key if vector["key"]["kty"] not in unknown)
    return each(vector for vector in known if (library, vector["id"]) not in DIFFERS)


def encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if encode(octets) != text:
        raise ValueError("not the one way to write these octets")
    return octets


def number(text: str) -> int:
    return int.from_bytes(decode(text))


def rsa_key(key: dict[str, str]) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()


def check_mac(alg: str, key: dict[str, str], signature: bytes, signed: bytes) -> None:
    if not hmac.compare_digest(hmac.digest(decode(key["k"]), signed, "sha" + alg[2:]), signature):
        raise InvalidSignature


def check_rsa(alg: str, key: dict[str, str], signature: bytes, signed: bytes) -> None:
    digest = HASHES[alg[2:]]
    pss = padding.PSS(padding.MGF1(digest), digest.digest_size)
    rsa_key(key).verify(signature, signed, pss if alg[0] == "P" else padding.PKCS1v15(), digest)


def check_ecdsa(alg: str, key: dict[str, str], signature: bytes, signed: bytes) -> None:
    name, curve = CURVES[alg]
    width = (curve.key_size + 7) // 8
    if key["crv"] != name or len(signature) != 2 * width:
        raise InvalidSignature
    point = ec.EllipticCurvePublicNumbers(number(key["x"]), number(key["y"]), curve).public_key()
    der = encode_dss_signature(int.from_bytes(signature[:width]), int.from_bytes(signature[width:]))
    point.verify(der, signed, ec.ECDSA(HASHES[alg[2:5]]))


def check_edwards(alg: str, key: dict[str, str], signature: bytes, signed: bytes) -> None:
    if alg not in {"EdDSA", key["crv"]}:
        raise InvalidSignature
    EDWARDS[key["crv"]].from_public_bytes(decode(key["x"])).verify(signature, signed)


def check_mldsa(alg: str, key: dict[str, str], signature: bytes, signed: bytes) -> None:
    MLDSA[alg].from_public_bytes(decode(key["pub"])).verify(signature, signed)


CHECKS = {
    **dict.fromkeys(("HS256", "HS384", "HS512"), ("oct", check_mac)),
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", check_rsa)),
    **dict.fromkeys(CURVES, ("EC", check_ecdsa)),
    **dict.fromkeys(("EdDSA", "Ed25519", "Ed448"), ("OKP", check_edwards)),
    **dict.fromkeys(MLDSA, ("AKP", check_mldsa)),
}


def is_signed_by(key: dict[str, str], jws: str, alg: str) -> bool:
    """Say whether the bare signature fits, whatever else the header asks for."""
    protected, payload, signature = jws.split(".")
    kty, check = CHECKS[alg]
    if key["kty"] != kty:
        return False
    try:
        check(alg, key, decode(signature), f"{protected}.{payload}".encode())
    except (InvalidSignature, ValueError):
        return False
    return True


def by_primitives(vector: Vector) -> bool:
    """Read as strictly as the RFCs ask, knowing no extension and taking the algorithm from the key's owner."""
    jws, alg, key = vector["jws"], vector["alg"], vector["key"]
    if key is None or not re.fullmatch(r"[\w-]+\.[\w-]*\.[\w-]+", jws, re.ASCII):
        return False
    try:
        protected, _ = json.loads(decode(jws.split(".")[0])), decode(jws.split(".")[1])
    except ValueError:
        return False
    if not isinstance(protected, dict) or protected.get("alg") != alg or "crit" in protected:
        return False
    return is_signed_by(key, jws, alg)


def by_jwcrypto(vector: Vector) -> bool:
    reader = jwcrypto.jws.JWS()
    reader.allowed_algs = [vector["alg"]]
    try:
        reader.deserialize(vector["jws"], jwcrypto.jwk.JWK(**vector["key"]))
    except (jwcrypto.jws.InvalidJWSObject, jwcrypto.jws.InvalidJWSSignature):
        return False
    return True


def by_joserfc(vector: Vector) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", joserfc.errors.SecurityWarning)  # EdDSA is an old name, which is the point
        try:
            key = joserfc.jwk.import_key(vector["key"])
            joserfc.jws.deserialize_compact(vector["jws"], key, algorithms=[vector["alg"]])
        except (joserfc.errors.JoseError, ValueError):
            return False
    return True


def test_there_are_vectors_and_no_two_share_an_id() -> None:
    expected = {"golden_jws", "hostile", "rfc7515", "rfc7519", "rfc7520", "rfc8037", "rfc9964", "self_made"}

    assert expected == {file.stem for file in Path(__file__).parent.glob("*.json")}
    assert len(VECTORS) == len(BY_ID)


@each(VECTORS)
def test_a_strict_reader_of_primitives_agrees(vector: Vector) -> None:
    assert vector["verifies"] == by_primitives(vector)


@each_known_to("jwcrypto")
def test_jwcrypto_agrees(vector: Vector) -> None:
    assert vector["verifies"] == by_jwcrypto(vector)


@each_known_to("joserfc", "AKP")
def test_joserfc_agrees(vector: Vector) -> None:
    assert vector["verifies"] == by_joserfc(vector)


@each(VECTORS)
def test_the_decoded_parts_are_those_of_the_token(vector: Vector) -> None:
    protected, *rest = vector["jws"].split(".")
    try:
        header = json.loads(decode(protected))
    except ValueError:
        header = None
    try:
        payload = decode(rest[0]).decode() if rest else None
    except ValueError:
        payload = None

    assert (header if isinstance(header, dict) else None) == vector["header"]
    assert payload == vector["payload"]


@each(VECTORS)
def test_every_vector_has_the_same_shape_and_no_private_half(vector: Vector) -> None:
    extra = vector.keys() - REQUIRED

    assert REQUIRED <= vector.keys()
    assert extra <= OPTIONAL
    assert not SECRET & (vector["key"] or {}).keys()
    assert all(isinstance(vector[name], str) for name in ("id", "source", "alg", "jws", "note"))
    assert vector["verifies"] is False or vector["alg"] == vector["header"]["alg"]


@each(vector for vector in VECTORS if "pem" in vector)
def test_a_pem_text_holds_the_same_key_as_the_jwk(vector: Vector) -> None:
    der, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    key = jwcrypto.jwk.JWK(**vector["key"]).export_to_pem()

    expected = serialization.load_pem_public_key(key).public_bytes(der, form)
    assert expected == serialization.load_pem_public_key(vector["pem"].encode()).public_bytes(der, form)


@pytest.mark.parametrize("name", MLDSA)
def test_the_kid_of_an_mldsa_key_is_its_thumbprint(name: str) -> None:
    key = BY_ID[f"rfc9964-a1-{name.lower()}"]["key"]
    members = json.dumps({m: key[m] for m in ("alg", "kty", "pub")}, separators=(",", ":"))

    assert encode(hashlib.sha256(members.encode()).digest()) == key["kid"]


@pytest.mark.parametrize("unsecured", ["rfc7515-a5-none", "rfc7519-6.1-none"])
def test_an_unsecured_example_says_what_the_secured_one_says(unsecured: str) -> None:
    # nothing is signed there, so only the twin can tell of a slip
    payload = BY_ID["rfc7515-a1-hs256"]["jws"].split(".")[1]

    assert f"eyJhbGciOiJub25lIn0.{payload}." == BY_ID[unsecured]["jws"]


def test_a_golden_token_without_a_key_still_has_a_whole_signature() -> None:
    layouts = [v for v in VECTORS if v["key"] is None and v["alg"] == "RS512"]

    assert 3 == len(layouts)
    assert {256} == {len(decode(v["jws"].split(".")[2])) for v in layouts}


# A hostile token is worth its place only while one repair away from a good one: otherwise it would be refused
# for a reason other than the one it stands for.

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def with_signature(jws: str, change: Callable[[bytes], bytes]) -> str:
    head, _, signature = jws.rpartition(".")
    return f"{head}.{encode(change(base64.urlsafe_b64decode(signature + '==')))}"


def canonical(jws: str) -> str:
    return with_signature(jws, lambda octets: octets)


def wide(signature: bytes) -> bytes:
    return signature[1:33] + signature[34:]


def from_der(signature: bytes) -> bytes:
    return b"".join(n.to_bytes(32) for n in decode_dss_signature(signature))


def reduced_edwards(signature: bytes) -> bytes:
    s = int.from_bytes(signature[32:], "little") - ED25519_ORDER
    return signature[:32] + s.to_bytes(32, "little")


def from_json(jws: str) -> str:
    parts = json.loads(jws)
    return f"{parts['protected']}.{parts['payload']}.{parts['signature']}"


def reduced_rsa(signature: bytes) -> bytes:
    modulus = number(BY_ID["rfc7515-a2-rs256"]["key"]["n"])
    return (int.from_bytes(signature) - modulus).to_bytes(256)


REPAIRS: dict[str, Callable[[str], str]] = {
    "padded": lambda jws: jws.rstrip("="),
    "space-in-signature": lambda jws: jws.replace(" ", ""),
    "foreign-character": lambda jws: jws.replace("!", ""),
    "line-break-after": lambda jws: jws.rstrip("\n"),
    "stray-bits-in-signature": canonical,
    "plain-base64-alphabet": lambda jws: jws.replace("+", "-").replace("/", "_"),
    "json-serialization": from_json,
    "four-parts": lambda jws: jws.removesuffix("."),
    "five-parts": lambda jws: ".".join(jws.split(".")[:3]),
    "unknown-critical-name": lambda jws: jws,
    "empty-critical-list": lambda jws: jws,
    "critical-name-absent": lambda jws: jws,
    "stray-bits-in-header": lambda jws: jws,
    "stray-bits-in-payload": lambda jws: jws,
    "es256-der": lambda jws: with_signature(jws, from_der),
    "es256-wide-numbers": lambda jws: with_signature(jws, wide),
    "rsa-not-reduced": lambda jws: with_signature(jws, reduced_rsa),
    "rsa-leading-zero-dropped": lambda jws: with_signature(jws, lambda octets: bytes(1) + octets),
    "ed25519-not-reduced": lambda jws: with_signature(jws, reduced_edwards),
}


@pytest.mark.parametrize("name", REPAIRS)
def test_a_hostile_token_is_one_repair_away_from_a_good_one(name: str) -> None:
    vector = BY_ID[f"hostile-{name}"]

    assert not vector["verifies"]
    assert is_signed_by(vector["key"], REPAIRS[name](vector["jws"]), vector["alg"])


CHANGED = re.compile("hostile-(hs256|rs256|es256|ed25519|ps256|ml-dsa-44)-(changed-.*|(no|short|long)-signature)")


@each(vector for vector in VECTORS if CHANGED.fullmatch(vector["id"]))
def test_a_changed_token_keeps_the_rest_of_the_one_it_came_from(vector: Vector) -> None:
    original = BY_ID[vector["source"].rpartition(" ")[2]]
    pairs = zip(original["jws"].split("."), vector["jws"].split("."), strict=True)

    assert original["verifies"]
    assert original["key"] == vector["key"]
    assert 1 == sum(before != after for before, after in pairs)


@each(vector for vector in VECTORS if vector["id"].startswith("hostile-rsa-block-"))
def test_a_hostile_rsa_block_holds_the_right_digest_in_a_wrong_frame(vector: Vector) -> None:
    signed, _, signature = vector["jws"].rpartition(".")
    key = vector["key"]
    block = pow(number(signature), number(key["e"]), number(key["n"])).to_bytes(256)

    assert hashlib.sha256(signed.encode()).digest() in block


@pytest.mark.parametrize(
    ("name", "really"),
    [
        ("hs256-made-with-sha512", "HS512"),
        ("rs256-signed-as-ps256", "PS256"),
        ("rs256-signed-as-rs512", "RS512"),
        ("ps256-signed-as-rs256", "RS256"),
        ("ps256-signed-as-ps512", "PS512"),
    ],
)
def test_a_token_of_a_crossed_algorithm_is_good_under_the_other_name(name: str, really: str) -> None:
    vector = BY_ID[f"hostile-{name}"]

    assert vector["header"]["alg"] == vector["alg"]
    assert is_signed_by(vector["key"], vector["jws"], really)


@pytest.mark.parametrize(
    ("name", "mask", "salt"),
    [
        ("ps256-salt-of-0", hashes.SHA256(), 0),
        ("ps256-salt-of-20", hashes.SHA256(), 20),
        ("ps256-salt-of-222", hashes.SHA256(), 222),
        ("ps256-mask-of-sha1", hashes.SHA1(), 32),  # noqa: S303  # this is what the vector warns of
    ],
)
def test_odd_pss_parameters_are_the_only_fault(name: str, mask: hashes.HashAlgorithm, salt: int) -> None:
    vector = BY_ID[f"hostile-{name}"]
    signed, _, signature = vector["jws"].rpartition(".")

    odd = padding.PSS(padding.MGF1(mask), salt)
    rsa_key(vector["key"]).verify(decode(signature), signed.encode(), odd, hashes.SHA256())


@pytest.mark.parametrize("name", ["rsa-public-key-as-secret", "ec-public-key-as-secret"])
def test_a_public_key_as_a_secret_would_pass_where_the_header_chose_the_algorithm(name: str) -> None:
    vector = BY_ID[f"hostile-{name}"]
    secret = {"kty": "oct", "k": encode(vector["pem"].encode())}

    assert "HS256" == vector["header"]["alg"]
    assert is_signed_by(secret, vector["jws"], "HS256")


def test_a_key_inside_the_header_would_pass_if_it_were_believed() -> None:
    vector = BY_ID["hostile-key-inside-the-header"]

    assert is_signed_by(vector["header"]["jwk"], vector["jws"], "ES256")
