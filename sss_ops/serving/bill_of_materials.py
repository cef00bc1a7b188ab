"""The software bill of materials of a model: what it was made of, in CycloneDX's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component
    from cyclonedx.model.license import License
    from packaging.requirements import Requirement

    from sss_model.checkpoint import Checkpoint


_LICENCE_OF_WEIGHTS = "Apache-2.0"  # Meta's, of all SAM-2 checkpoints
_LONGEST_NAME = 100  # of a licence; some packages put all of its text where its name belongs


def write_sbom(
    path: Path,
    *,
    model: str,
    weights_sha256: str,
    trained: Checkpoint,
    data: dict[str, Any],
    requirements: Iterable[str],
) -> None:
    """Write the bill of a model: its weights, the data and the weights they came from, this code and all it runs on.

    Args:
        path: JSON file, CycloneDX 1.6.
        model: name that it is registered under.
        weights_sha256: of the file that holds its weights.
        trained: its checkpoint.
        data: content of ``data_version.json``.
        requirements: distributions that the model asks for; those that they need in turn are found where this runs.
    """
    from cyclonedx.output import make_outputter
    from cyclonedx.schema import OutputFormat, SchemaVersion

    from sss_model.files import write_atomically

    bill = _bill(_weights(model, weights_sha256, trained), trained, data, requirements)
    text = make_outputter(bill, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2)
    write_atomically(path, f"{text}\n".encode())


def needed(names: Iterable[str]) -> dict[str, list[str]]:
    """These distributions and all that they need as it is installed here, and what each needs, by normalised name."""
    found: dict[str, list[str]] = {}
    queue = [(name, frozenset[str]()) for name in names]
    seen = set()
    while queue:
        asked = queue.pop()
        if asked in seen:
            continue
        seen.add(asked)
        wanted = [want for want in _wants(*asked) if _installed(want.name)]
        known = found.setdefault(_normalised(asked[0]), [])
        known += [name for name in (_normalised(want.name) for want in wanted) if name not in known]
        queue += [(want.name, frozenset(want.extras)) for want in wanted]
    return dict(sorted(found.items()))


def _bill(weights: Component, trained: Checkpoint, data: dict[str, Any], requirements: Iterable[str]) -> Bom:
    from cyclonedx.model.bom import Bom, BomMetaData

    roots = [_normalised(name) for name in requirements]
    graph = needed(roots)
    packages = {name: _package(distribution(name)) for name in graph}
    code = _code(trained)
    parts = [code, _data(data), *_first_weights(trained)]
    bill = Bom(metadata=BomMetaData(component=weights), components=[*parts, *packages.values()])
    bill.register_dependency(weights, parts)
    bill.register_dependency(code, [packages[name] for name in roots])
    for name, wanted in graph.items():
        bill.register_dependency(packages[name], [packages[other] for other in wanted])
    return bill


def _weights(model: str, weights_sha256: str, trained: Checkpoint) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name=model,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="weights",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights_sha256)],
        description=f"{', '.join(name for name, value in trained.meta.labels.items() if value)} in medical images",
    )


def _code(trained: Checkpoint) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType

    return Component(
        name="sss-medical",
        type=ComponentType.APPLICATION,
        bom_ref="code",
        version=trained.meta.git_revision,
        licenses=[LicenseFactory().make_with_id("Apache-2.0")],
    )


def _data(data: dict[str, Any]) -> Component:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model.component import Component, ComponentType

    licence = data.get("licence")
    return Component(
        name=data["name"],
        type=ComponentType.DATA,
        bom_ref="data",
        version=data["version"],
        licenses=[LicenseFactory().make_with_name(licence)] if licence else [],
    )


def _first_weights(trained: Checkpoint) -> Iterator[Component]:
    """The file that the encoder started from, where there was one."""
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.component import Component, ComponentType

    if trained.meta.pretrained_sha256 is None:
        return
    yield Component(
        name=Path(str(trained.config.model.checkpoint)).name,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="first-weights",
        version=trained.config.model.version,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=trained.meta.pretrained_sha256)],
        licenses=[LicenseFactory().make_with_id(_LICENCE_OF_WEIGHTS)],
    )


def _package(found: Distribution) -> Component:
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    # "+cpu" says where a build came from; who looks for a known weakness asks for the version without it.
    name, version = _normalised(found.metadata["Name"]), found.version.partition("+")[0]
    return Component(
        name=name,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        version=version,
        purl=PackageURL("pypi", name=name, version=version),
        licenses=_licences(found),
    )


def _licences(found: Distribution) -> list[License]:
    """As the package declares them: an SPDX expression, or an identifier, or the names of its classifiers."""
    from cyclonedx.contrib.license.factories import LicenseFactory

    make, declared = LicenseFactory(), found.metadata
    texts = [*(declared.get_all("License-Expression") or []), *(declared.get_all("License") or [])]
    text = texts[0].strip() if texts else ""
    if text and "\n" not in text and len(text) <= _LONGEST_NAME:
        return [make.make_from_string(text)]
    classifiers = [line.split(" :: ") for line in declared.get_all("Classifier") or []]
    names = {parts[-1] for parts in classifiers if parts[0] == "License" and parts[-1] != "OSI Approved"}
    return [make.make_with_name(name) for name in sorted(names)]


def _wants(name: str, extras: frozenset[str]) -> list[Requirement]:
    from packaging.requirements import Requirement

    asked = [Requirement(text) for text in distribution(name).requires or []]
    return [want for want in asked if not want.marker or any(want.marker.evaluate({"extra": e}) for e in {"", *extras})]


def _installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:  # sam2 asks for torchvision, which this code does without
        return False


def _normalised(name: str) -> str:
    from packaging.utils import canonicalize_name

    return str(canonicalize_name(name))
