"""guard.toml → a Guard that does what the file says, or one sentence that says where the file is wrong."""

import asyncio
import json
import math
import os
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jwt_guard
from jwt_guard import Allow, Deny, Denylist, Guard, InsufficientScope, Memory, Misconfigured
from jwt_guard.config.values import WrongConfig
from jwt_guard.errors import AmbiguousPath, ClaimRejected, GuardError, MethodNotAllowed, MissingToken
from jwt_guard.issuing.issuer import sign
from jwt_guard.issuing.signing import SigningKey
from jwt_guard.messages import PlainRequest
from jwt_guard.runners import awaiting, blocking
from jwt_guard.sources.discovery import Discovery
from jwt_guard.sources.fixed import FixedKeys
from jwt_guard.sources.jwks import RemoteKeys
from jwt_guard.sources.salted import SaltedKeys
from tests.support.keys import encode, pem, public_jwk, secret
from tests.support.minting import claims, mint, verdict

Write = Callable[[str], Path]

SHOP = """
[providers.shop]
issuer = "https://id.test"
audience = "orders"
jwks_file = "keys.json"
"""
WHO = str(claims()["sub"])
STORES = "redis://HOST:PORT/0, rediss:// for TLS, or unix:///PATH"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes guard.toml beside a file of keys."""
    (tmp_path / "keys.json").write_text(json.dumps({"keys": [public_jwk("ES256", kid="a")]}))
    (tmp_path / "key.pem").write_bytes(pem("ES256"))

    def write(text: str) -> Path:
        file = tmp_path / "guard.toml"
        file.write_text(textwrap.dedent(text))
        return file

    return write


def standing(guard: Guard) -> Guard:
    """Return *guard* with a clock at the time that tokens of tests are made for."""
    return Guard(guard.providers, guard.policy, guard.realm, guard.limits, clock=lambda: 1_800_000_000)


def asked(guard: Guard, path: str, *, method: str = "GET", token: str | None = None) -> GuardError | str:
    headers = () if token is None else (("authorization", f"Bearer {token}"),)
    match blocking.run(standing(guard).decide(PlainRequest(method, path, headers=headers))):
        case Allow(credentials):
            return "anonymous" if credentials is None else str(credentials.user)
        case Deny(error):
            return error


# --- finding the file --------------------------------------------------------------------------------


def test_the_argument_comes_before_the_variable_before_the_usual_name(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("argument", "variable", "guard"):
        write(f'realm = "{name}"' + SHOP).rename(tmp_path / f"{name}.toml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JWT_GUARD_CONFIG", str(tmp_path / "variable.toml"))

    assert "argument" == jwt_guard.load("argument.toml").realm
    assert "variable" == jwt_guard.load().realm
    monkeypatch.delenv("JWT_GUARD_CONFIG")
    assert "guard" == jwt_guard.load().realm


def test_an_empty_variable_does_not_mean_whatever_file_is_near(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(SHOP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JWT_GUARD_CONFIG", "")

    with pytest.raises(Misconfigured, match="JWT_GUARD_CONFIG is set, but empty"):
        jwt_guard.load()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "the file cannot be read: No such file or directory"),
        (b"realm = \xff", "the file is not UTF-8"),
        (b"realm = ", "the file is no TOML: Invalid value (at end of document)"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "guard.toml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(WrongConfig) as caught:
        jwt_guard.load(file)

    assert (str(file), "", reason) == (caught.value.file, caught.value.place, caught.value.reason)
    assert f"{file}: {reason}" == str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        f"x = {'[' * 3_000}{']' * 3_000}",
        f"x = {'{a = ' * 1_000}1{'}' * 1_000}",
        f"x.{'.'.join('a' * 3_000)} = 1",
        f"[[routes]]\npath = '/x'\nclaims.{'.'.join('a' * 100)} = 'x'",
        f"[[routes]]\npath = '/x'\n{'any_of = [{' * 50}roles = 'a'{'}]' * 50}",
    ],
)
def test_a_file_that_is_nested_deeper_than_anybody_means_is_refused(write: Write, line: str) -> None:
    wrong = refused(write(f"{SHOP}\n{line}"))

    assert ("", "the file is nested more than 64 deep") == (wrong.place, wrong.reason)


def test_conditions_may_be_nested_deeper_than_anybody_needs(write: Write) -> None:
    nested = f"{'any_of = [{' * 30}roles = 'ops'{'}]' * 30}"
    guard = jwt_guard.load(write(f"{SHOP}\n[[routes]]\npath = '/x'\n{nested}"))

    assert WHO == asked(guard, "/x", token=mint(claims(roles=["ops"])))
    assert isinstance(asked(guard, "/x", token=mint(claims(roles=["dev"]))), InsufficientScope)


def test_a_number_that_is_too_long_is_refused_in_one_sentence(write: Write) -> None:
    wrong = refused(write(f"{SHOP}\nleeway = {'9' * 5_000}"))

    assert ("", "the file has a number in it that is too long") == (wrong.place, wrong.reason)


# --- what it can say ---------------------------------------------------------------------------------


def test_everything_in_a_file_reaches_the_guard(write: Write) -> None:
    guard = jwt_guard.load(
        write("""
        realm = "shop"

        [providers.shop]
        issuer     = ["https://id.test", "https://id.test/two"]
        audience   = ["orders", "billing"]
        algorithms = ["ES256"]
        leeway     = 10
        typ        = ["at+jwt"]
        max_age    = 3600.5
        required   = ["sub"]
        jwks_url   = "http://keys.internal/jwks"

        [providers.shop.claims]
        user   = ["preferred_username", "sub"]
        client = []
        roles  = [["realm_access", "roles"], "roles"]

        [keys]
        timeout = 2
        fresh_for = 1.5
        usable_for = 0
        cooldown = 7
        plain_http_hosts = ["Keys.internal", "::1"]
        ca_file = ""
        proxy = "http://user:pass@proxy.internal:3128"

        [limits]
        token = 20000
        header = 8000
        """)
    )

    (provider,) = guard.providers
    source = provider.source
    assert "shop" == guard.realm
    assert (20_000, 8_000) == (guard.limits.token, guard.limits.header)
    assert frozenset({"https://id.test", "https://id.test/two"}) == provider.issuers
    assert ("orders", "billing") == provider.audience
    assert frozenset({"ES256"}) == provider.allowed
    assert (10, 3600.5, ("at+jwt",), ("sub",)) == (provider.leeway, provider.max_age, provider.typ, provider.required)
    assert ("preferred_username", "sub") == provider.claims.user
    assert () == provider.claims.client
    assert ("scope", "scp") == provider.claims.scopes
    assert (("realm_access", "roles"), "roles") == provider.claims.roles
    assert isinstance(source, RemoteKeys)
    assert (2, 1.5, 0, 7) == (
        source.settings.timeout,
        source.settings.fresh_for,
        source.settings.usable_for,
        source.settings.cooldown,
    )
    assert frozenset({"keys.internal", "::1"}) == source.settings.plain_http_hosts
    assert (None, "http://user:pass@proxy.internal:3128") == (
        source.settings.trust.ca_file,
        source.settings.trust.proxy,
    )


def test_without_routes_any_good_token_will_do(write: Write) -> None:
    guard = jwt_guard.load(write(SHOP))

    assert WHO == asked(guard, "/anywhere", token=mint())
    assert isinstance(asked(guard, "/anywhere"), MissingToken)


def test_a_profile_brings_its_arguments_and_keeps_what_the_file_does_not_change(write: Write) -> None:
    guard = jwt_guard.load(
        write("""
        [providers.shop]
        profile = "keycloak"
        client = "api"
        issuer = "https://id.test"
        audience = "orders"
        jwks_file = "keys.json"

        [providers.shop.claims]
        user = ["email"]
        """)
    )

    (provider,) = guard.providers
    assert "shop" == provider.name
    assert ("email",) == provider.claims.user
    assert (("resource_access", "api", "roles"),) == provider.claims.roles


def test_the_profile_of_rfc_9068_asks_for_its_type(write: Write) -> None:
    guard = jwt_guard.load(write(SHOP + 'profile = "rfc9068"'))

    refused = verdict(standing(guard), mint())
    taken = verdict(standing(guard), mint(header={"typ": "at+jwt"}))

    assert isinstance(refused, ClaimRejected)
    assert "typ" == refused.claim
    assert WHO == getattr(taken, "user", None)


@pytest.mark.parametrize("line", ['jwks_file = "keys.json"', 'pem_file = "key.pem"'])
def test_keys_are_read_from_files_beside_the_configuration(
    write: Write, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(SHOP.replace('jwks_file = "keys.json"', line))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    guard = jwt_guard.load(file)

    assert isinstance(guard.providers[0].source, FixedKeys)
    assert WHO == asked(guard, "/", token=mint())


def test_a_secret_comes_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET", "a-secret-of-thirty-octets-long")
    file = write(SHOP.replace('jwks_file = "keys.json"', 'secret = "${JWT_SECRET}"\nshortest_secret = 30'))

    (provider,) = jwt_guard.load(file).providers

    assert frozenset({"HS256", "HS384", "HS512"}) == provider.allowed


def test_a_secret_that_is_not_utf_8_is_the_octets_that_the_environment_has(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    octets = b"\xff\xfe" + secret()
    monkeypatch.setenv("JWT_SECRET", octets.decode("utf-8", "surrogateescape"))
    key = SigningKey("HS256", octets)
    guard = jwt_guard.load(write(SHOP.replace('jwks_file = "keys.json"', 'secret = "${JWT_SECRET}"')))

    assert WHO == asked(guard, "/", token=sign(key, claims()))


def test_an_empty_typ_stands_for_a_token_without(write: Write) -> None:
    guard = standing(jwt_guard.load(write(SHOP + 'typ = ["JWT", ""]')))

    without, jwt, other = (verdict(guard, mint(header=of)) for of in ({}, {"typ": "JWT"}, {"typ": "at+jwt"}))

    assert ("JWT", None) == guard.providers[0].typ
    assert WHO == getattr(without, "user", None)
    assert WHO == getattr(jwt, "user", None)
    assert isinstance(other, ClaimRejected)
    assert (None,) == jwt_guard.load(write(SHOP + 'typ = ""')).providers[0].typ


def test_a_typ_that_is_empty_by_its_variable_stands_for_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")

    wrong = refused(write(SHOP + 'typ = ["JWT", "${EMPTY}"]'))

    assert ("providers.shop", "typ is a text that is not empty, or a list of such") == (wrong.place, wrong.reason)


@pytest.mark.parametrize(("line", "in_thread"), [("", False), ("salt_blocking = false", False),
                                                ("salt_blocking = true", True)])  # fmt: skip
def test_a_salt_function_that_waits_is_given_a_thread_where_the_file_says_so(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, in_thread: bool
) -> None:
    module = f"salts_that_wait_{len(line)}"
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / f"{module}.py").write_text(
        "import threading\n\nseen = []\n\n\ndef generate(claims):\n"
        f"    seen.append(threading.get_ident())\n    return {secret()!r}\n"
    )
    file = write(SHOP.replace('jwks_file = "keys.json"', f'salt = "{module}:generate"\n{line}'))
    guard = standing(jwt_guard.load(file))
    request = PlainRequest("GET", "/", headers=(("authorization", f"Bearer {mint(alg='HS256')}"),))

    decision = asyncio.run(awaiting.run(guard.decide(request)))

    assert isinstance(decision, Allow)
    assert [in_thread] == [ident != threading.get_ident() for ident in sys.modules[module].seen]


def test_a_salt_function_beside_the_configuration_is_found(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "salts_of_ours.py").write_text(
        "import helper_of_salts\n\nclass Salts:\n    generate = staticmethod(helper_of_salts.generate)\n"
    )
    (tmp_path / "helper_of_salts.py").write_text(f"def generate(claims):\n    return {secret()!r}\n")
    file = write(SHOP.replace('jwks_file = "keys.json"', 'salt = "salts_of_ours:Salts.generate"'))

    guard = jwt_guard.load(file)

    assert isinstance(guard.providers[0].source, SaltedKeys)
    assert WHO == asked(guard, "/", token=mint(alg="HS256"))
    assert str(tmp_path) == sys.path[-1]


def test_a_salt_module_that_is_found_anyway_comes_from_where_it_always_does(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "json.py").write_text("dumps = None\n")
    file = write(SHOP.replace('jwks_file = "keys.json"', 'salt = "json:dumps"'))

    source = jwt_guard.load(file).providers[0].source

    assert isinstance(source, SaltedKeys)
    assert json.dumps is source.generate
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("line", "urls"),
    [
        ("", "https://id.test/.well-known/openid-configuration"),
        ('discovery_url = "http://127.0.0.1:8080/realms/shop"',
         "http://127.0.0.1:8080/realms/shop/.well-known/openid-configuration"),
    ],
)  # fmt: skip
def test_keys_are_discovered_at_the_issuer_or_where_the_file_says(write: Write, line: str, urls: str) -> None:
    file = write(SHOP.replace('jwks_file = "keys.json"', line))

    source = jwt_guard.load(file).providers[0].source

    assert isinstance(source, RemoteKeys)
    assert isinstance(source._locate, Discovery)
    assert urls == source._locate._urls[0]


def test_a_certificate_file_is_looked_at_when_it_is_named(write: Write, tmp_path: Path) -> None:
    import ssl

    bundle = ssl.get_default_verify_paths().cafile
    if bundle is None or not os.path.exists(bundle):  # noqa: PTH110
        import certifi

        bundle = certifi.where()
    (tmp_path / "ca.pem").write_bytes(Path(bundle).read_bytes())
    file = write(SHOP.replace('jwks_file = "keys.json"', "") + '[keys]\nca_file = "ca.pem"')

    source = jwt_guard.load(file).providers[0].source

    assert isinstance(source, RemoteKeys)
    assert str(tmp_path / "ca.pem") == source.settings.trust.ca_file


STORE_HERE = "redis://127.0.0.1:6379/0"
STORE = "rediss://guard:hidden@redis.test:6380/3"


def test_a_store_and_a_snapshot_are_for_every_provider_that_fetches_keys(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "hidden")
    fetching = SHOP.replace('jwks_file = "keys.json"', "")
    other = fetching.replace("shop", "other").replace("https://id.test", "https://other.test")
    more = '[keys]\nsnapshot = "var/keys"\n[store]\nurl = "rediss://guard:${PASSWORD}@redis.test:6380/3"'

    guard = jwt_guard.load(write(f"{fetching}{other}{more}"))

    for provider in guard.providers:
        assert isinstance(provider.source, RemoteKeys)
        assert STORE == provider.source.settings.store
        assert tmp_path / "var/keys" == provider.source.settings.snapshot
    assert "hidden" not in repr(guard)


def test_a_store_needs_no_table_of_keys(write: Write) -> None:
    guard = jwt_guard.load(write(SHOP.replace('jwks_file = "keys.json"', "") + f"[store]\nurl = '{STORE}'"))
    source = guard.providers[0].source

    assert isinstance(source, RemoteKeys)
    assert (STORE, None) == (source.settings.store, source.settings.snapshot)


def test_what_is_revoked_is_held_here_alone_without_a_store(write: Write) -> None:
    denylist = jwt_guard.load(write(SHOP)).revoked

    assert isinstance(denylist, Denylist)
    assert (None, True) == (denylist._store, denylist.is_known())


@pytest.mark.parametrize(
    ("more", "when_unknown", "every_request"),
    [
        ("", "refuse", False),
        ("revocation_when_unknown = 'refuse'\nevery_request = false", "refuse", False),
        ("revocation_when_unknown = 'allow'", "allow", False),
        ("every_request = true", "refuse", True),
    ],
)
def test_what_is_revoked_is_in_the_store_and_the_file_says_how_it_is_asked(
    write: Write, more: str, when_unknown: str, every_request: bool
) -> None:
    denylist = jwt_guard.load(write(f"{SHOP}[store]\nurl = '{STORE_HERE}'\n{more}")).revoked

    assert isinstance(denylist, Denylist)
    assert (STORE_HERE, when_unknown, every_request) == (
        denylist._store,
        denylist._when_unknown,
        denylist._every_request,
    )


def test_a_store_without_its_package_is_refused_with_how_to_get_it(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwt_guard.stores.address.find_spec", lambda _name: None)

    wrong = refused(write(f"{SHOP}[store]\nurl = 'redis://127.0.0.1:6379'"))

    assert "store.url" == wrong.place
    assert "pip install 'jwt-guard[redis]'" in wrong.reason


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("", Memory()),
        ("memory = true", Memory()),
        ("memory = false", None),
        ("[memory]", Memory()),
        ("[memory]\ntokens = 100_000\noctets = 1_000", Memory(100_000, 1_000)),
        ("[memory]\noctets = 5", Memory(octets=5)),
    ],
)
def test_the_file_says_how_much_is_remembered(write: Write, text: str, memory: Memory | None) -> None:
    assert memory == jwt_guard.load(write(f"{text}\n{SHOP}")).memory


@pytest.mark.parametrize(("line", "remembered"), [("", True), ("remember = false", False), ("remember = true", True)])
def test_a_provider_says_whether_its_tokens_are_remembered(write: Write, line: str, remembered: bool) -> None:
    for profile in ("", 'profile = "keycloak"\n', 'profile = "rfc9068"\n'):
        (provider,) = jwt_guard.load(write(SHOP + profile + line)).providers

        assert remembered == provider.is_remembered


def test_salted_tokens_are_remembered_only_where_the_file_says_so(write: Write) -> None:
    salted = SHOP.replace('jwks_file = "keys.json"', 'salt = "json:dumps"')

    assert not jwt_guard.load(write(salted)).providers[0].is_remembered
    assert jwt_guard.load(write(f"{salted}remember = true")).providers[0].is_remembered


# --- the environment ---------------------------------------------------------------------------------


def test_every_text_may_come_from_the_environment_also_in_lists(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", "id.test")
    monkeypatch.setenv("PRICE", "$$5 ${HOST}")
    file = write(
        SHOP.replace('"https://id.test"', '"https://${HOST}"').replace('"orders"', '["orders", "${PRICE}", "a$$b"]')
    )

    (provider,) = jwt_guard.load(file).providers

    assert frozenset({"https://id.test"}) == provider.issuers
    assert ("orders", "$$5 ${HOST}", "a$b") == provider.audience  # what comes from the environment is not read again


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("${NOT_SET_ANYWHERE}", "the environment has no NOT_SET_ANYWHERE"),
        ("a$b", "a dollar is written $$, and what the environment has ${NAME}"),
        ("${not closed", "a dollar is written $$, and what the environment has ${NAME}"),
        ("$", "a dollar is written $$, and what the environment has ${NAME}"),
    ],
)
def test_what_the_environment_does_not_have_is_refused(write: Write, value: str, reason: str) -> None:
    wrong = refused(write(SHOP.replace('"orders"', f'["orders", "{value}"]')))

    assert ("providers.shop.audience", reason) == (wrong.place, wrong.reason)


# --- what is refused ---------------------------------------------------------------------------------


def refused(file: Path) -> WrongConfig:
    with pytest.raises(WrongConfig) as caught:
        jwt_guard.load(file)
    assert str(file) == caught.value.file
    return caught.value


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("[gateway]\nlisten = 'x'", "gateway.listen", "HOST:PORT or unix:PATH is expected"),
        ("[fhir]", "fhir.upstream",
         "it is required: the base URL of the FHIR server, as it is reached from here"),
        ("[[audit]]", "audit", "a table is expected, not a list"),
        ("audit = 'x.log'", "audit", "a table is expected, not a text"),
        ("relm = 'x'", "relm", "there is no such key; did you mean realm?"),
        ("[provider.x]", "provider", "there is no such key; did you mean providers?"),
        ("[gatewey]", "gatewey", "there is no such key; did you mean gateway?"),
        (
            "xyz = 1",
            "xyz",
            (
                "there is no such key; known here: audit, fhir, gateway, keys, limits, memory, providers, realm, "
                "resource, routes, shadow, store, tokens"
            ),
        ),
        ("realm = 7", "realm", "a text is expected, not a whole number"),
        ("realm = 'ä'", "realm", "a header carries printable ASCII"),
        ("keys = 7", "keys", "a table is expected, not a whole number"),
        ("[keys]\ntimeout = '5'", "keys.timeout", "a number of seconds is expected, not a text"),
        ("[keys]\ntimeout = -1", "keys.timeout", "a number of seconds, 0 or more, is expected"),
        ("[keys]\ntimeout = nan", "keys.timeout", "a number of seconds is expected, not nan"),
        ("[keys]\ntimeout = -inf", "keys.timeout", "a number of seconds is expected, not -inf"),
        (f"[keys]\ntimeout = {'9' * 400}", "keys.timeout", "the number is too large"),
        ("[keys]\ncooldown = true", "keys.cooldown", "a number of seconds is expected, not true or false"),
        ("[keys]\ntimeuot = 5", "keys.timeuot", "there is no such key; did you mean timeout?"),
        ("[keys]\nplain_http_hosts = 'a'", "keys.plain_http_hosts", "a list of texts is expected, not a text"),
        ("[keys]\nplain_http_hosts = [1]", "keys.plain_http_hosts", "a list of texts is expected, not a whole number"),
        (
            "[keys]\nplain_http_hosts = ['http://a']",
            "keys.plain_http_hosts",
            "names of hosts are expected, without scheme, port or wildcard",
        ),
        ("[store]", "store.url", f"it is required: {STORES}"),
        ("[store]\nurl = ''", "store.url", f"it is required: {STORES}"),
        ("[store]\nurl = 6379", "store.url", "a text is expected, not a whole number"),
        ("[store]\nurl = 'localhost:6379'", "store.url", f"the store cannot be asked: its URL is {STORES}"),
        ("[store]\nurl = 'file:///var/keys'", "store.url", f"the store cannot be asked: its URL is {STORES}"),
        ("[store]\nulr = 'x'", "store.ulr", "there is no such key; did you mean url?"),
        (f"[store]\nurl = '{STORE_HERE}'\nrevocation_when_unknown = 'maybe'", "store.revocation_when_unknown",
         '"refuse" or "allow" is expected'),
        (f"[store]\nurl = '{STORE_HERE}'\nrevocation_when_unknown = ''", "store.revocation_when_unknown",
         '"refuse" or "allow" is expected'),
        (f"[store]\nurl = '{STORE_HERE}'\nevery_request = 1", "store.every_request",
         "true or false is expected, not a whole number"),
        ("[store]\nevery_request = true", "store.url", f"it is required: {STORES}"),
        ("store = 'redis://127.0.0.1'", "store", "a table is expected, not a text"),
        ("[keys]\nsnapshot = ''", "keys.snapshot", "the name of a folder is expected, not an empty text"),
        ("[keys]\nsnapshot = true", "keys.snapshot", "a text is expected, not true or false"),
        ("[keys]\nsnapshot = '~/keys'", "keys.snapshot", "~ is for shells; write ${HOME}"),
        ("[keys]\nsnapshot = 'keys.json'", "keys.snapshot", "the name of a folder is expected, and this is none"),
        ("[keys]\nsnapshots = 'x'", "keys.snapshots", "there is no such key; did you mean snapshot?"),
        ("memory = 7", "memory", "a table, or false, is expected"),
        ("memory = ''", "memory", "a table, or false, is expected"),
        ("[[memory]]", "memory", "a table, or false, is expected"),
        ("[memory]\ntokens = 0", "memory.tokens",
         "a whole number above 0 is expected; memory = false switches it off"),
        ("[memory]\noctets = -1", "memory.octets", "a whole number above 0 is expected"),
        ("[memory]\noctets = 1.5", "memory.octets", "a whole number is expected, not a number"),
        ("[memory]\nbytes = 5", "memory.bytes", "there is no such key; known here: octets, tokens"),
        ("[keys]\nca_file = 'no.pem'", "keys.ca_file", "the file cannot be read: No such file or directory"),
        ("[keys]\nca_file = 'keys.json'", "keys.ca_file", "the file holds no certificates in PEM"),
        ('[keys]\nca_file = "a\\u0000b"', "keys.ca_file", "the name of a file is expected, and none has a NUL in it"),
        ('[keys]\nproxy = "http://proxy\\u0000"', "keys.proxy", "http://HOST:PORT is expected"),
        ("[keys]\nproxy = 'proxy:3128'", "keys.proxy", "http://HOST:PORT is expected"),
        ("[keys]\nproxy = 'http://[x'", "keys.proxy", "http://HOST:PORT is expected"),
        ("[limits]\ntoken = 1.5", "limits.token", "a whole number is expected, not a number"),
        ("[limits]\ntoken = 0", "limits.token", "a whole number above 0 is expected"),
        ("[limits]\nheader = 20000", "limits.header", "at most as many characters as token are expected"),
        ("[limits]\ntokens = 1", "limits.tokens", "there is no such key; did you mean token?"),
        ("realm = 2020-01-01", "realm", "a text is expected, not a date or time"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(write: Write, text: str, place: str, reason: str) -> None:
    text = text if text.startswith("[") else f"{text}\n"

    wrong = refused(write(f"{text}\n{SHOP}"))

    assert (place, reason) == (wrong.place, wrong.reason)
    assert str(wrong).endswith(f"guard.toml: {place}: {reason}" if place else f"guard.toml: {reason}")


def test_a_guard_without_providers_is_refused(write: Write) -> None:
    for text in ("", "[providers]"):
        wrong = refused(write(text))

        assert ("providers", "at least one [providers.NAME] is expected") == (wrong.place, wrong.reason)


def test_two_providers_of_one_issuer_are_refused(write: Write) -> None:
    wrong = refused(write(SHOP + SHOP.replace("shop", "shop2")))

    assert ("providers", "two providers have one issuer") == (wrong.place, wrong.reason)


@pytest.fixture
def raising_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay a module beside the configuration that cannot be imported."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "raising_when_imported.py").write_text("1 / 0\n")


ELSEWHERE = "say where they are (discovery_url, jwks_url, jwks_file, pem_file, secret, salt)"


@pytest.mark.parametrize(
    ("changes", "key", "reason"),
    [
        ({"issuer": None}, "issuer", "it is required: the exact iss of the tokens"),
        ({"audience": None}, "audience", "it is required: the aud of tokens that are meant for this API"),
        ({"audience": []}, "audience", "a text or a list of texts is expected, not an empty list"),
        ({"audience": ["a", 1]}, "audience", "a text or a list of texts is expected, not a whole number"),
        ({"audience": "*"}, "", "audience is compared exactly: '*' would be nobody's name"),
        ({"audience": " "}, "", "audience is a text that is not empty, or a list of such"),
        ({"algorithms": ["RS257"]}, "", "algorithms ['RS257'] are not known here"),
        ({"algorithms": ["none"]}, "", "algorithms ['none'] are not known here"),
        ({"algorithms": ["HS256"]}, "", "algorithms ['HS256'] do not fit its keys"),
        ({"leeway": 301}, "", "leeway is 0 to 300 seconds"),
        ({"leeway": "30"}, "leeway", "a number of seconds is expected, not a text"),
        ({"leeway": [30]}, "leeway", "a number of seconds is expected, not a list"),
        ({"max_age": 0}, "", "max_age is a number of seconds above 0"),
        ({"max_age": math.inf}, "max_age", "a number of seconds is expected, not inf"),
        ({"max_age": 10**400}, "max_age", "the number is too large"),
        ({"required": "sub"}, "required", "a list of texts is expected, not a text"),
        ({"typ": []}, "typ", "a text or a list of texts is expected, not an empty list"),
        ({"typ": ["JWT", " "]}, "", "typ is a text that is not empty, or a list of such"),
        ({"typ": True}, "typ", "a text or a list of texts is expected, not true or false"),
        ({"remember": "yes"}, "remember", "true or false is expected, not a text"),
        ({"remeber": True}, "remeber", "there is no such key; did you mean remember?"),
        ({"client_id": "x"}, "client_id", "that is for introspection_url, which is not there"),
        ({"audiense": "x"}, "audiense", "there is no such key; did you mean audience?"),
        ({"profile": "client_assertion"}, "profile", "client_assertion is not supported by this version"),
        ({"profile": "keyclok"}, "profile", "there is no such profile; did you mean keycloak?"),
        ({"profile": ""}, "profile", "there is no such profile; known here: auth0, authentik, cognito, entra, "),
        ({"client": "api"}, "client", "that is for profile = 'id_token' or 'keycloak'"),
        ({"shortest_secret": 16}, "shortest_secret", "that is for secret and salt"),
        ({"secret": "x"}, "", "the keys are in one place only, not in jwks_file and secret"),
        ({"jwks_file": None, "secret": ""}, "secret", "the secret is empty or blank"),
        ({"jwks_file": None, "secret": "short"}, "secret", "the secret is too short"),
        ({"jwks_file": None, "secret": 7}, "secret", "a text is expected, not a whole number"),
        ({"jwks_file": None, "secret": "x", "shortest_secret": 0}, "shortest_secret",
         "a whole number above 0 is expected"),
        ({"jwks_file": "no.json"}, "jwks_file", "cannot be read (FileNotFoundError)"),
        ({"jwks_file": ""}, "jwks_file", "the name of a file is expected, not an empty text"),
        ({"jwks_file": "a\0b"}, "jwks_file", "the name of a file is expected, and none has a NUL in it"),
        ({"jwks_file": None, "pem_file": "a\0b"}, "pem_file", "none has a NUL in it"),
        ({"jwks_file": "guard.toml"}, "jwks_file", "a PEM file here holds one public key or one certificate"),
        ({"jwks_file": None, "jwks_url": "http://a.test"}, "jwks_url",
         "the URL cannot be asked: it is not https, and its host is not in plain_http_hosts"),
        ({"jwks_file": None, "jwks_url": "https://me:hidden@a.test"}, "jwks_url",
         "the URL cannot be asked: it has a user in it"),
        ({"jwks_file": None, "discovery_url": "ftp://a.test"}, "discovery_url",
         "the URL cannot be asked: it is not https"),
        ({"jwks_file": None, "issuer": "shop"}, "issuer",
         f"the issuer cannot be asked for its keys: it names no host; {ELSEWHERE}"),
        ({"jwks_file": None, "issuer": ["https://a.test", "https://b.test"]}, "issuer",
         f"several issuers cannot be asked for their keys; {ELSEWHERE}"),
        ({"salt_blocking": True}, "salt_blocking", "that is for salt"),
        ({"jwks_file": None, "secret": "x", "salt_blocking": False}, "salt_blocking", "that is for salt"),
        ({"jwks_file": None, "salt": "json:dumps", "salt_blocking": 1}, "salt_blocking",
         "true or false is expected, not a whole number"),
        ({"jwks_file": None, "salt": "no_colon"}, "salt", "module:function is expected"),
        ({"jwks_file": None, "salt": "json:"}, "salt", "module:function is expected"),
        ({"jwks_file": None, "salt": "os.path;x:y"}, "salt", "module:function is expected"),
        ({"jwks_file": None, "salt": "json:nothing"}, "salt", "json has no function nothing"),
        ({"jwks_file": None, "salt": "json:__name__"}, "salt", "json has no function __name__"),
        ({"jwks_file": None, "salt": "not_there_at_all:f"}, "salt",
         "not_there_at_all cannot be imported: No module named 'not_there_at_all' (ModuleNotFoundError)"),
        ({"jwks_file": None, "salt": "json.not_there:f"}, "salt",
         "json.not_there cannot be imported: No module named 'json.not_there' (ModuleNotFoundError)"),
        ({"jwks_file": None, "salt": "raising_when_imported:f"}, "salt",
         "raising_when_imported cannot be imported: it fails (ZeroDivisionError)"),
        ({"claims": {"usr": ["sub"]}}, "claims.usr", "there is no such key; did you mean user?"),
        ({"claims": {"user": "sub"}}, "claims.user",
         "a list of claim names, or of lists of them is expected, not a text"),
        ({"claims": {"user": [7]}}, "claims.user",
         "a list of claim names, or of lists of them is expected, not a whole number"),
        ({"claims": {"user": [["a", 7]]}}, "claims.user",
         "a list of claim names, or of lists of them is expected, not a whole number"),
        ({"claims": {"user": [""]}}, "claims", "claim names: a name is a text that is not empty"),
        ({"claims": {"user": [[]]}}, "claims", "claim names: a name is a text that is not empty"),
        ({"claims": 7}, "claims", "a table is expected, not a whole number"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_provider_is_said_with_its_place(
    write: Write, raising_module: None, changes: dict[str, Any], key: str, reason: str
) -> None:
    settings = {"issuer": "https://id.test", "audience": "orders", "jwks_file": "keys.json", **changes}
    lines = [f"{name} = {_toml(value)}" for name, value in settings.items() if value is not None]

    wrong = refused(write("\n".join(["[providers.shop]", *lines])))

    assert ".".join(filter(None, ("providers.shop", key))) == wrong.place
    assert reason in wrong.reason


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    return "inf" if value == math.inf else json.dumps(value)


def test_a_provider_that_is_no_table_or_has_a_strange_name_is_refused(write: Write) -> None:
    wrong = refused(write("[providers]\nshop = 7"))
    strange = refused(write(SHOP.replace("providers.shop", 'providers."a b"')))

    assert ("providers.shop", "a table is expected, not a whole number") == (wrong.place, wrong.reason)
    assert "providers.'a b'" == strange.place
    assert "a name is letters, digits, dots, dashes and underscores" in strange.reason


def test_no_sentence_sends_what_a_key_holds_to_the_terminal(write: Write) -> None:
    for text in (
        '"\\u001b[2Jx" = 1',
        '["\\u001b[2Jx"]',
        '[providers."\\u001b[2Jx"]',
        '[providers.shop]\n"\\u001b[2Jx" = 1',
        '[providers.shop]\nissuer = "a"\naudience = "b"\n[providers.shop.claims]\n"\\u202ex" = 1',
        f'[[routes]]\npath = "/x"\nclaims."\\u001b[2Jx" = {{}}\n{SHOP}',
        f'[[routes]]\npath = "/x"\nclaims.a."\\u009bx" = {{}}\n{SHOP}',
        '"\\u001b[2Jx" = 1\n"\\u001b[2Jx" = 1',
    ):
        sentence = str(refused(write(text)))

        assert sentence.isprintable(), text
        assert sentence.isascii(), text


def test_no_sentence_repeats_a_value_that_may_be_secret(write: Write, tmp_path: Path) -> None:
    hidden = "hidden-in-here"
    (tmp_path / "bad.json").write_text(json.dumps({"keys": [{"kty": "oct", "k": encode(hidden.encode())}]}))
    lines = (
        f'secret = "{hidden}"',
        f'secret = "{hidden}$"',
        f'secret = ["{hidden}"]',
        f'jwks_url = "https://user:{hidden}@id.test/jwks"',
        f'discovery_url = "https://user:{hidden}@id.test"',
        f'salt = "{hidden}"',
        'jwks_file = "bad.json"',
        f'jwks_file = "keys.json"\n[keys]\nproxy = "user:{hidden}@proxy"',
        f'jwks_file = "keys.json"\n[store]\nurl = "http://user:{hidden}@redis"',
        f'jwks_file = "keys.json"\n[store]\nurl = "redis://user:{hidden}@redis:port"',
        f'jwks_file = "keys.json"\n[store]\nurl = "REDIS://user:{hidden}@redis"',
        f'jwks_file = "keys.json"\n[store]\nurl = "redis://user:{hidden}#x@redis"',
    )
    for line in lines:
        wrong = refused(write(SHOP.replace('jwks_file = "keys.json"', line)))

        assert hidden not in str(wrong)
        assert encode(hidden.encode()) not in str(wrong)


# --- routes ------------------------------------------------------------------------------------------

ROUTES = (
    SHOP
    + """
