"""The registered model: scans in as NIfTI bytes, masks out as NIfTI bytes.

MLflow keeps this file as the model's code and runs it where the model is loaded.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.pyfunc.model import PythonModel, PythonModelContext

_log = logging.getLogger("sss.served_model")


class ServedModel(PythonModel):
    """A checkpoint behind MLflow's common interface.

    Input and output are data frames of one row a scan: the column ``nifti`` holds a .nii or .nii.gz file's bytes, the
    column ``mask`` the bytes of a .nii.gz file on the same grid. In JSON both are base64; MLflow converts.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from sss_model.predict import Predictor

        checkpoint = Path(context.artifacts["checkpoint"])
        self.predictor = Predictor.load(checkpoint)
        # Answers must not wait for a registry that may be away.
        look = threading.Thread(target=_warn_of_hand_edit, args=(checkpoint.parents[1],), name="champion", daemon=True)
        look.start()

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


def _warn_of_hand_edit(model: Path) -> None:
    """Log a warning where this version is the champion and no promotion made it so.

    It was loaded from a registry if MLflow left a note of that beside it, and the registry is near if the environment
    names one.
    """
    note = model / "registered_model_meta"
    if not note.is_file() or not {"MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"} & os.environ.keys():
        return
    try:
        facts = dict(line.split(": ", 1) for line in note.read_text().splitlines())
        name, version = facts["model_name"].strip("'\""), facts["model_version"].strip("'\"")
        found = mlflow.MlflowClient().get_registered_model(name)
        decided = json.loads(found.tags.get("sss.intent", "null")) or {"state": "done", "after": {}}
    except Exception as error:  # a model answers whether or not its registry does
        _log.info("whether this version passed the gate could not be looked up (%s)", error)
        return
    if decided["state"] == "pending" or str(found.aliases.get("champion")) != version:
        return
    champion = decided["after"].get("champion") if decided["state"] == "done" else decided["audited"]
    if champion != version:
        _log.warning(
            "%s version %s is the champion, but the one that passed the gate is %s: moved outside it",
            *(name, version, f"version {champion}" if champion else "none yet"),
        )


mlflow.models.set_model(ServedModel())
