"""One HTTP request that asks a server whether it is there."""

from __future__ import annotations

import os
from typing import NamedTuple

from sss_model.errors import InputError


class Answer(NamedTuple):
    """What a server said.

    Attributes:
        location: where it sends the client instead; empty where it does not.
    """

    status: int
    body: str
    location: str


def probe(url: str, *, token: str = "", seconds: float = 4.0) -> Answer:
    """Ask once. A redirect is not followed, so that a token goes to the address it was meant for and nowhere else.

    Raises:
        InputError: nothing answers there; the sentence names the host and why.
    """
    import urllib3

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    pool = urllib3.PoolManager(ca_certs=os.environ.get("SSL_CERT_FILE"))
    try:
        said = pool.request("GET", url, headers=headers, timeout=seconds, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise InputError(f"{_server(url)}: {why_silent(error)}; expected a server that answers there") from None
    return Answer(said.status, said.data.decode(errors="replace"), said.headers.get("location", ""))


def why_silent(error: Exception) -> str:
    """In plain words, why urllib3 got no answer."""
    from urllib3 import exceptions

    reason = getattr(error, "reason", None) or error
    kinds = (
        (exceptions.NameResolutionError, "no host of that name"),
        (exceptions.SSLError, "its certificate is not trusted"),
        (exceptions.NewConnectionError, "nothing listens"),
        (exceptions.TimeoutError, "no answer in time"),
        (exceptions.LocationValueError, "no address of a server"),
    )
    return next((words for kind, words in kinds if isinstance(reason, kind)), "the connection broke")


def _server(url: str) -> str:
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    try:
        return parse_url(url)._replace(auth=None, path=None, query=None, fragment=None).url
    except LocationParseError:
        return url.partition("://")[2].rpartition("@")[2].partition("/")[0]
