"""An MCP server behind OAuth 2.1, with its own authorization server: `python guarded.py PORT`.

It registers clients, wants PKCE and an exact redirect address, gives access tokens with
a lifetime and refresh tokens that work once. Who opens the sign-in link has signed in.
`/seen` tells what was asked of it, `/lifetime?seconds=N` sets how long tokens last from
now on, `/revoke` ends every access token.
"""

import base64
import hashlib
import logging
import secrets
import sys
import time
from typing import Any
from urllib.parse import urlencode

import uvicorn
from mcp.server.mcpserver import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send


class Issuer:
    """The authorization server: clients, codes and tokens in memory."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.lifetime = 3600.0
        self.seen: list[str] = []
        self.clients: dict[str, list[str]] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.renewals: dict[str, str] = {}  # refresh token -> client
        self.access: dict[str, float] = {}  # access token -> end

    def routes(self) -> list[Route]:
        return [
            Route("/.well-known/oauth-protected-resource/mcp", self.resource),
            Route("/.well-known/oauth-authorization-server", self.metadata),
            Route("/register", self.register, methods=["POST"]),
            Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]),
            Route("/seen", self.tell),
            Route("/lifetime", self.set_lifetime),
            Route("/revoke", self.revoke),
        ]

    async def resource(self, request: Request) -> Response:
        return JSONResponse(
            {"resource": f"{self.base}/mcp", "authorization_servers": [self.base]}
        )

    async def metadata(self, request: Request) -> Response:
        places = {
            f"{name}_endpoint": f"{self.base}/{path}" for name, path in _PLACES.items()
        }
        return JSONResponse({"issuer": self.base, **places, **_ABLE})

    async def register(self, request: Request) -> Response:
        told = await request.json()
        client = f"client-{len(self.clients)}"
        self.clients[client] = told["redirect_uris"]
        self.seen.append("registered")
        return JSONResponse(
            {**told, "client_id": client, "token_endpoint_auth_method": "none"}, 201
        )

    async def authorize(self, request: Request) -> Response:
        told = dict(request.query_params)
        if told["redirect_uri"] not in self.clients.get(told["client_id"], ()):
            return Response("this address is not registered", 400)
        if (
            told.get("code_challenge_method") != "S256"
            or told.get("resource") != f"{self.base}/mcp"
        ):
            return Response("PKCE and the resource are needed", 400)
        code = secrets.token_urlsafe(8)
        self.codes[code] = told
        self.seen.append("signed in")
        answer = urlencode({"code": code, "state": told["state"]})
        return RedirectResponse(f"{told['redirect_uri']}?{answer}", 302)

    async def token(self, request: Request) -> Response:
        told: dict[str, Any] = dict(await request.form())
        if told["grant_type"] == "authorization_code":
            asked = self.codes.pop(told["code"], {})
            hashed = hashlib.sha256(told["code_verifier"].encode()).digest()
            fits = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() == asked.get(
                "code_challenge"
            )
            client = (
                asked.get("client_id")
                if fits and told["redirect_uri"] == asked["redirect_uri"]
                else None
            )
        else:
            client = self.renewals.pop(told["refresh_token"], None)
        self.seen.append(f"{told['grant_type']} {'given' if client else 'refused'}")
        if client is None or client != told["client_id"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        access, renewal = (
            f"secret-access-{secrets.token_hex(8)}",
            f"secret-renewal-{secrets.token_hex(8)}",
        )
        self.access[access], self.renewals[renewal] = (
            time.time() + self.lifetime,
            client,
        )
        given = {
            "access_token": access,
            "refresh_token": renewal,
            "token_type": "Bearer",
        }
        return JSONResponse({**given, "expires_in": int(self.lifetime)})

    async def tell(self, request: Request) -> Response:
        return JSONResponse(self.seen)

    async def set_lifetime(self, request: Request) -> Response:
        self.lifetime = float(request.query_params["seconds"])
        return Response("ok")

    async def revoke(self, request: Request) -> Response:
        self.access.clear()
        return Response("ok")

    def knows(self, header: str) -> bool:
        return self.access.get(header.removeprefix("Bearer "), 0.0) > time.time()


_PLACES = {"authorization": "authorize", "token": "token", "registration": "register"}
_ABLE = {
    "response_types_supported": ["code"],
    "grant_types_supported": ["authorization_code", "refresh_token"],
    "token_endpoint_auth_methods_supported": ["none"],
    "code_challenge_methods_supported": ["S256"],
}


class Gate:
    """Lets a request through to the server when it brings a token that the issuer knows."""

    def __init__(self, app: ASGIApp, issuer: Issuer) -> None:
        self._app, self._issuer = app, issuer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/mcp"):
            await self._app(scope, receive, send)
            return
        header = Request(scope).headers.get("authorization", "")
        if self._issuer.knows(header):
            await self._app(scope, receive, send)
            return
        error = 'error="invalid_token", ' if header else ""
        where = f'resource_metadata="{self._issuer.base}/.well-known/oauth-protected-resource/mcp"'
        refusal = Response(
            "sign in first", 401, {"www-authenticate": f"Bearer {error}{where}"}
        )
        await refusal(scope, receive, send)


def build(base: str) -> ASGIApp:
    """Both servers as one application."""
    logging.disable(logging.CRITICAL)
    server, issuer = MCPServer("guarded"), Issuer(base)

    @server.tool()
    def whisper() -> str:
        """Something that only who signed in hears."""
        return "the garden gate is open"

    inner = server.streamable_http_app()
    app = Starlette(
        routes=[*inner.routes, *issuer.routes()],
        lifespan=lambda _: server.session_manager.run(),
    )
    return Gate(app, issuer)


if __name__ == "__main__":
    port = int(sys.argv[1])
    uvicorn.run(
        build(f"http://127.0.0.1:{port}"),
        host="127.0.0.1",
        port=port,
        log_level="critical",
    )
