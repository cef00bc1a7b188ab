"""Settings of the tasks' pods: image, security, resources, GPUs, volumes, secrets, retries."""

from __future__ import annotations

from typing import Any

from kfp import kubernetes
from kfp.dsl import PipelineTask

from sss_ops.cluster.pod import (
    OBJECT_STORE,
    OBJECT_STORE_SECRETS,
    OBJECT_STORE_SETTINGS,
    USER,
    WORK_MOUNT,
    WORK_VOLUME,
)

_TASK_SECONDS = 6 * 3600
_TRAINING_SECONDS = 7 * 24 * 3600


def with_security_context(task: PipelineTask, image: Any) -> PipelineTask:
    """Run a task in the run's image, not as root, and with a time limit."""
    task.set_container_image(image)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    kubernetes.set_timeout(task, _TASK_SECONDS)
    kubernetes.add_pod_label(task, "app.kubernetes.io/part-of", "sss")
    return task


def with_object_store(task: PipelineTask) -> PipelineTask:
    """Give a task the settings and keys of the object store, where the namespace has them."""
    kubernetes.use_secret_as_env(task, OBJECT_STORE, {name: name for name in OBJECT_STORE_SECRETS}, optional=True)
    kubernetes.use_config_map_as_env(task, OBJECT_STORE, {name: name for name in OBJECT_STORE_SETTINGS}, optional=True)
    return task


def on_pool(task: PipelineTask, settled: dict[str, Any], *, gpus: Any) -> PipelineTask:
    """Run a task on the nodes that the first step settled.

    Args:
        settled: outputs of ``version_data``. Where its accelerator is empty, no GPU limit is set, whatever `gpus` is.
        gpus: of the task's pod.
    """
    task.set_accelerator_type(settled["accelerator"]).set_accelerator_limit(gpus)
    kubernetes.add_node_selector_json(task, settled["node_selector"])
    kubernetes.add_toleration_json(task, settled["tolerations"])
    # PyTorch's processes share tensors there, and a container has 64 MB by default.
    kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit="8Gi")
    return task


def with_resources(task: PipelineTask, *, cpu: Any, memory: Any) -> PipelineTask:
    """Set requests and limits of cores and memory."""
    task.set_cpu_request(cpu).set_cpu_limit(cpu)
    task.set_memory_request(memory).set_memory_limit(memory)
    return task


def with_retries(task: PipelineTask, times: int, *, within: int = _TASK_SECONDS) -> PipelineTask:
    """Retry a task after a lost node, or when a service was away.

    Kubeflow retries errors of input as well, so the pauses are short: 10 s, 20 s, 40 s and so on.

    Args:
        within: seconds for all tries together; Argo ends a running one that exceeds it.
    """
    return task.set_retry(times, backoff_duration="10s", backoff_factor=2.0, backoff_max_duration=f"{within}s")


def resumable(task: PipelineTask) -> PipelineTask:
    """Retry a training from the state that it saved on its volume or in the object store."""
    kubernetes.mount_pvc(task, pvc_name=WORK_VOLUME, mount_path=WORK_MOUNT)
    kubernetes.set_timeout(task, _TRAINING_SECONDS)
    return with_retries(task, 5, within=_TRAINING_SECONDS)
