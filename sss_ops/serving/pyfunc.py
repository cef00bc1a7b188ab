"""The served model: a checkpoint behind MLflow's ``pyfunc`` interface, scans in, masks on the same grids out.

MLflow stores this file as the model's code and runs it wherever the model is loaded, with `sss_model` beside it and
nothing else of this project: import nothing of `sss_ops` here.
"""

from __future__ import annotations

import base64
import binascii
import json
import logging
import math
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from sss_model.data.preprocessing import seen_voxels
from sss_model.errors import InputError
from sss_model.io.formats import PNG_SIGNATURE, ending_of, refuse_more, within_limit
from sss_model.io.volumes import (
    Volume,
    on_source_grid,
    read_volume,
    volume_from_array,
    volume_from_bytes,
    volume_to_bytes,
)

if TYPE_CHECKING:
    from sss_model.config import Data

SCAN_FORMS = ("nifti", "array", "path")
"""The columns that hold a scan; a row uses one."""
COLUMNS = (*SCAN_FORMS, "spacing_mm")
_EXPECTED = "expected one of nifti (a file's bytes), array with spacing_mm, and path"

_log = logging.getLogger("sss.served_model")
_SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # set by MLflow's scoring server


class RefusedError(MlflowException):
    """An error whose message can't be changed: MLflow's scoring server would put the request's voxels before it."""

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

    Input is a data frame with a row per scan, in one of three forms: the column ``nifti`` holds the bytes of a .nii,
    .nii.gz or .png file; ``array`` holds voxels (X, Y, Z) in RAS+ order and ``spacing_mm`` their three sides; ``path``
    holds the name of a file. Output is a data frame with the column ``mask``, on the scan's grid and in its form: the
    bytes of a .nii.gz or .png file, or an array of class indices. In JSON, bytes are base64 and arrays nested lists.

    Paths are refused unless the program that loads the model allows them with ``model_config={"paths": True}``, and
    always in MLflow's scoring server; other servers can't be told from a program, so the default is to refuse.
    ``model_config={"max_voxels": …}`` changes how large a scan may be.

    >>> model = mlflow.pyfunc.load_model("models:/heart@champion")  # doctest: +SKIP
    >>> model.predict(pd.DataFrame({"nifti": [Path("scan.nii.gz").read_bytes()]}))["mask"][0]  # doctest: +SKIP
    """

    def load_context(self, context: PythonModelContext) -> None:
        from sss_model.inference.predictor import Predictor

        checkpoint = Path(context.artifacts["checkpoint"])
        self.predictor = Predictor.load(checkpoint)
        # SAM-2's modules keep sizes and caches, and torch its choice of kernels, shared by all threads of a server.
        self._one_at_a_time = threading.Lock()
        # In a thread, since the registry may not answer for a long time.
        threading.Thread(target=_warn_of_hand_edit, args=(checkpoint.parents[1],), name="champion", daemon=True).start()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        try:
            return self._answer(model_input, context.model_config or {})
        except InputError as error:
            raise RefusedError(str(error)) from None
        except Exception as error:
            # The traceback is for the operator of the server, not for its clients.
            _log.exception("a request was not answered")
            raise RefusedError(
                f"the model failed ({type(error).__name__}); its log says where", INTERNAL_ERROR
            ) from error

    def _answer(self, rows: pd.DataFrame, config: dict[str, Any]) -> pd.DataFrame:
        if rows.empty:
            raise InputError("no scan; expected rows with a column nifti, array or path")
        serving = os.environ.get(_SERVING, "").lower() in ("true", "1")
        limits = RequestLimits(int(config["max_voxels"]), paths=bool(config["paths"]) and not serving)
        data = self.predictor.checkpoint.config.data
        masks = []
        for number, fields in enumerate(rows.to_dict("records")):
            request = read_request(fields, f"row {number}", limits=limits, data=data)
            with self._one_at_a_time:
                mask = self.predictor(request.volume)
            masks.append(request.answer(mask))
        return pd.DataFrame({"mask": masks}, index=rows.index)


def _warn_of_hand_edit(model: Path) -> None:
    """Log a warning where this version is the champion and no decision made it so.

    Only for a model that was loaded from a registry, which MLflow notes beside it, and where the environment names one.
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
        _log.info("whether this version passed the promotion checks could not be looked up (%s)", error)
        return
    if decided["state"] == "pending" or str(found.aliases.get("champion")) != version:
        return
    champion = decided["after"].get("champion") if decided["state"] == "done" else decided["audited"]
    if champion != version:
        _log.warning(
            "%s version %s is the champion, but the one that passed the promotion checks is %s: set by hand",
            *(name, version, f"version {champion}" if champion else "none yet"),
        )


