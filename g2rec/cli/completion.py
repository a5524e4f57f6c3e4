"""``g2rec completion``: a script for the shell, made of the commands and flags that there are."""

from typing import Literal

from g2rec.cli import COMMANDS
from g2rec.cli.invoke import find_function, flags_of
from g2rec.cli.settings import preset_names
from g2rec.recipes import list_recipes

_TAKES_RECIPE = ("leaderboard", "run", "data get", "data check", "graph build")

_BASH = """# g2rec completion for bash{and_zsh}
_g2rec() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=
  local one=${{COMP_WORDS[1]}} two="${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" at=$COMP_CWORD
  if [ "$before" = --config ]; then
    words="{presets}"
  elif [ "$at" = 1 ]; then
    words="{firsts}"
  else
    case "$at $one" in
{groups}
    esac
    if [ -z "$words" ]; then
      case "$one" in
{singles}
      esac
      case "$two" in
{doubles}
      esac
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
}}
complete -o default -F _g2rec g2rec
"""
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def completion(shell: Literal["bash", "zsh", "fish"]) -> None:
    """Print a script that completes commands, flags, presets and recipes in your shell.

    Add it to the shell's start file, or in fish write it to ~/.config/fish/completions/g2rec.fish; make it
    again after an update.

    Args:
        shell: Which shell.
    """
    print(_fish() if shell == "fish" else _bash(shell), end="")


def _flags(words: tuple[str, ...]) -> list[str]:
    return flags_of(find_function(COMMANDS[words].function))


def _bash(shell: str) -> str:
    recipes = " ".join(recipe.name for recipe in list_recipes())
    groups: dict[str, list[str]] = {}
    cases: dict[int, list[str]] = {1: [], 2: []}
    for words in COMMANDS:
        name = " ".join(words)
        if len(words) == 2:
            groups.setdefault(words[0], []).append(words[1])
        offered = _flags(words) + ([recipes] if name in _TAKES_RECIPE else [])
        if name == "completion":
            offered += ["bash", "zsh", "fish"]
        cases[len(words)].append(f'        "{name}") words="{" ".join(offered)}" ;;')
    script = _BASH.format(
        and_zsh="" if shell == "bash" else ", which zsh reads too",
        presets=" ".join(preset_names()),
        firsts=" ".join(dict.fromkeys(words[0] for words in COMMANDS)),
        groups="\n".join(f'      "2 {one}") words="{" ".join(two)}" ;;' for one, two in groups.items()),
        singles="\n".join(cases[1]),
        doubles="\n".join(cases[2]),
    )
    return script if shell == "bash" else _ZSH + script


def _fish() -> str:
    lines = ["# g2rec completion for fish"]
    first: dict[str, str] = {}
    for words, command in COMMANDS.items():
        first.setdefault(words[0], command.help if len(words) == 1 else f"{words[0]} ...")
    for word, help_text in first.items():
        lines.append(f"complete -c g2rec -n __fish_use_subcommand -f -a {word} -d {_quote(help_text)}")
    recipes = " ".join(recipe.name for recipe in list_recipes())
    for words, command in COMMANDS.items():
        seen = " ; and ".join(f"__fish_seen_subcommand_from {word}" for word in words)
        if len(words) == 2:
            others = " ".join(other[1] for other in COMMANDS if other[0] == words[0] and len(other) == 2)
            waiting = f"__fish_seen_subcommand_from {words[0]} ; and not __fish_seen_subcommand_from {others}"
            lines.append(f"complete -c g2rec -n {_quote(waiting)} -f -a {words[1]} -d {_quote(command.help)}")
        if " ".join(words) in _TAKES_RECIPE:
            lines.append(f"complete -c g2rec -n {_quote(seen)} -a {_quote(recipes)}")
        if words == ("completion",):
            lines.append(f"complete -c g2rec -n {_quote(seen)} -f -a 'bash zsh fish'")
        for flag in _flags(words):
            values = f" -a {_quote(' '.join(preset_names()))}" if flag == "--config" else ""
            lines.append(f"complete -c g2rec -n {_quote(seen)} -r -l {flag.removeprefix('--')}{values}")
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
