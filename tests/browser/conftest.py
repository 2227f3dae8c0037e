"""A machine → a browser on it, installed where that may be done, and an application in a server to look at."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, sync_playwright

from tests.support.servers import until

from .swagger_ui import PAGES, install, installed

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 15_000.0  # milliseconds until what a test looks for must be on the page
OURS = "http://127.0.0.1:"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the program; whoever may install it, does."""
    found = _program()
    if found is None and shutil.which("apt-get") is not None and (os.geteuid() == 0 or _in_ci()):
        _apt_get("update")
        _apt_get("install", "-y", "--no-install-recommends", "chromium")
        found = _program()
    if found is None:
        _missing("no browser: apt-get install --no-install-recommends chromium")
    return found


@pytest.fixture(scope="session")
def swagger_ui() -> Path:
    """Return where its files are."""
    if not installed() and install() != 0:
        _missing("no Swagger UI: run `python -m tests.browser.swagger_ui`")
    return PAGES


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Start it, once for all tests of a file: it is what takes time, and its loop must not outlive them."""
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, swagger_ui: Path) -> Iterator[Page]:
    """Open an empty page, which finds Swagger UI where its CDN would be, and nothing else of the world outside."""

    def elsewhere(route: Route) -> None:
        path = swagger_ui / route.request.url.rpartition("/")[2]
        if "/swagger-ui-dist@" in route.request.url and path.is_file():
            route.fulfill(path=path)
        else:
            route.abort()

    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    context.route(lambda url: not url.startswith(OURS), elsewhere)
    yield context.new_page()
    context.close()


@pytest.fixture
def serve() -> Iterator[Callable[[Any], str]]:
    """Give a function that starts a server with an application and returns its address."""
    running: list[tuple[uvicorn.Server, threading.Thread]] = []

    def started(app: Any) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread))
        until(lambda: server.started)
        return f"{OURS}{listener.getsockname()[1]}"

    yield started
    for server, thread in running:
        server.should_exit = True
        thread.join()


def _program() -> str | None:
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def _apt_get(*words: str) -> None:
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    # Another run of these tests, by another Python, may be at it as well.
    command = [*sudo, "apt-get", "-o", "DPkg::Lock::Timeout=120", "-qq", *words]
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)


def _in_ci() -> bool:
    return os.environ.get("CI") == "true"


def _missing(what: str) -> NoReturn:
    """Skip; but where everything has to be there, a skipped test is a test that nobody noticed."""
    if _in_ci():
        pytest.fail(what)
    pytest.skip(what)
