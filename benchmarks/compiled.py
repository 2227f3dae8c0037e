"""The policy compiled into Envoy beside a native configuration written by hand: CPU time of Envoy a request.

Both check signature, issuer, audience and one scope of the same tokens; the one by hand checks nothing else.  In each
round both are started anew, since where a process happens to lie in memory makes one cost up to a tenth more than
another, and then asked in turn.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from jwt_guard import Guard, Provider, by_route, fixed, scopes
from jwt_guard.gateway.export.envoy import export
from jwt_guard.gateway.export.envoy_clusters import cluster
from jwt_guard.gateway.export.plan import plan
from jwt_guard.gateway.settings import Settings, address
from tests.gateways.rig import free_port
from tests.gateways.tools import program
from tests.support.keys import public_jwk
from tests.support.minting import AUDIENCE, HOUR, ISSUER, claims, mint

if TYPE_CHECKING:
    from .rounds import Line

__all__ = ["GOAL", "Cost", "compiled", "rows"]

GOAL = 1.05
"""At most so many times the CPU time of the configuration by hand."""
_TOKENS = 100
_MOST_ROUNDS = 8
_SLICES = 4
_TYPE = "type.googleapis.com/envoy.extensions.filters"


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU time of Envoy for a request in each round, in microseconds: ours, and that of the configuration by hand."""

    ours: tuple[float, ...]
    by_hand: tuple[float, ...]

    @property
    def ratios(self) -> list[float]:
        """Ours, as a multiple of the one by hand, round by round."""
        return [ours / by_hand for ours, by_hand in zip(self.ours, self.by_hand, strict=True)]


def rows(rounds: int) -> list[Line]:
    """Return the table's rows; none where there is no wrk on the machine."""
    cost = compiled(min(rounds, _MOST_ROUNDS))
    if cost is None:
        return []
    ratio, ratios = min(cost.ours) / min(cost.by_hand), sorted(cost.ratios)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}, median {median(ratios):.2f}"
    return [
        ("Envoy: jwt_authn by hand", f"{min(cost.by_hand):.1f} µs", "", None),
        (
            "Envoy: the compiled policy",
            f"{ratio:.2f} × by hand ({spread}), {min(cost.ours):.1f} µs",
            f"≤ {GOAL:g} ×",
            ratio <= GOAL,
        ),
    ]


