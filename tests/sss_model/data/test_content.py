from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sss_model.data.manifest import Manifest, check_content
from sss_model.errors import InputError


def test_a_label_that_changed_or_is_gone_is_refused_by_name(phantom: Path, manifest: Manifest) -> None:
    case, *_ = manifest.split("test")
    check_content([case], phantom)
    with pytest.raises(InputError, match=f"case {case.case}: .*{case.label} has other content"):
        check_content([replace(case, label_sha256="0" * 64)], phantom)
    with pytest.raises(InputError, match=f"case {case.case}: no file .*gone.nii"):
        check_content([replace(case, image=f"../{phantom.name}/{case.image}", label="gone.nii")], phantom)
