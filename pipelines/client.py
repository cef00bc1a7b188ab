"""A client of Kubeflow Pipelines whose errors are one sentence."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.cluster.kfp_server import EXPECTED_TOKEN, read_token
from sss_ops.storage.http import why_silent

if TYPE_CHECKING:
    import kfp


def connect(host: str, namespace: str | None) -> kfp.Client:
    """A client of a server that `server_version` has found well; it reads a token's file again for each request."""
    import kfp
    from kfp.client import ServiceAccountTokenVolumeCredentials

    token, file = read_token(), os.environ.get("KFP_TOKEN_FILE")
    options: dict[str, Any] = {"existing_token": token or None, "ssl_ca_cert": os.environ.get("SSL_CERT_FILE")}
    if file and not os.environ.get("KFP_TOKEN"):
        options |= {"existing_token": None, "credentials": ServiceAccountTokenVolumeCredentials(file)}
    with warnings.catch_warnings(), told_in_a_sentence(host):
        warnings.simplefilter("ignore", FutureWarning)  # about servers older than those we let through
        return kfp.Client(host=host, namespace=namespace or "kubeflow", **options)


@contextmanager
def told_in_a_sentence(host: str) -> Iterator[None]:
    """Turn what KFP's client raises into an `InputError`, with the server's own reason in it."""
    from kfp_server_api import ApiException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ApiException as error:
        expected = EXPECTED_TOKEN if error.status in (401, 403) else "expected it to take the request"
        raise InputError(f"{host}: {error.status} {error.reason}{_reason(error.body)}; {expected}") from None
    except HTTPError as error:
        raise InputError(f"{host}: {why_silent(error)}; expected a server that answers there") from None


def _reason(body: object) -> str:
    """The server's own words, never the token, which a proxy may have echoed."""
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        said = json.loads(text)
        words = str(said.get("message") or said.get("error") or "") if isinstance(said, dict) else ""
    except ValueError:
        words = ""
    token = read_token()
    words = " ".join((words.replace(token, "***") if token else words).split())[:300]
    return f" ({words})" if words else ""
