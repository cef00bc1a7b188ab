"""The registered model: scans in as NIfTI bytes, masks out as NIfTI bytes.

MLflow keeps this file as the model's code and runs it where the model is loaded.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext


class ServedModel(PythonModel):
    """A checkpoint behind MLflow's common interface.

    Input and output are data frames of one row a scan: the column ``nifti`` holds a .nii or .nii.gz file's bytes, the
    column ``mask`` the bytes of a .nii.gz file on the same grid. In JSON both are base64; MLflow converts.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from sss_model.predict import Predictor

        self.predictor = Predictor.load(Path(context.artifacts["checkpoint"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        masks = [self._mask(scan, f"row {row}") for row, scan in enumerate(model_input["nifti"])]
        return pd.DataFrame({"mask": masks}, index=model_input.index)

    def _mask(self, scan: bytes, case_id: str) -> bytes:
        from sss_model.volumes import volume_from_bytes, write_volume

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "mask.nii.gz")
            write_volume(self.predictor(volume_from_bytes(scan, case_id)), path)
            return path.read_bytes()


mlflow.models.set_model(ServedModel())
