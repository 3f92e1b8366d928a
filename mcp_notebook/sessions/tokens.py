"""Where OAuth tokens stay between kernels: the system's keyring when there is one, else
a file of this user alone.
"""

import asyncio
import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from mcp.shared.auth import OAuthClientInformationFull, OAuthToken

logger = logging.getLogger(__name__)

SERVICE = "mcp-notebook"


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
            return OAuthToken.model_validate(found)
        return None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        # A token says how long it is good for, which means nothing to the kernel that
        # reads it tomorrow.
        if tokens.expires_in is not None:
            ends = time.time() + tokens.expires_in
        else:
            ends = None

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
        descriptor, new = tempfile.mkstemp(dir=self._folder, prefix=".")  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

        os.replace(new, self._path)

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
    if name.endswith((".fail", ".null")):
        return None

    return keyring
