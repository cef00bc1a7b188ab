"""PCSW, the prompt generator: "Physical Constraints with a Sliding Window".

An organ doesn't vanish, jump or burst between neighbouring slices. What a model predicts is held against that, slice
by slice; what passes prompts SAM-2's decoder and supervises, what doesn't is ignored. The idea is from SSS (arXiv
2506.08949); no label is ever read.
"""

from sss_model.pcsw.alarm import AcceptanceWatch, watch_acceptance
from sss_model.pcsw.generate import generate_prompts
from sss_model.pcsw.prompts import Prompts

__all__ = ["AcceptanceWatch", "Prompts", "generate_prompts", "watch_acceptance"]
