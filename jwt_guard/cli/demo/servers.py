"""An app → the same app on a loopback port, served by a thread until the ``with`` is over."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType
    from typing import NoReturn

    from ...middleware import asgi, wsgi

__all__ = ["address", "asgi_served", "loopback", "terminable", "wsgi_served"]

_HOST = "127.0.0.1"
_START_WITHIN = 30.0
_STOP_WITHIN = 10.0


def loopback(port: int = 0) -> socket.socket:
    """Return a socket bound to *port* on loopback, or to a free one; nobody can connect to it yet."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((_HOST, port))
    except BaseException:
        bound.close()
        raise
    return bound


def address(bound: socket.socket) -> str:
    """Return the URL of what will be served on *bound*."""
    return f"http://{_HOST}:{bound.getsockname()[1]}"


@contextmanager
def asgi_served(app: asgi.App, bound: socket.socket) -> Generator[str]:
    """Serve *app* by uvicorn on *bound*, which is closed in the end; gives its URL."""
    import uvicorn

    url = address(bound)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), name="demo uvicorn", daemon=True)
    thread.start()
    try:
        end = time.monotonic() + _START_WITHIN
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                message = "uvicorn did not start"
                raise RuntimeError(message)
            time.sleep(0.005)
        yield url
    finally:
        server.should_exit = True
        thread.join(_STOP_WITHIN)
        bound.close()


@contextmanager
def wsgi_served(app: wsgi.App, bound: socket.socket) -> Generator[str]:
    """Serve *app* by waitress on *bound*, which is closed in the end; gives its URL."""
    from waitress import wasyncore
    from waitress.server import BaseWSGIServer, create_server

    url = address(bound)
    channels: dict[int, Any] = {}
    server = create_server(app, map=channels, sockets=[bound])
    if not isinstance(server, BaseWSGIServer):
        message = "waitress made several servers of one socket"
        raise TypeError(message)
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            wasyncore.loop(timeout=1.0, map=channels, count=1)
        server.task_dispatcher.shutdown()
        wasyncore.close_all(channels)

    thread = threading.Thread(target=serve, name="demo waitress", daemon=True)
    thread.start()
    try:
        yield url
    finally:
        stopping.set()
        server.pull_trigger()  # wakes the loop
        thread.join(_STOP_WITHIN)
        bound.close()


@contextmanager
def terminable() -> Generator[None]:
    """Take being told to go as Ctrl-C, so that nothing is left behind."""

    def go(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, go)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
