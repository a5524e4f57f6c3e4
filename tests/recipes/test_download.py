"""Downloads resume, are verified, and land whole or not at all; against a server on this machine."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from g2rec.errors import DataError
from g2rec.recipes import NetworkError, download

BODY = bytes(range(256)) * 4096  # 1 MiB
CHUNK = 1 << 16  # what is written at once; a part is a whole number of these
HASH = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves BODY with ranges; breaks off after ``server.cut`` bytes where that is set."""

    def do_GET(self):
        self.server.ranges.append(self.headers.get("Range"))
        if self.path != "/file":
            self.send_error(404)
            return
        begin = 0
        if self.server.refuse and "Range" in self.headers:
            self.send_error(416)
            return
        if "Range" in self.headers and self.headers.get("If-Range") == self.server.etag:
            begin = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(self.server.body) - begin))
        self.send_header("ETag", self.server.etag)
        self.end_headers()
        rest = self.server.body[begin:]
        if self.server.cut is not None:
            rest, self.server.cut = rest[: self.server.cut], self.server.next_cut
        self.wfile.write(rest)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.body, server.etag, server.cut, server.next_cut, server.ranges = BODY, '"one"', None, None, []
    server.refuse = False
    server.url = f"http://127.0.0.1:{server.server_address[1]}/file"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_download_reports_progress_and_is_reused(server, tmp_path):
    seen = []
    path = download(server.url, tmp_path / "a", sha256=HASH, progress=lambda *args: seen.append(args))
    assert path.read_bytes() == BODY
    assert seen[-1] == (len(BODY), len(BODY))
    download(server.url, path, sha256=HASH)
    assert len(server.ranges) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_broken_connection_is_resumed_in_the_same_call(server, tmp_path):
    server.cut = 6 * CHUNK
    assert download(server.url, tmp_path / "a", sha256=HASH).read_bytes() == BODY
    assert server.ranges == [None, f"bytes={6 * CHUNK}-"]


def test_a_broken_download_is_resumed_by_the_next_call(server, tmp_path):
    server.cut = server.next_cut = 2 * CHUNK
    with pytest.raises(NetworkError, match="cannot be reached"):
        download(server.url, tmp_path / "a", sha256=HASH)
    assert not (tmp_path / "a").exists()
    server.cut, asked = None, len(server.ranges)
    assert download(server.url, tmp_path / "a", sha256=HASH).read_bytes() == BODY
    assert server.ranges[asked:] == [f"bytes={6 * CHUNK}-"]


def test_a_file_that_changed_meanwhile_comes_whole(server, tmp_path):
    server.cut = server.next_cut = 2 * CHUNK
    with pytest.raises(NetworkError):
        download(server.url, tmp_path / "a")
    server.cut, server.etag, server.body = None, '"two"', BODY[::-1]
    assert download(server.url, tmp_path / "a").read_bytes() == BODY[::-1]


def test_a_wrong_checksum_is_refused_and_removed(server, tmp_path):
    with pytest.raises(DataError, match=f"has the SHA-256 {HASH}, expected 0000"):
        download(server.url, tmp_path / "a", sha256="0" * 64)
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "a.part").exists()


def test_later_downloads_are_held_to_the_first(server, tmp_path):
    ledger = tmp_path / "checksums.json"
    download(server.url, tmp_path / "a", ledger=ledger)
    (tmp_path / "a").unlink()
    server.body, server.etag = BODY[::-1], '"two"'
    with pytest.raises(DataError, match="expected " + HASH):
        download(server.url, tmp_path / "a", ledger=ledger)


def test_nobody_there(server, tmp_path):
    with pytest.raises(NetworkError, match="answered 404"):
        download(server.url + "s", tmp_path / "a")
    with pytest.raises(NetworkError, match=r"127\.0\.0\.1:1/file cannot be reached"):
        download("http://127.0.0.1:1/file", tmp_path / "a")


def test_a_full_disk_is_one_sentence(server, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("g2rec.recipes._download._request", full)
    with pytest.raises(DataError, match=r"writing .* failed: No space left on device; free some space"):
        download(server.url, tmp_path / "a")


def test_a_part_that_is_the_whole_file_is_no_failure(server, tmp_path):
    """A kill after the last byte: the server has nothing more to send, and says so with a 416."""
    server.cut = len(BODY) // 2
    server.next_cut = 0
    with pytest.raises(NetworkError):
        download(server.url, tmp_path / "a", sha256=HASH)
    server.cut, server.refuse = None, True
    assert download(server.url, tmp_path / "a", sha256=HASH).read_bytes() == BODY
