"""SAM-2's weights: whether they are here, are what their name says, and hold weights and nothing else."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_ops.doctor.checks import Line, not_configured

if TYPE_CHECKING:
    from sss_model.config import Model


# Where bytes are kept: the object store, and the DVC remote of a checkout.


_KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to a pair that the store knows"
_RIGHTS = "give these credentials the right to read, write and delete in the bucket"
_REFUSALS = {
    "InvalidAccessKeyId": ("it does not know the access key", _KEYS),
    "SignatureDoesNotMatch": ("it does not accept the secret key", _KEYS),
    "AccessDenied": ("it refuses this account", _RIGHTS),
    "403": ("it refuses this account", _RIGHTS),
    "NoSuchBucket": ("no such bucket", "make the bucket, or name another with --bucket"),
    "404": ("no such bucket", "make the bucket, or name another with --bucket"),
}


def object_store(bucket: str | None) -> list[Line]:
    """Whether the store answers, takes the credentials, and lets us write, read and delete an object."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError

    quick = Config(connect_timeout=3, read_timeout=4, retries={"total_max_attempts": 1})
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    session = boto3.Session()
    if session.get_credentials() is None:
        how = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; AWS_ENDPOINT_URL for a store that is not Amazon's"
        if endpoint or bucket:
            return [Line("S3", "red", f"{endpoint or bucket}: no credentials", _KEYS)]
        return [not_configured("S3", how)]
    where = f"{endpoint or 'Amazon S3'}{f', bucket {bucket}' if bucket else ''}"
    store = session.client("s3", config=quick)
    try:
        found = _use(store, bucket) if bucket else f"{len(store.list_buckets()['Buckets'])} buckets"
    except ClientError as error:
        code = error.response["Error"]["Code"]
        reason, fix = _REFUSALS.get(code, (code, "look up this code in the store's manual"))
        return [Line("S3", "red", f"{where}: {reason}", fix)]
    except BotoCoreError as error:
        reason = " ".join(str(error).split())
        return [Line("S3", "red", f"{where}: {reason}", "set AWS_ENDPOINT_URL to a store that runs and can be reached")]
    return [Line("S3", "green", f"{where}: {found}")]


def _use(store: Any, bucket: str) -> str:
    """Write, read and delete an object of our own."""
    # The answer to a HEAD has no body, so the reasons would be bare numbers.
    store.list_objects_v2(Bucket=bucket, MaxKeys=1)
    probe = {"Bucket": bucket, "Key": f".sss-doctor-{uuid.uuid4().hex}"}
    store.put_object(**probe, Body=b"probe")
    try:
        store.get_object(**probe)["Body"].read()
    finally:
        store.delete_object(**probe)
    return "written, read, deleted"


def dvc_remote(root: Path) -> list[Line]:
    """Whether the checkout's remote answers and holds the version that ``data.dvc`` names."""
    if not (root / ".dvc").is_dir():
        return [not_configured("DVC remote", "no DVC repository here")]
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from sss_ops.data_versions.pull import tracked_version

    with Repo(str(root)) as repository:
        if not repository.config["core"].get("remote"):
            return [not_configured("DVC remote", "`dvc remote add --default NAME URL`")]
        version = tracked_version(root / "data.dvc")
        try:
            remote = repository.cloud.get_remote_odb()
            there = remote.exists(version)
            where = remote.fs.unstrip_protocol(remote.path).split("/files/md5")[0]
        except (DvcException, OSError) as error:
            reason = " ".join(str(error).split())[:200]
            return [Line("DVC remote", "red", f"it can't be read: {reason}", "correct it with `dvc remote modify`")]
    if not there:
        fix = "run `dvc push`, so that others and the cluster get it"
        return [Line("DVC remote", "yellow", f"{where}: has not the version {version}", fix)]
    return [Line("DVC remote", "green", f"{where}: has the version {version}")]


_NAME = "SAM-2 checkpoint"


def checkpoint(given: Path | None, params: Path) -> list[Line]:
    """The file that is given, or what the recipe names; nothing is fetched."""
    if given:
        return [_file(given)]
    model = _model_of(params)
    if model is None or model.checkpoint is None:
        return [not_configured(_NAME, f"--checkpoint, or model.checkpoint in {params}")]
    from sss_ops.storage.pretrained import FOLDER, refuse_misfit
    from sss_ops.storage.published import find_published
    from sss_ops.storage.s3 import SCHEME

    refuse_misfit(model)
    named = model.checkpoint
    if named.startswith(SCHEME):
        return [Line(_NAME, "grey", f"{named}: fetched when a training starts")]
    known = find_published(named, model.version)
    if known is None or Path(named).is_file():
        return [_file(Path(named))]
    if not (FOLDER / known.file).exists():
        return [Line(_NAME, "yellow", f"{known.file}: not here yet", f"`sss checkpoint get {known.name}`")]
    return [_file(FOLDER / known.file)]


def _file(path: Path) -> Line:
    from sss_model.errors import InputError
    from sss_model.files import sha256
    from sss_model.network.pretrained import read_pretrained
    from sss_ops.storage import published

    known = published.find_published(path.name)
    digests = {each.sha256: each.file for each in published.PUBLISHED}
    try:
        read_pretrained(path)
        if known:
            published.refuse_other(path, known, where=str(path))
    except InputError as error:
        return Line(
            _NAME, "red", str(error).partition(";")[0], "fetch it with `sss checkpoint get`, or name another file"
        )
    name = digests.get(sha256(path))
    if name is None:
        return Line(_NAME, "yellow", f"{path}: none of the published ones", "nothing, if these are weights of your own")
    return Line(_NAME, "green", f"{path}: Meta's {name}, by its SHA-256")


def _model_of(params: Path) -> Model | None:
    if not params.exists():
        return None
    from sss_model.config import load_config

    return load_config(params).model
