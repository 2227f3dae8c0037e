"""The forward-auth service alone beside nginx with a constant answer, and behind nginx beside Envoy's own filter.

What is told is the CPU time of the servers for one request, the least of some short runs, since that minds others who
use the machine the least.  Servers are on one core, load and application on another, where there are two.

    python -m benchmarks.gateway [ROUNDS]
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.gateways.rig import free_port
from tests.gateways.tools import program
from tests.support.keys import public_jwk
from tests.support.minting import AUDIENCE, HOUR, ISSUER, claims, mint

__all__ = ["Figure", "measured"]

_NGINX = "nginx"
_TOKENS = 100
_SECONDS = 2
_CONNECTIONS = 32
_GUARD = f"""
[providers.shop]
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
algorithms = ["RS256"]
jwks_file = "jwks.json"

[[routes]]
path = "/orders/{{id}}"
methods = ["GET"]
scopes = ["orders:read"]

[gateway.identity_headers]
user = "X-Auth-User"
scopes = "X-Auth-Scopes"
"""
_LOAD = """
local tokens, at = {}, 0
for line in io.lines("tokens") do tokens[#tokens + 1] = "Bearer " .. line end
function request()
  at = at % #tokens + 1
  return wrk.format("GET", nil, {["Authorization"] = tokens[at],
    ["X-Original-Method"] = "GET", ["X-Original-URI"] = "/orders/1"})
end
function done(summary, latency, requests)
  io.write(string.format("\\n%d %d %d\\n", summary.requests, summary.errors.status, summary.duration))
end
"""


class Figure(NamedTuple):
    """One chain: microseconds of CPU of its servers for a request, and the requests per second that were answered."""

    microseconds: float
    per_second: float


def measured(rounds: int) -> Mapping[str, Figure]:
    """Return the best of so many *rounds* of each chain, in turn; nothing where there is no wrk."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return {}
    found: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder)
        application = free_port()
        with _nginx(folder, "application", _constant(application), core=1):
            for _ in range(rounds):
                for kind, run in _chains(folder, application).items():
                    with ExitStack() as stack:
                        pids, url = run(stack)
                        figure = _asked(wrk, folder, pids, url)
                    before = found.get(kind)
                    found[kind] = figure if before is None else min(before, figure)
    return found


def _chains(folder: Path, application: int) -> dict[str, Callable[[ExitStack], tuple[list[int], str]]]:
    def constant(stack: ExitStack) -> tuple[list[int], str]:
        port = free_port()
        return [stack.enter_context(_nginx(folder, "constant", _constant(port)))], f"http://127.0.0.1:{port}/auth"

    def alone(stack: ExitStack) -> tuple[list[int], str]:
        port = free_port()
        return [stack.enter_context(_service(folder, f"127.0.0.1:{port}"))], f"http://127.0.0.1:{port}/auth"

    def plain(stack: ExitStack) -> tuple[list[int], str]:
        port = free_port()
        said = f"upstream a {{ server 127.0.0.1:{application}; keepalive 32; }} server {{ listen 127.0.0.1:{port}; "
        said += 'location / { proxy_pass http://a; proxy_http_version 1.1; proxy_set_header Connection ""; } }'
        return [stack.enter_context(_nginx(folder, "plain", said))], f"http://127.0.0.1:{port}/orders/1"

    def behind(*, remembers: bool) -> Callable[[ExitStack], tuple[list[int], str]]:
        def run(stack: ExitStack) -> tuple[list[int], str]:
            port, place = free_port(), f"unix:{folder}/s"
            service = stack.enter_context(_service(folder, place, remembers=remembers))
            words = [sys.executable, "-m", "jwt_guard", "export", "nginx", "--config", "guard.toml"]
            words += ["--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{application}", "--auth", place]
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
            printed = subprocess.run(
                words, cwd=folder, env=environment, check=True, capture_output=True, text=True
            ).stdout
            said = printed.replace("worker_processes auto;", "").replace("server_tokens off;", _HTTP, 1)
            return [stack.enter_context(_nginx(folder, "gate", said, whole=True)), service], (
                f"http://127.0.0.1:{port}/orders/1"
            )

        return run

    def envoy(*, remembers: bool) -> Callable[[ExitStack], tuple[list[int], str]]:
        def run(stack: ExitStack) -> tuple[list[int], str]:
            port = free_port()
            (folder / "envoy.json").write_text(_envoy(port, application, remembers=remembers), encoding="utf-8")
            words = [str(program("envoy")), "-c", "envoy.json", "--concurrency", "1", "-l", "error"]
            return [stack.enter_context(_started(folder, [*words, "--use-dynamic-base-id"]))], (
                f"http://127.0.0.1:{port}/orders/1"
            )

        return run

    return {
        "nginx, a constant 200": constant,
        "the service alone": alone,
        "nginx, without a guard": plain,
        "nginx + the service, tokens seen before": behind(remembers=True),
        "nginx + the service, nothing remembered": behind(remembers=False),
        "Envoy's filter, with its cache": envoy(remembers=True),
        "Envoy's filter, without": envoy(remembers=False),
    }


