"""Sentences for other libraries' errors: known by their class, without secrets."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from kfp_server_api import ApiException
from kubernetes.client import ApiException as ClusterException
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from urllib3.exceptions import NameResolutionError, ReadTimeoutError

from sss_model.errors import InputError
from sss_ops.errors import (
    CLUSTER,
    OBJECT_STORE,
    PIPELINES,
    TRACKING_SERVER,
    WEB_SERVER,
    AccessRefusedError,
    Service,
    as_sentences,
    explain,
    sentence_about,
    without_secrets,
)

TOKEN = "planted-token"


def answer(kind: type[Exception], status: int, body: str) -> Exception:
    return kind(http_resp=SimpleNamespace(status=status, reason="Reason", data=body, getheaders=dict))


@pytest.mark.parametrize(
    ("service", "error", "sentence"),
    [
        (
            OBJECT_STORE,
            ClientError({"Error": {"Code": "NoSuchBucket"}}, "GetObject"),
            "there: the object store answers NoSuchBucket; expected a bucket that exists",
        ),
        (
            OBJECT_STORE,
            ClientError({"Error": {"Code": "SlowDown"}}, "GetObject"),
            "there: the object store answers SlowDown; expected this",
        ),
        (
            OBJECT_STORE,
            EndpointConnectionError(endpoint_url="http://127.0.0.1:9"),
            'there: Could not connect to the endpoint URL: "http://127.0.0.1:9"; '
            "expected credentials and AWS_ENDPOINT_URL of an object store",
        ),
        (
            WEB_SERVER,
            NameResolutionError("host", None, OSError()),
            "there: no host of that name; expected a server that answers there",
        ),
        (
            PIPELINES,
            ReadTimeoutError(None, "/", "late"),
            "there: no answer in time; expected a server that answers there",
        ),
        (
            PIPELINES,
            answer(ApiException, 400, f'{{"message": "no {TOKEN}"}}'),
            "there: 400 Reason (no ***); expected it to take the request",
        ),
        (
            CLUSTER,
            answer(ClusterException, 403, '{"message": "is forbidden"}'),
            "there: the cluster forbids to get pods in namespace ours (is forbidden); "
            "expected the role sss-pipeline to be bound to this pod's service account",
        ),
        (
            CLUSTER,
            answer(ClusterException, 404, "404 page not found"),
            "there: the cluster knows no TrainJob (v1); expected Kubeflow Trainer 2.3 in it",
        ),
        (OBJECT_STORE, KeyError("a bug"), None),
        (PIPELINES, KeyError("a bug"), None),
    ],
)
def test_an_error_has_its_sentence_and_a_bug_has_none(
    service: Service, error: Exception, sentence: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    words = {"otherwise": "expected this", "call": "get pods", "namespace": "ours", "kind": "v1"}
    assert explain(error, service, "there", **words) == sentence


def test_what_a_block_raises_becomes_input_that_can_t_be_used_unless_it_is_a_bug() -> None:
    with pytest.raises(InputError, match="there: the object store answers 404"), as_sentences(OBJECT_STORE, "there"):
        raise ClientError({"Error": {"Code": "404"}}, "HeadObject")
    with pytest.raises(InputError, match=r"^as it is$"), as_sentences(OBJECT_STORE, "there"):
        raise InputError("as it is")
    with pytest.raises(KeyError), as_sentences(OBJECT_STORE, "there"):
        raise KeyError("a bug")


def test_a_refusal_of_the_tracking_server_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "bob")
    refused = MlflowException("no", error_code=PERMISSION_DENIED)
    sentence = "does not let the user bob do that"
    with pytest.raises(AccessRefusedError, match=sentence), as_sentences(TRACKING_SERVER, "there"):
        raise refused
    assert sentence in str(sentence_about(refused))


def test_secrets_of_addresses_and_of_the_environment_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-key")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "short")
    text = "https://ann:planted@host/a: signed with planted-key in short"
    assert without_secrets(text) == "https://host/a: signed with *** in short"


def test_no_library_is_imported_to_look_at_an_error() -> None:
    program = (
        "import sys; from sss_ops.errors import sentence_about; sentence_about(KeyError('a bug'));"
        "print({'mlflow', 'requests', 'urllib3', 'botocore', 'kubernetes', 'dvc', 'kfp'} & sys.modules.keys())"
    )
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"
