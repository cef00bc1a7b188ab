"""A model's address in place of a checkpoint's folder."""

from __future__ import annotations

import mlflow
import pytest
from support.registry import MODEL

from sss_model.errors import InputError
from sss_ops.prediction.checkpoints import open_checkpoint
from sss_ops.registry.versions import CHAMPION, version_at


@pytest.fixture
def registry(store: mlflow.MlflowClient) -> mlflow.MlflowClient:
    store.create_registered_model(MODEL)
    for _ in range(2):
        store.create_model_version(MODEL, "file:///nowhere")
    store.set_registered_model_alias(MODEL, CHAMPION, "1")
    return store


@pytest.mark.parametrize(("address", "version"), [("@champion", "1"), ("", "1"), ("/2", "2"), ("/1", "1")])
def test_an_address_means_a_version(registry: mlflow.MlflowClient, address: str, version: str) -> None:
    found = version_at(registry, f"models:/{MODEL}{address}")
    assert (found.name, str(found.version)) == (MODEL, version)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (f"models:/{MODEL}@best", "no version has the alias best"),
        (f"models:/{MODEL}/7", "no version 7"),
        ("models:/liver@champion", "no such model"),
        (f"models:/{MODEL}/2/checkpoint", "not the address of a model"),
    ],
)
def test_an_address_that_means_none_is_one_sentence(registry: mlflow.MlflowClient, address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence), open_checkpoint(address):
        pass


def test_a_version_without_a_checkpoint_is_named(registry: mlflow.MlflowClient) -> None:
    with pytest.raises(InputError, match=f"{MODEL} version 1"), open_checkpoint(f"models:/{MODEL}@champion"):
        pass
