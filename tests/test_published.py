"""Servers of a registry, over HTTP from one that is played here, honest and not."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from mcp_notebook.config import ConnectOptions, HttpServer, StdioServer, describe
from mcp_notebook.config import published as registry
from mcp_notebook.errors import ConfigError, ConnectError
from mcp_notebook.events import Reply
from mcp_notebook.notebook import opening
from mcp_notebook.policy import Starts


class Played:
    """What the registry holds, as `[server.json, ...]`; `raw` is answered as it is."""

    def __init__(self, url: str) -> None:
        self.url, self.servers = url, [server()]
        self.raw: bytes | None = None
        self.status, self.asked = 200, 0

    def answer(self, path: str) -> bytes:
        self.asked += 1
        if self.raw is not None:
            return self.raw

        (words,) = parse_qs(urlsplit(path).query, keep_blank_values=True)["search"]
        found = [s for s in self.servers if words in str(s["name"])]
        items = [
            {"server": s, "_meta": {registry.STATE: {"isLatest": True}}} for s in found
        ]
        return json.dumps(
            {"servers": items, "metadata": {"count": len(items)}}
        ).encode()


def server(name: str = "io.github.owner/shop", **more: Any) -> dict[str, Any]:
    package = {
        "registryType": "pypi",
        "identifier": "shop-server",
        "version": "1.2.3",
        "transport": {"type": "stdio"},
    }
    return {
        "name": name,
        "description": "A shop.",
        "version": "1.2.3",
        "packages": [package],
        **more,
    }


def package(kind: str, identifier: Any, **more: Any) -> dict[str, Any]:
    one = {"registryType": kind, "identifier": identifier, "version": "2.0.0", **more}
    return server(packages=[one])


@pytest.fixture
def played(monkeypatch, tmp_path: Path) -> Iterator[Played]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(registry.shutil, "which", lambda name: f"/usr/bin/{name}")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = one.answer(self.path)
            self.send_response(one.status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return None

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    one = Played(f"http://127.0.0.1:{httpd.server_address[1]}")
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield one
    httpd.shutdown()
    httpd.server_close()


def spec(played: Played, **environ: str) -> Any:
    return registry.spec_of(registry.find("io.github.owner/shop", played.url), environ)


def words_of(played: Played, **environ: str) -> list[str]:
    made = spec(played, **environ)
    assert isinstance(made, StdioServer)
    return [made.command, *made.args]


def test_a_server_is_found_by_words_and_asked_for_once(played: Played) -> None:
    (found,) = registry.search("shop", played.url)
    assert (found.name, found.kinds) == ("io.github.owner/shop", "pypi")
    registry.search("shop", played.url)
    assert played.asked == 1


def test_packages_become_the_command_that_starts_them(played: Played) -> None:
    assert words_of(played) == ["uvx", "shop-server@1.2.3"]
    played.servers = [package("npm", "@owner/shop")]
    assert words_of(fresh(played)) == ["npx", "-y", "@owner/shop@2.0.0"]
    key = {"name": "SHOP_KEY", "isRequired": True, "description": "of the shop"}
    arguments = [
        {"type": "positional", "value": "serve"},
        {"type": "named", "name": "--mode", "default": "read"},
    ]
    played.servers = [
        package(
            "oci",
            "ghcr.io/owner/shop",
            environmentVariables=[key],
            packageArguments=arguments,
        )
    ]
    with pytest.raises(ConfigError, match=r"needs SHOP_KEY \(of the shop\)"):
        spec(fresh(played))

    made = spec(fresh(played), SHOP_KEY="a-value")
    assert "a-value" not in describe(made)
    assert made.env == {"SHOP_KEY": "a-value"}
    image = "ghcr.io/owner/shop:2.0.0"
    end = ("-e", "SHOP_KEY", image, "serve", "--mode", "read")
    assert made.args == ("run", "-i", "--rm", *end)


def fresh(played: Played) -> Played:
    """The same registry without what was kept of it."""
    played.url = played.url.partition("/x")[0] + f"/x{played.asked}"
    return played


def test_an_address_takes_its_token_from_the_environment(played: Played) -> None:
    header = {"name": "X-Api-Key", "isRequired": True, "isSecret": True}
    remote = {"type": "streamable-http", "url": "https://s.example/mcp"}
    played.servers = [server(packages=[], remotes=[{**remote, "headers": [header]}])]
    with pytest.raises(ConfigError, match="needs X_API_KEY"):
        spec(played)

    made = spec(played, X_API_KEY="a-value")
    assert isinstance(made, HttpServer)
    assert (made.url, made.headers) == (remote["url"], {"X-Api-Key": "a-value"})


HOSTILE = [
    package("pypi", "--index-url=https://evil.example"),
    package("pypi", "shop --with evil"),
    package("pypi", "git+https://evil.example/x"),
    package("npm", "-c"),
    package("npm", "../evil"),
    package("npm", "https://evil.example/x.tgz"),
    package("npm", "ѕhop"),
    package("oci", "-v=/:/host"),
    package("oci", "shop --privileged"),
    package("pypi", {"a": 1}),
    package("pypi", "shop", version="1.0 --with evil"),
    package("npm", "shop", registryBaseUrl="https://evil.example"),
    package(
        "pypi", "shop", environmentVariables=[{"name": "LD_PRELOAD", "value": "x"}]
    ),
    package(
        "npm", "shop", environmentVariables=[{"name": "NODE_OPTIONS", "value": "x"}]
    ),
    package("npm", "shop", environmentVariables=[{"name": "A=b\n", "value": "x"}]),
    server(packages=[], remotes=[{"type": "sse", "url": "http://evil.example/sse"}]),
    server(packages=[], remotes=[{"type": "sse", "url": "file:///etc/passwd"}]),
    server(packages="none", remotes=7),
]


@pytest.mark.parametrize("entry", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_no_package_and_no_address_is_refused(
    entry: dict[str, Any], played: Played
) -> None:
    played.servers = [entry]
    with pytest.raises(ConfigError) as refused:
        spec(played)

    assert "\n" not in refused.value.message
    assert refused.value.message.isprintable()


def test_options_for_the_program_that_starts_it_are_left_out_and_told(
    played: Played,
) -> None:
    options = [{"type": "named", "name": "-v", "value": "/:/host"}]
    played.servers = [package("oci", "owner/shop", runtimeArguments=options)]
    made = spec(played)
    assert "/:/host" not in made.args
    assert any("left out" in note for note in made.notes)


def test_names_that_are_none_are_not_listed(played: Played) -> None:
    names = ["io.github.owner/shop\n", "iо.github.owner/shop", "../shop", "shop", 7]
    played.servers = [server(name=name) for name in names]
    assert registry.search("", played.url) == []


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"x" * (registry.LARGEST + 1), "larger than"),
        (b"<html>", "no JSON"),
        (b"[" * 100_000, "cannot be asked"),
    ],
)
def test_answers_that_are_none_are_one_sentence(
    raw: bytes, says: str, played: Played
) -> None:
    played.raw = raw
    with pytest.raises(ConfigError, match=says):
        registry.search("shop", played.url)


def test_without_network_what_was_said_before_counts_and_its_age_is_told(
    played: Played, monkeypatch
) -> None:
    registry.search("shop", played.url)
    played.status = 503
    monkeypatch.setattr(registry, "FRESH", -1.0)
    (found,) = registry.search("shop", played.url)
    assert found.age > 0
    with pytest.raises(ConfigError, match="HTTP 503"):
        registry.search("other", played.url)


def test_nothing_starts_before_a_yes_that_shows_the_whole_command(
    played: Played, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = opening.with_published_name(ConnectOptions(("io.github.owner/shop",)))
    assert options.names == ("shop",)
    with pytest.raises(ConfigError, match="connect it in a cell"):
        opening.resolve(options)

    ((name, found),) = opening.resolve(options, registry=played.url).items()
    assert isinstance(found, StdioServer)
    notebook: Any = SimpleNamespace(
        settings=SimpleNamespace(registry=played.url), starts=Starts()
    )
    said: list[str] = []

    def confirm(choice: str) -> None:
        opening.confirm_published(
            notebook, name, options, found, say=said.append, ask=lambda _: Reply(choice)
        )

    with pytest.raises(ConnectError, match="nobody agreed"):
        confirm("deny")

    assert said[0] == "io.github.owner/shop is uvx shop-server@1.2.3"
    confirm("once")
    # The same again needs no second yes, another command does.
    confirm("deny")
    found = StdioServer("uvx", ("shop-server@9",))
    with pytest.raises(ConnectError):
        confirm("deny")