@dataclass(frozen=True)
class RequestLimits:
    """Limits of a request.

    Attributes:
        max_voxels: of a scan, as sent and as resampled for the network.
        paths: whether files of this machine may be named.
    """

    max_voxels: int
    paths: bool


class ScanRequest(NamedTuple):
    """A scan, and the function from its mask to the answer: a file's bytes or an array, in the scan's form."""

    volume: Volume
    answer: Callable[[Volume], bytes | np.ndarray]


def read_request(fields: Mapping[str, Any], where: str, *, limits: RequestLimits, data: Data) -> ScanRequest:
    """Read a row of a request.

    Args:
        fields: one of ``nifti``: the bytes of a .nii, .nii.gz or .png file, or base64 of them; ``array``: voxels
            (X, Y, Z) that grow to the right, to the front and upwards, as an array or nested lists, with
            ``spacing_mm``: three numbers; ``path``: a file of this machine. None and NaN count as not given.
        where: names the row in errors.
        data: the recipe's preprocessing, which decides how large the scan becomes.

    Raises:
        InputError: none or several are given, or what is given can't be read, is too large or not allowed; the
            sentence repeats neither voxels nor, unless paths are allowed, places on this machine.
    """
    given = {name: fields[name] for name in COLUMNS if name in fields and not _absent(fields[name])}
    forms = [name for name in SCAN_FORMS if name in given]
    if len(forms) != 1:
        raise InputError(f"{where}: {' and '.join(forms) or 'no scan'}; {_EXPECTED}")
    if "spacing_mm" in given and forms != ["array"]:
        raise InputError(
            f"{where}: {forms[0]} and spacing_mm; expected spacing_mm with array alone, files bring theirs"
        )
    read = {"nifti": _from_bytes, "array": _from_array, "path": _from_path}[forms[0]]
    request = read(given, where, limits)
    refuse_more(seen_voxels(request.volume, data), f"{where}, as the network sees it", most=limits.max_voxels)
    return request


def _from_bytes(given: Mapping[str, Any], where: str, limits: RequestLimits) -> ScanRequest:
    content = _content(given["nifti"], f"{where}: nifti")
    picture = content.startswith(PNG_SIGNATURE)
    volume = volume_from_bytes(within_limit(content, where, most=limits.max_voxels), where)
    return ScanRequest(volume, lambda mask: volume_to_bytes(mask, ".png" if picture else ".nii.gz", where))


def _from_array(given: Mapping[str, Any], where: str, limits: RequestLimits) -> ScanRequest:
    try:
        array = np.asarray(given["array"])
    except ValueError:  # rows of unequal lengths
        raise InputError(
            f"{where}: array is no box of voxels; expected rows of equal lengths along X, Y and Z"
        ) from None
    refuse_more(array.size, where, most=limits.max_voxels)
    # pandas and nested lists give arrays of Python objects, without the type of the numbers.
    array = _numbers(array, where) if array.dtype == object else array
    volume = volume_from_array(array, _spacing(given.get("spacing_mm"), where), where)
    return ScanRequest(volume, lambda mask: on_source_grid(mask))


def _from_path(given: Mapping[str, Any], where: str, limits: RequestLimits) -> ScanRequest:
    if not limits.paths:
        raise InputError(f"{where}: path; expected the file's bytes as nifti, since no file of this machine is opened")
    path = Path(str(given["path"]))
    ending = ending_of(path)
    volume = read_volume(path)
    return ScanRequest(volume, lambda mask: volume_to_bytes(mask, ending, str(path)))


def _content(value: Any, where: str) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: found {type(value).__name__}; expected a file's bytes, in JSON as base64")
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(f"{where}: not base64; expected a file's bytes, in JSON as base64") from None


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    try:
        return np.array(array.tolist(), dtype=np.float32)
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: array holds what is no number, or rows of unequal lengths; expected voxels"
        ) from None


def _spacing(value: Any, where: str) -> tuple[float, float, float]:
    if value is None:
        raise InputError(f"{where}: array without spacing_mm; expected three numbers, the voxels' sides in millimetres")
    try:
        first, second, third = (float(mm) for mm in value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: spacing_mm; expected three numbers, the voxels' sides in millimetres") from None
    return first, second, third


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


mlflow.models.set_model(ServedModel())