[[routes]]
path  = "/health"
allow = "anyone"

[[routes]]
path    = "/orders/{id}"
methods = ["GET"]
scopes  = ["orders:read"]

[[routes]]
path    = "/orders"
methods = ["GET"]
scopes  = "orders:read"

[[routes]]
path    = "/orders"
methods = ["POST"]
scopes  = ["orders:read", "orders:delete"]

[[routes]]
path   = "/admin/**"
any_of = [{ scopes = ["admin"] }, { roles = ["ops"] }, { claims = { groups = "ops" } }]

[[routes]]
path   = "/both"
scopes = ["orders:read"]
roles  = ["ops"]
claims = { level = 3, realm = { groups = ["a", "b"] }, checked = true }

[[routes]]
path    = "/calm"
none_of = [{ roles = ["banned"] }, { all_of = [{ claims.a = "1" }, { claims.b = "1" }] }]

[[routes]]
path    = "/files/{name}"
encoded = "opaque"
allow   = "authenticated"
"""
)


@pytest.mark.parametrize(
    ("method", "path", "changes", "expected"),
    [
        ("GET", "/health", None, "anonymous"),
        ("GET", "/health", {}, WHO),
        ("GET", "/orders/1", None, MissingToken),
        ("GET", "/orders/1", {}, WHO),
        ("HEAD", "/orders/1", {}, WHO),
        ("GET", "/orders/1", {"scope": "profile"}, InsufficientScope),
        ("GET", "/orders/1/2", {}, InsufficientScope),
        ("PUT", "/orders/1", {}, MethodNotAllowed),
        ("GET", "/orders", {}, WHO),
        ("POST", "/orders", {}, InsufficientScope),
        ("POST", "/orders", {"scope": "orders:read orders:delete"}, WHO),
        ("DELETE", "/orders", {}, MethodNotAllowed),
        ("GET", "/admin/x/y", {}, InsufficientScope),
        ("GET", "/admin", {"scope": "admin"}, WHO),
        ("GET", "/admin/", {"roles": ["ops"]}, WHO),
        ("GET", "/admin/x", {"groups": ["dev", "ops"]}, WHO),
        ("GET", "/admin/x", {"groups": "ops"}, WHO),
        ("GET", "/admin/x", {"groups": "operators"}, InsufficientScope),
        ("GET", "/admin/x", {"groups": {"ops": True}}, InsufficientScope),
        ("GET", "/both", {"roles": "ops", "level": 3, "checked": True, "realm": {"groups": ["a", "b", "c"]}}, WHO),
        ("GET", "/both", {"roles": "ops", "level": 3, "checked": True, "realm": {"groups": ["a"]}}, InsufficientScope),
        ("GET", "/both", {"roles": "ops", "level": 3, "checked": 1, "realm": {"groups": ["a", "b"]}},
         InsufficientScope),
        ("GET", "/both", {"roles": "ops", "level": 2, "checked": True, "realm": {"groups": ["a", "b"]}},
         InsufficientScope),
        ("GET", "/both", {"level": 3, "checked": True, "realm": {"groups": ["a", "b"]}}, InsufficientScope),
        ("GET", "/calm", {}, WHO),
        ("GET", "/calm", {"a": "1"}, WHO),
        ("GET", "/calm", {"a": "1", "b": "1"}, InsufficientScope),
        ("GET", "/calm", {"roles": "banned"}, InsufficientScope),
        ("GET", "/files/a%2Fb", {}, WHO),
        ("GET", "/orders/a%2Fb", {}, AmbiguousPath),
        ("GET", "/elsewhere", {}, InsufficientScope),
        ("GET", "/elsewhere", None, MissingToken),
    ],
)  # fmt: skip
def test_routes_decide_as_written(
    write: Write, method: str, path: str, changes: dict[str, Any] | None, expected: str | type[GuardError]
) -> None:
    token = None if changes is None else mint(claims(**changes))

    answer = asked(jwt_guard.load(write(ROUTES)), path, method=method, token=token)

    assert expected == (answer if isinstance(answer, str) else type(answer))


CONDITIONS = "scopes, roles, claims, any_of, all_of, none_of"


@pytest.mark.parametrize(
    ("route", "key", "reason"),
    [
        ('allow = "anyone"', "path", "it is required"),
        ('path = "/x"', "", f"it says neither allow nor what it asks for ({CONDITIONS})"),
        ('path = "/x"\nallow = "everyone"', "allow", '"anyone" or "authenticated" is expected'),
        ('path = "/x"\nallow = true', "allow", "a text is expected, not true or false"),
        ('path = "/x"\nallow = "anyone"\nscopes = ["a"]', "allow", "that and scopes contradict each other"),
        ('path = "x"\nallow = "anyone"', "", "the path has no normal form"),
        ('path = "/a//b"\nallow = "anyone"', "", "the path has no normal form"),
        ('path = "/a{b}"\nallow = "anyone"', "", "{name} stands for a whole segment"),
        ('path = "/x"\nmethods = []\nallow = "anyone"', "", "at least one"),
        ('path = "/x"\nmethods = ["get"]\nallow = "anyone"', "", "methods are written in capitals"),
        ('path = "/x"\nmethods = "GET"\nallow = "anyone"', "methods", "a list of texts is expected, not a text"),
        ('path = "/x"\nmethod = "GET"', "method", "there is no such key; did you mean methods?"),
        ('path = "/x"\nencoded = "yes"\nallow = "anyone"', "encoded", '"opaque" is expected'),
        ('path = "/x"\nscopes = []', "scopes", "a text or a list of texts is expected, not an empty list"),
        ('path = "/x"\nscopes = ["a b"]', "", "scopes() takes each name by itself"),
        ('path = "/x"\nroles = [""]', "", "roles() needs names"),
        ('path = "/x"\nclaims = {}', "claims", "a claim is expected"),
        ('path = "/x"\nclaims = { a = {} }', "claims.a", "a claim is expected"),
        ('path = "/x"\nclaims = { a = 2020-01-01 }', "claims.a",
         "a text or a list of texts is expected, not a date or time"),
        ('path = "/x"\nclaims = { "a b" = "x" }', "claims.'a b'",
         "claim() takes each name by itself"),
        ('path = "/x"\nany_of = []', "any_of", "a list of tables is expected, not an empty one"),
        ('path = "/x"\nany_of = ["a"]', "any_of", "a list of tables is expected, not a text"),
        ('path = "/x"\nany_of = { scopes = ["a"] }', "any_of", "a list of tables is expected, not a table"),
        ('path = "/x"\nany_of = [{ roles = ["a"] }, {}]', "any_of[2]", f"a condition is expected ({CONDITIONS})"),
        ('path = "/x"\nnone_of = [{ scope = ["a"] }]', "none_of[1].scope",
         "there is no such key; did you mean scopes?"),
        ('path = "/x"\nany_of = [{ all_of = [{ scopes = 1 }] }]', "any_of[1].all_of[1].scopes",
         "a text or a list of texts is expected, not a whole number"),
        ('path = "/x"\nopenapi = "x.yaml"', "path", "there is no such key; known here: allow, base, openapi"),
        ('path = "/x"\nshadow = "x.toml"', "", "'shadow' is not supported by this version"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_route_is_said_with_its_place(write: Write, route: str, key: str, reason: str) -> None:
    wrong = refused(write(f'{SHOP}\n[[routes]]\npath = "/ok"\nallow = "anyone"\n\n[[routes]]\n{route}'))

    assert ".".join(filter(None, ("routes[2]", key))) == wrong.place
    assert reason in wrong.reason


def test_routes_that_are_no_tables_are_refused(write: Write) -> None:
    for text, expected in (("routes = []", "not an empty one"), ("routes = {}", "not a table")):
        wrong = refused(write(f"{text}\n{SHOP}"))

        assert ("routes", f"a list of tables is expected, {expected}") == (wrong.place, wrong.reason)
