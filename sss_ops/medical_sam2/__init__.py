"""The command lines of Medical-SAM2's ``train_2d.py`` and ``train_3d.py``, which SSS's paper trains by.

Source: github.com/SuperMedIntel/Medical-SAM2, ``cfg.py``.
"""
