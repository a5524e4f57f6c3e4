"""The package as strangers get it: a wheel, away from the checkout."""

import ast
import configparser
import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from toy_run import TINY

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
    expected |= {"g2rec/py.typed", "g2rec/__init__.pyi", "g2rec/report/page.html"}
    expected |= {f"g2rec/report/vendor/{path.name}" for path in (ROOT / "g2rec/report/vendor").iterdir()}
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


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a virtual environment with the wheel and what it needs, and not the checkout.

    What it needs is read from this environment: a line of a ``.pth`` file adds a folder without what an
    editable install put there.
    """
    home = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    programs = home / ("Scripts" if os.name == "nt" else "bin")
    site = next(home.glob("lib*/python*/site-packages"), home / "Lib" / "site-packages")
    (site / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    command = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "-q", "--no-index"]
    done = subprocess.run(
        [*map(str, command), "--no-deps", "--ignore-installed", str(wheel)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return programs


def call(folder: Path, *command: str | Path) -> str:
    """What a program prints, run in a folder of its own without this checkout's paths."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_command_the_face_and_the_server_work_from_a_wheel(fresh: Path, tmp_path: Path) -> None:
    assert call(tmp_path, fresh / "g2rec", "--version").startswith("g2rec ")
    rng = random.Random(0)
    rows = [f"c{user},p{rng.randrange(5) + 5 * (user % 3)},{time}" for user in range(60) for time in range(6)]
    (tmp_path / "log.csv").write_text("user,item,time\n" + "\n".join(rows) + "\n")
    (tmp_path / "tiny.yaml").write_text(TINY)
    code = (
        "import g2rec; print(g2rec.__file__); "
        "bundle = g2rec.fit('log.csv', time='time', config='tiny.yaml', out='run'); "
        "print(bundle.recommend(['p1', 'p2'], k=3)['item_id'].to_pylist())"
    )
    said = call(tmp_path, fresh / "python", "-c", code).splitlines()
    assert said[0].startswith(str(fresh.parent))
    listed = call(tmp_path, fresh / "g2rec", "recommend", "run", "--history", "[p1,p2]", "--k", "3")
    ids = [line.split()[-1] for line in listed.splitlines() if line.strip()]
    assert said[-1] == str(ids)
    pytest.importorskip("fastapi", reason="the serve extra is not installed")
    code = (
        "import g2rec; from g2rec.serving import create_app; "
        "print(type(create_app(g2rec.load('run'))).__name__)"
    )
    assert "FastAPI" in call(tmp_path, fresh / "python", "-c", code)


def test_what_is_imported_is_required() -> None:
    """Every package that a module needs when it is imported is in install_requires, or in its extra."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lines = config["options"]["install_requires"].split()
    required = {re.split(r"[\[<>=;]", line)[0].lower() for line in lines} | {
        "llvmlite",
        "triton",
    }  # of numba, of torch for GPUs
    serving = {line.split(">=")[0] for line in config["options.extras_require"]["serve"].split()}
    distributions = packages_distributions()
    for path in sorted((ROOT / "g2rec").rglob("*.py")):
        allowed = required | (serving | {"pydantic", "starlette"} if "serving" in path.parts else set())
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            else:
                continue
            for name in {full.partition(".")[0] for full in names} - set(sys.stdlib_module_names) - {"g2rec"}:
                given = {found.lower().replace("_", "-") for found in distributions.get(name, [name])}
                assert given & allowed, f"{path.relative_to(ROOT)} imports {name}, which nothing requires"
