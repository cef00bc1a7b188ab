"""`make push` writes what it pushed where the overlays and the pipeline read it."""

import subprocess
import sys
from pathlib import Path

from support.paths import ROOT

DIGEST = "sha256:" + "0123456789abcdef" * 4


def pin(folder: Path, reference: str) -> subprocess.CompletedProcess[str]:
    """Run the script in a folder that holds a copy of k8s/image."""
    (folder / "k8s/image").mkdir(parents=True)
    (folder / "k8s/image/kustomization.yaml").write_bytes((ROOT / "k8s/image/kustomization.yaml").read_bytes())
    command = [sys.executable, str(ROOT / ".ci/image_pin.py")]
    return subprocess.run(command, cwd=folder, input=reference, capture_output=True, text=True)


def test_name_and_digest_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    before = (ROOT / "k8s/image/kustomization.yaml").read_text().splitlines()
    assert pin(tmp_path, f"registry.test:5000/team/sss@{DIGEST}\n").returncode == 0
    after = (tmp_path / "k8s/image/kustomization.yaml").read_text().splitlines()
    changed = [new for old, new in zip(before, after, strict=True) if old != new]
    assert [line.strip() for line in changed] == ["newName: registry.test:5000/team/sss", f"digest: {DIGEST}"]


def test_kustomize_puts_it_into_a_manifest(tmp_path: Path) -> None:
    pin(tmp_path, f"registry.test/team/sss@{DIGEST}")
    (tmp_path / "pod.yaml").write_text(
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: sss}]}}"
    )
    (tmp_path / "kustomization.yaml").write_text("resources: [pod.yaml]\ncomponents: [k8s/image]\n")
    kubectl = Path(sys.executable).with_name("kubectl")
    shown = subprocess.check_output([kubectl, "kustomize", tmp_path], text=True)
    assert f"image: registry.test/team/sss@{DIGEST}" in shown


def test_what_names_no_digest_is_refused_and_nothing_written(tmp_path: Path) -> None:
    done = pin(tmp_path, "registry.test/team/sss:latest")
    assert done.returncode
    assert "expected REGISTRY/NAME@sha256" in done.stderr
    text = (tmp_path / "k8s/image/kustomization.yaml").read_text()
    assert text == (ROOT / "k8s/image/kustomization.yaml").read_text()
