"""The registered model: scans in, masks on their own grids out.

MLflow keeps this file as the model's code and runs it where the model is loaded.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

_log = logging.getLogger("sss.served_model")
# MLflow's scoring server says so of itself.
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"


class RefusedError(MlflowException):
    """An error whose message stays as it is: MLflow's scoring server would put the request's voxels before it."""

    def __init__(self, sentence: str, error_code: int = INVALID_PARAMETER_VALUE) -> None:
        self._sentence = sentence
        super().__init__(sentence, error_code=error_code)

    @property
    def message(self) -> str:
        return self._sentence

    @message.setter
    def message(self, other: str) -> None:
        pass


class ServedModel(PythonModel):
    """A checkpoint behind MLflow's common interface.

    Input is a data frame of one row a scan, which is given in one of three ways: the column ``nifti`` holds the bytes
    of a .nii, .nii.gz or .png file; ``array`` voxels (X, Y, Z) in RAS+ order and ``spacing_mm`` their three sides; or
    ``path`` the name of a file. Output is a data frame with the column ``mask``, on the same grid and in the same way:
    the bytes of a .nii.gz or .png file, or an array of class indices. In JSON bytes are base64 and arrays nested lists.

    A path is accepted only from the program that loads the model and says so,
    ``mlflow.pyfunc.load_model(uri, model_config={"paths": True})``, and never in MLflow's scoring server: other
    servers of MLflow's models can't be told from a program, so they must be refused by default.
    ``model_config={"max_voxels": …}`` changes how large a scan may be.
    """

    def load_context(self, context: PythonModelContext) -> None:
        from sss_model.inference.predictor import Predictor

        checkpoint = Path(context.artifacts["checkpoint"])
        self.predictor = Predictor.load(checkpoint)
        # SAM-2's modules keep sizes and caches, and torch its choice of kernels, for all threads of a server.
        self._turn = threading.Lock()
        # Answers must not wait for a registry that may be away.
        look = threading.Thread(target=_warn_of_hand_edit, args=(checkpoint.parents[1],), name="champion", daemon=True)
        look.start()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        from sss_model.errors import InputError

        try:
            return self._answer(model_input, context.model_config or {})
        except InputError as error:
            raise RefusedError(str(error)) from None
        except Exception as error:
            # A traceback is for who runs the server, not for who asks it.
            _log.exception("a request was not answered")
            raise RefusedError(
                f"the model failed ({type(error).__name__}); its log says where", INTERNAL_ERROR
            ) from error

    def _answer(self, rows: pd.DataFrame, config: dict[str, Any]) -> pd.DataFrame:
        from sss_model.errors import InputError
        from sss_ops.serving.scan_request import Terms, read_request

        if rows.empty:
            raise InputError("no scan; expected rows with a column nifti, array or path")
        serving = os.environ.get(_SERVING, "").lower() in ("true", "1")
        terms = Terms(int(config["max_voxels"]), paths=bool(config["paths"]) and not serving)
        data = self.predictor.checkpoint.config.data
        masks = []
        for number, fields in enumerate(rows.to_dict("records")):
            request = read_request(fields, f"row {number}", terms=terms, data=data)
            with self._turn:
                mask = self.predictor(request.volume)
            masks.append(request.answer(mask))
        return pd.DataFrame({"mask": masks}, index=rows.index)


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
