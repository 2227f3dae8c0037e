"""The commands of a page → what they print: one shell for a page, with the jwt-guard of this checkout."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.docs.pages import ROOT

__all__ = ["Session", "commands", "fits"]

_END = "--- the command has ended:"
_PATIENCE = 20.0

# For machines that have no curl: the few things of it that the pages use.
_CURL = """\
import argparse, sys, httpx
parser = argparse.ArgumentParser()
parser.add_argument("-i", action="store_true")
parser.add_argument("-s", action="store_true")
parser.add_argument("-X", default="GET")
parser.add_argument("-H", action="append", default=[])
parser.add_argument("-u", type=lambda both: tuple(both.split(":", 1)))
parser.add_argument("-d", action="append", type=lambda pair: tuple(pair.split("=", 1)), default=[])
parser.add_argument("url")
options = parser.parse_args()
headers = dict(each.split(": ", 1) for each in options.H)
method, form = "POST" if options.d else options.X, dict(options.d) or None
reply = httpx.request(method, options.url, headers=headers, data=form, auth=options.u, trust_env=False)
if options.i:
    print(f"HTTP/1.1 {reply.status_code} {reply.reason_phrase}")
    print(*(f"{name}: {value}" for name, value in reply.headers.items()), "", sep="\\n")
sys.stdout.write(reply.text)
"""


class Session:
    """A shell that remembers, as a reader's terminal does."""

    def __init__(self, folder: Path, tools: Path, ports: Mapping[str, str]) -> None:
        """*ports* are those on the page, each with the one that it is here, since that may be taken."""
        self._ports = ports
        _write_tool(tools / "jwt-guard", "import sys\nfrom jwt_guard.cli import main\nsys.exit(main())\n")
        (tools / ".curlrc").write_text("silent\n", encoding="utf-8")  # no progress bar where there is no terminal
        if shutil.which("curl") is None:
            _write_tool(tools / "curl", _CURL)
        path = os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
        environment = {
            **os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "NO_PROXY": "*",
            "PYTHONDONTWRITEBYTECODE": "1", "CURL_HOME": str(tools), "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        environment.pop("JWT_GUARD_CONFIG", None)
        self._shell = subprocess.Popen(
            ["/bin/sh"], cwd=folder, env=environment, text=True, encoding="utf-8", start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)  # the shell, and the servers it left running
        self._shell.communicate()

    def run(self, command: str) -> tuple[str, int]:
        """Return what *command* prints and how it ends."""
        output, status = self._told(f"{{ {self._here(command)}\n}} </dev/null")
        for shown, port in self._ports.items():
            output = output.replace(port, shown)
        return output, status

    def start(self, command: str) -> None:
        """Start the server of *command*, and return when it listens."""
        self._told(f"{{ exec {self._here(command)}; }} </dev/null >server.log 2>&1 &")
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(self._ports["8000"])), 1):
                return
            time.sleep(0.05)
        log, _ = self._told("cat server.log")
        message = f"it does not listen: {command}\n{log}"
        raise AssertionError(message)

    def _here(self, command: str) -> str:
        for shown, port in self._ports.items():
            command = command.replace(shown, port)
        return command

    def _told(self, text: str) -> tuple[str, int]:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{text}\nprintf '\\n{_END} %d\\n' $?\n")
        self._shell.stdin.flush()
        lines: list[str] = []
        for line in self._shell.stdout:
            if line.startswith(_END):
                return "".join(lines).removesuffix("\n"), int(line.removeprefix(_END))
            lines.append(line)
        message = f"the shell ended at: {text}\n{''.join(lines)}"
        raise AssertionError(message)


def _write_tool(path: Path, program: str) -> None:
    path.write_text(f"#!{sys.executable}\n{program}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def commands(text: str) -> list[tuple[str, str]]:
    """Return the commands in a console block, each with the output that is shown below it."""
    found: list[tuple[str, str]] = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, output = "", part
        while True:
            line, _, output = output.partition("\n")
            command += line + "\n"
            if not line.endswith("\\"):
                break
        found.append((command.strip(), output.strip("\n")))
    return found


def fits(shown: str, printed: str) -> bool:
    """Say whether *printed* is what is *shown*, where ``…`` stands for anything in a line, and alone for any lines."""
    pattern = ""
    for line in shown.strip("\n").splitlines():
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += r"[^\n]*".join(map(re.escape, line.rstrip().split("…"))) + r"[^\S\n]*\n"
    return re.fullmatch(pattern, printed.replace("\r", "").strip("\n") + "\n") is not None
