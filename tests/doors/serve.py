"""A name → that server with one of the applications, on a port it has found free: ``python -m tests.doors.serve``.

One line of JSON says which server has which port; they stop when standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from . import apps

__all__ = ["SERVERS"]


def _listening() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _uvicorn(app: Any, listener: socket.socket, **options: Any) -> None:
    import uvicorn

    config = uvicorn.Config(app, log_level="error", **options)
    uvicorn.Server(config).run(sockets=[listener])


def _hypercorn(app: Any, listener: socket.socket) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    asyncio.run(serve(app, config, shutdown_trigger=asyncio.Future))


def _waitress(app: Any, listener: socket.socket) -> None:
    import waitress

    waitress.serve(app, sockets=[listener], threads=2, _quiet=True)


def _werkzeug(app: Any, listener: socket.socket) -> None:
    import logging

    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    make_server("127.0.0.1", 0, app, threaded=True, fd=listener.fileno()).serve_forever()


SERVERS: dict[str, Callable[[socket.socket], None]] = {
    "uvicorn/h11": lambda on: _uvicorn(apps.asgi_app, on, http="h11", ws="websockets"),
    "uvicorn/httptools": lambda on: _uvicorn(apps.starlette_app, on, http="httptools", ws="websockets-sansio"),
    "hypercorn": lambda on: _hypercorn(apps.asgi_app, on),
    "waitress": lambda on: _waitress(apps.wsgi_app, on),
    "waitress/flask": lambda on: _waitress(apps.flask_app, on),
    "werkzeug/flask": lambda on: _werkzeug(apps.flask_app, on),
}


def main() -> None:
    ports = {}
    for name, serve in SERVERS.items():
        listener = _listening()
        ports[name] = listener.getsockname()[1]
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
