"""Folders are written whole or not at all, and refuse to open when they were changed."""

import errno
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from g2rec.artifacts import _folder, adopt_folder, derive_seed, fingerprint, open_folder, save_folder
from g2rec.errors import ArtifactError


def save(path: Path, value: int = 1) -> None:
    save_folder(
        path,
        "thing",
        arrays={"a": np.arange(5, dtype=np.int32) * value},
        tables={"t": pa.table({"x": [1, 2]})},
        tensors={"w": {"weight": torch.ones(2, 3)}},
        meta={"n": value},
        made_from={"log": "abc"},
    )


def test_round_trip(tmp_path: Path) -> None:
    save(tmp_path / "f")
    folder = open_folder(tmp_path / "f", "thing")
    assert folder.array("a").tolist() == [0, 1, 2, 3, 4]
    assert isinstance(folder.array("a"), np.memmap)
    assert folder.table("t").column("x").to_pylist() == [1, 2]
    assert torch.equal(folder.tensors("w")["weight"], torch.ones(2, 3))
    assert folder.meta["n"] == 1
    assert folder.manifest["made_from"] == {"log": "abc"}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]


def test_content_hash_depends_on_content_only(tmp_path: Path) -> None:
    for name, value in (("f", 1), ("g", 1), ("h", 2)):
        save(tmp_path / name, value)
    hashes = [open_folder(tmp_path / name, "thing").content_hash for name in "fgh"]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "a.npy").write_bytes((f / "a.npy").read_bytes()[:-4]), "should have"),
        (lambda f: (f / "a.npy").unlink(), "is missing"),
        (lambda f: (f / "a.npy").write_bytes((f / "a.npy").read_bytes()[:-4] + b"zzzz"), "checksum"),
        (lambda f: (f / "manifest.json").write_text("{"), "not valid JSON"),
        (lambda f: (f / "manifest.json").unlink(), "is missing"),
        (lambda f: (f / "manifest.json").write_text("{}"), "lacks"),
    ],
)
def test_damage_is_refused_in_one_sentence(tmp_path: Path, damage, says: str) -> None:
    save(tmp_path / "f")
    damage(tmp_path / "f")
    with pytest.raises(ArtifactError, match=says) as caught:
        open_folder(tmp_path / "f", "thing")
    assert "\n" not in str(caught.value)


def test_edited_manifest_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "f")
    file = tmp_path / "f" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["made_from"]["log"] = "other"
    file.write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match="own hash"):
        open_folder(tmp_path / "f", "thing")


def test_another_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(ArtifactError, match=r"a folder of kind graph at .*, its manifest.json is missing"):
        open_folder(tmp_path / "f", "graph")


def test_other_kind_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "f")
    with pytest.raises(ArtifactError, match=r"expected a folder of kind graph .* found one of kind thing"):
        open_folder(tmp_path / "f", "graph")


@pytest.mark.parametrize(
    "manifest", [None, '{"name": "my site"}', '{"kind": "Deployment"}', '"mankind"', "// {"]
)
def test_what_g2rec_did_not_write_is_not_replaced(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "notes.txt").write_text("mine")
    if manifest is not None:
        (tmp_path / "f" / "manifest.json").write_text(manifest)
    (tmp_path / "log.csv").write_text("mine too")
    for name, what in (("f", "a folder with other files"), ("log.csv", "a file")):
        with pytest.raises(ArtifactError, match=f"{name} is {what}, which g2rec did not write"):
            save(tmp_path / name)
    assert (tmp_path / "f" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "log.csv").read_text() == "mine too"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f", "log.csv"]


def test_an_empty_folder_and_a_damaged_one_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    save(tmp_path / "f", 1)
    whole = (tmp_path / "f" / "manifest.json").read_text()
    (tmp_path / "f" / "manifest.json").write_text(whole[: len(whole) // 2])
    save(tmp_path / "f", 2)
    assert open_folder(tmp_path / "f", "thing").meta["n"] == 2


def test_full_disk_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "f", 1)

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(ArtifactError, match="No space left"):
        save(tmp_path / "f", 2)
    assert open_folder(tmp_path / "f", "thing").meta["n"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]


def test_fingerprint_tells_types_and_values_apart() -> None:
    @dataclass(frozen=True)
    class A:
        x: int = 1

    @dataclass(frozen=True)
    class B:
        x: int = 1

    assert fingerprint(A()) == fingerprint(A())
    assert len({fingerprint(A()), fingerprint(B()), fingerprint(A(2))}) == 3


def test_derived_seeds_differ_by_every_part() -> None:
    seeds = {derive_seed(s, n, e) for s in range(5) for n in ("a", "b") for e in range(5)}
    assert len(seeds) == 50
    assert derive_seed(1, "a") == derive_seed(1, "a")


def test_finished_files_become_a_folder(tmp_path: Path) -> None:
    save(tmp_path / "saved")
    written = tmp_path / "written"
    written.mkdir()
    array = np.arange(5, dtype=np.int32)
    np.save(written / "a.npy", array)
    pq.write_table(pa.table({"x": [1, 2]}), written / "t.parquet")
    folder = adopt_folder(written, tmp_path / "saved", "thing", meta={"n": 1})
    assert folder.array("a").tolist() == array.tolist() and folder.table("t").num_rows == 2
    assert open_folder(tmp_path / "saved", "thing").meta["n"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["saved"]
    told: list[tuple[int, int]] = []
    open_folder(tmp_path / "saved", "thing", progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] == sum(entry["bytes"] for entry in folder.manifest["files"].values())


def test_large_folders_are_hashed_in_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "f")
    monkeypatch.setattr(_folder, "_SMALL_BYTES", 0)
    open_folder(tmp_path / "f", "thing")
    file = tmp_path / "f" / "a.npy"
    file.write_bytes(file.read_bytes()[:-4] + b"zzzz")
    with pytest.raises(ArtifactError, match="checksum"):
        open_folder(tmp_path / "f", "thing")
