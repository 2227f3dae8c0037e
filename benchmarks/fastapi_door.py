"""A guard and a key → the same FastAPI application: bare, with each of our two doors, and with what people write."""

# FastAPI reads annotations, some of them of what is made in here, so they must be more than text.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import Depends, FastAPI, HTTPException, Security
from fastapi.responses import PlainTextResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

import jwt_guard
from jwt_guard.middleware.fastapi import GuardMiddleware, guarded

from .verification import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from jwt_guard.middleware.asgi import App

__all__ = ["EMPTY", "PEER", "fastapi_apps"]

PEER = "HTTPBearer and PyJWT"
EMPTY = "an empty dependency"
_BODY = b"42"


def fastapi_apps(guard: jwt_guard.Guard, key: rsa.RSAPublicKey, passing: Any) -> "Mapping[str, App]":
    """Return the applications by what guards them, one with the middleware *passing*; each answers at /current."""
    behind, wrapped, guarding = FastAPI(), FastAPI(), guarded(guard)
    behind.add_middleware(GuardMiddleware, guard=guard)
    wrapped.add_middleware(passing)

    async def current() -> PlainTextResponse:
        jwt_guard.current()
        return PlainTextResponse(_BODY)

    behind.get("/current")(current)
    wrapped.get("/current")(current)
    bare = FastAPI()
    bare.get("/current")(current)
    asking = FastAPI()

    @asking.get("/current")
    async def who(_who: Annotated[jwt_guard.Credentials, Security(guarding)]) -> PlainTextResponse:
        return PlainTextResponse(_BODY)

    return {
        "bare": bare,
        "passing": wrapped,
        EMPTY: _depending(_nobody),
        "middleware": behind,
        "dependency": asking,
        PEER: _depending(_decoder(key)),
    }


async def _nobody() -> dict[str, Any]:
    return {}


def _decoder(key: rsa.RSAPublicKey) -> Any:
    """Return the dependency that tutorials end with; async, since FastAPI runs all others in threads."""
    bearer = HTTPBearer()

    async def decoded(sent: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                sent.credentials, key, algorithms=["RS256"], audience=AUDIENCE, issuer=ISSUER, leeway=30
            )
        except jwt.InvalidTokenError as error:
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"}) from error
        return claims

    return decoded


def _depending(dependency: Any) -> FastAPI:
    app = FastAPI()

    @app.get("/current")
    async def who(_claims: Annotated[dict[str, Any], Depends(dependency)]) -> PlainTextResponse:
        return PlainTextResponse(_BODY)

    return app
