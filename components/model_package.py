"""A checkpoint as an MLflow model: all that a server needs to answer with it."""

from __future__ import annotations

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
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    return ModelSignature(Schema([ColSpec("binary", "nifti")]), Schema([ColSpec("binary", "mask")]))


def _example() -> pd.DataFrame:
    """A scan of three slices, as small as a file can be."""
    import nibabel as nib
    import numpy as np
    import pandas as pd

    ramp = np.arange(16 * 16 * 3, dtype=np.int16).reshape(16, 16, 3)
    return pd.DataFrame({"nifti": [nib.Nifti1Image(ramp, np.diag([4.0, 4.0, 10.0, 1.0])).to_bytes()]})


def _pinned_requirements() -> list[str]:
    from importlib.metadata import version

    # "+cpu" says where a build came from, not what it does, and an index knows the version without it.
    return [f"{name}=={version(name).partition('+')[0]}" for name in REQUIREMENTS]
