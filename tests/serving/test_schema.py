"""Requests made from the OpenAPI schema, right and wrong ones, never break the server or the schema."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from toy_bundle import make_bundle

pytest.importorskip("fastapi", reason="the serve extra is not installed")
pytest.importorskip("schemathesis", reason="the test extra is not installed")
import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from g2rec.serving import ServeConfig, create_app

APP = create_app(make_bundle(), ServeConfig(max_k=8, max_history=20, max_body_bytes=20_000))
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
OPERATIONS = [found.ok() for found in SCHEMA.get_all_operations()]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_request_breaks_the_server(operation: Any, mode: GenerationMode) -> None:
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query):
        pytest.skip("nothing in such a request can be wrong")

    # this bundle has no content, so the route has to refuse right requests too
    excluded = [positive_data_acceptance] if operation.label == "POST /items" else []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def drive(case: Any) -> None:
        case.call_and_validate(excluded_checks=excluded)

    drive()
