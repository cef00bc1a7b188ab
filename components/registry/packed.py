"""The checkpoint inside a version of a registered model."""

from __future__ import annotations

from pathlib import Path

from components.tracking_errors import sentence_about, without_secrets
from sss_model.errors import InputError


def fetch_checkpoint(name: str, version: str, folder: Path) -> Path:
    """Fetch the checkpoint of a version into a new folder; returns where it lies in there.

    Raises:
        InputError: MLflow can't give it; the sentence names the version.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from mlflow.models import get_model_info

    folder.mkdir()
    try:
        # Under the name that the folder had where it was registered.
        packed = get_model_info(f"models:/{name}/{version}").flavors["python_function"]["artifacts"]["checkpoint"]
        return Path(download_artifacts(f"models:/{name}/{version}/{packed['path']}", dst_path=str(folder)))
    except KeyError:
        raise InputError(f"{name} version {version}: holds no checkpoint; expected what `sss register` makes") from None
    except (MlflowException, OSError) as error:
        raise InputError(f"{name} version {version}: its checkpoint can't be fetched ({reason_of(error)})") from None


def reason_of(error: Exception) -> str:
    """Why a download failed; MLflow puts the first file's reason below a headline of its own."""
    text = without_secrets(str(error))
    return sentence_about(error) or (text.partition(" #####\n")[2] or text).splitlines()[0]
