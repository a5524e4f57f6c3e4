"""The routes over a bundle, and their errors."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from toy_bundle import NUM_ITEMS, NUM_USERS, make_bundle

pytest.importorskip("fastapi", reason="the serve extra is not installed")
import httpx

from g2rec.bundle import Bundle
from g2rec.encoders import LightGCNConfig
from g2rec.errors import ConfigError
from g2rec.prototypes import GraphHeadConfig
from g2rec.recipes import ContentSpec, Recipe
from g2rec.recommenders import G2RecConfig, TransformerConfig
from g2rec.serving import ServeConfig, create_app
from g2rec.tokenizers import RQKMeansConfig
from g2rec.training import FitConfig
from g2rec.training.pipeline import Run
from g2rec.training.run_config import RunConfig

BUNDLE = make_bundle()
APP = create_app(BUNDLE)
JSON = {"content-type": "application/json"}


def call(method: str, path: str, body: object = None, *, app: Any = APP, **options: Any) -> httpx.Response:
    """One request to the application, without a socket."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.request(
                method, path, **({"json": body} if body is not None else {}), **options
            )

    return asyncio.run(send())


def test_health_counts() -> None:
    body = call("GET", "/health").json()
    assert (body["status"], body["users"], body["items"]) == ("ok", NUM_USERS, NUM_ITEMS)


def test_a_user_and_a_history_get_recommendations() -> None:
    by_user = call("POST", "/recommend", {"user_id": 100, "k": 5})
    assert by_user.status_code == 200
    expected = BUNDLE.recommend(user=100, k=5).to_pylist()
    found = by_user.json()["items"]
    assert [item["item_id"] for item in found] == [item["item_id"] for item in expected]
    assert [item["score"] for item in found] == pytest.approx([item["score"] for item in expected], rel=1e-4)
    by_history = call("POST", "/recommend", {"history": ["i1", "i2"], "k": 3}).json()["items"]
    assert len(by_history) == 3
    assert not {"i1", "i2"} & {item["item_id"] for item in by_history}


def test_allow_deny_and_without_reach_the_model() -> None:
    asked = {"history": ["i1", "i2"], "k": 2, "allow": ["i5", "i6", "i7"], "deny": ["i6"]}
    found = {item["item_id"] for item in call("POST", "/recommend", asked).json()["items"]}
    assert found == {"i5", "i7"}
    seen = call("POST", "/recommend", {"history": ["i1"], "k": NUM_ITEMS, "exclude_seen": False}).json()
    assert "i1" in {item["item_id"] for item in seen["items"]}
    plain = call("POST", "/explain", {"history": ["i1", "i2"]}).json()["interests"]
    off = [plain[0]["index"]]
    less = call("POST", "/explain", {"history": ["i1", "i2"], "without": off}).json()["interests"]
    assert off[0] not in {interest["index"] for interest in less}


def test_an_explanation_says_where_interests_come_from() -> None:
    body = call("POST", "/explain", {"history": ["i1", "i2"], "k": 4}).json()
    assert sum(interest["weight"] for interest in body["interests"]) == pytest.approx(1)
    for interest in body["interests"]:
        assert {past["item_id"] for past in interest["past"]} <= {"i1", "i2"}
    assert [item["item_id"] for item in body["items"]] == [
        item["item_id"]
        for item in call("POST", "/recommend", {"history": ["i1", "i2"], "k": 4}).json()["items"]
    ]
    assert all(len(item["semantic_id"]) == 2 for item in body["items"])


