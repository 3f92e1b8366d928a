"""`mcp-notebook completion bash|zsh|fish`: a script for the shell, made of the commands
and options that the parser knows. Files are completed by the shell.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from mcp_notebook.cli import COMMANDS, parser

Words = Mapping[str, list[str]]


def run(args: argparse.Namespace) -> int:
    """Print the script of a shell."""
    write = {"bash": write_bash, "zsh": write_zsh, "fish": write_fish}[args.shell]
    print(write(words_of_commands()))
    return 0


def words_of_commands() -> Words:
    """The options of each command, and the words that it takes in a fixed set."""
    return {name: _words_of(_parser_of(name)) for name in COMMANDS}


def _parser_of(name: str) -> argparse.ArgumentParser:
    # argparse has no public way to ask a parser what it takes
    top = parser([name])
    groups = [a for a in top._actions if isinstance(a, argparse._SubParsersAction)]
    return groups[0].choices[name]


def _words_of(command: argparse.ArgumentParser) -> list[str]:
    words: list[str] = []
    for action in command._actions:
        words += action.option_strings
        is_fixed = action.choices and not action.option_strings
        words += map(str, action.choices or ()) if is_fixed else []

    return sorted({word for word in words if word != "-h"})


def write_bash(words: Words) -> str:
    """For `eval "$(mcp-notebook completion bash)"`."""
    cases = [f'    {name}) words="{" ".join(own)}" ;;' for name, own in words.items()]
    return "\n".join(
        [
            "_mcp_notebook() {",
            '  local word="${COMP_WORDS[COMP_CWORD]}" words=""',
            '  case "${COMP_WORDS[1]}" in',
            *cases,
            "  esac",
            f'  [ "$COMP_CWORD" -eq 1 ] && words="{" ".join(words)}"',
            '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
            '  case "$word" in -*) return ;; esac',
            '  [ "$COMP_CWORD" -gt 1 ] && COMPREPLY+=($(compgen -f -- "$word"))',
            "}",
            "complete -o filenames -F _mcp_notebook mcp-notebook",
        ]
    )


def write_zsh(words: Words) -> str:
    """For `eval "$(mcp-notebook completion zsh)"`; zsh runs the functions of bash."""
    load = "autoload -U +X bashcompinit && bashcompinit"
    return f"{load}\n{write_bash(words)}"


def write_fish(words: Words) -> str:
    """For `mcp-notebook completion fish | source`."""
    first = "complete -c mcp-notebook"
    lines = []
    for name, own in words.items():
        about = COMMANDS[name].help.replace("'", "’")
        lines.append(f"{first} -n __fish_use_subcommand -f -a {name} -d '{about}'")
        when = f"-n '__fish_seen_subcommand_from {name}'"
        lines += [f"{first} {when} {_fish_word(word)}" for word in own]

    return "\n".join(lines)


def _fish_word(word: str) -> str:
    if word.startswith("--"):
        return f"-l {word.removeprefix('--')}"
    if word.startswith("-"):
        return f"-s {word.removeprefix('-')}"

    return f"-a {word}"
