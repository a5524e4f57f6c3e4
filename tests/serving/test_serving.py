"""The routes over a bundle, and their errors."""

import asyncio

import pytest
from toy_bundle import NUM_ITEMS, NUM_USERS, make_bundle

pytest.importorskip("fastapi", reason="the serve extra is not installed")
import httpx

from g2rec.serving import create_app

APP = create_app(make_bundle())


def call(method: str, path: str, body: dict[str, object] | None = None) -> httpx.Response:
    """One request to the application, without a socket."""

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=APP), base_url="http://test"
        ) as client:
            return await client.request(method, path, json=body)

    return asyncio.run(send())


def test_health_counts() -> None:
    body = call("GET", "/health").json()
    assert (body["status"], body["users"], body["items"]) == ("ok", NUM_USERS, NUM_ITEMS)


def test_a_user_and_a_history_get_recommendations() -> None:
    by_user = call("POST", "/recommend", {"user_id": 100, "k": 5})
    assert by_user.status_code == 200
    items = by_user.json()["items"]
    assert len(items) == 5
    assert set(items[0]) == {"item_id", "title", "score"}
    by_history = call("POST", "/recommend", {"history": ["i1", "i2"], "k": 3}).json()["items"]
    assert len(by_history) == 3
    assert not {"i1", "i2"} & {item["item_id"] for item in by_history}


def test_an_item_shows_its_semantic_id() -> None:
    body = call("GET", "/items/i4").json()
    assert (body["item_id"], body["title"], len(body["semantic_id"])) == ("i4", "Item <4>", 2)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"user_id": "nobody"}, 404, "known users"),
        ({"history": ["zz"]}, 404, "known items"),
        ({"user_id": 100, "k": 1000}, 422, "k between 1 and the 22 items"),
        ({}, 422, "a user or a history, got neither"),
        ({"user_id": 100, "top": 3}, 422, "body.top"),
        ({"user_id": 100, "k": "many"}, 422, "body.k"),
    ],
)
def test_mistakes_come_back_as_one_sentence(body: dict[str, object], status: int, words: str) -> None:
    answer = call("POST", "/recommend", body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert call("GET", "/items/zz").status_code == 404
