"""What a version says of itself in its tags."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sss_model.checkpoint import Meta


def tags_of(meta: Meta, scores: dict[str, Any]) -> dict[str, str]:
    """The tags of a version; what is not known has none.

    Args:
        meta: of its checkpoint.
        scores: content of ``metrics.json``.
    """
    tags = {
        "data_version": meta.data_version,
        "manifest_sha256": meta.manifest_sha256,
        "git_revision": meta.git_revision,
        "image_digest": meta.image_digest,
        "dice": scores["dice"],
        **{f"dice_{name}": of_class["dice"] for name, of_class in scores["per_class"].items()},
    }
    return {key: str(value) for key, value in tags.items() if value is not None}
