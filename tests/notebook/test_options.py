"""The options of a question mean the same by every door: the line of `%%claude`,
`mcp_notebook.ask` and `%config MCPNotebook`.
"""

import inspect
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mcp_notebook
from mcp_notebook.agent import request as request_module
from mcp_notebook.agent.request import system_prompt
from mcp_notebook.errors import ConfigError
from mcp_notebook.magics.claude import ClaudeMagics
from mcp_notebook.magics.extension import AwaitTransformer
from mcp_notebook.notebook import compose as compose_module
from mcp_notebook.notebook.compose import (
    MOST_INSTRUCTIONS,
    compose,
    read_instructions,
)
from mcp_notebook.notebook.options import (
    OPTIONS,
    AskOption,
    AskOptions,
    MCPNotebook,
    options_of,
)
from mcp_notebook.notebook.state import Notebook
from tests.fake_messages import FakeMessages, Reply, text
from tests.notebook.scripted import notebook


@pytest.fixture(scope="module")
def model() -> Iterator[FakeMessages]:
    with FakeMessages(lambda body, n: Reply([text("fine")])) as running:
        yield running


@pytest.fixture
def state(model: FakeMessages, tmp_path: Path) -> Iterator[Notebook]:
    """A script's notebook whose questions go to the scripted model."""
    model.requests.clear()
    environ = {"ANTHROPIC_BASE_URL": model.url, "ANTHROPIC_API_KEY": model.api_key}
    with notebook(tmp_path, environ) as made:
        yield made


def test_max_tokens_is_the_limit_of_one_reply_by_every_door(
    model: FakeMessages, state: Notebook
) -> None:
    magics = ClaudeMagics(None, state, AwaitTransformer().take)
    magics.claude("--new --max-tokens 1000", "Hello?")
    _ = mcp_notebook.ask("Hello?", new=True, max_tokens=1000).text
    state.settings.max_tokens = 1000
    _ = mcp_notebook.ask("Hello?", new=True).text
    assert [body["max_tokens"] for body in model.requests] == [1000, 1000, 1000]


# What a test that asks nobody can choose from; `replay` needs a recording.
SAMPLES: dict[str, st.SearchStrategy[Any]] = {
    "into": st.sampled_from(["", "found"]),
    "form": st.sampled_from([None, "list[int]", "dict[str, float]"]),
    "model": st.sampled_from(["claude-opus-5-5", "house-model"]),
    "servers": st.sampled_from([(), ("notebook",)]),
    "allow": st.lists(st.sampled_from(["shop.*", "web.read_*"]), unique=True),
    "replay": st.just(False),
    "show": st.just(False),
    "quiet": st.just(True),
    "web": st.just(False),  # a model of this machine has none
}


def values_of(option: AskOption) -> st.SearchStrategy[Any]:
    if option.name in SAMPLES:
        return SAMPLES[option.name]
    if option.choices:
        return st.sampled_from(option.choices)
    if option.unit:
        return st.integers(int(option.least or 0), 10_000).map(option.kind)
    return st.booleans() if option.kind is bool else st.text("ab c", min_size=1)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """Some of the options, each with a value that it can have."""
    names = draw(st.lists(st.sampled_from(list(OPTIONS)), unique=True))
    return {name: draw(values_of(OPTIONS[name])) for name in names}


def line_of(chosen: dict[str, Any]) -> str:
    """The options as they are written behind `%%claude`."""
    words: list[str] = []
    for name, value in chosen.items():
        option = OPTIONS[name]
        is_open = value is None or value is False or value in ("", (), [])
        if not option.flags or is_open:
            continue
        if option.kind is bool:
            words.append(option.flags[0])
            continue
        each = value if option.adds else [value]
        for one in each:
            written = ",".join(one) if option.commas else str(one)
            words += [option.flags[-1], shlex.quote(written)]
    return " ".join(words)


