"""A server that asks for the client's certificate: by path, in one file or two, checked
by its own authority.
"""

import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mcp_notebook.config import load_servers
from mcp_notebook.errors import ConnectError
from mcp_notebook.sessions import Sessions
from tests.servers.plain import build
from tests.sessions.support import free_port

NOW = datetime.datetime.now(datetime.UTC)
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


class Authority:
    """Signs certificates into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.name, self.key = (
            folder,
            _name("authority"),
            ec.generate_private_key(ec.SECP256R1()),
        )
        self.own = self._sign("authority", self.key.public_key(), is_authority=True)
        (folder / "ca.pem").write_bytes(self.own.public_bytes(PEM))

    def issue(self, name: str, password: bytes | None = None) -> None:
        """NAME.crt, NAME.key and both in NAME.pem."""
        key = ec.generate_private_key(ec.SECP256R1())
        hidden = (
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption()
        )
        certificate = self._sign(name, key.public_key()).public_bytes(PEM)
        private = key.private_bytes(PEM, PKCS8, hidden)
        (self.folder / f"{name}.crt").write_bytes(certificate)
        (self.folder / f"{name}.key").write_bytes(private)
        (self.folder / f"{name}.pem").write_bytes(certificate + private)

    def _sign(
        self, name: str, key: ec.EllipticCurvePublicKey, *, is_authority: bool = False
    ) -> x509.Certificate:
        here = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        builder = x509.CertificateBuilder(
            self.name, _name(name), key, x509.random_serial_number()
        )
        builder = builder.not_valid_before(NOW - datetime.timedelta(days=1))
        builder = builder.not_valid_after(NOW + datetime.timedelta(days=1))
        builder = builder.add_extension(
            x509.BasicConstraints(is_authority, None), critical=True
        )
        whose = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self.key.public_key()
        )
        builder = builder.add_extension(whose, critical=False)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key), critical=False
        )
        return builder.add_extension(here, critical=False).sign(
            self.key, hashes.SHA256()
        )


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    for name in ("server", "me"):
        authority.issue(name)
    authority.issue("hidden", b"password")
    return folder


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    port = free_port()
    files = {
        "ssl_certfile": folder / "server.crt",
        "ssl_keyfile": folder / "server.key",
    }
    config = uvicorn.Config(
        build().streamable_http_app(), host="127.0.0.1", port=port, log_level="critical", **files,
        ssl_ca_certs=str(folder / "ca.pem"), ssl_cert_reqs=ssl.CERT_REQUIRED, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.02)
    yield f"https://127.0.0.1:{port}/mcp"
    server.should_exit = True
    thread.join(10)


async def answer(folder: Path, sessions: Sessions, url: str, **files: str) -> str:
    path = folder / "mcp.json"
    path.write_text(json.dumps({"mcpServers": {"s": {"url": url, **files}}}))
    (spec,) = load_servers(path).values()
    session = await sessions.connect("s", spec)
    return (await session.call("echo", {"text": "hi"})).result.content[0].text  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "files", [{"certificate": "me.pem"}, {"certificate": "me.crt", "key": "me.key"}]
)
async def test_a_certificate_by_path_opens_the_door(
    files: dict[str, str], folder: Path, url: str, sessions: Sessions
) -> None:
    assert await answer(folder, sessions, url, ca="ca.pem", **files) == "hi"


async def test_without_it_or_with_an_unknown_authority_the_sentence_says_tls(
    folder: Path, url: str, sessions: Sessions
) -> None:
    with pytest.raises(
        ConnectError,
        match=r"server 's' cannot be reached: the (TLS )?connection to 127\.0\.0\.1",
    ):
        await answer(folder, sessions, url, ca="ca.pem")
    with pytest.raises(ConnectError, match="TLS connection"):
        await answer(folder, sessions, url, certificate="me.pem")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"certificate": "hidden.pem"}, "without a password"),
        ({"certificate": "me.crt"}, "not usable"),
        ({"certificate": "me.crt", "key": "server.key"}, "not usable"),
        ({"certificate": "ca.pem", "key": "mcp.json"}, "not usable"),
        ({"ca": "me.key"}, "not usable"),
    ],
)
async def test_files_that_do_not_fit_are_named_and_nobody_is_asked_for_a_password(
    files: dict[str, str], says: str, folder: Path, url: str, sessions: Sessions
) -> None:
    with pytest.raises(ConnectError, match=says):
        await answer(folder, sessions, url, **files)
