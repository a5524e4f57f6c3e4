"""Every mistake that a user can make is one sentence on stderr and exit code 2, with nothing half-written."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toy_run import TINY, TOY

from g2rec.cli import main
from g2rec.cli.pipeline import default_folder

EVENTS = {"user": [1, 1, 1, 2, 2, 2], "item": [1, 2, 3, 1, 2, 3], "ts": [1, 2, 3, 4, 5, 6]}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a working directory and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("G2REC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail; give its one line."""
    assert main(list(arguments)) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("g2rec: ")
    assert "\n" not in message
    assert "Traceback" not in message
    return message


def write_events(**columns: list) -> None:
    pq.write_table(pa.table({**EVENTS, **columns}), "events.parquet")


IMPORT = ("data", "import", "events.parquet", "--user", "user", "--item", "item", "--time", "ts")


def test_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert "events.parquet" in refused(capsys, *IMPORT)


def test_missing_column(capsys: pytest.CaptureFixture[str]) -> None:
    write_events()
    message = refused(capsys, *IMPORT[:-1], "when")
    assert "when" in message and "ts" in message


def test_text_in_a_time_column_names_the_row(capsys: pytest.CaptureFixture[str]) -> None:
    write_events(ts=["1", "2", "soon", "4", "5", "6"])
    message = refused(capsys, *IMPORT)
    assert "soon" in message and "row" in message


@pytest.mark.parametrize("gap", [None, float("nan")])
def test_a_gap_in_the_times_is_refused(capsys: pytest.CaptureFixture[str], gap: float | None) -> None:
    write_events(ts=[1.0, 2.0, gap, 4.0, 5.0, 6.0])
    assert "ts" in refused(capsys, *IMPORT)


@pytest.mark.parametrize("column", ["user", "item"])
@pytest.mark.parametrize("gap", [None, float("nan")])
def test_rows_without_a_user_or_an_item_are_left_out_and_counted(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, column: str, gap: float | None
) -> None:
    write_events(**{column: [1.0, 2.0, gap, 4.0, 5.0, 6.0]})
    assert main(list(IMPORT)) == 0
    assert "5 events" in capsys.readouterr().out
    assert f"left out 1 row without {column}" in caplog.text


def test_negative_time(capsys: pytest.CaptureFixture[str]) -> None:
    write_events(ts=[1, 2, -3, 4, 5, 6])
    assert "-3" in refused(capsys, *IMPORT)


def test_truncated_parquet(capsys: pytest.CaptureFixture[str]) -> None:
    write_events()
    file = Path("events.parquet")
    file.write_bytes(file.read_bytes()[:-30])
    assert "events.parquet" in refused(capsys, *IMPORT)


def test_a_refused_import_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_events(ts=[1, 2, -3, 4, 5, 6])
    refused(capsys, *IMPORT)
    assert not Path("graphs").exists()
    assert not list(Path("cache").rglob("*.parquet"))


def test_unknown_recipe_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert "ml-100k" in refused(capsys, "run", "movielens")


def test_recipe_with_an_unknown_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("name: mine\ntitle: t\nlicence: l\nsources: []\nfilter: {}\n")
    assert "filter" in refused(capsys, "run", "mine.yaml")


