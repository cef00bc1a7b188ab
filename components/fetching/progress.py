"""Progress of a transfer: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

from types import TracebackType

from components.pretrained.progress import DownloadProgress


class TransferProgress:
    """Begins when it is known how much is to come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._bar: DownloadProgress | None = None

    def __enter__(self) -> TransferProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.__exit__(kind, error, trace)

    def show(self, here: int, total: int) -> None:
        """Report that so many bytes of so many are here."""
        if self._bar is None:
            self._bar = DownloadProgress(self._name, size=total).__enter__()
        self._bar.show(here)
