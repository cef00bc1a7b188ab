"""The phantom's anatomy: where cavity, wall and crescent lie in one frame of one patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sss_model.datasets.phantom_random import Draws

# Ranges that patients are drawn from; lengths in mm, at the base and in diastole.
CAVITY_RADIUS = {"normal": (17.0, 23.0), "dilated": (23.0, 28.0), "thick": (13.0, 18.0)}
WALL = {"normal": (7.5, 10.0), "dilated": (6.0, 8.0), "thick": (11.0, 15.0)}
# Systole over diastole: the cavity's radius, the wall, the crescent's reach.
CONTRACTION = {"normal": (0.62, 0.75), "dilated": (0.82, 0.92), "thick": (0.5, 0.65)}
THICKENING = (1.1, 1.35)
CRESCENT_CONTRACTION = (0.65, 0.85)
CRESCENT_REACH = (18.0, 32.0)  # beyond the wall
CRESCENT_BREADTH = (0.75, 1.15)  # half its height : outer radius of the wall
CRESCENT_WALL = (2.0, 4.0)
ELONGATION = (0.86, 1.16)  # of the cavity
TRIANGULARITY = (-0.08, 0.08)
WALL_ASYMMETRY = (-0.2, 0.2)
TAPER = (0.3, 0.55)  # share of the radius that is lost from base to apex
CRESCENT_TAPER = (0.45, 0.75)
POSITION = (-8.0, 8.0)  # of the heart in the field of view, each axis
DRIFT = (-9.0, 9.0)  # from base to apex, each axis
BREATHING = (-1.5, 1.5)  # of each slice, each axis
WARP, WARP_CELL = (1.0, 4.0), (32.0, 32.0, 30.0)  # smooth displacement that makes no two outlines alike
HALF_ANGLE_TANGENT = 0.35  # the heart's axis turns by ±2·arctan of this
TWIST = 0.12  # the same for the turn from base to apex
MUSCLE_RADIUS = (2.0, 4.5)  # the two papillary muscles


@dataclass(frozen=True)
class Grid:
    """A case's voxels in canonical orientation: slice-wise coordinates that broadcast to (X, Y, Z)."""

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]

    @property
    def axes(self) -> list[np.ndarray]:
        """1-D coordinates an axis, mm from the field's middle."""
        return [(np.arange(size) - (size - 1) / 2) * mm for size, mm in zip(self.shape, self.spacing, strict=True)]

    @property
    def x(self) -> np.ndarray:
        """(X, 1, 1), mm from the field's middle."""
        return self.axes[0].reshape(-1, 1, 1)

    @property
    def y(self) -> np.ndarray:
        """(1, Y, 1), mm from the field's middle."""
        return self.axes[1].reshape(1, -1, 1)

    @property
    def descent(self) -> np.ndarray:
        """(1, 1, Z), 0 at the base and 1 at the apex."""
        return (np.arange(self.shape[2]) / (self.shape[2] - 1)).reshape(1, 1, -1)

    def coverage(self, distance: np.ndarray) -> np.ndarray:
        """How much of each voxel lies inside a surface, 0 to 1, given the distance from it (mm, inside negative)."""
        return np.clip(0.5 - distance / self.spacing[0], 0.0, 1.0)


@dataclass(frozen=True)
class Heart:
    """Distances (X, Y, Z) in mm from each structure's outer surface, negative inside."""

    cavity: np.ndarray
    wall: np.ndarray
    chamber: np.ndarray
    chamber_wall: np.ndarray
    muscles: np.ndarray

    @property
    def label(self) -> np.ndarray:
        """0 background, 1 cavity, 2 wall, 3 crescent (the chamber outside the wall); uint8."""
        label = np.where(self.chamber <= 0, 3, 0)
        label = np.where(self.wall <= 0, 2, label)
        return np.where(self.cavity <= 0, 1, label).astype(np.uint8)


def ellipse(u: np.ndarray, v: np.ndarray, a: np.ndarray | float, b: np.ndarray | float) -> np.ndarray:
    """Roughly the distance from an axis-parallel ellipse with half axes a and b, negative inside."""
    return (np.sqrt((u / a) * (u / a) + (v / b) * (v / b)) - 1.0) * np.minimum(a, b)


