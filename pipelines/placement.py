"""What the tasks ask of a cluster: room, GPUs, volumes, secrets, rights."""

from __future__ import annotations

from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

USER = 10001  # the image's
WORK_VOLUME = "sss-work"
WORK_MOUNT = "/sss/work"
STORE = "sss-s3"  # secret and config map of the object store
CREDENTIALS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
ADDRESS = (
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    # Google's store takes uploads only without botocore's own checksums.
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
)
_TASK_SECONDS = 6 * 3600
_TRAINING_SECONDS = 7 * 24 * 3600


def secure(task: PipelineTask, image: Any) -> PipelineTask:
    """What holds for every task: the run's image, not as root, and an end."""
    task.set_container_image(image)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.set_timeout(task, _TASK_SECONDS)
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "sss")
    return task


def with_object_store(task: PipelineTask) -> PipelineTask:
    """Give a task the address and the credentials of the object store, where the cluster holds some."""
    kubernetes.use_secret_as_env(task, STORE, {name: name for name in CREDENTIALS}, optional=True)
    kubernetes.use_config_map_as_env(task, STORE, {name: name for name in ADDRESS}, optional=True)
    return task


def on_pool(task: PipelineTask, settled: dict[str, Any], *, gpus: Any) -> PipelineTask:
    """Put a task on the nodes that the first step settled.

    Args:
        settled: outputs of the step ``version_data``. Where its accelerator is empty, Kubernetes sees no GPU limit,
            whatever `gpus` says.
        gpus: how many the task's pod holds.
    """
    task.set_accelerator_type(settled["accelerator"]).set_accelerator_limit(gpus)
    kubernetes.add_node_selector_json(task, settled["node_selector"])
    kubernetes.add_toleration_json(task, settled["tolerations"])
    # PyTorch's processes share tensors there; Kubernetes' own 64 MB are too few.
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="8Gi")
    return task


def with_room(task: PipelineTask, *, cpu: Any, memory: Any) -> PipelineTask:
    """Ask for and limit to so many cores and so much memory."""
    task.set_cpu_request(cpu).set_cpu_limit(cpu)
    task.set_memory_request(memory).set_memory_limit(memory)
    return task


def again(task: PipelineTask, times: int, *, within: int = _TASK_SECONDS) -> PipelineTask:
    """Try again after a lost node, or where a service was away.

    Kubeflow can't leave out errors of input, so the pauses are short: 10 s, 20 s, 40 s and so on.

    Args:
        within: seconds for all tries together. Argo ends a running try that passes it.
    """
    return task.set_retry(times, backoff_duration="10s", backoff_factor=2.0, backoff_max_duration=f"{within}s")


def resumable(task: PipelineTask) -> PipelineTask:
    """Try again from the state that the training saved on its volume or in the object store."""
    kubernetes.mount_pvc(task, pvc_name=WORK_VOLUME, mount_path=WORK_MOUNT)
    kubernetes.set_timeout(task, _TRAINING_SECONDS)
    return again(task, 5, within=_TRAINING_SECONDS)
