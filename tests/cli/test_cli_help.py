"""Every command's help is complete and its example is a command; the shell completes what there is."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from g2rec.cli import COMMANDS, main
from g2rec.cli.invoke import find_function, make_parser
from g2rec.cli.settings import resolve_preset

ALL = pytest.mark.parametrize("words", COMMANDS, ids=" ".join)


@ALL
def test_the_help_is_complete(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([*words, "--help"])
    assert done.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: g2rec {' '.join(words)}")
    usage = said.partition("\n\n")[0]
    assert len(usage.splitlines()) < 8
    assert said.rstrip().endswith(f"example:\n  g2rec {COMMANDS[words].example}")
    assert "Args:" not in said
    types = re.findall(r"type: (.*?)(?:, default|\)|, known)", " ".join(said.split()))
    assert not [kind for kind in types if re.search(r"<|Optional|Literal|tuple|Path|'", kind)]
    parser = make_parser(words, find_function(COMMANDS[words].function))
    silent = [
        action.dest for action in parser._actions if action.help in (None, "") and "." not in action.dest
    ]
    assert not silent, f"{words} says nothing of {silent}"


def test_commands_that_do_not_train_do_not_import_lightning() -> None:
    """It costs three CPU seconds."""
    light = [words for words in COMMANDS if words[0] in ("data", "recommend", "report", "serve")]
    assert len(light) == 7
    code = (
        "import contextlib, sys\nfrom g2rec.cli import main\nmain(['--help'])\n"
        f"for words in {light}:\n with contextlib.suppress(SystemExit): main([*words, '--help'])\n"
        "print('lightning' in sys.modules, 'networkit' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False"


@ALL
def test_the_example_is_a_command(words: tuple[str, ...]) -> None:
    example = shlex.split(COMMANDS[words].example.partition(" >>")[0])
    assert tuple(example[: len(words)]) == words
    parser = make_parser(words, find_function(COMMANDS[words].function))
    parser.parse_args(resolve_preset(example[len(words) :]))


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "g2rec.bash"
    with pytest.MonkeyPatch.context() as patch, path.open("w") as file:
        patch.setattr("sys.stdout", file)
        assert main(["completion", "bash"]) == 0
    return path


def complete(script: Path, *words: str) -> set[str]:
    """What bash offers after ``g2rec WORDS``, the last of which is being typed."""
    quoted = " ".join(map(shlex.quote, ("g2rec", *words)))
    code = (
        f'source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _g2rec; echo "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def test_bash_completes(script: Path) -> None:
    assert complete(script, "") == {words[0] for words in COMMANDS}
    assert complete(script, "rec") == {"recommend", "recommender"}
    assert complete(script, "data", "") == {"list", "get", "check", "import"}
    assert complete(script, "tokenizer", "f") == {"fit"}
    assert "--history" in complete(script, "recommend", "runs/x", "--h")
    assert "--recommender_fit.epochs" in complete(script, "recommender", "fit", "x", "--recommender_fit.e")
    assert "ml-100k" in complete(script, "run", "ml")
    assert "ml-100k" in complete(script, "data", "get", "m")
    assert "quickstart" in complete(script, "run", "ml-100k", "--config", "q")
    assert complete(script, "completion", "") == {"bash", "zsh", "fish"}
    assert complete(script, "report", "runs/") == set()  # bash then offers files


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_is_sound(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["completion", shell]) == 0
    said = capsys.readouterr().out
    for words in COMMANDS:
        assert words[-1] in said
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(said)
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_another_shell_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "tcsh"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