class Doors:
    """The three doors, and what each of them composes instead of asking it."""

    def __init__(self, state: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
        self._state = state
        self._composed: list[Any] = []
        self._magics = ClaudeMagics(None, state, AwaitTransformer().take)
        monkeypatch.setattr(compose_module, "events_of", self._events)

    async def _events(
        self, state: Notebook, options: Any, conversation: Any, *_: Any
    ) -> Any:
        made = await compose(state, options)
        request = made.request
        self._composed.append(
            {
                "answers": (request.backend.model, request.backend.address),
                "request": (request.system, request.max_tokens, request.effort),
                "form": (request.schema, request.search_above),
                "limits": made.budget.cell,
                "prompt": made.prompt,
                "tools": [tool["name"] for tool in made.toolset.definitions()],
                "allowed": state.rules(options.allow, attended=False),
                "shaping": state.make_shaping(options.rows_to_model),
                "rest": (options.into, options.dry_run, conversation.messages),
            }
        )
        return
        yield

    def by_line(self, chosen: dict[str, Any]) -> Any:
        self._magics.claude(line_of(chosen), "What is in @orders?")
        return self._composed.pop()

    def by_call(self, chosen: dict[str, Any]) -> Any:
        assert mcp_notebook.ask("What is in @orders?", **chosen).text == ""
        return self._composed.pop()

    def by_config(self, chosen: dict[str, Any]) -> Any:
        """What is a setting is set, and only the rest given."""
        kept = {name for name in chosen if OPTIONS[name].has_setting}
        for name in kept:
            value = chosen[name]
            plain = list(value) if OPTIONS[name].adds else value
            setattr(self._state.settings, name, plain)
        try:
            left = {name: v for name, v in chosen.items() if name not in kept}
            return self.by_call(left)
        finally:
            for name in kept:
                default = self._state.settings.traits()[name].default()
                setattr(self._state.settings, name, default)


def test_random_options_compose_the_same_by_every_door(
    state: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The minute must not change between two doors.
    monkeypatch.setattr(request_module, "say_day", lambda now: "Today is Monday.")
    doors = Doors(state, monkeypatch)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(questions())
    def check(chosen: dict[str, Any]) -> None:
        called = doors.by_call(chosen)
        assert doors.by_line(chosen) == called
        assert doors.by_config(chosen) == called

    check()


def test_each_option_is_in_the_help_and_in_the_line_of_the_magic() -> None:
    text = ClaudeMagics.claude.__doc__ or ""
    completed = options_of(ClaudeMagics.claude)
    for option in OPTIONS.values():
        for flag in option.flags:
            assert flag in text
            assert flag in completed or not flag.startswith("--")
        assert option.name in (mcp_notebook.ask.__doc__ or "")
    flags = [flag for option in OPTIONS.values() for flag in option.flags]
    assert len(flags) == len(set(flags))
    assert set(completed) == {flag for flag in flags if flag.startswith("--")}


def test_the_signature_is_that_of_the_record() -> None:
    parameters = inspect.signature(mcp_notebook.ask).parameters
    assert list(parameters) == ["prompt", *OPTIONS]
    made = AskOptions("Hello?")
    for name in OPTIONS:
        assert parameters[name].default == getattr(made, name)
    with pytest.raises(TypeError, match="modle"):
        mcp_notebook.ask("Hello?", modle="x")  # type: ignore[call-arg]


def test_a_setting_of_an_options_name_is_its_default() -> None:
    traits = MCPNotebook.class_traits(config=True)
    for name, option in OPTIONS.items():
        assert option.has_setting == (name in traits), name
        if option.has_setting:
            default = traits[name].default()
            assert default == (list(option.setting) if option.adds else option.setting)
            assert traits[name].help == option.trait()["help"]


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"max_calls": 0}, "--max-calls is at least 1, not 0"),
        ({"effort": "some"}, "--effort is one of low, medium, high, xhigh, max"),
        ({"into": "a b"}, "--into needs a Python name"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_once(
    chosen: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        AskOptions("Hello?", **chosen)


def test_an_option_that_is_left_open_takes_its_setting(state: Notebook) -> None:
    state.settings.max_calls = 3
    state.settings.allow = ["shop.*"]
    settled = AskOptions("Hello?", allow=["web.*"]).settle(state.settings)
    assert (settled.max_calls, settled.rows_to_model) == (3, 5)
    assert settled.allow == ("shop.*", "web.*")
    assert AskOptions("Hello?", max_calls=4).settle(state.settings).max_calls == 4


def test_a_dry_run_is_an_answer_too(state: Notebook) -> None:
    said = mcp_notebook.ask("What is in @orders?", dry_run=True, max_tokens=77).text
    assert "orders(n int64)" in said
    assert "at most 77 out a turn" in said


def test_the_persons_words_end_the_system_prompt(
    model: FakeMessages, state: Notebook
) -> None:
    magics = ClaudeMagics(None, state, AwaitTransformer().take)
    magics.claude("--new --system 'Answer in French.'", "Hello?")
    _ = mcp_notebook.ask("Hello?", new=True, system="Answer in French.").text
    plain = mcp_notebook.ask("Hello?", new=True)
    state.settings.system = "Answer in French."
    both = [mcp_notebook.ask("Hello?", new=True), plain]
    assert [answer.text for answer in both] == ["fine", "fine"]
    systems = sorted(
        (body["system"][0]["text"] for body in model.requests), key=len, reverse=True
    )
    rules = system_prompt(state.sessions)
    assert systems == [f"{rules}\nAnswer in French.\n"] * 3 + [rules]
    said = mcp_notebook.ask("Hello?", dry_run=True).text
    assert "The system prompt ends with: Answer in French." in said


def systems_of(model: FakeMessages) -> list[str]:
    return [body["system"][0]["text"] for body in model.requests]


def test_house_rules_are_read_anew_at_each_question(
    model: FakeMessages,
    state: Notebook,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    rules = tmp_path / "RULES.md"
    state.settings.instructions = "RULES.md"
    with pytest.raises(ConfigError, match="check the path"):
        _ = mcp_notebook.ask("Hello?", new=True).text

    for words in ("Revenue is net of refunds.", "Weeks begin on Sunday."):
        rules.write_text(words)
        _ = mcp_notebook.ask("Hello?", new=True).text

    state.settings.instructions = "Round to whole euros."
    _ = mcp_notebook.ask("Hello?", new=True, system="Be brief.").text
    state.settings.instructions = ""
    _ = mcp_notebook.ask("Hello?", new=True).text
    plain = system_prompt(state.sessions)
    begin = f"{plain}\nHouse rules of the person who asks:\n"
    assert systems_of(model) == [
        f"{begin}Revenue is net of refunds.\n",
        f"{begin}Weeks begin on Sunday.\n",
        f"{begin}Round to whole euros.\n\nBe brief.\n",
        plain,
    ]


def test_house_rules_are_bounded_sealed_and_shown(
    model: FakeMessages, state: Notebook, tmp_path: Path
) -> None:
    secret = "sk-ant-api03-" + "Ab3dE6gH9" * 9
    rules = tmp_path / "house rules.txt"
    rules.write_text(f"The key is {secret}.\n" + "Never guess. " * 4000)
    state.settings.instructions = str(rules)
    answer = mcp_notebook.ask("Hello?", new=True)
    assert answer.text == "fine"
    (system,) = systems_of(model)
    assert secret not in system
    assert "Never guess." in system
    assert len(system) < len(system_prompt(state.sessions)) + MOST_INSTRUCTIONS + 100
    assert system.rstrip().endswith("[cut: the house rules are longer]")
    said = mcp_notebook.ask("Hello?", dry_run=True).text
    assert "House rules of the person who asks:" in said
    assert secret not in said


def test_house_rules_that_are_no_text_are_refused(
    state: Notebook, tmp_path: Path
) -> None:
    picture = tmp_path / "rules.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with pytest.raises(ConfigError, match="holds no text"):
        read_instructions(str(picture))
