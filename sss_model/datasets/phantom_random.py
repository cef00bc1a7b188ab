"""Random numbers and fields that are the same, bit for bit, on any machine.

Only hashing, integers and single IEEE operations (+ − × ÷) are used: NumPy's sums, its normal distribution and its
transcendental functions differ between processors in the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_BITS = 53


@dataclass(frozen=True)
class Draws:
    """Named draws: each depends on its full name alone, so adding one leaves all others as they were."""

    name: str

    def branch(self, name: object) -> Draws:
        """Draws of a part, independent of the whole's."""
        return Draws(f"{self.name}/{name}")

    def bits(self, name: str) -> int:
        """64 random bits."""
        return int.from_bytes(hashlib.sha256(f"{self.name}/{name}".encode()).digest()[:8], "big")

    def uniform(self, name: str, bounds: tuple[float, float]) -> float:
        low, high = bounds
        return low + (high - low) * ((self.bits(name) >> (64 - _BITS)) / 2**_BITS)

    def integer(self, name: str, bounds: tuple[int, int]) -> int:
        """A whole number, both bounds included."""
        low, high = bounds
        return low + self.bits(name) % (high - low + 1)

    def uniforms(self, name: str, bounds: tuple[float, float], count: int) -> np.ndarray:
        """(count,) float64."""
        return np.array([self.uniform(f"{name} {index}", bounds) for index in range(count)])

    def rotation(self, name: str, half_angle_tangent: float) -> tuple[float, float]:
        """Cosine and sine of an angle of at most 2·arctan(`half_angle_tangent`), by the rational parametrisation."""
        t = self.uniform(name, (-half_angle_tangent, half_angle_tangent))
        return (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)

    def noise(self, name: str, shape: Sequence[int]) -> np.ndarray:
        """Independent, nearly normal values of mean 0 and variance 1, float64: the sum of four uniform integers."""
        start = np.uint64(self.bits(name))
        words = _splitmix64(np.arange(np.prod(shape, dtype=np.int64), dtype=np.uint64) + start)
        total = np.zeros(words.shape, dtype=np.int64)
        for part in range(4):
            total += ((words >> np.uint64(16 * part)) & np.uint64(0xFFFF)).astype(np.int64)
        # Four uniforms on 0 … 65535 have mean 131070 and standard deviation 65536 / √3 (to 1e-10).
        return ((total - 131070) / (65536 / 1.7320508075688772)).reshape(shape)

    def field(self, name: str, coordinates: Sequence[np.ndarray], cell: Sequence[float]) -> np.ndarray:
        """A smooth field of values between −1 and 1: a coarse random lattice, interpolated by smoothstep.

        Args:
            coordinates: one 1-D array an axis, mm.
            cell: lattice spacing an axis, mm.

        Returns:
            float64, as long as the coordinates along each axis.
        """
        positions = [(axis - axis.min()) / size for axis, size in zip(coordinates, cell, strict=True)]
        lattice = [int(position.max()) + 2 for position in positions]
        values = _splitmix64(np.arange(int(np.prod(lattice)), dtype=np.uint64) + np.uint64(self.bits(name)))
        field = ((values >> np.uint64(11)) / 2**_BITS * 2 - 1).reshape(lattice)
        for axis, position in enumerate(positions):
            field = _interpolate(field, position, axis)
        return field


def smoothstep(x: np.ndarray) -> np.ndarray:
    """3x² − 2x³ of x clipped to 0 … 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * (3.0 - 2.0 * x)


def _interpolate(field: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    index = position.astype(np.int64)
    shape = [-1 if other == axis else 1 for other in range(field.ndim)]
    weight = smoothstep(position - index).reshape(shape)
    return np.take(field, index, axis) * (1.0 - weight) + np.take(field, index + 1, axis) * weight


def _splitmix64(x: np.ndarray) -> np.ndarray:
    """Steele et al., Fast splittable pseudorandom number generators, OOPSLA 2014: its output function."""
    x = (x + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
