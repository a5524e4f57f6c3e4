"""The ``g2rec`` command: each subcommand is one plain typed function, imported only when it is called.

`main` finds the function in `COMMANDS`, parses its arguments with jsonargparse, calls it, and turns what a
user can cause into one line on stderr: exit code 2 for a `G2RecError` or bad arguments, 130 for Ctrl-C.
"""

import sys
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """One subcommand: where its function is, and what ``g2rec --help`` says of it."""

    function: str
    """``module:function``, the module inside ``g2rec.cli``."""
    help: str
    """One line."""


COMMANDS: dict[tuple[str, ...], Command] = {
    ("run",): Command(
        "pipeline:run", "everything below in one go: from a recipe to metrics, bundle and report"
    ),
    ("data", "list"): Command("data:list_data", "the graph recipes that are known"),
    ("data", "get"): Command("data:get", "download a recipe's files, verified, into the cache"),
    ("data", "check"): Command("data:check", "compare what a recipe's files hold with what it promises"),
    ("data", "import"): Command("data:import_log", "make a recipe and a dataset from your own event log"),
    ("graph", "build"): Command(
        "graph:graph_build", "build the graphs of a recipe, or of a Parquet log of any size"
    ),
    ("prototypes", "sweep"): Command(
        "prototypes:sweep", "compare numbers of interest prototypes and resolutions, without labels"
    ),
    ("encoder", "fit"): Command(
        "pipeline:encoder_fit", "train the graph encoder and the interest prototypes"
    ),
    ("tokenizer", "fit"): Command("pipeline:tokenizer_fit", "train the semantic tokenizer jointly with both"),
    ("tokenizer", "subwords"): Command(
        "subwords:subwords", "make sub-word tokens of the semantic IDs, item features for ranking models"
    ),
    ("recommender", "fit"): Command("pipeline:recommender_fit", "train the generative recommender"),
    ("evaluate",): Command(
        "pipeline:evaluate", "train the baselines, rank all items for all users, write metrics"
    ),
    ("recommend",): Command("serve:recommend", "recommend for a user or for a history of items"),
    ("report",): Command("serve:report", "write report.html of a run"),
    ("serve",): Command("serve:serve", "answer recommendation requests over HTTP (extra: serve)"),
}

_USAGE = """usage: g2rec COMMAND [ARGUMENTS]
       g2rec COMMAND --help

Generative recommendation from graph-learned user-interest prototypes.

commands, in the order in which data flows:
{commands}

Settings come from --config FILE (YAML, or the name of a shipped preset) and from flags such as
--encoder.embedding_dim 64; --print_config shows them all. G2REC_CACHE names the download cache."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 2 (a mistake that the message names) or 130 (Ctrl-C)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if arguments[0] in ("-V", "--version"):
        from g2rec import __version__

        print(f"g2rec {__version__}")
        return 0
    words = tuple(arguments[:2]) if tuple(arguments[:2]) in COMMANDS else tuple(arguments[:1])
    if words not in COMMANDS:
        return _unknown(arguments)
    from g2rec.cli.invoke import invoke

    return invoke(words, COMMANDS[words].function, arguments[len(words) :])


def _usage() -> str:
    width = max(len(" ".join(words)) for words in COMMANDS)
    rows = [f"  {' '.join(words):<{width}}  {command.help}" for words, command in COMMANDS.items()]
    return _USAGE.format(commands="\n".join(rows))


def _unknown(arguments: list[str]) -> int:
    group = [" ".join(words) for words in COMMANDS if words[0] == arguments[0]]
    known = ", ".join(group or [" ".join(words) for words in COMMANDS])
    asked = " ".join(arguments[:2] if group else arguments[:1])
    wish_help = group and (len(arguments) == 1 or arguments[1] in ("-h", "--help"))
    if wish_help:
        print("\n".join(f"g2rec {name:<16} {COMMANDS[tuple(name.split())].help}" for name in group))
        return 0
    print(f"g2rec: expected one of the commands {known}, got '{asked}'; see g2rec --help", file=sys.stderr)
    return 2