_HTTP = "access_log off; keepalive_requests 100000000; " + "".join(
    f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


def _constant(port: int) -> str:
    return f"server {{ listen 127.0.0.1:{port}; large_client_header_buffers 4 16k; location / {{ return 200 ok; }} }}"


@contextmanager
def _nginx(folder: Path, name: str, said: str, *, core: int = 0, whole: bool = False) -> Generator[int]:
    text = said if whole else f"events {{ worker_connections 1024; }} http {{ {_HTTP} {said} }}"
    (folder / f"{name}.conf").write_text(text, encoding="utf-8")
    options = f"daemon off; master_process off; pid {name}.pid;"
    words = [str(program(_NGINX)), "-p", ".", "-c", f"{name}.conf", "-e", "stderr", "-g", options]
    with _started(folder, words, core=core) as pid:
        yield pid


@contextmanager
def _service(folder: Path, listen: str, *, remembers: bool = True) -> Generator[int]:
    name = "guard.toml" if remembers else "forgets.toml"
    words = [sys.executable, "-m", "jwt_guard", "serve", "--config", name, "--listen", listen]
    with _started(folder, words) as pid:
        yield pid


@contextmanager
def _started(folder: Path, words: list[str], *, core: int = 0) -> Generator[int]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    with (folder / "log").open("ab") as log:
        running = subprocess.Popen([*_on(core), *words], cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        yield running.pid
    finally:
        running.terminate()
        running.wait(20)


def _on(core: int) -> list[str]:
    cores = sorted(os.sched_getaffinity(0))
    taskset = shutil.which("taskset")
    return [] if taskset is None or len(cores) == 1 else [taskset, "-c", str(cores[min(core, len(cores) - 1)])]


def _write(folder: Path) -> None:
    keys = {"keys": [public_jwk("RS256", kid="a")]}
    (folder / "jwks.json").write_text(json.dumps(keys), encoding="utf-8")
    (folder / "guard.toml").write_text(_GUARD, encoding="utf-8")
    (folder / "forgets.toml").write_text("memory = false\n" + _GUARD, encoding="utf-8")
    (folder / "load.lua").write_text(_LOAD, encoding="ascii")
    now = int(time.time())
    tokens = [mint(claims(sub=f"user-{n}", iat=now, exp=now + HOUR), alg="RS256") for n in range(_TOKENS)]
    (folder / "tokens").write_text("\n".join(tokens) + "\n", encoding="ascii")


def _asked(wrk: str, folder: Path, pids: list[int], url: str) -> Figure:
    for _ in range(100):
        if _load(wrk, folder, url, 1) is not None:
            break
        time.sleep(0.1)
    before = sum(map(_cpu, pids))
    got = _load(wrk, folder, url, _SECONDS)
    if got is None:
        raise AssertionError((folder / "log").read_text(encoding="utf-8")[-2_000:])
    requests, seconds = got
    return Figure((sum(map(_cpu, pids)) - before) / requests * 1e6, requests / seconds)


def _load(wrk: str, folder: Path, url: str, seconds: int) -> tuple[int, float] | None:
    """Return how many requests were answered with a yes, and in how many seconds; None where one was not."""
    words = [*_on(1), wrk, "-t", "1", "-c", str(_CONNECTIONS), "-d", f"{seconds}s", "-s", "load.lua", url]
    ran = subprocess.run(words, cwd=folder, check=False, capture_output=True, text=True)
    if ran.returncode:
        return None
    requests, refused, micros = map(int, ran.stdout.splitlines()[-1].split())
    return (requests, micros / 1e6) if requests and not refused else None


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _envoy(port: int, application: int, *, remembers: bool) -> str:
    kind = "type.googleapis.com/envoy.extensions.filters"
    provider: dict[str, object] = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": json.dumps({"keys": [public_jwk("RS256", kid="a")]})},
    }
    if remembers:
        provider["jwt_cache_config"] = {"jwt_cache_size": 1_000}
    authn = {
        "@type": f"{kind}.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"shop": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "shop"}}],
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "application"}}
    manager = {
        "@type": f"{kind}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.jwt_authn", "typed_config": authn},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{kind}.http.router.v3.Router"}},
        ],
    }

    def place(number: int) -> dict[str, object]:
        return {"socket_address": {"address": "127.0.0.1", "port_value": number}}

    endpoint = {"endpoint": {"address": place(application)}}
    load = {"cluster_name": "application", "endpoints": [{"lb_endpoints": [endpoint]}]}
    cluster = {"name": "application", "type": "STATIC", "connect_timeout": "1s", "load_assignment": load}
    listener = {
        "address": place(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})


if __name__ == "__main__":
    for what, figure in measured(int(sys.argv[1]) if len(sys.argv) > 1 else 3).items():
        print(f"{what:42} {figure.microseconds:7.1f} µs of CPU a request, {figure.per_second:9,.0f} requests/s")
