"""README's first screen → whether it holds what it has to: what this is, how to see it, use it, and what to expect."""

from __future__ import annotations

import pytest

from tests.docs.pages import ROOT, blocks

README = ROOT / "README.md"
FIRST_SCREEN = "\n".join(README.read_text(encoding="utf-8").splitlines()[:70])


@pytest.mark.parametrize(
    "promised",
    [
        "bearer JWT",
        "$ make demo",
        "$ make test",
        "$ pip install jwt-guard",
        "from jwt_guard import Guard, keycloak, scopes",
        "app = GuardMiddleware(app, guard)",
        'Bearer realm="api"',
        'error="invalid_request"',
        'error="invalid_token"',
        'error="insufficient_scope"',
        "405",
        "503",
        "audience mapper",
        '"aud": "account"',
        "client scope `basic`",
    ],
)
def test_the_first_screen_has_it(promised: str) -> None:
    assert promised in FIRST_SCREEN


def test_ten_lines_protect_an_app() -> None:
    shown = next(block for block in blocks(README) if block.language == "python" and "file" not in block.marks)

    assert len(shown.text.splitlines()) <= 10
