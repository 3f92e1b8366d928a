"""OAuth for HTTP servers, as "oauth": {...} in the config, `--oauth`, or a server's own
answer asks for it.

A person signs in (see signin), or a key does. What is learnt stays in the token store,
so that the next kernel neither asks nor registers again.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import httpx2
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.utils import extract_field_from_www_auth
from mcp.shared.auth import (
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from mcp_notebook.config import HttpServer
from mcp_notebook.config.userfiles import write_whole
from mcp_notebook.errors import ConnectError
from mcp_notebook.secrets import learn_secret
from mcp_notebook.sessions.sign_in import Authorize, SignIn

# Where OAuth tokens stay between kernels: the system's keyring when there is one, else
# a file of this user alone.


logger = logging.getLogger(__name__)

SERVICE = "mcp-notebook"


def _learn_tokens(tokens: Mapping[str, Any]) -> None:
    for name in ("access_token", "refresh_token", "id_token"):
        learn_secret(name, str(tokens.get(name) or ""))


class TokenStore:
    """The SDK's TokenStorage for one server; never part of a notebook."""

    def __init__(
        self, url: str, folder: Path | None = None, *, use_keyring: bool = True
    ) -> None:
        self._key = hashlib.sha256(url.encode()).hexdigest()[:32]
        self._folder = folder or _default_folder()
        self._keyring = _keyring() if use_keyring and folder is None else None
        self._kept: dict[str, Any] | None = None

    async def get_tokens(self) -> OAuthToken | None:
        found = (await self._load()).get("tokens")
        if found:
            _learn_tokens(found)
            return OAuthToken.model_validate(found)

        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        # A token says how long it is good for, which means nothing to the kernel that
        # reads it tomorrow.
        if tokens.expires_in is not None:
            ends = time.time() + tokens.expires_in
        else:
            ends = None

        _learn_tokens(tokens.model_dump())
        await self._keep(
            tokens=tokens.model_dump(mode="json", exclude_none=True), expires_at=ends
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        found = (await self._load()).get("client")
        if found:
            return OAuthClientInformationFull.model_validate(found)

        return None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        await self._keep(client=client_info.model_dump(mode="json", exclude_none=True))

    async def expiry(self) -> float | None:
        """When the stored token ends, in seconds since the epoch; None when its server
        did not say.
        """
        return (await self._load()).get("expires_at")

    async def get_metadata(self) -> dict[str, Any]:
        """What `set_metadata` was given: where the token is renewed."""
        return (await self._load()).get("metadata") or {}

    async def set_metadata(self, metadata: dict[str, Any]) -> None:
        await self._keep(metadata=metadata)

    def forget_what_was_read(self) -> None:
        """Read the store anew at the next question: another kernel may have written to it."""
        self._kept = None

    async def forget(self) -> None:
        """Remove everything that is kept for this server."""
        self._kept = {}
        await asyncio.to_thread(self._write)

    async def _load(self) -> dict[str, Any]:
        if self._kept is None:
            self._kept = await asyncio.to_thread(self._read)

        return self._kept

    async def _keep(self, **values: Any) -> None:
        (await self._load()).update(values)
        await asyncio.to_thread(self._write)

    def _read(self) -> dict[str, Any]:
        try:
            text = self._from_keyring() or self._path.read_text("utf-8")
            if text:
                found = json.loads(text)
            else:
                found = {}
        except (OSError, ValueError):
            return {}

        if isinstance(found, dict):
            return found

        return {}

    def _from_keyring(self) -> str | None:
        if self._keyring is None:
            return None

        try:
            return self._keyring.get_password(SERVICE, self._key)
        except Exception:
            # boundary: back ends raise what they like, for one when the keyring is
            # locked
            logger.warning(
                "the system's keyring cannot be read; tokens are kept in a file",
                exc_info=True,
            )
            self._keyring = None
            return None

    def _write(self) -> None:
        text = json.dumps(self._kept)
        if self._keyring is not None:
            try:
                self._keyring.set_password(SERVICE, self._key, text)
                self._path.unlink(missing_ok=True)  # from a time without a keyring
                return
            except Exception:
                # boundary: as above; a few also have a limit on the length
                logger.warning(
                    "the system's keyring cannot be written; tokens are kept in a file",
                    exc_info=True,
                )
                self._keyring = None

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._path, text.encode())

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._key}.json"


