"""What a training on several nodes shares with them."""

from __future__ import annotations

from pathlib import Path

from sss_ops.steps.train_distributed import _share


def test_a_later_attempt_brings_its_own_recipe_and_finds_the_scans_there(tmp_path: Path) -> None:
    recipe, scans = tmp_path / "params.yaml", tmp_path / "scans"
    scans.mkdir()
    shared = tmp_path / "shared"
    for attempt in ("first", "second"):
        recipe.write_text(attempt)
        (scans / "a.nii").write_text(attempt)
        _share(recipe, shared / "params.yaml", anew=True)
        _share(scans, shared / "scans", anew=False)
    assert (shared / "params.yaml").read_text() == "second"
    assert (shared / "scans/a.nii").read_text() == "first"
    assert {path.name for path in shared.iterdir()} == {"params.yaml", "scans"}
