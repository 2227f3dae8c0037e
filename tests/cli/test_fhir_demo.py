"""The demo of the FHIR guard: it shows what it says, notices what is wrong, and says what it needs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from jwt_guard.cli import main
from jwt_guard.cli.fhir_demo import people, server, story
from jwt_guard.errors import Misconfigured
from tests.support.fhir_app import asgi_of
from tests.support.fhir_double import FhirDouble
from tests.support.proxied import serving

ROOT = Path(__file__).parents[2]
ANSWERS = len(people.ROWS) * len(people.APPS)


def test_every_app_sees_what_it_is_to_see_and_no_more(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(asgi_of(FhirDouble([]))) as port:
        status = main(["fhir-demo", "--server", f"http://127.0.0.1:{port}/fhir"])
    out = capsys.readouterr().out

    assert 0 == status, out
    assert f"{ANSWERS} answers, everything as expected" in out
    assert len(people.ROWS) == len(re.findall(r"^✓ ", out, re.MULTILINE))
    assert max(map(len, out.splitlines())) <= 120 + len("scope of the lab viewer")


def test_what_is_not_as_expected_is_marked_and_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = people.Row("GET", "/Patient/bob", ("seen", "403", "403", "401"))
    monkeypatch.setattr(story, "ROWS", (row,))
    with serving(asgi_of(FhirDouble([]))) as port:
        status = main(["fhir-demo", "--server", f"http://127.0.0.1:{port}/fhir"])
    out = capsys.readouterr().out

    assert 1 == status
    assert "✗ GET    /Patient/bob" in out
    assert "1 not as expected" in out


@pytest.mark.parametrize("arguments", [[], ["--sekmet", "/no/such/program"]])
def test_without_a_server_it_says_what_to_install(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert 1 == main(["fhir-demo", *arguments])
    assert f"{server.MISSING}\n" == capsys.readouterr().err


def test_without_what_it_runs_on_it_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jwt_guard.cli.fhir_demo._NEEDED", ("no_such_module",))

    assert 1 == main(["fhir-demo"])
    assert "pip install 'jwt-guard[gateway]'" in capsys.readouterr().err


def program(folder: Path, text: str) -> str:
    file = folder / "sekmet"
    file.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
    file.chmod(0o700)
    return str(file)


def test_a_program_that_does_not_start_is_said_to(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="did not start"), server.sekmet_served(program(tmp_path, "exit(3)")):
        raise AssertionError


def test_a_program_is_told_where_to_be_and_ended(tmp_path: Path) -> None:
    text = """
import http.server, sys
settings = dict(line.split(": ", 1) for line in open(sys.argv[3]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer((settings["host"].strip(), int(settings["port"])), Handler).serve_forever()
"""
    with server.sekmet_served(program(tmp_path, text)) as base:
        assert 200 == httpx.get(f"{base}/metadata", trust_env=False, timeout=10).status_code
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{base}/metadata", trust_env=False, timeout=10)


def test_what_is_kept_can_be_asked_until_it_is_told_to_go() -> None:
    with serving(asgi_of(FhirDouble([]))) as port:
        command = [
            sys.executable,
            "-m",
            "jwt_guard",
            "fhir-demo",
            "--keep",
            "--server",
            f"http://127.0.0.1:{port}/fhir",
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, encoding="utf-8")
        try:
            assert process.stdout is not None
            lines = [next(process.stdout)]
            while "Ctrl-C" not in lines[-1]:
                lines.append(next(process.stdout))
            found = re.findall(r"\$\(cat (\S+)\)\" (\S+)", "".join(lines))

            assert 3 == len(found)
            for file, url in found:
                token = Path(file).read_text(encoding="ascii")
                answer = httpx.get(url, headers={"authorization": f"Bearer {token}"}, trust_env=False, timeout=20)

                assert 200 == answer.status_code
            process.send_signal(signal.SIGTERM)

            assert 0 == process.wait(30)
            assert not any(Path(file).exists() for file, _ in found)
        finally:
            process.kill()
            process.communicate()
