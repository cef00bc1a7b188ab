"""Every checkpoint knows what its masks' signs are worth, from validation patients alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sss_model.checkpoint import load_checkpoint
from sss_model.data.manifest import Manifest
from sss_model.inference.predictor import Predictor
from sss_model.inference.triage import triage
from sss_model.io.volumes import read_label, read_volume
from sss_model.training.quality_calibration import calibrate, tried


@pytest.fixture(scope="module")
def predictor(checkpoint: Path) -> Predictor:
    return Predictor.load(checkpoint)


def test_training_fits_validation_scans_and_no_others(predictor: Predictor, phantom: Path, manifest: Manifest) -> None:
    found, cases = predictor.checkpoint.meta.quality, manifest.split("val")
    again = calibrate(predictor, cases, labels=manifest.labels, data_dir=phantom)
    one = len({case.patient for case in cases}) == 1
    assert (found is None) == (again is None) == one
    others = calibrate(predictor, manifest.split("train"), labels=manifest.labels, data_dir=phantom)
    assert others is not None
    if found and again:
        assert found.slope == pytest.approx(again.slope, abs=1e-4)
        assert (found.cases, found.patients) == (len(cases), len({case.patient for case in cases}))
        assert found.intercept != pytest.approx(others.intercept, abs=1e-4)


def test_dice_is_that_of_the_masks_on_their_own_grid(predictor: Predictor, phantom: Path, manifest: Manifest) -> None:
    case = manifest.split("val")[0]
    [trial] = tried(predictor, [case], labels=manifest.labels, data_dir=phantom)
    truth, mask = read_label(phantom / str(case.label)).array, predictor(read_volume(phantom / case.image)).array
    for index, dice in enumerate(trial.dice, start=1):
        sizes = (truth == index).sum() + (mask == index).sum()
        assert dice == pytest.approx(2 * ((truth == index) & (mask == index)).sum() / sizes)
    assert trial.present.all()


def test_a_mask_is_worth_a_look_where_it_is_bad_lacks_a_class_or_its_scan_is_strange(
    predictor: Predictor, phantom: Path, manifest: Manifest
) -> None:
    fit = calibrate(predictor, manifest.split("train"), labels=manifest.labels, data_dir=phantom)
    assert fit is not None
    meta = predictor.checkpoint.meta.model_copy(update={"quality": fit.model_copy(update={"always": ["wall"]})})
    judged = predictor.judge(read_volume(phantom / manifest.split("test")[0].image))
    good = judged.signs._replace(sure=np.full(3, 0.99), views=np.full(3, 0.99))
    calm = judged._replace(signs=good, warnings=())
    assert triage(meta, calm, look_below=0.0).reasons == ()
    assert "below the limit 1.00" in triage(meta, calm, look_below=1.0).reasons[0]
    assert triage(meta, calm._replace(warnings=("strange",)), look_below=0.0).reasons == ("strange",)
    wall = manifest.labels["wall"] - 1
    lost = good._replace(sure=np.where(np.arange(3) == wall, np.nan, good.sure))
    lacking = triage(meta, calm._replace(signs=lost), look_below=0.0)
    assert lacking.reasons == ("no wall found, which every validation scan has",)
    assert lacking.estimate is not None
    assert lacking.estimate.dice < triage(meta, calm).estimate.dice  # type: ignore[union-attr]


def test_an_older_checkpoint_judges_without_an_estimate(checkpoint: Path, phantom: Path, manifest: Manifest) -> None:
    loaded = load_checkpoint(checkpoint)
    older = replace(loaded, meta=loaded.meta.model_copy(update={"quality": None, "fingerprint": None}))
    judged = Predictor(older).judge(read_volume(phantom / manifest.split("test")[0].image))
    assert judged.warnings == ()
    assert triage(older.meta, judged).estimate is None
