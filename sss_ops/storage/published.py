"""The SAM-2 checkpoints that Meta has published, and whether a file is one of them.

Meta publishes no checksums. These were collected from third parties: the SHA-256 of 2.0 from one source, those of 2.1
from three, the sizes from several that agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from sss_model.errors import InputError
from sss_model.files import sha256

HOME = "https://dl.fbaipublicfiles.com/segment_anything_2"


class Published(NamedTuple):
    """One checkpoint.

    Attributes:
        encoder, version: the recipe's ``model.encoder`` and ``model.version`` that it belongs to.
        file: its name.
        release: Meta's folder below `HOME`.
        size: in bytes.
        sha256: hexadecimal.
    """

    encoder: str
    version: str
    file: str
    release: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Its full name: the file's, without the ending."""
        return self.file.removesuffix(".pt")


# fmt: off
PUBLISHED = (
    Published("tiny", "2.0", "sam2_hiera_tiny.pt", "072824", 155_906_050,
              "65b50056e05bcb13694174f51bb6da89c894b57b75ccdf0ba6352c597c5d1125"),
    Published("small", "2.0", "sam2_hiera_small.pt", "072824", 184_309_650,
              "95949964d4e548409021d47b22712d5f1abf2564cc0c3c765ba599a24ac7dce3"),
    Published("base_plus", "2.0", "sam2_hiera_base_plus.pt", "072824", 323_493_298,
              "d0bb7f236400a49669ffdd1be617959a8b1d1065081789d7bbff88eded3a8071"),
    Published("large", "2.0", "sam2_hiera_large.pt", "072824", 897_952_466,
              "7442e4e9b732a508f80e141e7c2913437a3610ee0c77381a66658c3a445df87b"),
    Published("tiny", "2.1", "sam2.1_hiera_tiny.pt", "092824", 156_008_466,
              "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69"),
    Published("small", "2.1", "sam2.1_hiera_small.pt", "092824", 184_416_285,
              "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38"),
    Published("base_plus", "2.1", "sam2.1_hiera_base_plus.pt", "092824", 323_606_802,
              "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5"),
    Published("large", "2.1", "sam2.1_hiera_large.pt", "092824", 898_083_611,
              "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318"),
)
# fmt: on


def find_published(name: str, version: str = "") -> Published | None:
    """The checkpoint of that name: a size (``small``, of that version), a full name or a file's name.

    >>> find_published("small", "2.1").file
    'sam2.1_hiera_small.pt'
    """
    for known in PUBLISHED:
        if name in (known.name, known.file) or (name, version) == (known.encoder, known.version):
            return known
    return None


def names() -> str:
    """All names, for a sentence."""
    sizes = dict.fromkeys(known.encoder for known in PUBLISHED)
    return f"{', '.join(sizes)} or a full name such as {PUBLISHED[-1].name}"


def refuse_other(path: Path, known: Published, *, where: str) -> Literal[True]:
    """Refuse a file that isn't, byte for byte, the one that was published; True otherwise.

    Args:
        where: what to call it, in the error.

    Raises:
        InputError: with what was found and what was expected.
    """

    size = path.stat().st_size
    if size != known.size:
        raise InputError(f"{where}: {size} bytes; expected the {known.size} of Meta's {known.file}")
    found = sha256(path)
    if found != known.sha256:
        raise InputError(f"{where}: its SHA-256 is {found}; expected {known.sha256}, of Meta's {known.file}")
    return True
