"""A test that asks for a front → each gateway in turn, started once for all tests, with a guard of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .rig import KINDS, Front, Upstream, exported, free_port, guarding, running


@pytest.fixture(scope="session")
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.fixture(scope="session", params=KINDS)
def front(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, upstream: Upstream
) -> Iterator[Front]:
    kind: str = request.param
    folder = tmp_path_factory.mktemp("gateway")
    auth, port = f"127.0.0.1:{free_port()}", free_port()
    more = f'grpc_listen = "127.0.0.1:{free_port()}"\n' if "gRPC" in kind else ""
    if more:
        pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="no gRPC front")
    with guarding(folder, auth, more=more) as config:
        places = ("--listen", f"127.0.0.1:{port}", "--upstream", f"http://127.0.0.1:{upstream.port}")

        assert 0 == exported(kind, folder, config, *places)
        with running(kind, folder, port, upstream) as started:
            yield started