def test_empty_after_filtering(capsys: pytest.CaptureFixture[str]) -> None:
    write_events()
    assert main(list(IMPORT)) == 0
    capsys.readouterr()
    recipe = Path("graphs/events.yaml")
    recipe.write_text(recipe.read_text() + "\nfilters: {min_user_events: 50, min_item_events: 50}\n")
    assert "filter" in refused(capsys, "run", "events")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "synthetic", "--sedd", "1"], "sedd"),
        (["run", "synthetic", "--seed", "one"], "seed"),
        (["run", "synthetic", "--config", "nowhere.yaml"], "nowhere"),
        (["run", "synthetic", "--interactions.split", "random"], "split"),
        (
            ["run", "synthetic", "--recommender_fit", "one"],
            "expected settings for --recommender_fit, got one; write --recommender_fit.NAME VALUE",
        ),
        (
            ["run", "synthetic", "--encoder", "gat"],
            "expected one of LightGCNConfig, GraphSAGEConfig for --encoder, got gat",
        ),
        (["learn"], "learn"),
        (["graph", "make"], "make"),
        (["encoder", "fit", "nowhere"], "graph build"),
        (["recommend", "nowhere", "--user", "1"], "nowhere"),
        (["report", "nowhere"], "nowhere"),
        (["data", "get", "nothing"], "nothing"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    assert says in refused(capsys, *arguments)


def test_settings_file_with_an_unknown_key(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("recomender: {}\n")
    assert "recomender" in refused(capsys, "run", "synthetic", "--config", "bad.yaml")


def test_a_later_stage_asks_for_the_earlier_one(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tiny.yaml").write_text(TINY)
    Path("toy.yaml").write_text(TOY)
    assert main(["graph", "build", "toy.yaml", "--config", "tiny.yaml", "--out", "r"]) == 0
    capsys.readouterr()
    assert "g2rec encoder fit" in refused(capsys, "tokenizer", "fit", "r")


def test_refused_settings_are_not_kept(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tiny.yaml").write_text(TINY)
    Path("toy.yaml").write_text(TOY)
    assert main(["graph", "build", "toy.yaml", "--out", "toy", "--config", "tiny.yaml"]) == 0
    kept = Path("toy/settings.yaml").read_text()
    message = refused(capsys, "encoder", "fit", "toy", "--prototypes.init_args.num_prototypes", "1")
    assert "num_prototypes" in message
    assert Path("toy/settings.yaml").read_text() == kept


def test_a_refused_stage_leaves_the_settings_as_they_were(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the stage before was made with others, too: the next command without the flag goes on."""
    Path("toy.yaml").write_text(TOY)
    Path("tiny.yaml").write_text(TINY)
    assert main(["graph", "build", "toy.yaml", "--config", "tiny.yaml", "--out", "r"]) == 0
    assert main(["encoder", "fit", "r"]) == 0
    before = Path("r/settings.yaml").read_text()
    assert "encoder" in refused(capsys, "tokenizer", "fit", "r", "--encoder.embedding_dim", "8")
    assert Path("r/settings.yaml").read_text() == before
    assert main(["tokenizer", "fit", "r"]) == 0


def test_a_recipe_does_not_take_the_folder_of_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    write_events()
    Path("toy.yaml").write_text(TOY)
    assert main(["graph", "build", "events.parquet", "--time", "ts", "--out", "r"]) == 0
    before = Path("r/run.json").read_text()
    assert "is a run of a log" in refused(capsys, "run", "toy.yaml", "--out", "r")
    assert Path("r/run.json").read_text() == before


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("cutoffs", "[5,0]", "cutoffs[1]"),
        ("batch_size", "0", "batch_size"),
        ("bootstrap_samples", "0", "bootstrap_samples"),
    ],
)
def test_how_it_is_measured_is_checked_first(
    capsys: pytest.CaptureFixture[str], setting: str, value: str, name: str
) -> None:
    Path("toy.yaml").write_text(TOY)
    said = refused(capsys, "run", "toy.yaml", f"--evaluation.{setting}", value)
    assert f"expected evaluation.{name} of at least 1, got 0" in said
    assert not Path("runs").exists()


def test_an_unknown_level_of_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("G2REC_LOG", "loud")
    assert "G2REC_LOG, got LOUD" in refused(capsys, "data", "list")


def test_features_that_are_not_there_are_missed_before_the_graph_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_events()
    arguments = ("graph", "build", "events.parquet", "--time", "ts", "--out", "r", "--content", "no.npy")
    assert "there is no file no.npy" in refused(capsys, *arguments)
    assert not Path("r").exists()


def test_content_of_no_width(capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy.yaml").write_text(TOY.replace("columns: []", "columns: [], dim: 0"))
    assert "content.dim should be at least 1, got 0" in refused(capsys, "run", "toy.yaml")


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("sales.2024", "runs/sales.2024"),
        ("graphs/shop.yaml", "runs/shop"),
        ("logs/events.parquet", "runs/events"),
        ("logs/*.parquet", "runs/logs"),
        ("logs/day=*/", "runs/logs"),
        ("*.parquet", "runs/log"),
        ("logs", "runs/logs"),
    ],
)
def test_where_a_run_goes_by_itself(source: str, folder: str) -> None:
    assert default_folder(source) == Path(folder)


def test_a_folder_of_other_files_is_no_runs(capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy.yaml").write_text(TOY)
    Path("here").mkdir()
    Path("here/report.html").write_text("mine")
    said = refused(capsys, "run", "toy.yaml", "--out", "here")
    assert "here has other files, such as report.html" in said
    assert Path("here/report.html").read_text() == "mine"


def test_two_commands_in_one_run(capsys: pytest.CaptureFixture[str]) -> None:
    fcntl = pytest.importorskip("fcntl")
    Path("toy.yaml").write_text(TOY)
    Path("tiny.yaml").write_text(TINY)
    assert main(["graph", "build", "toy.yaml", "--config", "tiny.yaml", "--out", "r"]) == 0
    with Path("r/.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for command in (["run", "toy.yaml", "--out", "r"], ["encoder", "fit", "r"]):
            assert "another g2rec is at work in r" in refused(capsys, *command)
    assert main(["encoder", "fit", "r"]) == 0


def test_too_few_items_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    Path("toy.yaml").write_text(TOY.replace("num_items: 90", "num_items: 9"))
    Path("tiny.yaml").write_text(TINY)
    assert "expected at least 10 items" in refused(capsys, "run", "toy.yaml", "--config", "tiny.yaml")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--encoder_fit.epoch", "2"], "no flag --encoder_fit.epoch, --encoder_fit.epochs is the nearest"),
        (["--zzz", "2"], "there is no flag --zzz; see --help"),
        (["--config", "bad.yaml"], "encoder_fit has no setting epoch; it has epochs, "),
    ],
)
def test_an_unknown_setting_is_told_what_there_is(
    capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    Path("bad.yaml").write_text("encoder_fit: {epoch: 2}\n")
    assert says in refused(capsys, "run", "synthetic", *arguments)
