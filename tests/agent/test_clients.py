"""Who closes a model's client: we, where we made it; nobody, where the person did."""

import pytest

from mcp_notebook.agent import backends
from mcp_notebook.agent.backends import Clients
from mcp_notebook.errors import BackendError
from tests.agent.bench import Bench, shop
from tests.fake_messages import FakeMessages, Fault, Reply, text


@pytest.fixture
async def clients():
    kept = Clients()
    yield kept
    await kept.close()


async def ask(api, backend):
    """One cell with this backend."""
    bench = Bench(api, shop())
    await bench.request.backend.client.close()
    bench.request = type(bench.request)(backend, "Be brief.")
    async with backend.lifetime():
        return await bench.events()


async def test_the_next_cell_finds_the_client_and_its_connection(clients, monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    with FakeMessages([Reply([text("a")]), Reply([text("b")])]) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        first = backends.choose_backend(clients=clients)
        await ask(api, first)
        second = backends.choose_backend(clients=clients)
        await ask(api, second)
        assert second.client is first.client
        assert not first.client.is_closed()
        assert len(api.connections) == 1


async def test_other_settings_make_another_client_and_the_old_one_is_closed_when_its_run_is_over(
    clients, monkeypatch
):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "one")
    old = backends.choose_backend(clients=clients)
    async with old.lifetime():
        monkeypatch.setenv("ANTHROPIC_API_KEY", "two")
        new = backends.choose_backend(clients=clients)
        async with new.lifetime():
            pass
        assert not old.client.is_closed()
    assert old.client.is_closed()
    assert not new.client.is_closed()
    assert new.client.api_key == "two"


async def test_after_a_run_that_failed_the_next_has_a_client_of_its_own(
    clients, monkeypatch
):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    with FakeMessages([Fault(403, "no"), Reply([text("a")])]) as api:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", api.url)
        failed = backends.choose_backend(clients=clients)
        with pytest.raises(BackendError):
            await ask(api, failed)
        again = backends.choose_backend(clients=clients)
        await ask(api, again)
    assert again.client is not failed.client
    assert failed.client.is_closed()


async def test_without_credentials_nothing_is_kept_and_a_login_is_seen_at_once(
    clients, monkeypatch
):
    for name in (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "ANTHROPIC_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match="No model to ask"):
        backends.choose_backend(clients=clients)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    assert backends.choose_backend(clients=clients).kind == "live"


async def test_what_is_made_for_one_run_ends_with_it(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    alone = backends.choose_backend()
    async with alone.lifetime():
        assert not alone.client.is_closed()
    assert alone.client.is_closed()


async def test_the_persons_own_client_is_never_closed(clients):
    with FakeMessages([Reply([text("a")]), Fault(403, "no")]) as api:
        own = api.client(max_retries=0)
        chosen = backends.choose_backend(client=own, model="claude-x", clients=clients)
        await ask(api, chosen)
        with pytest.raises(BackendError):
            await ask(api, chosen)
        assert not own.is_closed()
        await own.close()


async def test_all_are_closed_at_the_end(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "test-key")
    clients = Clients()
    kept = backends.choose_backend(clients=clients)
    await clients.close()
    assert kept.client.is_closed()
