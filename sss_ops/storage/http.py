"""One HTTP request that asks a server whether it is there."""

from __future__ import annotations

import os
from typing import NamedTuple

from sss_ops.errors import WEB_SERVER, as_sentences


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
    with as_sentences(WEB_SERVER, _server(url)):
        said = pool.request("GET", url, headers=headers, timeout=seconds, retries=False, redirect=False)
    return Answer(said.status, said.data.decode(errors="replace"), said.headers.get("location", ""))


def _server(url: str) -> str:
    from urllib3.exceptions import LocationParseError
    from urllib3.util import parse_url

    try:
        return parse_url(url)._replace(auth=None, path=None, query=None, fragment=None).url
    except LocationParseError:
        return url.partition("://")[2].rpartition("@")[2].partition("/")[0]