def draw_heart(grid: Grid, patient: Draws, *, group: str, systole: bool) -> Heart:
    """Lay a patient's heart onto its grid."""
    s = grid.descent
    narrowing = 1.0 - patient.uniform("taper", TAPER) * s * s
    contraction = patient.uniform("contraction", CONTRACTION[group]) if systole else 1.0
    thickening = patient.uniform("thickening", THICKENING) if systole else 1.0
    radius = patient.uniform("cavity radius", CAVITY_RADIUS[group]) * contraction * narrowing
    wall = patient.uniform("wall", WALL[group]) * thickening * (1.0 - 0.25 * s)

    u, v = _heart_axes(grid, patient, patient.branch("systole" if systole else "diastole"))
    u = u - patient.uniform("reach", CRESCENT_REACH) / 2  # so that the whole heart, not the cavity, is centred
    rho, cosine, triangle = _polar(u, v, patient.uniform("elongation", ELONGATION))
    cavity = rho * (1.0 + patient.uniform("triangularity", TRIANGULARITY) * triangle) - radius
    outer = cavity - wall * (1.0 + patient.uniform("asymmetry", WALL_ASYMMETRY) * cosine)
    contraction = patient.uniform("crescent contraction", CRESCENT_CONTRACTION) if systole else 1.0
    chamber = _chamber(u, v, patient, outer_radius=radius + wall, contraction=contraction, descent=s)
    return Heart(
        cavity=cavity,
        wall=outer,
        chamber=chamber,
        chamber_wall=chamber - patient.uniform("crescent wall", CRESCENT_WALL),
        muscles=_muscles(u, v, patient, radius=radius),
    )


def _heart_axes(grid: Grid, patient: Draws, frame: Draws) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates along the line from crescent to cavity, and across it."""
    warp = patient.uniform("warp", WARP)
    x, y = (
        axis
        - patient.uniform(f"position {name}", POSITION)
        - patient.uniform(f"drift {name}", DRIFT) * (grid.descent - 0.5)
        - frame.uniforms(f"breathing {name}", BREATHING, grid.shape[2])
        - warp * patient.field(f"warp {name}", grid.axes, WARP_CELL)
        for axis, name in ((grid.x, "x"), (grid.y, "y"))
    )
    cosine, sine = patient.rotation("rotation", HALF_ANGLE_TANGENT)
    x, y = cosine * x + sine * y, cosine * y - sine * x
    t = patient.uniform("twist", (-TWIST, TWIST)) * grid.descent
    cosine_z, sine_z = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
    return cosine_z * x + sine_z * y, cosine_z * y - sine_z * x


def _polar(u: np.ndarray, v: np.ndarray, elongation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radius in the stretched plane, and cos θ and cos 3θ by polynomials."""
    u, v = u * elongation, v / elongation
    rho = np.sqrt(u * u + v * v)
    cosine = u / np.maximum(rho, 1e-3)
    return rho, cosine, cosine * (4.0 * cosine * cosine - 3.0)


def _chamber(
    u: np.ndarray, v: np.ndarray, patient: Draws, *, outer_radius: np.ndarray, contraction: float, descent: np.ndarray
) -> np.ndarray:
    """The ellipse whose part outside the wall is the crescent."""
    size = 1.0 - patient.uniform("crescent taper", CRESCENT_TAPER) * descent * descent
    reach = patient.uniform("reach", CRESCENT_REACH) * size * contraction
    left, right = outer_radius + reach, 0.3 * outer_radius
    half_height = patient.uniform("breadth", CRESCENT_BREADTH) * outer_radius * (0.5 + 0.5 * size)
    lean = patient.uniform("lean", (-0.15, 0.15)) * outer_radius
    return ellipse(u + (left - right) / 2, v - lean, (left + right) / 2, half_height)


def _muscles(u: np.ndarray, v: np.ndarray, patient: Draws, *, radius: np.ndarray) -> np.ndarray:
    nearest = np.full(np.broadcast_shapes(u.shape, v.shape), np.inf)
    for name, side in (("upper", 1.0), ("lower", -1.0)):
        size = patient.uniform(f"{name} muscle", MUSCLE_RADIUS) * radius / 20.0
        a, b = patient.uniform(f"{name} muscle along", (0.1, 0.5)), patient.uniform(f"{name} muscle across", (0.4, 0.6))
        nearest = np.minimum(nearest, ellipse(u - a * radius, v - side * b * radius, size, size))
    return nearest
