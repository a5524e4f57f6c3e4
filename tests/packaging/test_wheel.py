"""The package as strangers get it: a wheel, away from the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the source, so that no build folder lands in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for name in ("g2rec", "graphs", "scripts"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    out = tmp_path_factory.mktemp("wheel")
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", out, source)
    return next(out.glob("g2rec-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("site")
    pip("install", "--no-index", "--no-deps", "--target", target, wheel)
    return target


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def run_python(code: str, installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python in ``folder`` with the installed wheel before (and hiding) the editable install."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "G2REC_CACHE": str(folder / "cache")}
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_wheel_carries_every_room_recipe_and_preset(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    expected = {str(path.relative_to(ROOT)) for path in (ROOT / "g2rec").rglob("*.py")}
    expected |= {f"g2rec/shipped_graphs/{path.name}" for path in (ROOT / "graphs").glob("*.yaml")}
    expected |= {f"g2rec/shipped_presets/{path.name}" for path in (ROOT / "scripts/configs").glob("*.yaml")}
    expected |= {"g2rec/py.typed", "g2rec/report/page.html"}
    assert expected - held == set()


def test_the_licence_is_declared_and_carried(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    metadata = next(name for name in archive.namelist() if name.endswith("METADATA"))
    assert "License-Expression: Apache-2.0" in archive.read(metadata).decode()
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())


def test_recipes_are_found_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = (
        "import g2rec; from g2rec.recipes import list_recipes; "
        "print(g2rec.__file__); print(*(recipe.name for recipe in list_recipes()))"
    )
    done = run_python(code, installed, tmp_path)
    assert done.returncode == 0, done.stderr
    where, names = done.stdout.splitlines()
    assert where.startswith(str(installed))
    assert {"synthetic", "ml-100k", "amazon-beauty"} <= set(names.split())


def test_presets_are_found_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = (
        "from importlib import resources; "
        "print(*(path.name for path in resources.files('g2rec.shipped_presets').iterdir()))"
    )
    done = run_python(code, installed, tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (ROOT / "scripts/configs").glob("*.yaml")} <= set(done.stdout.split())


def test_the_command_answers_without_importing_torch(installed: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from g2rec.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'lightning', 'numba', 'pyarrow', 'jsonargparse'}; "
        "print('heavy:', *sorted(heavy & set(sys.modules))); "
        "sys.exit(code)"
    )
    done = run_python(code, installed, tmp_path, "--help")
    assert done.returncode == 0, done.stderr
    assert "g2rec COMMAND" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy:"
