"""Where OAuth tokens stay between kernels: the system's keyring when there is one, else a file of this user alone."""

import asyncio
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

SERVICE = "mcp-notebook"


class TokenStore:
    """The SDK's TokenStorage for one server; never part of a notebook."""

    def __init__(self, url: str, folder: Path | None = None, *, use_keyring: bool = True) -> None:
        self._key = hashlib.sha256(url.encode()).hexdigest()[:32]
        self._folder = folder or _default_folder()
        self._keyring = _keyring() if use_keyring and folder is None else None
        self._kept: dict[str, Any] | None = None

    async def get_tokens(self) -> OAuthToken | None:
        found = (await self._load()).get("tokens")
        return OAuthToken.model_validate(found) if found else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        await self._keep("tokens", tokens.model_dump(mode="json", exclude_none=True))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        found = (await self._load()).get("client")
        return OAuthClientInformationFull.model_validate(found) if found else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        await self._keep("client", client_info.model_dump(mode="json", exclude_none=True))

    async def forget(self) -> None:
        """Remove everything that is kept for this server."""
        self._kept = {}
        await asyncio.to_thread(self._write)

    async def _load(self) -> dict[str, Any]:
        if self._kept is None:
            self._kept = await asyncio.to_thread(self._read)
        return self._kept

    async def _keep(self, name: str, value: dict[str, Any]) -> None:
        (await self._load())[name] = value
        await asyncio.to_thread(self._write)

    def _read(self) -> dict[str, Any]:
        try:
            text = self._keyring.get_password(SERVICE, self._key) if self._keyring else self._path.read_text("utf-8")
            return json.loads(text) if text else {}
        except (OSError, ValueError):
            return {}

    def _write(self) -> None:
        text = json.dumps(self._kept)
        if self._keyring:
            self._keyring.set_password(SERVICE, self._key, text)
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(self._path)

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._key}.json"


def _default_folder() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "mcp-notebook" / "tokens"


def _keyring() -> Any:
    """The keyring module when it is installed and has a real back end (it is optional)."""
    try:
        import keyring
    except ImportError:
        return None
    name = type(keyring.get_keyring()).__module__
    return None if name.endswith((".fail", ".null")) else keyring
