"""What FastAPI's ``/docs`` makes of the OpenAPI document, in a real browser: the way of somebody who tries an API."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import parse_qs, urlencode

from fastapi import FastAPI, Request, Security
from fastapi.responses import RedirectResponse
from fastapi.security import OAuth2AuthorizationCodeBearer
from playwright.sync_api import Page, expect

from jwt_guard import Credentials
from jwt_guard.middleware.fastapi import guarded
from tests.middleware.callers import guarding
from tests.support.minting import claims, mint

GOOD = mint(claims(sub="ada", scope="orders:read"), alg="HS256")
POOR = mint(claims(sub="ada", scope="orders:write"), alg="HS256")


def app_of(**settings: Any) -> FastAPI:
    """Return an application of one operation, guarded by its dependency alone."""
    dependency = guarded(guarding(), **settings)
    app = FastAPI(responses=dependency.responses, swagger_ui_init_oauth={"clientId": "docs"})

    @app.get("/orders")
    async def orders(
        who: Annotated[Credentials, Security(dependency, scopes=["orders:read"])],
    ) -> dict[str, str | None]:
        return {"for": who.user}

    return app


def with_issuer(app: FastAPI) -> FastAPI:
    """Add the two addresses of an authorization server (RFC 6749 §4.1) that knows who it is for."""
    codes: dict[str, str] = {}

    @app.get("/authorize", include_in_schema=False)
    async def to_log_in(redirect_uri: str, state: str, scope: str = "") -> RedirectResponse:
        codes["the-code"] = scope
        return RedirectResponse(f"{redirect_uri}?{urlencode({'code': 'the-code', 'state': state})}")

    @app.post("/token", include_in_schema=False)
    async def token(request: Request) -> dict[str, str]:
        sent = parse_qs((await request.body()).decode())
        scope = codes.pop(sent["code"][0])
        return {"access_token": mint(claims(sub="ada", scope=scope), alg="HS256"), "token_type": "Bearer"}

    return app


def authorize(page: Page, token: str) -> None:
    page.locator(".scheme-container .authorize").click()
    dialog = page.locator(".modal-ux")
    expect(dialog).to_be_visible()
    if (logout := dialog.get_by_text("Logout", exact=True)).is_visible():
        logout.click()
    dialog.locator("input").fill(token)
    dialog.locator(".auth-btn-wrapper .authorize").click()
    dialog.locator(".btn-done").click()


def log_in(page: Page, *scopes: str) -> None:
    """Ask the authorization server for a token with *scopes*, in a window of its own."""
    page.locator(".scheme-container .authorize").click()
    dialog = page.locator(".modal-ux")
    expect(dialog).to_be_visible()
    if (logout := dialog.get_by_text("Logout", exact=True)).is_visible():
        logout.click()
    for scope in scopes:
        dialog.locator(f'label[for^="{scope}-"]').first.click()
    dialog.locator(".auth-btn-wrapper .authorize").click()
    expect(dialog.get_by_text("Logout", exact=True)).to_be_visible()
    dialog.locator(".btn-done").click()


def status_of_orders(page: Page) -> str:
    """Return the status of GET /orders, as the page shows it."""
    if page.locator(".btn-clear").is_visible():
        page.locator(".btn-clear").click()
    page.locator(".execute").click()
    status = page.locator(".live-responses-table .response-col_status").nth(1)
    expect(status).to_be_visible()
    return status.inner_text().split()[0]


def test_authorize_works_in_swagger_ui(page: Page, serve: Callable[[Any], str]) -> None:
    page.goto(f"{serve(app_of())}/docs")
    page.locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()

    assert "401" == status_of_orders(page)

    authorize(page, POOR)

    assert "403" == status_of_orders(page)

    authorize(page, GOOD)

    assert "200" == status_of_orders(page)
    assert '"for": "ada"' in page.locator(".live-responses-table .response-col_description").last.inner_text()


def test_a_login_in_swagger_ui_asks_for_the_scopes_of_the_document(page: Page, serve: Callable[[Any], str]) -> None:
    scheme = OAuth2AuthorizationCodeBearer("authorize", "token", scopes={"orders:read": "See", "orders:write": "Make"})
    page.goto(f"{serve(with_issuer(app_of(scheme=scheme)))}/docs")
    page.locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()

    log_in(page, "orders:write")

    assert "403" == status_of_orders(page)

    log_in(page, "orders:read")

    assert "200" == status_of_orders(page)
