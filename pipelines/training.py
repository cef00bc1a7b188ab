"""The training pipeline: five steps from versioned scans to a registered model, and a task that reports the end."""

from pathlib import Path

import yaml
from kfp import dsl

from components.evaluate import evaluate as evaluate_task
from components.register import register as register_task
from components.report_end import report_end as report_end_task
from components.train import train as train_task
from components.validate_splits import validate_splits as validate_splits_task
from components.version_data import version_data as version_data_task
from pipelines.tasks import on_pool, resumable, with_object_store, with_resources, with_retries, with_security_context
from sss_ops.cluster.pod import WORK_MOUNT

PINNED_IMAGE = Path(__file__).parents[1] / "k8s/image/kustomization.yaml"


def pinned_image() -> str:
    """The image that runs use by default, ``registry/name@sha256:…``, as ``k8s/image`` pins it."""
    (image,) = yaml.safe_load(PINNED_IMAGE.read_text(encoding="utf-8"))["images"]
    return f"{image['newName']}@{image['digest']}"


@dsl.pipeline(name="sss-training", display_name="SSS: from versioned scans to a registered model")
def training(
    recipe: str = "phantom",
    data_version: str = "phantom",
    data_remote: str = "s3://sss-data/dvc",
    labelled_patients: int = 0,
    method: str = "",
    encoder: str = "",
    checkpoint: str = "",
    image_size: int = 0,
    steps: int = 0,
    minutes: float = 0.0,
    pool: str = "bare",
    gpus: int = 0,
    nodes: int = 1,
    spot: bool = False,
    min_labelled_patients: int = 0,
    min_test_patients: int = 0,
    min_dice: float = 0.0,
    experiment: str = "",
    model_name: str = "",
    mlflow: str = "http://sss-mlflow:5000",
    work: str = WORK_MOUNT,
    image: str = pinned_image(),
) -> None:
    """Trains a segmentation model from a few labelled and many unlabelled scans, and registers it in MLflow.

    1. Fetch one version of the scans, list them in a manifest, and settle the recipe and the nodes to train on.
    2. Check the data. The report appears whether or not they pass.
    3. Train on the chosen pool, if the data passed. A training that is cut off resumes where it was.
    4. Score the model on test patients it never saw, and report with pictures.
    5. Register it in MLflow with its card, as the challenger.
    Whatever happens, the last task reports how the run ended.

    With its defaults, the form trains on the built-in synthetic phantom, on CPUs, in about five minutes.

    Args:
        recipe: What to start from: phantom, acdc (for a GPU) or cpu/acdc, files of configs/ in the image.
        data_version: Version of the scans: the md5 in data.dvc, or phantom for the built-in synthetic cohort.
        data_remote: The DVC remote that holds this version. Not needed for the phantom.
        labelled_patients: Patients whose labels are used; 0 as the recipe says, -1 all.
        method: supervised, weak_to_strong, unimatch or sss; empty as the recipe says.
        encoder: Size of SAM-2's encoder: micro, tiny, small, base_plus or large; empty as the recipe says.
        checkpoint: SAM-2's weights to start from: a name such as small, s3://bucket/key, or a file on the work volume;
            empty as the recipe says.
        image_size: Slice side in pixels, a multiple of 32; 0 as the recipe says.
        steps: Budget in steps; 0 as the recipe says. Set steps or minutes, not both.
        minutes: Budget in minutes of training; 0 as the recipe says.
        pool: Profile of the nodes to train on: gke, eks, aks or bare, see sss_ops/cluster/pools.yaml.
        gpus: GPUs on each node; 0 trains on CPUs.
        nodes: Nodes to train on; more than one makes a Kubeflow TrainJob.
        spot: Whether to train on spot nodes; losing one costs a few minutes.
        min_labelled_patients: Data check: fewer labelled patients than this are refused; 0 as the recipe says.
        min_test_patients: Data check: fewer test patients than this are refused; 0 as the recipe says.
        min_dice: A model with a mean test Dice below this is not registered; 0 as the recipe says.
        experiment: MLflow experiment; empty as the recipe says.
        model_name: Name of the registered model; empty as the recipe says.
        mlflow: Address of the MLflow server.
        work: Where unfinished trainings keep their state: the mounted volume, or s3://bucket/prefix.
        image: The image of every step, by digest.
    """
    end = report_end_task(model_name=model_name, mlflow=mlflow).set_display_name("Say how the run ended")
    with_resources(with_security_context(end, image), cpu="500m", memory="1Gi").set_caching_options(False)

    with dsl.ExitHandler(end, name="Train and register"):
        settled = version_data_task(
            recipe=recipe,
            labelled_patients=labelled_patients,
            method=method,
            encoder=encoder,
            checkpoint=checkpoint,
            image_size=image_size,
            steps=steps,
            minutes=minutes,
            min_labelled_patients=min_labelled_patients,
            min_test_patients=min_test_patients,
            min_dice=min_dice,
            experiment=experiment,
            model_name=model_name,
            data_remote=data_remote,
            data_version=data_version,
            pool=pool,
            gpus=gpus,
            nodes=nodes,
            spot=spot,
            work=work,
            image=image,
        ).set_display_name("Fetch one version of the scans")
        with_resources(with_object_store(with_security_context(settled, image)), cpu="2", memory="8Gi")
        data = {"data": settled.outputs["data"], "manifest": settled.outputs["manifest"]}
        # Kubeflow's cache keys hold names and parameters, not the content of files: that goes along as parameters.
        version = {"data_version": settled.outputs["version"], "image": image}
        settled_recipe = settled.outputs["settled_recipe"]

        checked = validate_splits_task(**data, **version, recipe=settled_recipe)
        checked.set_display_name("Check that the data can be trusted")
        with_resources(with_security_context(checked, image), cpu="2", memory="8Gi")

        trained = train_task(
            **data,
            **version,
            record=settled.outputs["record"],
            recipe=settled_recipe,
            passed=checked.outputs["passed"],
            gpus=gpus,
            nodes=nodes,
            trainer=settled.outputs["trainer"],
            work=work,
            mlflow=mlflow,
        ).set_display_name("Train on labelled and unlabelled scans")
        with_object_store(resumable(with_security_context(trained, image)))
        on_pool(trained, settled.outputs, gpus=settled.outputs["accelerator_count"])
        with_resources(trained, cpu=settled.outputs["cpu"], memory=settled.outputs["memory"])
        model = {
            "checkpoint": trained.outputs["checkpoint"],
            "checkpoint_sha256": trained.outputs["checkpoint_sha256"],
        }

        scored = evaluate_task(**data, **version, **model).set_display_name("Score on test patients it never saw")
        with_retries(with_security_context(scored, image), 3)
        with_resources(on_pool(scored, settled.outputs, gpus="1"), cpu="2", memory="8Gi")

        registered = register_task(
            **version,
            **model,
            metrics=scored.outputs["metrics"],
            evaluation=scored.outputs["evaluation"],
            predictions=scored.outputs["predictions"],
            manifest=settled.outputs["manifest"],
            validation=checked.outputs["report"],
            record=settled.outputs["record"],
            recipe=settled_recipe,
            mlflow=mlflow,
        ).set_display_name("Register the model in MLflow")
        with_retries(with_security_context(registered, image), 3)
        with_resources(registered, cpu="1", memory="4Gi")
