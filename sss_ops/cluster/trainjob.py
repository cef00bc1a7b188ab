"""The manifest of a Kubeflow Trainer ``TrainJob``, which trains on several nodes.

Its pods run the image of the launching step under ``torchrun``; the runtime ``torch-distributed`` tells torchrun where
the other nodes are (variables ``PET_*``), so it needs no rendezvous arguments. The pods share the volume of unfinished
trainings, and obey the pod security standard ``restricted`` with a read-only root file system.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sss_ops.cluster.placement import TrainingPods
from sss_ops.cluster.pod import (
    OBJECT_STORE,
    OBJECT_STORE_SECRETS,
    OBJECT_STORE_SETTINGS,
    USER,
    WORK_MOUNT,
    WORK_VOLUME,
)

API = "trainer.kubeflow.org"
VERSION = "v1alpha1"
RUNTIME = "torch-distributed"
CONTAINER = "node"  # the runtime's name for the replicated job and for the container in it
SPEC_SHA256 = "sss/spec-sha256"
"""Annotation with the hash of the specification as sent; the API adds defaults to the one that it stores."""

_VOLUMES: dict[str, tuple[str, dict[str, Any]]] = {
    "work": (WORK_MOUNT, {"persistentVolumeClaim": {"claimName": WORK_VOLUME}}),
    # Data loaders pass batches through shared memory, of which a container has 64 MB otherwise. It counts as memory.
    "shm": ("/dev/shm", {"emptyDir": {"medium": "Memory"}}),
    "tmp": ("/tmp", {"emptyDir": {}}),
}
_GRACE_SECONDS = 120  # for training to save its state after SIGTERM


@dataclass(frozen=True)
class Owner:
    """The pod that a job belongs to: Kubernetes deletes the job once that pod is gone."""

    name: str
    uid: str

    def as_reference(self) -> dict[str, str]:
        return {"apiVersion": "v1", "kind": "Pod", "name": self.name, "uid": self.uid}


def build_training_job(
    *,
    identity: str,
    image: str,
    nodes: int,
    pods: TrainingPods,
    arguments: list[str],
    environment: dict[str, str],
    owner: Owner | None = None,
) -> dict[str, Any]:
    """The TrainJob of a training; the same training has the same name at each launch.

    Args:
        identity: the training identity, hexadecimal; its first 16 digits are in the job's name.
        image: reference of the image to run.
        nodes: how many pods.
        pods: what each of them needs.
        arguments: command line of ``sss train``; its paths lie under ``/sss/work``.
        environment: variables of the training.
        owner: the launching pod; None where no pod launches.
    """
    spec = {
        "runtimeRef": {"name": RUNTIME},
        "trainer": {
            "image": image,
            "command": ["torchrun"],
            "args": ["-m", "sss_ops", "train", *arguments],
            "env": _environment({"SSS_IMAGE_DIGEST": image, **environment}, pods),
            "numNodes": nodes,
            "numProcPerNode": _processes(pods),
            "resourcesPerNode": _resources(pods),
        },
        "runtimePatches": [{"manager": "sss/train", "trainingRuntimeSpec": _runtime(_pod_template(pods))}],
    }
    metadata: dict[str, Any] = {
        "name": f"sss-{identity[:16]}",
        "labels": {"app.kubernetes.io/part-of": "sss"},
        "annotations": {SPEC_SHA256: hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()},
    }
    if owner:
        metadata["ownerReferences"] = [owner.as_reference()]
    return {"apiVersion": f"{API}/{VERSION}", "kind": "TrainJob", "metadata": metadata, "spec": spec}


def _processes(pods: TrainingPods) -> int:
    """One process a GPU; on CPUs one process, whose threads use them all."""
    return max(1, pods.gpus)


def _resources(pods: TrainingPods) -> dict[str, dict[str, str]]:
    amounts = {"cpu": str(pods.cpu), "memory": pods.memory}
    if pods.gpus:
        amounts[pods.accelerator] = str(pods.gpus)
    # Trainer reads processes per node as 1 where requests are missing.
    return {"requests": amounts, "limits": amounts}


def _environment(environment: dict[str, str], pods: TrainingPods) -> list[dict[str, Any]]:
    """The given variables, the object store's where the namespace has them, and a thread per CPU of the pod.

    Without the last, PyTorch starts a thread for every CPU of the node.
    """
    given = {"OMP_NUM_THREADS": str(max(1, pods.cpu // _processes(pods))), **environment}
    stored = [(key, "secretKeyRef") for key in OBJECT_STORE_SECRETS] + [
        (key, "configMapKeyRef") for key in OBJECT_STORE_SETTINGS
    ]
    return [
        *({"name": name, "value": value} for name, value in sorted(given.items())),
        *(
            {"name": key, "valueFrom": {kind: {"name": OBJECT_STORE, "key": key, "optional": True}}}
            for key, kind in stored
            if key not in given
        ),
    ]


def _runtime(pod_template: dict[str, Any]) -> dict[str, Any]:
    job = {"name": CONTAINER, "template": {"spec": {"template": pod_template}}}
    return {"template": {"spec": {"replicatedJobs": [job]}}}


def _pod_template(pods: TrainingPods) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "volumes": [{"name": name, **source} for name, (_, source) in _VOLUMES.items()],
        "containers": [_container()],
    }
    if pods.node_selector:
        spec["nodeSelector"] = pods.node_selector
    if pods.tolerations:
        spec["tolerations"] = pods.tolerations
    # A service mesh's sidecar would outlive the training, as in the pods of Kubeflow Pipelines themselves.
    labels = {"app.kubernetes.io/part-of": "sss", "sidecar.istio.io/inject": "false"}
    return {"metadata": {"labels": labels}, "spec": spec}


def _container() -> dict[str, Any]:
    return {
        "name": CONTAINER,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, (path, _) in _VOLUMES.items()],
    }
