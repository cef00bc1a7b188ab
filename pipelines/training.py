"""The training pipeline."""

from pathlib import Path

import yaml
from kfp import dsl

from components.evaluate import evaluate as evaluate_task
from components.register import register as register_task
from components.report_end import report_end as report_end_task
from components.train import train as train_task
from components.validate_splits import validate_splits as validate_splits_task
from components.version_data import version_data as version_data_task
from pipelines.placement import WORK_MOUNT, again, on_pool, resumable, secure, with_object_store, with_room

# The image that runs use by default: the one that the cluster's manifests pin.


PIN = Path(__file__).parents[1] / "k8s/image/kustomization.yaml"


def pinned_image() -> str:
    """The reference with digest, ``registry/name@sha256:…``, that ``k8s/image`` gives to our image everywhere."""
    (image,) = yaml.safe_load(PIN.read_text(encoding="utf-8"))["images"]
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

    1. Settle where to train and what; fetch one version of the scans, and write down what there is.
    2. Check that the data can be trusted. The report appears whatever comes out.
    3. Train, on the pool that was chosen; refuse data that did not pass. A training that is cut off goes on where it
       was.
    4. Score the model on test patients it never saw, and report with pictures.
    5. Register it in MLflow with its card, as the challenger.
    Whatever happens, the last task says how the run ended.

    Untouched, the form trains on the built-in synthetic phantom, on CPUs, in about five minutes.

    Args:
        recipe: What to start from: phantom, acdc (for a GPU) or cpu/acdc, files of configs/ in the image.
        data_version: The scans: the md5 in data.dvc, or phantom for the built-in synthetic cohort.
        data_remote: The DVC remote that holds this version. Not needed for the phantom.
        labelled_patients: How many patients lend their labels; 0 as the recipe says, -1 all.
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
        spot: Whether to train on spot nodes; what is lost with one is a few minutes.
        min_labelled_patients: Gate: fewer labelled patients than this are refused; 0 as the recipe says.
        min_test_patients: Gate: fewer test patients than this are refused; 0 as the recipe says.
        min_dice: Gate: a model with a mean test Dice below this is not registered; 0 as the recipe says.
        experiment: MLflow experiment; empty as the recipe says.
        model_name: Name of the registered model; empty as the recipe says.
        mlflow: Address of the MLflow server.
        work: Where an unfinished training keeps its state: the mounted volume, or s3://bucket/prefix.
        image: The image of every step, by digest.
    """
    end = report_end_task(model_name=model_name, mlflow=mlflow).set_display_name("Say how the run ended")
    with_room(secure(end, image), cpu="500m", memory="1Gi").set_caching_options(False)

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
        with_room(with_object_store(secure(settled, image)), cpu="2", memory="8Gi")
        data = {"data": settled.outputs["data"], "manifest": settled.outputs["manifest"]}
        # Kubeflow's cache looks at names and parameters, never into files: what these hold goes along as parameters.
        version = {"data_version": settled.outputs["version"], "image": image}
        settled_recipe = settled.outputs["settled_recipe"]

        gate = validate_splits_task(**data, **version, recipe=settled_recipe)
        with_room(secure(gate.set_display_name("Check that the data can be trusted"), image), cpu="2", memory="8Gi")

        trained = train_task(
            **data,
            **version,
            record=settled.outputs["record"],
            recipe=settled_recipe,
            passed=gate.outputs["passed"],
            gpus=gpus,
            nodes=nodes,
            trainer=settled.outputs["trainer"],
            work=work,
            mlflow=mlflow,
        ).set_display_name("Train on labelled and unlabelled scans")
        with_object_store(resumable(secure(trained, image)))
        on_pool(trained, settled.outputs, gpus=settled.outputs["accelerator_count"])
        with_room(trained, cpu=settled.outputs["cpu"], memory=settled.outputs["memory"])
        model = {
            "checkpoint": trained.outputs["checkpoint"],
            "checkpoint_sha256": trained.outputs["checkpoint_sha256"],
        }

        scored = evaluate_task(**data, **version, **model).set_display_name("Score on test patients it never saw")
        with_room(on_pool(again(secure(scored, image), 3), settled.outputs, gpus="1"), cpu="2", memory="8Gi")

        registered = register_task(
            **version,
            **model,
            metrics=scored.outputs["metrics"],
            evaluation=scored.outputs["evaluation"],
            predictions=scored.outputs["predictions"],
            manifest=settled.outputs["manifest"],
            validation=gate.outputs["report"],
            record=settled.outputs["record"],
            recipe=settled_recipe,
            mlflow=mlflow,
        ).set_display_name("Register the model in MLflow")
        with_room(again(secure(registered, image), 3), cpu="1", memory="4Gi")
