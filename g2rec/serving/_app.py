"""The routes over one bundle."""

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib import resources
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from g2rec import __version__
from g2rec.bundle import Bundle
from g2rec.errors import DataError, G2RecError
from g2rec.serving._bodies import (
    Explained,
    FoundItems,
    Health,
    KnownInterests,
    NewItemsRequest,
    Problem,
    Recommendations,
    RecommendRequest,
    SearchQuery,
    SimilarItems,
    SimilarRequest,
    TokenizedItems,
)
from g2rec.serving._config import ServeConfig
from g2rec.serving._guard import Guard, refuse
from g2rec.serving._lanes import BusyError
from g2rec.serving._service import BundleService

logger = logging.getLogger(__name__)

_REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problem, "description": "The request cannot be read"},
    401: {"model": Problem, "description": "The API key is missing or wrong"},
    404: {"model": Problem, "description": "Something that the request names is unknown"},
    408: {"model": Problem, "description": "The body came too slowly"},
    413: {"model": Problem, "description": "The body is too large"},
    415: {"model": Problem, "description": "The body is not declared as JSON"},
    422: {"model": Problem, "description": "The request cannot be met"},
    503: {"model": Problem, "description": "Too many requests wait; Retry-After says when to try again"},
    504: {"model": Problem, "description": "No answer in time"},
}
_KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def build_app(bundle: Bundle, config: ServeConfig) -> FastAPI:
    """The application; every error is ``{"error": one sentence}``."""
    config.check()
    key = config.api_key()
    service = BundleService(bundle, config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="g2rec",
        version=__version__,
        description="Recommendations, and the interests that they come from.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, config=config, key=key, metrics=service.metrics)
    _add_refusals(app)
    _add_recommendations(app, service)
    _add_items(app, service)
    _add_state(app, service)
    _add_pages(app)
    known = [row["item_id"] for row in bundle.search("", 3).to_pylist()]
    _describe(app, config, known, needs_key=key is not None)
    return app


def _add_recommendations(app: FastAPI, service: BundleService) -> None:
    @app.post("/recommend", responses=_REFUSALS, response_model=Recommendations)
    async def recommend(body: RecommendRequest) -> Response:
        """Recommend items for a history, or for a user of the log."""
        return _answer(await service.recommend(body))

    @app.post("/explain", responses=_REFUSALS, response_model=Explained)
    async def explain(body: RecommendRequest) -> Response:
        """Recommend, and say which interests a history shows, and which items they come from."""
        return _answer(await service.explain(body))

    @app.post("/similar", responses=_REFUSALS, response_model=SimilarItems)
    async def similar(body: SimilarRequest) -> Response:
        """The items nearest to one, by their graph embeddings."""
        return _answer(await service.similar(body))

    @app.get("/interests", responses=_REFUSALS, response_model=KnownInterests)
    async def interests() -> Response:
        """All interest prototypes."""
        return _answer({"interests": service.known_interests})


def _add_items(app: FastAPI, service: BundleService) -> None:
    @app.get("/items", responses=_REFUSALS, response_model=FoundItems)
    async def search(query: Annotated[SearchQuery, Query()]) -> Response:
        """Search items by the words of their titles; without any, the most popular items."""
        return _answer(await service.search(query))

    @app.post("/items", responses=_REFUSALS, response_model=TokenizedItems)
    async def new_items(body: NewItemsRequest) -> Response:
        """Give new items semantic IDs from the frozen tokenizer, and add them, without training."""
        return _answer(await service.new_items(body))

    @app.get("/items/{item_id:path}", responses=_REFUSALS)
    async def item(item_id: str) -> Response:
        """What the catalogue knows of an item, and its semantic ID."""
        return _answer(await service.item(item_id))


def _add_state(app: FastAPI, service: BundleService) -> None:
    @app.get("/health", response_model=Health)
    async def health() -> Response:
        """Whether the server is up, and what it serves."""
        log = service.bundle.interactions
        held = {"users": log.num_users, "items": log.num_items, "interests": len(service.known_interests)}
        return _answer({"status": "ok", "version": __version__, **held})

    @app.get("/metrics", responses={401: _REFUSALS[401], 200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_pages(app: FastAPI) -> None:
    files = {
        file.name: file.read_bytes()
        for file in resources.files("g2rec.serving").joinpath("static").iterdir()
        if file.is_file()
    }

    def page(name: str) -> Response:
        kind = _KINDS.get(name[name.rfind(".") :])
        if name not in files or kind is None:
            return refuse(404, "expected a file of the page, got another name; see /")
        return Response(files[name], media_type=kind, headers={"Cache-Control": "no-cache"})

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return page("index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return page("docs.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return page(name)


def _add_refusals(app: FastAPI) -> None:
    @app.exception_handler(G2RecError)
    async def mistaken(request: Request, error: G2RecError) -> JSONResponse:
        return refuse(404 if isinstance(error, DataError) else 422, str(error))

    @app.exception_handler(BusyError)
    async def busy(request: Request, error: BusyError) -> JSONResponse:
        sentence = "expected room for one more request, got a full queue; try again in a second"
        return refuse(503, sentence, {"Retry-After": "1"})

    @app.exception_handler(RequestValidationError)
    async def misshaped(request: Request, error: RequestValidationError) -> JSONResponse:
        first: Mapping[str, Any] = error.errors()[0]
        if first["type"] == "json_invalid":
            reason = str(first.get("ctx", {}).get("error", first["msg"]))
            return refuse(400, f"expected a body of JSON, got something else ({reason}); mend it")
        return refuse(422, f"{_place(first)}; see /docs for the form of a request")

    @app.exception_handler(HTTPException)
    async def unrouted(request: Request, error: HTTPException) -> JSONResponse:
        sentences = {
            400: "expected a body of JSON, got something that cannot be read; mend it",
            404: "expected one of the routes in /docs, got another path; see there",
            405: f"expected another method than {request.method} for this route; see /docs",
        }
        sentence = sentences.get(error.status_code, str(error.detail))
        return refuse(error.status_code, sentence, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        return refuse(500, "the server failed on this request; its log has the reason")


def _place(error: Mapping[str, Any]) -> str:
    """Where a request is misshaped, and how."""
    where = [str(part) for part in error["loc"]]
    message = str(error["msg"]).removeprefix("Value error, ")
    if where[-1] in ("str", "int"):  # neither of the two that an ID may be
        where, message = where[:-1], "Input should be text or a whole number"
    return f"{'.'.join(where)[:100]}: {message}"


def _answer(value: Any) -> Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=str)
    return Response(text.encode("utf-8", "replace"), media_type="application/json")


def _describe(app: FastAPI, config: ServeConfig, known: list[str | int], *, needs_key: bool) -> None:
    """Write the limits of this server, items that it knows, and its key into the OpenAPI schema."""
    made = FastAPI.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made(app)
            schemas = schema["components"]["schemas"]
            for name in ("RecommendRequest", "SimilarRequest"):
                _limit(schemas[name]["properties"]["k"], config.max_k)
            schemas["RecommendRequest"]["examples"] = [{"history": known, "k": 10}]
            schemas["SimilarRequest"]["examples"] = [{"item_id": known[0], "k": 10}]
            history = schemas["RecommendRequest"]["properties"]["history"]
            for choice in history.get("anyOf", [history]):
                if choice.get("type") == "array":
                    choice["maxItems"] = config.max_history
            for parameter in schema["paths"]["/items"]["get"]["parameters"]:
                if parameter["name"] == "k":
                    _limit(parameter["schema"], config.max_k)
            if needs_key:
                key = {"type": "apiKey", "in": "header", "name": "X-API-Key"}
                schema["components"]["securitySchemes"] = {"key": key}
                schema["security"] = [{"key": []}]
        return app.openapi_schema  # type: ignore[return-value]

    app.openapi = openapi  # type: ignore[method-assign]


def _limit(schema: dict[str, Any], most: int) -> None:
    schema.update(maximum=most, default=min(schema["default"], most))
