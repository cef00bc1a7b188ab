"""A checkpoint as an MLflow model: all that a server needs to answer with it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

# What prediction imports; a server of the model installs these at the versions that are installed here.
REQUIREMENTS = (
    *("connected-components-3d", "hydra-core", "iopath", "lightning-fabric", "mlflow", "nibabel", "numpy", "omegaconf"),
    *("pandas", "pillow", "pydantic", "pyyaml", "sam2", "torch", "tqdm"),
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
    from components.description import shortened

    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("served_model.py")),
        artifacts={"checkpoint": str(checkpoint)},
        code_paths=[sss_model.__path__[0]],
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

    from sss_model.request import FIELDS

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
