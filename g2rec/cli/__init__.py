"""The ``g2rec`` command: each subcommand is one plain typed function, imported only when it is called.

`main` finds the function in `COMMANDS`, parses its arguments with jsonargparse, calls it, and turns what a
user can cause into one line on stderr: exit code 2 for a `G2RecError` or bad arguments, 130 for Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

_UNREAD = 141


class Command(NamedTuple):
    """One subcommand: where its function is, and what ``g2rec --help`` says of it."""

    function: str
    """``module:function``, the module inside ``g2rec.cli``."""
    help: str
    """One line."""
    example: str
    """Shown by the command's own help, without ``g2rec`` in front."""


COMMANDS: dict[tuple[str, ...], Command] = {
    ("run",): Command(
        "pipeline:run",
        "everything below in one go: from a recipe to metrics, bundle and report",
        "run ml-100k --config quickstart --recommender_fit.epochs 5",
    ),
    ("data", "list"): Command("data:list_data", "the graph recipes that are known", "data list"),
    ("data", "get"): Command(
        "data:get", "download a recipe's files, verified, into the cache", "data get ml-100k"
    ),
    ("data", "check"): Command(
        "data:check", "compare what a recipe's files hold with what it promises", "data check ml-100k"
    ),
    ("data", "import"): Command(
        "data:import_log",
        "make a recipe and a dataset from your own event log",
        "data import events.csv --user customer --item sku --time when --items items.csv --title name",
    ),
    ("graph", "build"): Command(
        "graph:graph_build",
        "build the graphs of a recipe, or of a Parquet log of any size",
        "graph build ml-100k --config quickstart --out runs/mine",
    ),
    ("prototypes", "sweep"): Command(
        "prototypes:sweep",
        "compare numbers of interest prototypes and resolutions, without labels",
        "prototypes sweep runs/mine --num_prototypes [16,32,64]",
    ),
    ("encoder", "fit"): Command(
        "pipeline:encoder_fit",
        "train the graph encoder and the interest prototypes",
        "encoder fit runs/mine --encoder_fit.epochs 20",
    ),
    ("tokenizer", "fit"): Command(
        "pipeline:tokenizer_fit",
        "train the semantic tokenizer jointly with both",
        "tokenizer fit runs/mine --joint one_way",
    ),
    ("tokenizer", "subwords"): Command(
        "subwords:subwords",
        "make sub-word tokens of the semantic IDs, item features for ranking models",
        "tokenizer subwords runs/mine --subwords.kind ngram",
    ),
    ("recommender", "fit"): Command(
        "pipeline:recommender_fit",
        "train the generative recommender",
        "recommender fit runs/mine --recommender.feed interleaved",
    ),
    ("evaluate",): Command(
        "pipeline:evaluate",
        "train the baselines, rank all items for all users, write metrics",
        "evaluate runs/mine --baselines [popularity,sasrec]",
    ),
    ("leaderboard",): Command(
        "leaderboard:leaderboard",
        "many models, recipes, protocols and seeds in one table; resumable",
        "leaderboard ml-100k --base quickstart",
    ),
    ("recommend",): Command(
        "serve:recommend",
        "recommend for a user or for a history of items",
        "recommend runs/mine --history [50,181,172] --k 5 --explain true",
    ),
    ("report",): Command("serve:report", "write report.html of a run", "report runs/mine"),
    ("serve",): Command(
        "serve:serve",
        "answer recommendation requests over HTTP (extra: serve)",
        "serve runs/mine --port 8000",
    ),
    ("completion",): Command(
        "completion:completion",
        "print a script that completes commands and flags in your shell",
        "completion bash >> ~/.bashrc",
    ),
}

_USAGE = """usage: g2rec COMMAND [ARGUMENTS]
       g2rec COMMAND --help

Generative recommendation from graph-learned user-interest prototypes.

commands, in the order in which data flows:
{commands}

Settings come from --config FILE (YAML, or the name of a shipped preset) and from flags such as
--encoder.embedding_dim 64; --print_config shows them all. G2REC_CACHE names the download cache."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0, 1 (a part failed), 2 (a mistake that the message names) or 130.

    It is 141 if who reads the output, such as ``head``, has seen enough.
    """
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more as it ends
        return _UNREAD
    return code


def _run(arguments: list[str]) -> int:
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

    command = COMMANDS[words]
    return invoke(words, command.function, arguments[len(words) :], command.example)


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
