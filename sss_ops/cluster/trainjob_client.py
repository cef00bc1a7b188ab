"""A client for TrainJobs, their pods and logs; each refusal of the cluster becomes one sentence with its fix."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sss_model.errors import InputError
from sss_ops.cluster.trainjob import API, CONTAINER, VERSION
from sss_ops.errors import CLUSTER, explain, json_body

if TYPE_CHECKING:
    from kubernetes.client import ApiClient, ApiException, V1Pod


_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LOG = "get pods/log"
_SECONDS = (10, 60)  # to connect, and between two bytes of an answer
_FOLLOW_SECONDS = (10, 300)  # a log that is silent for longer may be a connection that died


class ClusterAwayError(Exception):
    """The cluster did not answer, or can't answer yet; ask again."""


class _NotFoundError(InputError):
    """There is no such object."""


class TrainJobClient:
    """TrainJobs of one namespace, their pods and the pods' logs.

    Every method raises `ClusterAwayError` where asking again may help, and `InputError` where it can't.
    """

    def __init__(self, api: ApiClient, namespace: str) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self.namespace = namespace
        self._core, self._custom = CoreV1Api(api), CustomObjectsApi(api)
        self._jobs = {"group": API, "version": VERSION, "namespace": namespace, "plural": "trainjobs"}

    @classmethod
    def connect(cls) -> TrainJobClient:
        """The cluster that this pod runs in; elsewhere the one of the kubeconfig.

        Raises:
            InputError: there is neither.
        """
        from kubernetes import config
        from kubernetes.client import ApiClient

        try:
            config.load_incluster_config()
        except config.ConfigException:
            _load_kubeconfig()
        return cls(ApiClient(), _namespace())

    def get(self, name: str) -> dict[str, Any] | None:
        """A TrainJob, or None."""
        try:
            with self._sentences("get trainjobs"):
                return dict(
                    self._custom.get_namespaced_custom_object(**self._jobs, name=name, _request_timeout=_SECONDS)
                )
        except _NotFoundError:
            return None

    def create(self, job: dict[str, Any]) -> None:
        with self._sentences("create trainjobs"):
            self._custom.create_namespaced_custom_object(**self._jobs, body=job, _request_timeout=_SECONDS)

    def delete(self, name: str) -> None:
        """Delete a TrainJob, whose name is free once its pods are gone; no matter if there is none."""
        with suppress(_NotFoundError), self._sentences("delete trainjobs"):
            self._custom.delete_namespaced_custom_object(
                **self._jobs, name=name, propagation_policy="Foreground", _request_timeout=_SECONDS
            )

    def pods_of(self, job: str) -> list[V1Pod]:
        """The pods of a TrainJob, as far as they exist."""
        selector = f"jobset.sigs.k8s.io/jobset-name={job}"
        with self._sentences("list pods"):
            pods = self._core.list_namespaced_pod(self.namespace, label_selector=selector, _request_timeout=_SECONDS)
            return list(pods.items)

    def pod(self, name: str) -> V1Pod | None:
        """A pod, or None."""
        try:
            with self._sentences("get pods"):
                return self._core.read_namespaced_pod(name, self.namespace, _request_timeout=_SECONDS)
        except _NotFoundError:
            return None

    def log(self, pod: str, *, follow: bool) -> Iterator[tuple[str, str]]:
        """Lines of a pod's log, from its start, each with its time; with `follow` until the container ends."""
        with self._sentences(_LOG):
            for line in self._read_log(pod, follow=follow, timestamps=True):
                stamp, _, text = line.partition(" ")
                yield stamp, text

    def last_lines(self, pod: str, *, count: int, previous: bool) -> list[str]:
        """The end of a pod's log; with `previous`, of the container before the pod's last restart."""
        with self._sentences(_LOG):
            return list(self._read_log(pod, tail_lines=count, previous=previous))

    def _read_log(self, pod: str, **options: Any) -> Iterator[str]:
        response = self._core.read_namespaced_pod_log(
            pod,
            self.namespace,
            container=CONTAINER,
            _preload_content=False,
            _request_timeout=_FOLLOW_SECONDS if options.get("follow") else _SECONDS,
            **options,
        )
        try:
            for line in response:
                yield line.decode(errors="replace").rstrip("\n")
        finally:
            response.close()

    @contextmanager
    def _sentences(self, right: str) -> Iterator[None]:
        """Translate the Kubernetes client's errors in the ``with`` block into this module's."""
        from kubernetes.client import ApiException
        from urllib3.exceptions import HTTPError

        try:
            yield
        except HTTPError as error:
            raise ClusterAwayError(f"the cluster does not answer ({error})") from error
        except ApiException as error:
            raise self._translated(error, right) from error

    def _translated(self, error: ApiException, right: str) -> Exception:
        # A log that is not there yet, or no longer.
        if error.status == 429 or error.status >= 500 or (right == _LOG and error.status in (400, 404)):
            facts = CLUSTER.read(error)
            return ClusterAwayError(f"the cluster answers {error.status} ({facts.words['text'] if facts else error})")
        sentence = explain(error, CLUSTER, call=right, namespace=self.namespace, kind=f"{API}/{VERSION}")
        missing = error.status == 404 and json_body(error) is not None
        return (_NotFoundError if missing else InputError)(sentence)


def _load_kubeconfig() -> None:
    from kubernetes import config

    try:
        # Passed on, since the library reads the variable only when it is imported.
        config.load_kube_config(config_file=os.environ.get("KUBECONFIG"))
    except config.ConfigException as error:
        raise InputError(
            f"no cluster to train on several nodes ({error}); expected to run in a pod or to find a kubeconfig"
        ) from None


def _namespace() -> str:
    """The namespace of the launching pod; outside a cluster KFP_NAMESPACE, else Kubeflow's."""
    if _NAMESPACE_FILE.exists():
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    return os.environ.get("KFP_NAMESPACE", "kubeflow")
