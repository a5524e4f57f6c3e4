"""Downloads that resume, are verified, and land whole or not at all."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import requests

from g2rec.artifacts import hash_file, write_json
from g2rec.errors import DataError

logger = logging.getLogger(__name__)

Progress = Callable[[int, int | None], None]
"""Called with the bytes done so far and the total, where the server states it."""

CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0
_CHUNK_BYTES = 1 << 16
_ATTEMPTS = 3


class NetworkError(DataError):
    """Nothing that was asked for could be reached."""


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    progress: Progress | None = None,
    ledger: Path | None = None,
) -> Path:
    """Download a file, or use the one that is there; resume a part that an earlier call left.

    Args:
        url: http or https.
        path: Where the finished file goes; a part is kept beside it as ``.part``.
        sha256: The hash that the file must have.
        progress: Called after every chunk.
        ledger: JSON file of hashes by URL. Where ``sha256`` is None, the first download's hash is noted there
            and later ones are held to it.

    Raises:
        NetworkError: If the server cannot be reached or breaks off; what came is kept for the next call.
        DataError: If the file has another hash (it is removed), or the disk refuses it.
    """
    noted = _read_ledger(ledger)
    wanted = sha256 or noted.get(url)
    if not path.is_file():
        part = path.with_name(path.name + ".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _transfer(url, part, progress)
        except OSError as error:
            raise DataError(
                f"writing {part} failed: {error.strerror or error}; free some space or set G2REC_CACHE to "
                "another folder"
            ) from error
        _verify(part, wanted, url)
        part.replace(path)
        _stamp(part).unlink(missing_ok=True)
    else:
        _verify(path, wanted, url)
    if ledger is not None and wanted is None:
        write_json(ledger, {**noted, url: hash_file(path)})
    return path


def _transfer(url: str, part: Path, progress: Progress | None) -> None:
    """Bring ``part`` to its full length, with a few attempts."""
    for attempt in range(_ATTEMPTS):
        try:
            _request(url, part, progress)
            return
        except _RangeError:
            continue
        except requests.ConnectTimeout as error:
            raise NetworkError(_unreachable(url, error)) from None
        except requests.HTTPError as error:
            status = error.response.status_code
            raise NetworkError(f"{url} answered {status}; check the address or use a mirror") from None
        except (
            requests.ConnectionError,
            requests.Timeout,
            requests.exceptions.ChunkedEncodingError,
        ) as error:
            came = part.stat().st_size if part.exists() else 0
            if attempt == _ATTEMPTS - 1 or came == 0:
                raise NetworkError(_unreachable(url, error)) from None
            logger.warning("%s broke off after %d bytes; resuming", url, came)
        except requests.RequestException as error:
            raise NetworkError(f"{url} cannot be asked for: {error}; check the address") from None
    raise NetworkError(f"{url} refuses to send the file; try again later or use a mirror")


class _RangeError(Exception):
    """The server has nothing after the part that is here; the part is gone."""


def _request(url: str, part: Path, progress: Progress | None) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    validator = _read_validator(part)
    if have and validator:
        # If-Range: a file that changed in between comes whole, not as a tail of something else
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    else:
        have = 0
    with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, _READ_SECONDS)) as answer:
        if answer.status_code == 416:  # the part is as long as the file, or longer: start again
            part.unlink(missing_ok=True)
            _stamp(part).unlink(missing_ok=True)
            raise _RangeError
        answer.raise_for_status()
        if answer.status_code != 206:
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length is not None else None
        etag = answer.headers.get("ETag", "")
        stamp = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
        write_json(_stamp(part), {"validator": stamp})
        done = have
        with part.open("ab" if have else "wb") as handle:
            for chunk in answer.iter_content(_CHUNK_BYTES):
                handle.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    if total is not None and done != total:
        raise requests.exceptions.ChunkedEncodingError(f"{done} of {total} bytes came")


def _verify(path: Path, wanted: str | None, url: str) -> None:
    if wanted is None:
        return
    got = hash_file(path)
    if got != wanted:
        path.unlink()
        raise DataError(
            f"{url} has the SHA-256 {got}, expected {wanted}; the file was removed, run again, and if it "
            "stays so the source has changed"
        )


def _stamp(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _read_validator(part: Path) -> str | None:
    try:
        stated = json.loads(_stamp(part).read_text())["validator"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return stated if isinstance(stated, str) else None


def _read_ledger(ledger: Path | None) -> dict[str, str]:
    if ledger is None or not ledger.is_file():
        return {}
    try:
        return dict(json.loads(ledger.read_text()))
    except ValueError:
        raise DataError(f"{ledger} is not valid JSON; remove it, and the files are hashed anew") from None


def _unreachable(url: str, error: Exception) -> str:
    return f"{url} cannot be reached ({type(error).__name__}); check the network or use a mirror"