def _default_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "mcp-notebook" / "tokens"


def _keyring() -> Any:
    """The keyring module when it is installed and has a real back end (it is optional)."""
    try:
        import keyring  # an optional package
    except ImportError:
        return None

    name = type(keyring.get_keyring()).__module__
    if name.endswith((".fail", ".null")):
        return None

    return keyring


def make_auth(
    name: str,
    spec: HttpServer,
    authorize: Authorize | None,
    store: TokenStore | None = None,
) -> httpx2.Auth:
    """The authorization that `spec.oauth` describes; ConnectError when it needs a
    person and there is none.

    Keys: client_id, client_secret, scope, issuer; grant "client_credentials";
    private_key (path of a PEM file) and algorithm; redirect_uri, client_metadata_url.
    All are optional: without them the notebook registers itself.
    """
    told = dict(spec.oauth or {})
    store = store or TokenStore(spec.url)
    try:
        if "private_key" in told:
            return _by_key(spec, told, store)

        if told.get("grant") == "client_credentials":
            return _by_secret(spec, told, store)
    except KeyError as missing:
        raise ConnectError(
            f'server {name!r} needs {missing} in its "oauth" settings.'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a PEM file"
        raise ConnectError(
            f'server {name!r}: the private_key of its "oauth" cannot be read: {reason}.'
        ) from None

    if (metadata := told.get("client_metadata_url")) and not metadata.startswith(
        "https://"
    ):
        raise ConnectError(
            f'server {name!r}: the client_metadata_url of its "oauth" should begin with https://.'
        )

    return ByPerson(
        spec, told, store, SignIn(name, authorize, told.get("redirect_uri"))
    )


def _by_key(spec: HttpServer, told: dict[str, str], store: TokenStore) -> httpx2.Auth:
    key = SignedJWTParameters(
        issuer=told["client_id"],
        subject=told["client_id"],
        signing_key=Path(told["private_key"]).expanduser().read_text("utf-8"),
        signing_algorithm=told.get("algorithm", "ES256"),
    )
    return PrivateKeyJWTOAuthProvider(
        server_url=spec.url,
        storage=store,
        client_id=told["client_id"],
        assertion_provider=key.create_assertion_provider(),
        scope=told.get("scope"),
        issuer=told.get("issuer"),
    )


def _by_secret(
    spec: HttpServer, told: dict[str, str], store: TokenStore
) -> httpx2.Auth:
    return ClientCredentialsOAuthProvider(
        server_url=spec.url,
        storage=store,
        client_id=told["client_id"],
        client_secret=told["client_secret"],
        scope=told.get("scope"),
        issuer=told.get("issuer"),
    )


class ByPerson(OAuthClientProvider):
    """The SDK's provider with a memory across kernels: it knows when a stored token
    ends and where to renew it.

    Alone it takes a stored token for valid, and asks the person again when the server refuses it.
    """

    def __init__(
        self, spec: HttpServer, told: dict[str, str], store: TokenStore, sign_in: SignIn
    ) -> None:
        metadata = OAuthClientMetadata(
            client_name="mcp-notebook",
            redirect_uris=[AnyUrl(sign_in.redirect_uri)],
            grant_types=["authorization_code", "refresh_token"],
            scope=told.get("scope"),
        )
        super().__init__(
            server_url=spec.url,
            client_metadata=metadata,
            storage=_Registered(store, told, sign_in.redirect_uri)
            if "client_id" in told
            else store,
            redirect_handler=sign_in.ask,
            callback_handler=sign_in.wait,
            client_metadata_url=told.get("client_metadata_url"),
        )
        self._sign_in = sign_in
        # the sign-in comes back to an address that the client is registered with
        self._registered_here = True

    @property
    def _store(self) -> TokenStore:
        assert isinstance(self.context.storage, TokenStore)
        return self.context.storage

    async def _initialize(self) -> None:
        await super()._initialize()
        context = self.context
        context.token_expiry_time = await self._store.expiry()
        known = await self._store.get_metadata()
        context.oauth_metadata = _model(OAuthMetadata, known.get("server"))
        context.protected_resource_metadata = _model(
            ProtectedResourceMetadata, known.get("resource")
        )
        context.auth_server_url = known.get("issuer")
        if context.client_info is not None:
            registered = context.client_info.redirect_uris
        else:
            registered = None

        self._registered_here = not registered or self._sign_in.adopt(
            str(registered[0])
        )
        context.client_metadata.redirect_uris = [AnyUrl(self._sign_in.redirect_uri)]
        if not self._registered_here and not context.can_refresh_token():
            # something else listens at its address: the notebook registers anew
            context.client_info = None

    async def _handle_refresh_response(self, response: httpx2.Response) -> bool:
        renewed = await super()._handle_refresh_response(response)
        if not renewed and not self._registered_here:
            self.context.client_info = None  # as above

        return renewed

    async def _handle_token_response(self, response: httpx2.Response) -> None:
        await super()._handle_token_response(response)
        await self._store.set_metadata(
            {
                "server": _plain(self.context.oauth_metadata),
                "resource": _plain(self.context.protected_resource_metadata),
                "issuer": self.context.auth_server_url,
            }
        )

    async def _auth_flow(
        self, request: httpx2.Request
    ) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """The SDK's flow, with one try to renew a token that the server no longer takes
        before a person is asked.
        """
        if self._initialized and not self.context.is_token_valid():
            await self._newer_token()

        flow = super()._auth_flow(request)
        asked, renewed = await anext(flow), False
        while True:
            response = yield asked
            if asked is request and not renewed and self._may_renew(response):
                renewed = True
                good = await self._newer_token()
                if not good and self.context.can_refresh_token():
                    good = await self._handle_refresh_response(
                        (yield await self._refresh_token())
                    )

                if good:
                    self._add_auth_header(request)
                    response = yield request

            try:
                asked = await flow.asend(response)
            except StopAsyncIteration:
                return

    async def _newer_token(self) -> bool:
        """Whether another kernel has renewed the token since: a refresh token often
        works only once.
        """
        before = self.context.current_tokens
        self._store.forget_what_was_read()
        await self._initialize()
        now = self.context.current_tokens
        return self.context.is_token_valid() and now is not None and now != before

    def _may_renew(self, response: httpx2.Response) -> bool:
        invalid = extract_field_from_www_auth(response, "error") == "invalid_token"
        return (
            response.status_code == 401 and invalid and self.context.can_refresh_token()
        )


class _Registered(TokenStore):
    """Tokens from the store, the client from the config."""

    def __init__(
        self, store: TokenStore, told: dict[str, str], redirect_uri: str
    ) -> None:
        self.__dict__.update(store.__dict__)
        secret = told.get("client_secret")
        self._client = OAuthClientInformationFull(
            client_id=told["client_id"],
            client_secret=secret,
            redirect_uris=[AnyUrl(redirect_uri)],
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
        )

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self._client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        return None


def _model(kind: Any, told: Any) -> Any:
    try:
        if told:
            return kind.model_validate(told)

        return None
    except ValidationError:  # written by another version: it is discovered again
        return None


def _plain(model: BaseModel | None) -> dict[str, Any] | None:
    if model is not None:
        return model.model_dump(mode="json", exclude_none=True)

    return None
