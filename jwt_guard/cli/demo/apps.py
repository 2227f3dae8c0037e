"""An issuer's URL → a guard, and two small web shops behind it that show who the guard let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...access.guard import Guard
from ...access.policy import anyone, scopes
from ...access.profiles import rfc9068
from ...access.routes import by_route
from ...credentials import current
from ...sources.discovery import discovered
from ...sources.jwks import KeySettings

if TYPE_CHECKING:
    from flask import Flask
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse

__all__ = ["AUDIENCE", "flask_app", "guard_for", "starlette_app"]

AUDIENCE = "orders-api"
# The issuer comes and goes within seconds here, so it is asked again sooner than anywhere else.
_KEYS = KeySettings(cooldown=0.5)


def guard_for(issuer: str) -> Guard:
    """Return what both apps trust and ask for."""
    shop = rfc9068(issuer, AUDIENCE, name="shop", keys=discovered(frozenset({issuer}), settings=_KEYS))
    return Guard(
        [shop],
        by_route(
            [
                ("GET", "/health", anyone()),
                ("GET", "/orders", scopes("orders:read")),
                ("POST", "/orders", scopes("orders:write")),
            ]
        ),
        realm="orders",
    )


def starlette_app(guard: Guard) -> Starlette:
    """Return the shop in Starlette."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from ...middleware.starlette import GuardMiddleware

    async def show(request: Request) -> JSONResponse:
        who = request.state.credentials
        return JSONResponse({"user": who and who.user, "client": who and who.client})

    routes = [Route("/health", show), Route("/orders", show, methods=["GET", "POST", "DELETE"])]
    return Starlette(routes=routes, middleware=[Middleware(GuardMiddleware, guard=guard)])


def flask_app(guard: Guard) -> Flask:
    """Return the shop in Flask."""
    from flask import Flask

    from ...middleware.flask import GuardExtension

    app = Flask(__name__)
    GuardExtension(app, guard)

    @app.route("/health")
    @app.route("/orders", methods=["GET", "POST", "DELETE"])
    def show() -> dict[str, str | None]:
        who = current()
        return {"user": who and who.user, "client": who and who.client}

    return app
