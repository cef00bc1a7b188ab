"""The first component of a run: what to train and where, the scans, and their manifest."""

from typing import NamedTuple

from kfp import dsl


@dsl.component(base_image="sss", install_kfp_package=False)
def version_data(
    recipe: str,
    labelled_patients: int,
    method: str,
    encoder: str,
    checkpoint: str,
    image_size: int,
    steps: int,
    minutes: float,
    min_labelled_patients: int,
    min_test_patients: int,
    min_dice: float,
    experiment: str,
    model_name: str,
    data_remote: str,
    data_version: str,
    pool: str,
    gpus: int,
    nodes: int,
    spot: bool,
    work: str,
    image: str,
    data: dsl.Output[dsl.Dataset],
    manifest: dsl.Output[dsl.Dataset],
    record: dsl.Output[dsl.Artifact],
) -> NamedTuple(  # type: ignore[valid-type]
    "Settled",
    [
        ("version", str),
        ("settled_recipe", str),
        ("accelerator", str),
        ("accelerator_count", str),
        ("node_selector", dict),
        ("tolerations", list),
        ("cpu", str),
        ("memory", str),
        ("trainer", dict),
    ],
):
    """Settle where and what to train; fetch that version of the scans and write down what there is."""
    from pathlib import Path

    from sss_ops import recipe as recipes
    from sss_ops.cluster.placement import place_training
    from sss_ops.cluster.pod import in_pod
    from sss_ops.data_versions.pull import fetch_data
    from sss_ops.steps.version_data import version_data

    settings = {name: value for name, value in locals().items() if name in recipes.FORM_KEYS}
    with in_pod(image=image):
        # First what can fail at once, before a scan is fetched.
        where = place_training(pool, gpus=gpus, nodes=nodes, spot=spot, work=work)
        config = recipes.recipe_of_run(recipe, settings)
        name = config.data.name
        version = fetch_data(remote=data_remote, version=data_version, name=name, into=Path(data.path))
        files = {"manifest": Path(manifest.path), "data_version": Path(record.path)}
        version_data(data_dir=Path(data.path, name), version=version, **files)
    data.metadata.update(name=name, version=version)
    accelerator = (where.accelerator, where.accelerator_count, where.node_selector, where.tolerations)
    return (version, recipes.recipe_text(config), *accelerator, where.cpu, where.memory, where.trainer)
