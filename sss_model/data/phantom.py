"""A synthetic cohort of short-axis hearts, so that everything can be tried without data.

Three structures, a cavity, the wall around it and a crescent beside them, move and deform between slices, frames and
patients, among look-alikes that have their intensities and not their place. Patients differ more in appearance than two
of them show, so that the unlabelled ones have something to teach.

The bytes are the same on any machine: only hashing, integers and single IEEE operations (+ − × ÷) are used, since
NumPy's sums, its normal distribution and its transcendental functions differ between processors in the last bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import nibabel as nib
import numpy as np

from sss_model.data.canonical import Assignment, write_dataset
from sss_model.data.splits import seeded_splits
from sss_model.errors import InputError
from sss_model.files import write_atomically

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


# Anatomy. Ranges that patients are drawn from; lengths in mm, at the base and in diastole.
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


# Appearance. Ranges that patients are drawn from; tissue levels are shares of a full scale of 1.
BLOOD = (0.7, 1.0)
CONTRAST = (0.35, 0.55)  # of blood over muscle
CRESCENT_BLOOD = (0.8, 1.0)  # relative to the cavity's
TISSUES = {"soft": (0.1, 0.5), "fat": (0.3, 1.1), "lung": (0.02, 0.2), "liver": (0.15, 0.7), "spine": (0.1, 0.7)}
# Tissue, and ranges of an ellipse's middle (x, y) and half axes (x, y), mm from the body's middle.
ORGANS = (
    ("lung", (-62.0, -48.0), (-15.0, 20.0), (22.0, 38.0), (30.0, 48.0)),
    ("lung", (48.0, 62.0), (-15.0, 20.0), (22.0, 38.0), (30.0, 48.0)),
    ("liver", (-30.0, 30.0), (-60.0, -44.0), (34.0, 57.0), (18.0, 31.0)),
    ("spine", (-30.0, 30.0), (50.0, 66.0), (13.0, 21.0), (7.0, 11.0)),
)
BODY = (78.0, 105.0), (64.0, 85.0)  # half axes, mm
FAT_RIND = (4.0, 12.0)  # mm under the skin
FAT_RIM = (0.0, 5.0)  # mm around the heart, where it is thickest two and a half times that
VESSELS, VESSEL_RADIUS = (3, 6), (2.5, 8.0)
LOOKALIKES, LOOKALIKE_RADIUS, LOOKALIKE_RIM = (1, 4), (6.0, 22.0), (2.0, 9.0)
LOOKALIKE_DISTANCE = (50.0, 85.0)  # mm from the field's middle
LOOKALIKE_SLICES = (1, 8)
TONE = (0.65, 1.6)  # bend of the tone curve, 1 is straight
BIAS = (-0.3, 0.3)  # coefficients of the bias polynomial
TEXTURE = (0.02, 0.1)
SLICE_GAIN = (0.92, 1.08)
NOISE = (0.02, 0.06)
BLUR = (0, 1)  # passes of a 1-2-1 filter
GAIN = (200.0, 1500.0)  # stored value of a full scale


def render(grid: Grid, heart: Heart, patient: Draws, frame: Draws) -> np.ndarray:
    """The scan (X, Y, Z) of a heart in its surroundings, float64, in stored units and not yet rounded to them."""
    blood = patient.uniform("blood", BLOOD)
    levels = {name: patient.uniform(name, bounds) for name, bounds in TISSUES.items()}
    levels |= {"blood": blood, "muscle": blood - patient.uniform("contrast", CONTRAST)}
    image = _surroundings(grid, patient, levels)
    _lookalikes(image, grid, patient, levels)
    _paint_heart(image, grid, heart, patient, levels)
    return _acquire(image, grid, patient, frame)


def _surroundings(grid: Grid, patient: Draws, levels: dict[str, float]) -> np.ndarray:
    """Body, lungs, liver and spine, float64."""
    draws = patient.branch("body")
    cosine, sine = draws.rotation("tilt", 0.15)
    x, y = cosine * grid.x + sine * grid.y, cosine * grid.y - sine * grid.x
    x, y = (axis - draws.uniform(f"position {name}", (-10.0, 10.0)) for axis, name in ((x, "x"), (y, "y")))
    body = ellipse(x, y, draws.uniform("half width", BODY[0]), draws.uniform("half depth", BODY[1]))
    image = np.zeros(grid.shape)
    _paint(image, grid.coverage(body), levels["fat"])
    _paint(image, grid.coverage(body + draws.uniform("rind", FAT_RIND)), levels["soft"])
    for number, (tissue, *bounds) in enumerate(ORGANS):
        part = draws.branch(number)
        u, v, a, b = (part.uniform(name, limits) for name, limits in zip("uvab", bounds, strict=True))
        _paint(image, grid.coverage(ellipse(x - u, y - v, a, b)), levels[tissue])
    return image


def _lookalikes(image: np.ndarray, grid: Grid, patient: Draws, levels: dict[str, float]) -> None:
    """Vessels, and discs, rings and halves with the heart's own intensities in places and sizes a heart hasn't."""
    for number in range(patient.integer("vessels", VESSELS)):
        draws = patient.branch(f"vessel {number}")
        distance = _disc(grid, draws, draws.uniform("radius", VESSEL_RADIUS))
        _paint(image, grid.coverage(distance - 1.5), levels["muscle"])
        _paint(image, grid.coverage(distance), levels["blood"])
    for number in range(patient.integer("lookalikes", LOOKALIKES)):
        draws = patient.branch(f"lookalike {number}")
        distance = _disc(grid, draws, draws.uniform("radius", LOOKALIKE_RADIUS))
        visible = _some_slices(grid, draws)
        _paint(image, grid.coverage(distance - draws.uniform("rim", LOOKALIKE_RIM)) * visible, levels["muscle"])
        filling = ("blood", "blood", "liver", "lung")[draws.integer("filling", (0, 3))]
        _paint(image, grid.coverage(distance) * visible, levels[filling])


def _disc(grid: Grid, draws: Draws, radius: float) -> np.ndarray:
    """Distance from a tube that drifts from slice to slice, off the middle of the field."""
    cosine, sine = draws.rotation("direction", 1.0)
    away = draws.uniform("distance", LOOKALIKE_DISTANCE) * (1 - 2 * draws.integer("side", (0, 1)))
    x, y = (
        axis - away * part - draws.uniform(f"drift {name}", (-12.0, 12.0)) * (grid.descent - 0.5)
        for axis, part, name in ((grid.x, cosine, "x"), (grid.y, sine, "y"))
    )
    stretch = draws.uniform("stretch", (0.75, 1.3))
    return ellipse(x, y, radius * stretch, radius / stretch)


def _some_slices(grid: Grid, draws: Draws) -> np.ndarray:
    first = draws.integer("first slice", (0, grid.shape[2] - 1))
    index = np.arange(grid.shape[2]).reshape(1, 1, -1)
    return ((index >= first) & (index < first + draws.integer("slices", LOOKALIKE_SLICES))).astype(np.float64)


def _paint_heart(image: np.ndarray, grid: Grid, heart: Heart, patient: Draws, levels: dict[str, float]) -> None:
    rim = patient.uniform("fat rim", FAT_RIM) * (1.0 + 0.8 * patient.field("fat rim", grid.axes, (25.0, 25.0, 25.0)))
    _paint(image, grid.coverage(np.minimum(heart.wall, heart.chamber_wall) - rim), levels["fat"])
    _paint(image, grid.coverage(heart.chamber_wall), levels["muscle"])
    _paint(image, grid.coverage(heart.chamber), levels["blood"] * patient.uniform("crescent blood", CRESCENT_BLOOD))
    _paint(image, grid.coverage(heart.wall), levels["muscle"])
    _paint(image, grid.coverage(heart.cavity), levels["blood"])
    _paint(image, grid.coverage(np.maximum(heart.muscles, heart.cavity)) * 0.8, levels["muscle"])


def _paint(image: np.ndarray, coverage: np.ndarray, level: float) -> None:
    image += coverage * (level - image)


def _acquire(image: np.ndarray, grid: Grid, patient: Draws, frame: Draws) -> np.ndarray:
    """Texture, partial volume, tone curve, bias field, slice gains and noise."""
    image = image * (1.0 + patient.uniform("texture", TEXTURE) * frame.field("texture", grid.axes, (7.0, 7.0, 12.0)))
    for _ in range(patient.integer("blur", BLUR)):
        image = _blurred(image)
    image = np.clip(image, 0.0, 1.25) / 1.25
    bend = patient.uniform("tone", TONE)
    image = image / (image + bend * (1.0 - image))
    image = image * _bias(grid, patient) * frame.uniforms("slice gain", SLICE_GAIN, grid.shape[2])
    image = image + patient.uniform("noise", NOISE) * frame.noise("noise", grid.shape)
    return np.clip(image, 0.0, 4.0) * patient.uniform("gain", GAIN)


def _bias(grid: Grid, patient: Draws) -> np.ndarray:
    x, y = grid.x / 80.0, grid.y / 80.0
    a, b, c = (patient.uniform(f"bias {term}", BIAS) for term in ("x", "y", "xy"))
    d = patient.uniform("bias fall", (0.0, 0.3))
    return np.maximum(1.0 + a * x + b * y + c * (x * y) - d * (x * x + y * y), 0.15)


def _blurred(image: np.ndarray) -> np.ndarray:
    """One pass of a 1-2-1 filter along each in-plane axis."""
    padded = np.pad(image, ((1, 1), (0, 0), (0, 0)), mode="edge")
    image = (padded[:-2] + 2.0 * padded[1:-1] + padded[2:]) / 4.0
    padded = np.pad(image, ((0, 0), (1, 1), (0, 0)), mode="edge")
    return (padded[:, :-2] + 2.0 * padded[:, 1:-1] + padded[:, 2:]) / 4.0


LABELS = {"background": 0, "cavity": 1, "wall": 2, "crescent": 3}
GROUPS = ("normal", "dilated", "thick")
FRAMES = ("ed", "es")
ORIENTATIONS = ("RAS", "LPS")  # how patients are stored, in turn
SPACING_64THS = (77, 115)  # in-plane, in 1/64 mm: exact in the header's float32
SLICE_DISTANCE_64THS = (512, 640)
SLICES = (8, 10)
FIELD_MM = (150.0, 170.0)  # of view, each axis; in 96 to 128 pixels
PIXELS = (96, 128)
MIN_PATIENTS = 4


def write_phantom(destination: Path, *, patients: int = 20, seed: int = 0) -> None:
    """Write a cohort in the canonical layout: two frames a patient, int16 scans and uint8 masks, uncompressed NIfTI.

    Args:
        destination: folder; made where missing.
        patients: how many; 70 % train, 10 % validate, 20 % test.

    Raises:
        InputError: fewer than four patients, which can't be split.
    """
    if patients < MIN_PATIENTS:
        raise InputError(f"phantom: {patients} patients asked for; expected at least {MIN_PATIENTS}")
    groups = {f"phantom{number + 1:03d}": GROUPS[number % len(GROUPS)] for number in range(patients)}
    places = seeded_splits(groups, seed=seed)
    splits = [
        Assignment(f"{patient}_{frame}", patient, group, places[patient].split, places[patient].label_order)
        for patient, group in groups.items()
        for frame in FRAMES
    ]
    orientations = dict(zip(groups, cycle(ORIENTATIONS), strict=False))
    for row in splits:
        part, orientation = "Ts" if row.split == "test" else "Tr", orientations[row.patient]
        frame = row.case.removeprefix(f"{row.patient}_")
        image, label, spacing = _scan(Draws(f"{seed}/{row.patient}"), group=row.group, frame=frame)
        image_path = destination / f"images{part}" / f"{row.case}_0000.nii"
        write_atomically(image_path, nifti(image, spacing, orientation))
        write_atomically(destination / f"labels{part}" / f"{row.case}.nii", nifti(label, spacing, orientation))
    write_dataset(destination, labels=LABELS, splits=splits, channel="MRI", file_ending=".nii")


def nifti(array: np.ndarray, spacing: tuple[float, float, float], orientation: str) -> bytes:
    """A whole file around an (X, Y, Z) array in RAS+, stored as RAS or LPS.

    The header is filled in field by field: computing it from an affine would go through linear algebra, whose last bits
    depend on the machine.
    """
    turned = orientation == "LPS"
    sign = -1.0 if turned else 1.0
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header["pixdim"][:4] = (1.0, *spacing)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = 352, 1.0, 0.0
    header["descrip"] = b"phantom"
    header.set_xyzt_units("mm")
    header["qform_code"] = header["sform_code"] = 1
    header["quatern_d"] = 1.0 if turned else 0.0  # half a turn about the third axis
    for axis, direction in enumerate((sign, sign, 1.0)):
        step = direction * spacing[axis]
        origin = -step * (array.shape[axis] - 1) / 2
        header[f"srow_{'xyz'[axis]}"][[axis, 3]] = step, origin
        header[f"qoffset_{'xyz'[axis]}"] = origin
    stored = array[::-1, ::-1] if turned else array
    return header.binaryblock + bytes(4) + stored.astype(array.dtype.newbyteorder("<")).tobytes(order="F")


def _scan(draws: Draws, *, group: str, frame: str) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    grid = _grid(draws)
    heart = draw_heart(grid, draws, group=group, systole=frame == "es")
    image = np.rint(render(grid, heart, draws, draws.branch(frame))).astype(np.int16)
    return image, heart.label, grid.spacing


def _grid(draws: Draws) -> Grid:
    pixel = draws.integer("spacing", SPACING_64THS) / 64
    low, high = PIXELS
    width, height = (min(max(round(draws.uniform(f"field {axis}", FIELD_MM) / pixel), low), high) for axis in "xy")
    distance = draws.integer("slice distance", SLICE_DISTANCE_64THS) / 64
    return Grid(shape=(width, height, draws.integer("slices", SLICES)), spacing=(pixel, pixel, distance))
