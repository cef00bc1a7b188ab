"""The software bill of materials of a model, in CycloneDX: weights, data, code and the packages that a server installs.

`cyclonedx-py environment` lists everything installed, development tools included, and knows neither weights nor data; a
server of the model installs only what prediction requires. So the packages are collected here, from their metadata.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from cyclonedx.model.license import License

    from sss_model.checkpoint import Checkpoint

_LICENCE_OF_WEIGHTS = "Apache-2.0"  # Meta's, of all SAM-2 checkpoints
_LONGEST_NAME = 100  # characters; some packages put a licence's whole text where its name belongs


def bill_of_materials(
    *, model: str, weights_sha256: str, trained: Checkpoint, data: dict[str, Any], requirements: Sequence[str]
) -> str:
    """The bill of a model as CycloneDX 1.6 in JSON.

    Args:
        model: name that it is registered under.
        weights_sha256: of the file that holds its weights.
        trained: its checkpoint.
        data: content of ``data_version.json``.
        requirements: distributions that the model requires; what they require in turn is found where this runs.
    """
    weights, code = _weights(model, weights_sha256, trained), _code(trained)
    parts = [code, _data(data), *_first_weights(trained)]
    graph = required_distributions(requirements)
    packages = {name: _package(distribution(name)) for name in graph}
    bill = Bom(metadata=BomMetaData(component=weights), components=[*parts, *packages.values()])
    bill.register_dependency(weights, parts)
    bill.register_dependency(code, [packages[canonicalize_name(name)] for name in requirements])
    for name, needed in graph.items():
        bill.register_dependency(packages[name], [packages[other] for other in needed])
    return make_outputter(bill, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=2) + "\n"


def required_distributions(names: Iterable[str]) -> dict[str, list[str]]:
    """These distributions and all that they require, as installed here: normalised name to the names required.

    >>> "python-dateutil" in required_distributions(["pandas"])["pandas"]
    True
    """
    found: dict[str, list[str]] = {}
    queue = [(name, frozenset[str]()) for name in names]
    seen = set()
    while queue:
        name, extras = queue.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed = _requirements_of(name, extras)
        known = found.setdefault(canonicalize_name(name), [])
        known += [other for other in (canonicalize_name(each.name) for each in needed) if other not in known]
        queue += [(each.name, frozenset(each.extras)) for each in needed]
    return dict(sorted(found.items()))


def _weights(model: str, weights_sha256: str, trained: Checkpoint) -> Component:
    return Component(
        name=model,
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="weights",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights_sha256)],
        description=f"{', '.join(name for name, value in trained.meta.labels.items() if value)} in medical images",
    )


def _code(trained: Checkpoint) -> Component:
    return Component(
        name="sss-medical",
        type=ComponentType.APPLICATION,
        bom_ref="code",
        version=trained.meta.git_revision,
        licenses=[LicenseFactory().make_with_id("Apache-2.0")],
    )


def _data(data: dict[str, Any]) -> Component:
    licence = data.get("licence")
    return Component(
        name=data["name"],
        type=ComponentType.DATA,
        bom_ref="data",
        version=data["version"],
        licenses=[LicenseFactory().make_with_name(licence)] if licence else [],
    )


def _first_weights(trained: Checkpoint) -> Iterator[Component]:
    """The pretrained weights that the encoder started from, where there were any."""
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
    # Without a local version such as "+cpu", which databases of vulnerabilities don't know.
    name, version = canonicalize_name(found.metadata["Name"]), found.version.partition("+")[0]
    return Component(
        name=name,
        type=ComponentType.LIBRARY,
        bom_ref=f"{name}=={version}",
        version=version,
        purl=PackageURL("pypi", name=name, version=version),
        licenses=_licences(found),
    )


def _licences(found: Distribution) -> list[License]:
    """The licences that a package declares: an SPDX expression or a name, else those of its classifiers."""
    make, declared = LicenseFactory(), found.metadata
    texts = [*(declared.get_all("License-Expression") or []), *(declared.get_all("License") or [])]
    text = texts[0].strip() if texts else ""
    if text and "\n" not in text and len(text) <= _LONGEST_NAME:
        return [make.make_from_string(text)]
    classifiers = [line.split(" :: ") for line in declared.get_all("Classifier") or []]
    names = {parts[-1] for parts in classifiers if parts[0] == "License" and parts[-1] != "OSI Approved"}
    return [make.make_with_name(name) for name in sorted(names)]


def _requirements_of(name: str, extras: frozenset[str]) -> list[Requirement]:
    """The requirements of a distribution that apply on this machine, those that are installed."""
    asked = [Requirement(text) for text in distribution(name).requires or []]
    applying = [
        each for each in asked if not each.marker or any(each.marker.evaluate({"extra": e}) for e in {"", *extras})
    ]
    return [each for each in applying if _installed(each.name)]


def _installed(name: str) -> bool:
    try:
        return bool(distribution(name))
    except PackageNotFoundError:  # sam2 requires torchvision, which this code does without
        return False
