"""A checkpoint as an MLflow model: all that a server needs to answer with it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature


# As much of a text as a place has room for, cut where a reader would stop.


def shortened(text: str, *, most: int, rest: str) -> str:
    """A Markdown text if it fits; else its first whole paragraphs, list items and table rows, and where the rest is.

    Args:
        most: characters there is room for.
        rest: a sentence that says where the whole text is.

    >>> shortened("# A\\n\\nOne.\\n\\nTwo, which is longer.\\n", most=24, rest="More: B.")
    '# A\\n\\nOne.\\n\\nMore: B.\\n'
    """
    if len(text) <= most:
        return text
    room = most - len(rest) - 3
    kept: list[str] = []
    for block in text.strip().split("\n\n"):
        part = _that_fits(block, room)
        kept += [part] if part else []
        room -= len(part) + 2
        if part != block:
            break
    # A heading announces what was left out.
    while kept and kept[-1].startswith("#") and len(kept) > 1:
        kept.pop()
    return "\n\n".join([*kept, rest]) + "\n"


def _that_fits(block: str, room: int) -> str:
    """A block, or its first rows or items; nothing where not one of them fits."""
    if len(block) <= room:
        return block
    kept: list[str] = []
    for line in block.split("\n"):
        if not line.startswith(("|", "- ")):
            break  # a sentence may go on in this line
        room -= len(line) + 1
        if room < 0:
            break
        kept.append(line)
    # A table's two first lines are its head.
    return "\n".join(kept) if len(kept) > (2 if block.startswith("|") else 0) else ""


# What prediction imports; a server of the model installs these at the versions that are installed here.
REQUIREMENTS = (
    *("connected-components-3d", "hydra-core", "iopath", "lightning-fabric", "mlflow", "nibabel", "numpy", "omegaconf"),
    *("pandas", "pillow", "pydantic", "pyyaml", "rich", "sam2", "torch", "tqdm"),
)

# What who loads a model may change; see `ServedModel`. The largest CT scans of a whole body have as many voxels.
CONFIG = {"paths": False, "max_voxels": 2**28}

# Characters that MLflow's table of versions has room for.
DESCRIPTION = 5000


def register_model(client: MlflowClient, checkpoint: Path, *, name: str, tags: dict[str, str], card: Path) -> str:
    """Store a checkpoint as a model in MLflow's active run and make it a version, which becomes the ``challenger``.

    Args:
        checkpoint: the checkpoint's folder.
        name: the registered model; made when there is none.
        tags: put on the version.
        card: the model card, which becomes the version's description, as far as there is room.

    Returns:
        The version.
    """
    import mlflow

    import sss_model
    import sss_ops

    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={"checkpoint": str(checkpoint)},
        code_paths=[sss_model.__path__[0], sss_ops.__path__[0]],
        model_config=CONFIG,
        pip_requirements=_pinned_requirements(),
        signature=_signature(),
        input_example=_example(),
        registered_model_name=name,
    )
    version = str(info.registered_model_version)
    rest = "The rest is in `model_card.md`, among the artifacts of this version's run."
    client.update_model_version(name, version, shortened(card.read_text(encoding="utf-8"), most=DESCRIPTION, rest=rest))
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    client.set_registered_model_alias(name, "challenger", version)
    return version


def _signature() -> ModelSignature:
    """The columns of `ServedModel`. It checks them: MLflow's checks would answer with the data they refuse."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    from sss_ops.serving.scan_request import FIELDS

    inputs: list[ColSpec | TensorSpec] = [ColSpec(AnyType(), name, required=False) for name in FIELDS]
    return ModelSignature(Schema(inputs), Schema([ColSpec(AnyType(), "mask")]))


def _example() -> pd.DataFrame:
    """A scan of three slices, as small as a file can be, and the same as an array."""
    import nibabel as nib
    import numpy as np
    import pandas as pd

    ramp = np.arange(16 * 16 * 3, dtype=np.int16).reshape(16, 16, 3)
    spacing = [4.0, 4.0, 10.0]
    file = nib.Nifti1Image(ramp, np.diag([*spacing, 1.0])).to_bytes()
    array = {"array": ramp.tolist(), "spacing_mm": spacing}
    return pd.DataFrame([{"nifti": base64.b64encode(file).decode()}, array], dtype=object)


def _pinned_requirements() -> list[str]:
    from importlib.metadata import version

    # "+cpu" says where a build came from, not what it does, and an index knows the version without it.
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]