def test_items_are_found_shown_and_compared() -> None:
    assert [item["item_id"] for item in call("GET", "/items?q=item+4").json()["items"]] == ["i4"]
    assert len(call("GET", "/items?k=7").json()["items"]) == 7
    body = call("GET", "/items/i4").json()
    assert (body["item_id"], body["title"], len(body["semantic_id"])) == ("i4", "Item <4>", 2)
    near = call("POST", "/similar", {"item_id": "i4", "k": 3}).json()["items"]
    assert near == BUNDLE.similar("i4", 3).to_pylist()
    interests = call("GET", "/interests").json()["interests"]
    assert len(interests) == 5 and all(interest["items"] for interest in interests)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/recommend", {"user_id": "nobody"}, 404, "known users"),
        ("/recommend", {"history": ["zz"]}, 404, "known items"),
        ("/recommend", {"user_id": 100, "k": 23}, 422, "k between 1 and the 22 items"),
        ("/recommend", {"user_id": 100, "k": 10**9}, 422, "k between 1 and 200"),
        ("/recommend", {"user_id": 100, "k": 10**400}, 422, "a far larger number"),
        ("/recommend", {"user_id": 100, "k": 0}, 422, "body.k: Input should be greater"),
        ("/recommend", {}, 422, "a user_id or a history, got neither"),
        ("/recommend", {"user_id": 1, "history": ["i1"]}, 422, "a user_id or a history, got both"),
        ("/recommend", {"user_id": 100, "top": 3}, 422, "body.top"),
        ("/recommend", {"user_id": 100, "k": "many"}, 422, "body.k"),
        ("/recommend", {"user_id": 100, "k": "3"}, 422, "body.k"),
        ("/recommend", {"history": []}, 422, "body.history"),
        ("/recommend", {"history": [True]}, 422, "body.history.0: Input should be text or a whole number"),
        ("/recommend", {"history": [None]}, 422, "body.history.0"),
        ("/recommend", {"history": "i1"}, 422, "body.history"),
        ("/recommend", {"history": ["i1"] * 1001}, 422, "at most 1000 items, got 1001"),
        ("/recommend", {"history": ["i1"], "without": [5]}, 422, "interests between 0 and 4"),
        ("/recommend", [], 422, "body"),
        ("/similar", {"item_id": "zz"}, 404, "known items"),
        ("/similar", {"item_id": "i1", "k": 30}, 422, "29 other items"),
        ("/items", {"items": [{"title": "no id"}]}, 422, "body.items.0.item_id: Field required"),
        ("/items", {"items": [{"item_id": 7}]}, 422, "no content"),
        ("/items", {"items": []}, 422, "body.items"),
    ],
)
def test_mistakes_come_back_as_one_sentence(path: str, body: object, status: int, words: str) -> None:
    answer = call("POST", path, body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert "\n" not in answer.text and len(answer.text) < 300


@pytest.mark.parametrize(
    ("method", "path", "text", "status"),
    [
        ("POST", "/recommend", b"{", 400),
        ("POST", "/recommend", b"", 422),
        ("POST", "/recommend", b"\xff\xfe\x00", 400),
        ("POST", "/recommend", b"[" * 100_000, 400),
        ("POST", "/recommend", b'{"history": [NaN]}', 422),
        ("POST", "/recommend", b'{"history": ["i1"], "k": NaN}', 422),
        ("POST", "/recommend", b'{"history": ["i1"], "k": 1e999}', 422),
        ("POST", "/recommend", b'{"history": ["i1"], "k": ' + b"9" * 5000 + b"}", 400),
        ("POST", "/recommend", b'{"history": ["\\ud800"]}', 404),
        ("POST", "/items", b'{"items": [{"item_id": "n", "content": [1, NaN]}]}', 422),
        ("GET", "/items/zz", b"", 404),
        ("GET", "/items/../../etc/passwd", b"", 404),
        ("GET", "/items?k=0", b"", 422),
        ("GET", "/items?k=1000000000", b"", 422),
        ("GET", f"/items?q={'x' * 201}", b"", 422),
        ("GET", "/static/..%2f_app.py", b"", 404),
        ("GET", "/nothing", b"", 404),
        ("DELETE", "/recommend", b"", 405),
        ("GET", "/recommend", b"", 405),
    ],
)
def test_what_is_no_request_is_refused(method: str, path: str, text: bytes, status: int) -> None:
    answer = call(method, path, content=text, headers=JSON)
    assert answer.status_code == status
    assert isinstance(answer.json()["error"], str)
    assert "Traceback" not in answer.text and "/work" not in answer.text and ".py" not in answer.text


def test_bodies_must_be_declared_and_small() -> None:
    form = call("POST", "/recommend", content=b"k=1", headers={"content-type": "text/plain"})
    assert form.status_code == 415
    app = create_app(BUNDLE, ServeConfig(max_body_bytes=100))
    large = b'{"history": [' + b'"i1",' * 100 + b'"i1"]}'
    answer = call("POST", "/recommend", content=large, headers=JSON, app=app)
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")

    async def pieces() -> Any:
        for _ in range(5):
            yield large

    assert call("POST", "/recommend", content=pieces(), headers=JSON, app=app).status_code == 413


def test_a_key_is_asked_for_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    file.write_text("s3cret\n")
    app = create_app(BUNDLE, ServeConfig(api_key_file=file))
    asked = {"history": ["i1"], "k": 1}
    bare = call("POST", "/recommend", asked, app=app)
    assert (bare.status_code, bare.headers["www-authenticate"]) == (401, "Bearer")
    for headers in (
        {"x-api-key": "wrong"},
        {"x-api-key": "s3cre\u00e9".encode()},
        {"authorization": "Basic s3cret"},
    ):
        assert call("POST", "/recommend", asked, app=app, headers=headers).status_code == 401
    for headers in ({"x-api-key": "s3cret"}, {"authorization": "bearer s3cret"}):
        assert call("POST", "/recommend", asked, app=app, headers=headers).status_code == 200
    assert call("GET", "/metrics", app=app).status_code == 401
    for path in ("/", "/health", "/docs", "/openapi.json", "/static/page.js"):
        assert call("GET", path, app=app).status_code == 200
    assert call("GET", "/openapi.json", app=app).json()["security"] == [{"key": []}]
    monkeypatch.setenv("G2REC_API_KEY", "other")
    assert call("POST", "/recommend", asked, app=create_app(BUNDLE)).status_code == 401
    file.write_text("")
    with pytest.raises(ConfigError, match="expected a key in"):
        create_app(BUNDLE, ServeConfig(api_key_file=file))


def test_a_failure_of_ours_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise RuntimeError("secret at /some/path")

    app = create_app(BUNDLE)
    monkeypatch.setattr(Bundle, "recommend_many", fail)
    answer = call("POST", "/recommend", {"history": ["i1"]}, app=app)
    assert answer.status_code == 500
    assert "secret" not in answer.text and "path" not in answer.text
    monkeypatch.undo()
    assert call("POST", "/recommend", {"history": ["i1"]}, app=app).status_code == 200


def test_metrics_count_requests_and_batches() -> None:
    app = create_app(make_bundle())
    call("POST", "/recommend", {"history": ["i1"], "k": 1}, app=app)
    call("POST", "/recommend", {"history": ["zz"], "k": 1}, app=app)
    text = call("GET", "/metrics", app=app).text
    assert 'g2rec_requests_total{route="/recommend",status="200"} 1.0' in text
    assert 'g2rec_requests_total{route="/recommend",status="404"} 1.0' in text
    assert "g2rec_batch_size_count 1.0" in text
    assert f"g2rec_items {NUM_ITEMS}.0" in text


def test_the_page_and_all_that_it_needs_come_from_here() -> None:
    page = call("GET", "/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    for name in ("index.html", "docs.html", "page.js", "docs.js", "page.css", "docs.css", "icon.svg"):
        answer = call("GET", f"/static/{name}")
        assert answer.status_code == 200
        text = answer.text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text and "https://" not in text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_batch": 0}, "max_batch of at least 1"),
        ({"timeout_seconds": 0}, "timeout_seconds above 0"),
        ({"gather_ms": float("nan")}, "gather_ms of at least 0"),
        ({"port": 70_000}, "a port up to 65535"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        create_app(BUNDLE, ServeConfig(**settings))


@pytest.fixture(scope="module")
def of_text(toy_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose content is made of titles, so that it can take new items."""
    recipe = dataclasses.replace(toy_recipe, content=ContentSpec(kind="tfidf", columns=("title",), dim=8))
    short = FitConfig(epochs=1, batch_size=256, accelerator="cpu")
    settings = RunConfig(
        encoder=LightGCNConfig(embedding_dim=8),
        prototypes=GraphHeadConfig(num_prototypes=5, nonzeros=2),
        encoder_fit=short,
        tokenizer=RQKMeansConfig(num_levels=2, codebook_size=16),
        recommender=G2RecConfig(transformer=TransformerConfig(embedding_dim=16, num_layers=1, max_len=10)),
        recommender_fit=short,
    )
    folder = tmp_path_factory.mktemp("text")
    Run(folder, recipe, settings).write_bundle()
    return Bundle.load(folder / "bundle")


def test_new_items_are_tokenized_added_and_recommended(of_text: Bundle) -> None:
    app = create_app(of_text, ServeConfig(max_new_items=1))
    before = of_text.interactions.num_items
    items = [{"item_id": 9001, "title": of_text.interactions.titles[0]}]
    dry = call("POST", "/items", {"items": items, "add": False}, app=app).json()
    assert (dry["added"], dry["num_items"]) == (False, before)
    added = call("POST", "/items", {"items": items}, app=app).json()
    assert (added["added"], added["num_items"]) == (True, before + 1)
    assert added["items"][0]["semantic_id"] == dry["items"][0]["semantic_id"]
    assert call("GET", "/items/9001", app=app).json()["semantic_id"] == dry["items"][0]["semantic_id"]
    asked = {"history": [9001], "k": 1, "allow": [9001], "exclude_seen": False}
    assert call("POST", "/recommend", asked, app=app).json()["items"][0]["item_id"] == 9001
    for more, words in ((items, "at most 0 more"), ([{"item_id": 9002}], "at most 0 more")):
        refused = call("POST", "/items", {"items": more}, app=app)
        assert refused.status_code == 422 and words in refused.json()["error"]
    again = call("POST", "/items", {"items": items, "add": False}, app=app)
    assert again.status_code == 422 and "knows it already" in again.json()["error"]


def test_what_json_cannot_hold_is_left_out() -> None:
    log = BUNDLE.interactions
    rows = [[float("inf"), 1.0]] + [[0.5, 1.0]] * (NUM_ITEMS - 1)
    items = log.items.append_column("price", pa.array([row[0] for row in rows])).append_column(
        "range", pa.array(rows)
    )
    app = create_app(dataclasses.replace(BUNDLE, interactions=dataclasses.replace(log, items=items)))
    assert set(call("GET", "/items/i0", app=app).json()) == {"item_id", "title", "semantic_id"}
    assert call("GET", "/items/i1", app=app).json()["range"] == [0.5, 1.0]
