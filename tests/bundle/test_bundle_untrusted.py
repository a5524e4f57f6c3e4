"""A bundle that was edited, cut off, forged or of another version: one sentence, and no code is run."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from toy_bundle import make_bundle

from g2rec.artifacts import fingerprint
from g2rec.bundle import Bundle
from g2rec.cli import main
from g2rec.errors import ArtifactError


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    make_bundle().save(path)
    return path


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "bundle"))


def refused(path: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        Bundle.load(path)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 600
    return message


def files(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name != "README.md")


def sign(folder: Path) -> None:
    """Make a manifest agree with its folder again, as a forger would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, entry in manifest["files"].items():
        data = (folder / name).read_bytes()
        entry.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    write(folder, manifest)


def write(folder: Path, manifest: dict[str, Any]) -> None:
    body = {key: value for key, value in manifest.items() if key != "content_hash"}
    (folder / "manifest.json").write_text(json.dumps({**body, "content_hash": fingerprint(body)}))


def sign_all(bundle: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for part in manifest["meta"]["parts"]:
        sign(bundle / part)
        held = json.loads((bundle / part / "manifest.json").read_text())
        manifest["meta"]["parts"][part] = held["content_hash"]
    write(bundle, manifest)


def test_every_file_is_guarded(saved: Path, tmp_path: Path) -> None:
    """Whatever file loses its second half or a bit, the bundle is refused."""
    for number, file in enumerate(files(saved)):
        for how in ("half", "bit", "gone"):
            path = Path(shutil.copytree(saved, tmp_path / f"{number}-{how}"))
            target = path / file.relative_to(saved)
            data = bytearray(target.read_bytes())
            if how == "half":
                target.write_bytes(data[: len(data) // 2])
            elif how == "bit":
                data[len(data) // 2] ^= 1
                target.write_bytes(data)
            else:
                target.unlink()
            message = refused(path)
            assert str(path) in message, (file, how)


@pytest.mark.parametrize("part", ["", "recommender", "interactions"])
def test_a_newer_version_is_named(copy: Path, part: str) -> None:
    manifest = json.loads((copy / part / "manifest.json").read_text())
    write(copy / part, {**manifest, "format_version": 2})
    if part:
        whole = json.loads((copy / "manifest.json").read_text())
        whole["meta"]["parts"][part] = json.loads((copy / part / "manifest.json").read_text())["content_hash"]
        write(copy, whole)
    assert "has format 2, this g2rec reads 1; update g2rec" in refused(copy)


def test_a_part_of_a_newer_version_is_named(copy: Path) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["meta"]["parts"]["oracle"] = "0" * 16
    write(copy, manifest)
    assert "has the unknown part 'oracle', another version wrote it; update g2rec" in refused(copy)
    del manifest["meta"]["parts"]["oracle"], manifest["meta"]["parts"]["prototypes"]
    write(copy, manifest)
    assert "lacks the part prototypes" in refused(copy)


def test_a_setting_of_a_newer_version_is_named(copy: Path) -> None:
    folder = copy / "recommender"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["config"]["transformer"]["attention"] = "linear"
    write(folder, manifest)
    sign_all(copy)
    assert "the unknown setting attention of TransformerConfig, another version wrote it; update" in refused(
        copy
    )


def edit_array(name: str, change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        file = bundle / f"{name}.npy"
        np.save(file, change(np.load(file)), allow_pickle=True)

    return edit


def edit_table(name: str, change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        file = bundle / f"{name}.parquet"
        pq.write_table(change(pq.read_table(file)), file)

    return edit


def edit_manifest(part: str, change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def edit(bundle: Path) -> None:
        manifest = json.loads((bundle / part / "manifest.json").read_text())
        change(manifest)
        write(bundle / part, manifest)

    return edit


def garbage(name: str) -> Callable[[Path], None]:
    return lambda bundle: (bundle / name).write_bytes(b"\x93NUMPY or PAR1 or else" * 9) and None


FORGED: dict[str, Callable[[Path], None]] = {
    "an item index beyond the catalogue": edit_array("interactions/item_index", lambda x: x + 30),
    "a negative user": edit_array("interactions/user_index", lambda x: x - 1),
    "fewer parts than events": edit_array("interactions/part", lambda x: x[:-1]),
    "memberships in no prototype": edit_array("prototypes/indices", lambda x: x + 99),
    "memberships of another shape": edit_array("prototypes/indices", lambda x: x[:, :1]),
    "memberships of text": edit_array("prototypes/weights", lambda x: x.astype(str)),
    "codes of other items": edit_array("semantic_ids/codes", lambda x: x[::-1]),
    "codes beyond the codebook": edit_array("semantic_ids/codes", lambda x: x + 8),
    "embeddings of fewer items": edit_array("embeddings/items", lambda x: x[:5]),
    "embeddings without a dimension": edit_array("embeddings/items", lambda x: np.float32(0)),
    "an item less": edit_table("interactions/items", lambda t: t.slice(1)),
    "items without titles": edit_table("interactions/items", lambda t: t.drop_columns(["title"])),
    "users without ids": edit_table("interactions/users", lambda t: t.rename_columns(["who"])),
    "no weights": garbage("recommender/state.safetensors"),
    "no array": garbage("embeddings/items.npy"),
    "no table": garbage("interactions/items.parquet"),
    "another size": edit_manifest("recommender", lambda m: m["meta"].update(codebook_size=9)),
    "no size": edit_manifest("recommender", lambda m: m["meta"].pop("codebook_size")),
    "a size of text": edit_manifest("recommender", lambda m: m["meta"].update(codebook_size="many")),
    "another width": edit_manifest(
        "recommender", lambda m: m["config"]["transformer"].update(embedding_dim=24)
    ),
    "a config of text": edit_manifest("recommender", lambda m: m.update(config="none")),
    "another kind": edit_manifest("prototypes", lambda m: m.update(kind="secrets")),
    "no meta": edit_manifest("interactions", lambda m: m.pop("meta")),
    "a file elsewhere": edit_manifest("prototypes", lambda m: m["files"].update({"../manifest.json": {}})),
    "parts of text": edit_manifest("", lambda m: m["meta"].update(parts="all")),
    "a card of text": edit_manifest("", lambda m: m["meta"].update(card="mine")),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_bundle_is_one_sentence(copy: Path, what: str) -> None:
    """With every checksum made right again."""
    FORGED[what](copy)
    if what not in ("parts of text", "a file elsewhere", "no meta"):
        sign_all(copy)
    elif what != "parts of text":
        whole = json.loads((copy / "manifest.json").read_text())
        for part in whole["meta"]["parts"]:
            held = json.loads((copy / part / "manifest.json").read_text())
            whole["meta"]["parts"][part] = held["content_hash"]
        write(copy, whole)
    refused(copy)


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    bombs = np.empty(30, dtype=object)
    bombs[:] = [Bomb(mark)] * 30
    for file in files(copy):
        if file.suffix == ".npy":
            np.save(file, bombs, allow_pickle=True)
        elif file.suffix == ".safetensors":
            file.write_bytes(pickle.dumps(Bomb(mark)))
    sign_all(copy)
    refused(copy)
    for part in ("embeddings", "prototypes", "recommender", "semantic_ids", "interactions"):
        shutil.rmtree(copy / part)
    assert not mark.exists()


def test_json_without_end(copy: Path) -> None:
    (copy / "manifest.json").write_text("[" * 100_000)
    assert "is not valid JSON" in refused(copy)


def test_the_command_says_it_in_one_line(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "recommender" / "state.safetensors").write_bytes(b"")
    assert main(["recommend", str(copy), "--history", "[i1]"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("g2rec: ") and error.count("\n") == 1
