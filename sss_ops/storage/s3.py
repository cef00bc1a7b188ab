"""Object stores that speak S3: where an address points, a client, and what went wrong as one sentence.

Credentials and AWS_ENDPOINT_URL come from the environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from sss_model.errors import InputError

SCHEME = "s3://"
_RIGHTS = "expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY that may be used there"
_EXPECTED = {
    "NoSuchBucket": "expected a bucket that exists",
    # The answer to a HEAD is a bare number.
    "404": "expected a bucket and an object that exist",
    "403": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "InvalidAccessKeyId": _RIGHTS,
    "SignatureDoesNotMatch": _RIGHTS,
}


def bucket_and_key(uri: str) -> tuple[str, str]:
    """The two parts of ``s3://BUCKET/KEY``; either is empty where the address lacks it."""
    parts = urlsplit(uri, allow_fragments=False)
    return (parts.netloc, parts.path.strip("/")) if uri.startswith(SCHEME) else ("", "")


def client(*, connections: int = 10) -> Any:
    """A client that gives up on a store that is away within seconds, not after minutes of retries.

    It may be shared by as many threads as it has connections.
    """
    import boto3
    from botocore.config import Config

    retries = {"max_attempts": 2, "mode": "standard"}
    config = Config(connect_timeout=10, read_timeout=60, retries=retries, max_pool_connections=connections)
    # The default session is not for several threads.
    return boto3.Session().client("s3", config=config)


@contextmanager
def one_sentence(uri: str, otherwise: str) -> Iterator[None]:
    """Turn what a store refuses into an `InputError` about `uri`.

    Args:
        otherwise: what was expected, where the refusal is none of the usual ones.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise InputError(f"{uri}: the object store answers {code}; {_EXPECTED.get(code, otherwise)}") from None
    except (BotoCoreError, ValueError) as error:  # the latter where AWS_ENDPOINT_URL is no address
        reason = str(error).rstrip(".")
        raise InputError(f"{uri}: {reason}; expected credentials and AWS_ENDPOINT_URL of an object store") from None
