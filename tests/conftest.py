"""What holds for every test, and which tests a plain `pytest` runs.

pytest            what a change needs
pytest -m fast    something of every room
pytest --all      also browsers, servers by others, other engines, long random tests
pytest --rest     of `--all` what a plain `pytest` did not run, or with fewer examples
pytest PATH       all tests of that file or folder
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
LONG = {"browser", "node", "slow"}
# Files whose tests are `fast`: something of every room, a minute is the goal.
FAST = {
    "agent/test_conversation.py",
    "agent/test_run.py",
    "display/test_card.py",
    "display/test_safe.py",
    "freeze/test_write_step.py",
    "notebook/test_connecting.py",
    "notebook/test_help.py",
    "replay/test_keys.py",
    "results/test_services.py",
    "results/test_types.py",
    "sessions/test_lines.py",
    "sharing/test_catalog.py",
    "test_budgets.py",
    "test_config.py",
    "test_layers.py",
    "test_naming.py",
    "test_policy.py",
    "test_secrets.py",
}

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("all", max_examples=150, derandomize=True, **_COMMON)
settings.register_profile("quick", max_examples=40, **_COMMON)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all",
        action="store_true",
        help="also the tests that need long, a browser or Node",
    )
    parser.addoption(
        "--rest",
        action="store_true",
        help="the whole suite without what a plain pytest has run already",
    )


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than cores: a third of the time is waiting for servers."""
    return len(os.sched_getaffinity(0)) + 1


def pytest_configure(config: pytest.Config) -> None:
    # Who names a file, a folder or a marker wants just those. Workers get the option as it stands here.
    named = (
        config.args_source is pytest.Config.ArgsSource.ARGS or config.option.markexpr
    )
    if (named or config.option.rest) and not hasattr(config, "workerinput"):
        config.option.all = True
    settings.load_profile("all" if config.option.all else "quick")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    for item in items:
        in_fast_file = item.path.relative_to(HERE).as_posix() in FAST
        if in_fast_file and not is_long(item):
            item.add_marker(pytest.mark.fast)
    if config.option.rest:
        left_out = [item for item in items if not (is_long(item) or is_random(item))]
    elif config.option.all:
        left_out = []
    else:
        left_out = [item for item in items if is_long(item)]

    config.hook.pytest_deselected(items=left_out)
    chosen = set(items).difference(left_out)
    items[:] = [item for item in items if item in chosen]


def is_long(item: pytest.Item) -> bool:
    """Whether a plain `pytest` leaves this test out."""
    return bool(LONG & {mark.name for mark in item.iter_markers()})


def is_random(item: pytest.Item) -> bool:
    """Whether the profile says how many examples this test has."""
    return hasattr(getattr(item, "obj", None), "hypothesis")


@pytest.fixture(scope="module", autouse=True)
def _what_a_module_leaves_is_its_own() -> Iterator[None]:
    """Collect when a module ends, so that what it left open is told of it and not of a test that comes later."""
    yield
    gc.collect()
