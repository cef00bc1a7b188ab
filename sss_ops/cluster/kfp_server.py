"""The Kubeflow Pipelines server that the environment names: its address, token and version.

KFP_HOST is its address; KFP_TOKEN, or the file that KFP_TOKEN_FILE names, holds its token, if it needs one. A token is
never an argument of a command: arguments show in process lists and shell histories.
"""

from __future__ import annotations

import json
import os
import re
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from pathlib import Path

from sss_model.errors import InputError
from sss_ops.errors import KFP_TOKEN
from sss_ops.storage.http import Answer, probe

# The exit handler's final status and retries inside one are in KFP's server since 2.14 (its changelog, #11953, #11908),
# the user that a pod runs as since 2.16 (#12832).
OLDEST_SERVER = (2, 16)
_HEALTH = ("/apis/v2beta1/healthz", "/apis/v1beta1/healthz")
_ADDRESS = "expected the address of Kubeflow Pipelines' UI or API, such as http://localhost:8080 of a port-forward"


def host_address(host: str | None) -> str:
    """The server's address without a slash at its end: `host`, or else KFP_HOST.

    Raises:
        InputError: neither is given.
    """
    found = host or os.environ.get("KFP_HOST", "")
    if not found:
        raise InputError(f"KFP_HOST: not set, and no host given; {_ADDRESS}")
    return (found if "://" in found else f"https://{found}").rstrip("/")


def read_token() -> str:
    """The token, empty where none is set; read at each call, since Kubernetes renews the files of its tokens.

    Raises:
        InputError: KFP_TOKEN_FILE names a file that can't be read.
    """
    file = os.environ.get("KFP_TOKEN_FILE", "")
    if os.environ.get("KFP_TOKEN") or not file:
        return os.environ.get("KFP_TOKEN", "").strip()
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"KFP_TOKEN_FILE: {file} can't be read; {KFP_TOKEN}") from None


def server_version(host: str) -> str | None:
    """Ask the server for its version.

    Returns:
        Such as ``2.17.0``; None where it does not say.

    Raises:
        InputError: it does not answer, wants another token, or is no Kubeflow Pipelines.
    """
    token = read_token()
    for path in _HEALTH:
        answer = probe(f"{host}{path}", token=token)
        if answer.status != 404:
            break
    if answer.status in (401, 403) or answer.location:
        found = f"it sends to a login ({answer.status})" if answer.location else f"it answers {answer.status}"
        raise InputError(f"{host}: {found}, {'the token is not accepted' if token else 'no token is set'}; {KFP_TOKEN}")
    return _version(host, answer)


def _version(host: str, answer: Answer) -> str | None:
    try:
        health = json.loads(answer.body)
    except ValueError:
        health = None
    if answer.status != 200 or not isinstance(health, dict):
        raise InputError(f"{host}: answers {answer.status}, but is no Kubeflow Pipelines; {_ADDRESS}")
    if health.get("apiServerReady") is False:
        raise InputError(f"{host}: the UI answers, its API server does not; expected a ready deployment ml-pipeline")
    tag = health.get("apiServerTagName") or health.get("tag_name") or ""
    found = re.search(r"\d+\.\d+(\.\d+)?", tag)
    return found[0] if found else None


def version_warning(host: str, version: str | None) -> str | None:
    """A warning about the server's version; None where it fits.

    Raises:
        InputError: a pipeline of this client can't run there, or there is no client.
    """
    try:
        own = installed_version("kfp")
    except PackageNotFoundError:
        raise InputError("kfp: not installed; expected `pip install 'sss-medical[kubeflow]'`") from None
    client = _pair(own)
    if version is None:
        return f"{host} does not tell its version; this client is {own}"
    server = _pair(version)
    if server < OLDEST_SERVER or server[0] != client[0]:
        oldest = ".".join(map(str, OLDEST_SERVER))
        raise InputError(
            f"{host}: Kubeflow Pipelines {version}, and this client is {own}; expected a server of {oldest} or newer, "
            f"below {client[0] + 1}"
        )
    return f"{host} has {version}, older than this client's {own}; upgrade it to be sure" if server < client else None


def _pair(version: str) -> tuple[int, int]:
    major, minor = version.split(".")[:2]
    return int(major), int(minor)
