"""Placement of a training's pods: from a pool profile and the run's parameters to node selectors and resources.

The run form can't turn the name of a profile into a node selector, so the pipeline's first step does, and passes it on.
What the pool can't give is refused there, before a pod waits for a node that will never come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sss_model.errors import InputError

POOLS = Path(__file__).with_name("pools.yaml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Section):
    """A toleration as in a pod; ``Exists`` has no value, ``Equal`` has one."""

    key: str
    operator: Literal["Exists", "Equal"]
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"]


class Resources(_Section):
    """Requests and limits of a container."""

    cpu: int = Field(ge=1)
    memory_gib: int = Field(ge=1)

    def times(self, count: int) -> Resources:
        return Resources(cpu=self.cpu * count, memory_gib=self.memory_gib * count)


class Nodes(_Section):
    """Labels and taints of nodes."""

    node_selector: dict[str, str]
    tolerations: list[Toleration]


class Pool(Nodes):
    """One profile of ``pools.yaml``, where each field is explained."""

    accelerator: str = Field(min_length=1)
    gpus_per_node: int = Field(ge=1)
    spot: Nodes | None
    per_gpu: Resources
    without_gpu: Resources
    schedule_minutes: float = Field(gt=0)


class TrainingPods(_Section):
    """The resources and placement of each pod of a TrainJob."""

    accelerator: str
    gpus: int = Field(ge=0)
    cpu: int = Field(ge=1)
    memory: str
    node_selector: dict[str, str]
    tolerations: list[dict[str, str]]
    schedule_minutes: float = Field(gt=0)


class Placement(_Section):
    """The settings of the train task's pod for Kubeflow Pipelines, in plain JSON types.

    Attributes:
        accelerator: the resource's name; empty when the pod holds no GPU.
        accelerator_count: a whole number; empty with `accelerator`, so that no GPU limit is written at all.
        node_selector, tolerations: as in a pod.
        cpu, memory: both request and limit.
        trainer: `TrainingPods` as a dictionary when the pod launches a training on several nodes; else empty.
    """

    accelerator: str
    accelerator_count: str
    node_selector: dict[str, str]
    tolerations: list[dict[str, str]]
    cpu: str
    memory: str
    trainer: dict[str, Any]


# Of the pod that launches a TrainJob: it only copies files and reads logs.
_LAUNCHER = Resources(cpu=1, memory_gib=2)


def read_pools(path: Path = POOLS) -> dict[str, Pool]:
    """The profiles by name.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown, missing or has a wrong value.
    """
    try:
        return TypeAdapter(dict[str, Pool]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected the pool profiles") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a YAML file ({' '.join(str(error).split())})") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(f"{path}: {key}: {first['msg']}, found {first['input']!r}") from None


def place_training(pool: str, *, gpus: int, nodes: int, spot: bool, work: str, pools: Path = POOLS) -> Placement:
    """Place a training on a pool.

    >>> placed = place_training("bare", gpus=2, nodes=1, spot=False, work="/sss/work")
    >>> placed.accelerator, placed.accelerator_count, placed.cpu
    ('nvidia.com/gpu', '2', '12')
    >>> place_training("bare", gpus=0, nodes=1, spot=False, work="/sss/work").node_selector
    {}

    Args:
        pool: a profile of `pools`.
        gpus: GPUs a node; 0 trains on CPUs.
        nodes: with more than one, the pod only launches a TrainJob and holds no GPU.
        spot: whether to run on nodes that the cloud may take back.
        work: where unfinished trainings are kept: a folder of a mounted volume, or an ``s3://`` address.

    Raises:
        InputError: the pool can't give that; the sentence says why and what would do.
    """
    profiles = read_pools(pools)
    if pool not in profiles:
        raise InputError(f"pool {pool!r}: unknown; expected one of {', '.join(sorted(profiles))}")
    profile = profiles[pool]
    _refuse_gpus(pool, profile, gpus, spot)
    _refuse_nodes(nodes, work)
    pods = _training_pods(profile, gpus, spot)
    if nodes > 1:
        return _placement(_pods(profile, _LAUNCHER), trainer=pods.model_dump())
    return _placement(pods, trainer={})


def _refuse_gpus(name: str, pool: Pool, gpus: int, spot: bool) -> None:
    if gpus < 0:
        raise InputError(f"gpus: found {gpus}; expected 0 (train on CPUs) or more")
    if gpus > pool.gpus_per_node:
        most = pool.gpus_per_node
        raise InputError(
            f"gpus: found {gpus}, but a node of pool {name!r} has {most}; expected at most {most}, or more nodes"
        )
    if spot and pool.spot is None:
        raise InputError(f"spot: pool {name!r} has no spot nodes; switch spot off or choose another pool")
    if spot and gpus == 0:
        raise InputError("spot: the pools' spot nodes are for GPUs, and gpus is 0; switch spot off or ask for a GPU")


def _refuse_nodes(nodes: int, work: str) -> None:
    if nodes < 1:
        raise InputError(f"nodes: found {nodes}; expected 1 or more")
    if nodes > 1 and work.startswith("s3://"):
        raise InputError(
            f"work: found {work} with {nodes} nodes, which share their files; expected a folder of a volume that is "
            "mounted ReadWriteMany, such as /sss/work, or 1 node"
        )


def _training_pods(pool: Pool, gpus: int, spot: bool) -> TrainingPods:
    """The pods that train; without GPUs they carry no selector or toleration of the GPU pool."""
    if gpus == 0:
        return _pods(pool, pool.without_gpu)
    selector, tolerations = dict(pool.node_selector), list(pool.tolerations)
    if spot and pool.spot:
        selector |= pool.spot.node_selector
        tolerations += pool.spot.tolerations
    return _pods(pool, pool.per_gpu.times(gpus), gpus=gpus, node_selector=selector, tolerations=tolerations)


def _pods(
    pool: Pool,
    resources: Resources,
    *,
    gpus: int = 0,
    node_selector: dict[str, str] | None = None,
    tolerations: list[Toleration] | None = None,
) -> TrainingPods:
    return TrainingPods(
        accelerator=pool.accelerator if gpus else "",
        gpus=gpus,
        cpu=resources.cpu,
        memory=f"{resources.memory_gib}Gi",
        node_selector=node_selector or {},
        tolerations=[toleration.model_dump(exclude_none=True) for toleration in tolerations or []],
        schedule_minutes=pool.schedule_minutes,
    )


def _placement(pods: TrainingPods, *, trainer: dict[str, Any]) -> Placement:
    return Placement(
        accelerator=pods.accelerator,
        accelerator_count=str(pods.gpus) if pods.gpus else "",
        node_selector=pods.node_selector,
        tolerations=pods.tolerations,
        cpu=str(pods.cpu),
        memory=pods.memory,
        trainer=trainer,
    )
