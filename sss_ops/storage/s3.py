"""Object stores that speak S3: addresses and a client.

Credentials and AWS_ENDPOINT_URL come from the environment or from boto's own files.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

SCHEME = "s3://"


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The two parts of ``s3://BUCKET/KEY``; either is empty where the address lacks it.

    >>> bucket_and_key("s3://hospital/exports/2026/")
    ('hospital', 'exports/2026')
    """
    parts = urlsplit(uri, allow_fragments=False)
    return (parts.netloc, parts.path.strip("/")) if uri.startswith(SCHEME) else ("", "")


def s3_client(*, connections: int = 10) -> Any:
    """A client that gives up within seconds, not after minutes of retries, where no store answers.

    It may be shared by as many threads as it has connections.
    """
    import boto3
    from botocore.config import Config

    retries = {"max_attempts": 2, "mode": "standard"}
    config = Config(connect_timeout=10, read_timeout=60, retries=retries, max_pool_connections=connections)
    # The default session is not for several threads.
    return boto3.Session().client("s3", config=config)
