"""A client of Kubeflow Pipelines, and its errors as one sentence."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from sss_ops.cluster.kfp_server import read_token
from sss_ops.errors import PIPELINES, as_sentences

if TYPE_CHECKING:
    import kfp


def connect_to_pipelines(host: str, namespace: str | None) -> kfp.Client:
    """A client of a server that `server_version` has checked; it reads a token's file again for each request."""
    import kfp
    from kfp.client import ServiceAccountTokenVolumeCredentials

    token, file = read_token(), os.environ.get("KFP_TOKEN_FILE")
    options: dict[str, Any] = {"existing_token": token or None, "ssl_ca_cert": os.environ.get("SSL_CERT_FILE")}
    if file and not os.environ.get("KFP_TOKEN"):
        options |= {"existing_token": None, "credentials": ServiceAccountTokenVolumeCredentials(file)}
    with warnings.catch_warnings(), as_sentences(PIPELINES, host):
        warnings.simplefilter("ignore", FutureWarning)  # about servers older than `OLDEST_SERVER`
        return kfp.Client(host=host, namespace=namespace or "kubeflow", **options)
