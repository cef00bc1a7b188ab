"""The state of an unfinished training: in a folder, or on an object store, for machines that come and go."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sss_model.errors import InputError
from sss_ops.errors import OBJECT_STORE, as_sentences
from sss_ops.storage.s3 import SCHEME, bucket_and_key, s3_client

_log = logging.getLogger(__name__)

# The state comes last: where it is, all is.
_FILES = ("tracking.json", "state.pt")
_OTHERWISE = "expected to read the state of an unfinished training there"


class StateStore:
    """One training's state under a prefix of a bucket.

    Credentials and AWS_ENDPOINT_URL come from the environment. A store that fails in the middle of a training costs
    one warning, and the last state that arrived whole stays there.

    >>> with StateStore("s3://sss-work/3f2a") as store:  # doctest: +SKIP
    ...     store.restore(work_dir)
    ...     train(..., work_dir=work_dir, on_save=store.save)
    ...     store.forget()
    """

    def __init__(self, uri: str) -> None:
        """
        Args:
            uri: ``s3://BUCKET/PREFIX``, of this training alone.

        Raises:
            InputError: it is of another form.
        """
        self._uri = uri
        self._bucket, self._prefix = bucket_and_key(uri)
        if not (self._bucket and self._prefix):
            raise InputError(f"{uri}: not a place for a training's state; expected s3://BUCKET/PREFIX")
        # One thread: nothing overtakes what was asked for before it.
        self._worker = ThreadPoolExecutor(max_workers=1)
        self._waiting: Future[None] | None = None
        self._warned = False

    def __enter__(self) -> StateStore:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._worker.shutdown(wait=True)

    def restore(self, folder: Path) -> None:
        """Bring what an earlier machine left into `folder`; where it left nothing, do nothing.

        Raises:
            InputError: no store answers, it refuses the credentials, or has no such bucket.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with as_sentences(OBJECT_STORE, self._uri, otherwise=_OTHERWISE):
            client = s3_client()
            listed = client.list_objects_v2(Bucket=self._bucket, Prefix=f"{self._prefix}/").get("Contents", [])
            present = {entry["Key"] for entry in listed}
            for name in _FILES:
                if self._key(name) in present:
                    client.download_file(self._bucket, self._key(name), str(folder / name))

    def save(self, folder: Path) -> None:
        """Upload the state in `folder`, in the background; replaces an upload that has not begun."""
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self._worker.submit(self._or_warn, lambda: self._upload(folder))

    def forget(self) -> None:
        """Delete the state, once nothing is being uploaded any more: the training has ended well."""
        self._worker.submit(self._or_warn, self._delete)

    def _upload(self, folder: Path) -> None:
        client = s3_client()
        for name in _FILES:
            # A file may not be there yet, or not any more when the training has ended. An open one keeps its bytes when
            # the next save replaces it under its name.
            with suppress(FileNotFoundError), (folder / name).open("rb") as file:
                client.upload_fileobj(file, self._bucket, self._key(name))

    def _delete(self) -> None:
        client = s3_client()
        for name in _FILES:
            client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def _or_warn(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # whatever a store can raise, the training goes on
            if not self._warned:
                _log.warning("%s: the state is not kept there; the training goes on (%s)", self._uri, error)
            self._warned = True
        else:
            self._warned = False

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}"


@dataclass(frozen=True)
class WorkPlace:
    """The folder of one unfinished training, and what to call when it is saved or ends.

    Attributes:
        folder: its folder on this machine.
        on_save: to be called with it when the state has been saved there.
        forget: to be called when the training has ended well.
    """

    folder: Path
    on_save: Callable[[Path], None]
    forget: Callable[[], None]


@contextmanager
def work_place(work: str, identity: str) -> Iterator[WorkPlace]:
    """Open the folder of a training, with what an earlier process left in it.

    Args:
        work: a folder, or ``s3://bucket/prefix``, which outlives the machine.
        identity: the training's name, see `sss_model.training.identity`.

    Raises:
        InputError: the object store can't be used, or the folder can't be written.
    """
    if not work.startswith(SCHEME):
        folder = _own_folder(Path(work, identity))
        yield WorkPlace(folder, lambda saved: None, lambda: shutil.rmtree(folder, ignore_errors=True))
        return
    with tempfile.TemporaryDirectory() as name, StateStore(f"{work.rstrip('/')}/{identity}") as store:
        store.restore(Path(name))
        yield WorkPlace(Path(name), store.save, store.forget)


def _own_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except PermissionError:
        raise InputError(
            f"{folder}: user {os.getuid()} may not write there; expected a folder or volume that belongs to this user"
        ) from None
    return folder
