"""Packaging a checkpoint as an MLflow model version, with code, pinned requirements and an example request."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature


# The distributions that prediction imports; a server of the model installs them at the versions installed here.
REQUIREMENTS = (
    *("connected-components-3d", "hydra-core", "iopath", "lightning-fabric", "mlflow", "nibabel", "numpy", "omegaconf"),
    *("pandas", "pillow", "pydantic", "pyyaml", "rich", "sam2", "scipy", "torch", "tqdm"),
)

# Configuration that the program which loads the model may change, see `ServedModel`. The largest CT scans of a whole
# body have 2^28 voxels.
MODEL_CONFIG = {"paths": False, "max_voxels": 2**28}

DESCRIPTION_LENGTH = 5000
"""Characters of a version's description that MLflow stores."""


def register_model(client: MlflowClient, checkpoint: Path, *, name: str, tags: dict[str, str], card: Path) -> str:
    """Log a checkpoint as a model in MLflow's active run and register it as a version, the new ``challenger``.

    Args:
        checkpoint: the checkpoint's folder.
        name: the registered model; created when there is none.
        tags: of the version.
        card: the model card, which becomes the version's description, shortened to `DESCRIPTION_LENGTH`.

    Returns:
        The number of the version.
    """
    import mlflow

    import sss_model
    from sss_ops.serving.model_card import shorten_markdown

    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(Path(__file__).with_name("pyfunc.py")),
        artifacts={"checkpoint": str(checkpoint)},
        code_paths=[sss_model.__path__[0]],
        model_config=MODEL_CONFIG,
        pip_requirements=_pinned_requirements(),
        signature=_signature(),
        input_example=_example(),
        registered_model_name=name,
    )
    version = str(info.registered_model_version)
    rest = "The rest is in `model_card.md`, among the artifacts of this version's run."
    client.update_model_version(
        name, version, shorten_markdown(card.read_text(encoding="utf-8"), most=DESCRIPTION_LENGTH, rest=rest)
    )
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    client.set_registered_model_alias(name, "challenger", version)
    return version


def _signature() -> ModelSignature:
    """The columns of `ServedModel`, of any type: it checks them itself, as MLflow's errors would repeat the data."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    from sss_ops.serving.pyfunc import COLUMNS

    inputs: list[ColSpec | TensorSpec] = [ColSpec(AnyType(), name, required=False) for name in COLUMNS]
    return ModelSignature(Schema(inputs), Schema([ColSpec(AnyType(), "mask")]))


def _example() -> pd.DataFrame:
    """A scan of three slices, as a file and as an array."""
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

    # A local version such as "+cpu" is not on the package index.
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]
