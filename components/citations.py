"""Whose work a model rests on."""

from __future__ import annotations

_SSS = (
    "Zhu et al., SSS: Semi-Supervised SAM-2 with Efficient Prompting for Medical Imaging Segmentation, "
    "Biomedical Signal Processing and Control 2026, arXiv 2506.08949"
)
_SAM2 = "Ravi et al., SAM 2: Segment Anything in Images and Videos, arXiv 2408.00714"
_UNET = "Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, MICCAI 2015"
_FIXMATCH = "Sohn et al., FixMatch, NeurIPS 2020, arXiv 2001.07685"
_UNIMATCH = "Yang et al., Revisiting Weak-to-Strong Consistency in Semi-Supervised Semantic Segmentation, CVPR 2023"
_MEDICAL_SAM2 = (
    "Zhu et al., Medical SAM 2: Segment Medical Images as Video via Segment Anything Model 2, arXiv 2408.00874"
)

_OF_METHOD: dict[str, tuple[str, ...]] = {
    "supervised": (),
    "weak_to_strong": (_FIXMATCH,),
    "unimatch": (_UNIMATCH,),
    "sss": (_UNIMATCH, _MEDICAL_SAM2),
}


def citations(*, method: str, network: str, data: str) -> list[str]:
    """What to cite for a model, its data first.

    Args:
        method, network: the recipe's ``train.method`` and ``model.network``.
        data: what ``dataset.json`` says; empty where it says nothing.
    """
    known = [data.strip(), _SSS, _SAM2 if network == "sam2" else _UNET, *_OF_METHOD[method]]
    return [text for text in known if text]
