"""The files in examples/deploy → whether what they name exists, fits together, and is as safe as they say."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from jwt_guard.cli import serve
from jwt_guard.cli.commands import Parser
from jwt_guard.config.check import check
from jwt_guard.config.gateway import read_gateway
from jwt_guard.config.load import guard_from, read
from jwt_guard.gateway.admin import admin
from jwt_guard.gateway.settings import address

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
SERVICE, SOCKET = DEPLOY / "jwt-guard.service", DEPLOY / "jwt-guard.socket"
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")))


def unit(file: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    found.optionxform = str  # type: ignore[assignment,method-assign]  # keys of units have capitals
    found.read(file, encoding="utf-8")
    return found


def of_kind(kind: str) -> dict[str, Any]:
    (found,) = [document for document in DOCUMENTS if document["kind"] == kind]
    return found


@pytest.fixture
def pod() -> dict[str, Any]:
    found: dict[str, Any] = of_kind("Deployment")["spec"]["template"]["spec"]
    return found


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return guard.toml as the pods see it."""
    monkeypatch.setenv("STORE_URL", "rediss://:secret@store.test:6379/0")
    file = tmp_path / "guard.toml"
    file.write_text(of_kind("ConfigMap")["data"]["guard.toml"], encoding="utf-8")
    file.chmod(0o600)
    return file


def takes(arguments: list[str]) -> None:
    """Fail where the command line does not know *arguments*."""
    parser = Parser()
    serve.add_parser(parser.add_subparsers())
    try:
        parser.parse_args(arguments)
    except SystemExit as end:
        pytest.fail(f"{arguments}: {end}")


# --- systemd -----------------------------------------------------------------------------------------


def test_the_service_runs_a_command_that_there_is() -> None:
    program, *arguments = shlex.split(unit(SERVICE)["Service"]["ExecStart"])

    assert "jwt-guard" == Path(program).name
    takes(arguments)


def test_the_service_is_told_when_it_is_ready_and_reads_its_file_again() -> None:
    service = unit(SERVICE)["Service"]

    assert ("notify", "/bin/kill -HUP $MAINPID") == (service["Type"], service["ExecReload"])
    assert int(service["TimeoutStopSec"]) > 10
    assert int(service["WatchdogSec"]) > 3


def test_the_socket_is_the_one_of_the_configuration() -> None:
    listen = read_gateway(read(DEPLOY / "guard.toml")).listen

    assert address(listen).path == unit(SOCKET)["Socket"]["ListenStream"]
    assert "0660" == unit(SOCKET)["Socket"]["SocketMode"]
    assert SOCKET.name == unit(SERVICE)["Unit"]["Requires"]


def test_the_configuration_has_nothing_wrong_with_it() -> None:
    # Whether others may write the file depends on how it was checked out.
    assert [] == [finding for finding in check(DEPLOY / "guard.toml") if finding.place]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    service = SERVICE.read_text(encoding="utf-8").replace("/opt/jwt-guard/bin/jwt-guard", sys.executable)
    (tmp_path / SERVICE.name).write_text(service, encoding="utf-8")
    shutil.copy(SOCKET, tmp_path)
    files = [str(tmp_path / file.name) for file in (SERVICE, SOCKET)]
    ran = subprocess.run(
        [str(shutil.which("systemd-analyze")), "verify", "--man=no", *files],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    said = [line for line in (ran.stdout + ran.stderr).splitlines() if "jwt-guard" in line]
    assert (0, []) == (ran.returncode, said)


# --- containers --------------------------------------------------------------------------------------


def test_the_image_holds_what_it_runs_and_is_not_root() -> None:
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    extras = re.search(r"/source\[([a-z,]+)\]", text)
    entry, command = (re.search(rf"^{name} (\[.*\])$", text, re.MULTILINE) for name in ("ENTRYPOINT", "CMD"))

    assert extras is not None
    known = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(re.search(rf"^{name} = \[", known, re.MULTILINE) for name in extras[1].split(","))
    assert entry is not None
    assert command is not None
    assert ["/opt/jwt-guard/bin/jwt-guard"] == json.loads(entry[1])
    takes(json.loads(command[1]))
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", text, re.MULTILINE)
    for copied in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in copied.split())


def test_the_pods_run_a_command_that_there_is(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    takes(container["args"])
    folder = Path(container["args"][container["args"].index("--config") + 1]).parent

    assert str(folder) in [mount["mountPath"] for mount in container["volumeMounts"]]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_ports_are_those_of_the_configuration(pod: dict[str, Any], configuration: Path) -> None:
    settings = read_gateway(read(configuration))
    ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}

    assert settings.admin_listen is not None
    assert {"auth": address(settings.listen).port, "admin": address(settings.admin_listen).port} == ports
    assert {port["targetPort"] for port in of_kind("Service")["spec"]["ports"]} <= set(ports)
    assert {each["port"] for rule in of_kind("NetworkPolicy")["spec"]["ingress"] for each in rule["ports"]} == set(
        ports
    )


def test_what_is_risky_about_the_configuration_is_what_the_network_policy_is_for(configuration: Path) -> None:
    assert [("risky", "gateway.listen"), ("risky", "gateway.admin_listen")] == [
        (finding.severity, finding.place) for finding in check(configuration)
    ]


def test_the_probes_ask_for_what_there_is(pod: dict[str, Any], configuration: Path) -> None:
    guard = guard_from(read(configuration))
    client = TestClient(admin(lambda: guard, is_stopping=lambda: False))
    container = pod["containers"][0]
    probes = [container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    annotations = of_kind("Deployment")["spec"]["template"]["metadata"]["annotations"]

    assert [200, 200, 200] == [client.get(probe["path"]).status_code for probe in probes]
    assert {"admin"} == {probe["port"] for probe in probes}
    assert 501 == client.get(annotations["prometheus.io/path"]).status_code  # there, and nothing is measured here


def test_the_pods_may_do_no_more_than_they_have_to(pod: dict[str, Any]) -> None:
    context = pod["containers"][0]["securityContext"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert ["ALL"] == context["capabilities"]["drop"]
    assert pod["terminationGracePeriodSeconds"] > 10 + 5


def test_everything_selects_the_same_pods() -> None:
    labels = of_kind("Deployment")["spec"]["template"]["metadata"]["labels"]

    assert labels == of_kind("Deployment")["spec"]["selector"]["matchLabels"]
    assert labels == of_kind("Service")["spec"]["selector"]
    assert labels == of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    assert labels == of_kind("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
