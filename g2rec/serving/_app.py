"""Three routes over one bundle: is it up, recommend, look at an item."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict

from g2rec import __version__
from g2rec.bundle import Bundle
from g2rec.errors import ConfigError, DataError, G2RecError


class RecommendRequest(BaseModel):
    """Body of ``POST /recommend``: a user, or the items that somebody engaged with, oldest first."""

    model_config = ConfigDict(extra="forbid")

    user_id: str | int | None = None
    history: list[str | int] | None = None
    k: int = 10
    exclude_seen: bool = True


def create_app(bundle: Bundle) -> FastAPI:
    """Make the application; serve it with ``uvicorn`` or mount it in another.

    A mistake of the caller comes back as ``{"error": one sentence}``: 404 for an unknown user or item,
    422 for a request that cannot be met.
    """
    app = FastAPI(title="g2rec", version=__version__)

    @app.exception_handler(G2RecError)
    def refuse(request: Request, error: G2RecError) -> JSONResponse:
        status = 404 if isinstance(error, DataError) else 422 if isinstance(error, ConfigError) else 500
        return JSONResponse({"error": str(error)}, status)

    @app.exception_handler(RequestValidationError)
    def refuse_body(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return JSONResponse({"error": f"{where}: {first['msg']}; see /docs for the form of a request"}, 422)

    @app.get("/health")
    def health() -> dict[str, Any]:
        log = bundle.interactions
        return {"status": "ok", "version": __version__, "users": log.num_users, "items": log.num_items}

    @app.post("/recommend")
    def recommend(body: RecommendRequest) -> dict[str, Any]:
        table = bundle.recommend(
            user=body.user_id, history=body.history, k=body.k, exclude_seen=body.exclude_seen
        )
        return {"items": table.to_pylist()}

    @app.get("/items/{item_id}")
    def item(item_id: str) -> dict[str, Any]:
        index = bundle.item_index([item_id])[0]
        row = bundle.interactions.items.slice(int(index), 1).to_pylist()[0]
        known = {key: value for key, value in row.items() if value == value}  # JSON has no NaN
        return {**known, "semantic_id": [int(code) for code in bundle.semantic_ids.codes[index]]}

    return app