def compiled(rounds: int) -> Cost | None:
    """Return what each costs in each of so many *rounds*; None where there is no wrk on the machine."""
    wrk = shutil.which("wrk")
    if wrk is None:
        return None
    found: dict[str, list[float]] = {"ours": [], "by hand": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_load(folder)
        upstream = free_port()
        with _nginx(folder, upstream):
            for _ in range(rounds):
                for kind, least in _round(wrk, folder, upstream).items():
                    found[kind].append(least)
    return Cost(tuple(found["ours"]), tuple(found["by hand"]))


def _round(wrk: str, folder: Path, upstream: int) -> dict[str, float]:
    """Return the least of some slices of each, since whoever else uses the machine only adds to it."""
    taken: dict[str, list[float]] = {}
    with ExitStack() as stack:
        running: dict[str, tuple[int, int]] = {}
        for kind, make in {"ours": _ours, "by hand": _by_hand}.items():
            port = free_port()
            (folder / f"{kind}.json").write_text(make(port, upstream), encoding="utf-8")
            command = [str(program("envoy")), "-c", f"{kind}.json", "--concurrency", "1", "-l", "error"]
            running[kind] = stack.enter_context(_started([*command, "--use-dynamic-base-id"], folder)).pid, port
            _load(wrk, folder, port, 1)
        for number in range(_SLICES):
            for kind in list(running)[:: 1 if number % 2 else -1]:
                pid, port = running[kind]
                before = _cpu(pid)
                requests = _load(wrk, folder, port, 1)
                taken.setdefault(kind, []).append((_cpu(pid) - before) / requests * 1e6)
    return {kind: min(costs) for kind, costs in taken.items()}


def _keys() -> dict[str, Any]:
    return {"keys": [public_jwk("RS256", kid="a")]}


def _ours(port: int, upstream: int) -> str:
    provider = Provider(name="shop", issuer=ISSUER, audience=AUDIENCE, keys=fixed(_keys()), algorithms=["RS256"])
    guard = Guard([provider], by_route([("GET", "/orders/{id}", scopes("orders:read"))]))
    places = {"listen": f"127.0.0.1:{port}", "upstream": f"http://127.0.0.1:{upstream}"}
    return export(plan(Settings(), guard, **places, auth=None))[0].text


def _by_hand(port: int, upstream: int) -> str:
    namespace = "envoy.filters.http.jwt_authn"
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,
        "local_jwks": {"inline_string": json.dumps(_keys())},
        "payload_in_metadata": "payload",
        "normalize_payload_in_metadata": {"space_delimited_claims": ["scope"]},
    }
    authn = {
        "@type": f"{_TYPE}.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"shop": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "shop"}}],
    }
    has_scope = {"list_match": {"one_of": {"string_match": {"exact": "orders:read"}}}}
    claim = {"filter": namespace, "path": [{"key": "payload"}, {"key": "scope"}], "value": has_scope}
    policy = {"permissions": [{"url_path": {"path": {"prefix": "/orders/"}}}], "principals": [{"metadata": claim}]}
    rbac = {"@type": f"{_TYPE}.http.rbac.v3.RBAC", "rules": {"action": "ALLOW", "policies": {"orders": policy}}}
    manager = {
        "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "by_hand",
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}],
                }
            ]
        },
        "http_filters": [
            {"name": namespace, "typed_config": authn},
            {"name": "envoy.filters.http.rbac", "typed_config": rbac},
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"}},
        ],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [cluster("upstream", address(f"127.0.0.1:{upstream}"))]
    return json.dumps({"static_resources": {"listeners": [listener], "clusters": clusters}})


def _write_load(folder: Path) -> None:
    now = int(time.time())
    for number in range(_TOKENS):
        payload = claims(sub=f"user-{number}", iat=now, exp=now + HOUR)
        with (folder / "tokens").open("a", encoding="ascii") as tokens:
            tokens.write(mint(payload, alg="RS256") + "\n")
    (folder / "load.lua").write_text(
        "local tokens, at = {}, 0\n"
        'for line in io.lines("tokens") do tokens[#tokens + 1] = "Bearer " .. line end\n'
        "function request()\n"
        "  at = at % #tokens + 1\n"
        '  return wrk.format("GET", "/orders/1", {["Authorization"] = tokens[at]})\n'
        "end\n"
        "function done(summary, latency, requests)\n"
        '  io.write(string.format("\\n%d %d\\n", summary.requests, summary.errors.status))\n'
        "end\n",
        encoding="ascii",
    )


@contextmanager
def _nginx(folder: Path, port: int) -> Generator[None]:
    places = "".join(f"{name}_temp_path {name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(
        "events {} http { access_log off; keepalive_requests 100000000; "
        f"{places} server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }} }}",
        encoding="ascii",
    )
    path = str(program("nginx of PyPI"))
    options = "daemon off; master_process off; pid nginx.pid;"
    with _started([path, "-p", ".", "-c", "nginx.conf", "-e", "stderr", "-g", options], folder):
        yield


@contextmanager
def _started(command: list[str], folder: Path) -> Generator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.terminate()
        running.wait(10)


def _load(wrk: str, folder: Path, port: int, seconds: int) -> int:
    """Return how many requests were answered, every one of them with a yes."""
    words = [wrk, "-t", "1", "-c", "32", "-d", f"{seconds}s", "-s", "load.lua", f"http://127.0.0.1:{port}/orders/1"]
    for _ in range(50):
        with suppress(subprocess.CalledProcessError):
            said = subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout
            requests, refused = map(int, said.splitlines()[-1].split())

            if not requests or refused:
                raise RuntimeError(said)
            return requests
        time.sleep(0.1)
    raise RuntimeError("Envoy does not listen")


def _cpu(pid: int) -> float:
    """Return the seconds that all threads of the process have run."""
    ran = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text(encoding="ascii").split()[0]) for each in ran) / 1e9
