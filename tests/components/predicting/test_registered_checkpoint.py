"""A model's address in place of a checkpoint's folder."""

from __future__ import annotations

import mlflow
import pytest
from registry_for_tests import MODEL

from components.predicting.model import opened, version_of
from components.registry.state import CHAMPION
from sss_model.errors import InputError


@pytest.fixture
def registry(store: mlflow.MlflowClient) -> mlflow.MlflowClient:
    store.create_registered_model(MODEL)
    for _ in range(2):
        store.create_model_version(MODEL, "file:///nowhere")
    store.set_registered_model_alias(MODEL, CHAMPION, "1")
    return store


@pytest.mark.parametrize(("address", "version"), [("@champion", "1"), ("/2", "2"), ("/1", "1")])
def test_an_address_means_a_version(registry: mlflow.MlflowClient, address: str, version: str) -> None:
    assert version_of(f"models:/{MODEL}{address}") == (MODEL, version)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (f"models:/{MODEL}@best", r"has no alias best; expected one of its aliases \(champion\)"),
        (f"models:/{MODEL}/7", "no such version"),
        ("models:/liver@champion", "no such model"),
        (f"models:/{MODEL}", "not a model's address"),
        (f"models:/{MODEL}/2/checkpoint", "not a model's address"),
    ],
)
def test_an_address_that_means_none_is_one_sentence(registry: mlflow.MlflowClient, address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        version_of(address)


def test_a_version_without_a_checkpoint_is_named(registry: mlflow.MlflowClient) -> None:
    with pytest.raises(InputError, match=f"{MODEL} version 1"), opened(f"models:/{MODEL}@champion"):
        pass
