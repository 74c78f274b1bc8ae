# SPDX-License-Identifier: Apache-2.0
"""The phantom's patient: right upper abdomen with liver, vessels, one lesion, as functions of position in mm.

Positions are patient coordinates (R, A, S; +x towards the patient's right) with the origin inside the liver.
Nothing here knows about the scanner's voxels: `acquisition` samples the patient on each phase's own grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

LESION_RADIUS_MM = (7.0, 14.0)
VESSEL_CLEARANCE_MM = 5.0
SURFACE_CLEARANCE_MM = 5.0
FAR_MM = -20.0


@dataclass(frozen=True)
class Field:
    """A scalar on a cube of `values.shape` points, `spacing_mm` apart, centred on the origin."""

    values: np.ndarray
    spacing_mm: float

    def at(self, points: np.ndarray) -> np.ndarray:
        """Linear interpolation. Shape: [N, 3] in mm -> [N]."""
        index = points.T / self.spacing_mm + (len(self.values) - 1) / 2
        return map_coordinates(self.values, index, order=1, mode="nearest")


@dataclass(frozen=True)
class Lesion:
    """One lesion with a lobulated outline: radius(u) = radius_mm * (1 + sum_k a_k sin(w_k . u + phi_k))."""

    centre_mm: np.ndarray
    radius_mm: float  # mean radius
    waves: np.ndarray  # rows (w_x, w_y, w_z, phi, a)

    def depth_mm(self, points: np.ndarray) -> np.ndarray:
        """Distance below the surface (negative outside). Shape: [N, 3] -> [N]."""
        offset = points - self.centre_mm
        distance = np.sqrt(np.einsum("ni,ni->n", offset, offset))
        depth = self.radius_mm - distance
        near = distance < 2.0 * self.radius_mm + 3.0
        # the lobes matter only near the surface
        unit = offset[near] / np.maximum(distance[near], 1e-3)[:, None]
        bump = np.sin(unit @ self.waves[:, :3].T + self.waves[:, 3]) @ self.waves[:, 4]
        depth[near] += self.radius_mm * bump
        return depth


@dataclass(frozen=True)
class Patient:
    """One patient's anatomy."""

    lesion: Lesion
    portal_depth_mm: Field  # distance below the surface of the portal veins
    hepatic_depth_mm: Field  # the same for the hepatic veins
    texture: Field  # smooth unit-variance noise, the grain of the tissues
    outline: Field  # smoother noise of the same kind, which bends the organs' surfaces

    def liver_depth_mm(self, points: np.ndarray) -> np.ndarray:
        """Distance below the liver's surface (negative outside). Shape: [N, 3] -> [N]."""
        return liver_depth_mm(self.outline, points)


def smooth_noise(rng: np.random.Generator, correlation_mm: float, spacing_mm: float = 4.0, size: int = 36) -> Field:
    """Gaussian noise of unit variance with the given correlation length."""
    noise = rng.standard_normal((size,) * 3, dtype=np.float32)
    noise = gaussian_filter(noise, correlation_mm / spacing_mm, mode="wrap", truncate=3.0)
    return Field(noise / noise.std(), spacing_mm)


def wall_depth_mm(points: np.ndarray) -> np.ndarray:
    """Distance inside the abdominal wall, an elliptic barrel around the spine. Shape: [N, 3] -> [N]."""
    x, y, z = (points[:, 0] + 40.0) / 82.0, (points[:, 1] - 4.0) / 56.0, points[:, 2] / 260.0
    return 66.0 * (1.0 - np.sqrt(x * x + y * y + z * z))


def kidney_depth_mm(points: np.ndarray) -> np.ndarray:
    """Distance below the surface of the right kidney. Shape: [N, 3] -> [N]."""
    x, y, z = (points[:, 0] + 4.0) / 21.0, (points[:, 1] + 36.0) / 17.0, (points[:, 2] + 50.0) / 36.0
    return 19.0 * (1.0 - np.sqrt(x * x + y * y + z * z))


def stomach_depth_mm(points: np.ndarray) -> np.ndarray:
    """Distance below the surface of the stomach. Shape: [N, 3] -> [N]."""
    x, y, z = points.T
    return 24.0 - 0.12 * z - np.hypot(x + 66.0, y - 34.0)


def liver_depth_mm(outline: Field, points: np.ndarray) -> np.ndarray:
    """Distance below the liver's surface: inside the wall, clear of its neighbours. Shape: [N, 3] -> [N]."""
    x, y, _ = points.T
    bend = outline.at(points)
    wall = wall_depth_mm(points) - 3.0 + 0.8 * bend
    spine = np.hypot(x + 60.0, y + 44.0) - 36.0
    kidney = -kidney_depth_mm(points) - 1.5
    hidden = np.minimum(np.minimum(spine, -stomach_depth_mm(points) - 4.0), kidney) + 2.5 * bend
    return np.minimum(wall, hidden)


def grow_vessels(rng: np.random.Generator, root: tuple[float, ...], tips: np.ndarray, radius_mm: float) -> np.ndarray:
    """A tree from `root` through one main branch per row of `tips`, each forking twice.

    Returns:
        Segments as rows (start x y z, end x y z, start radius, end radius) in mm.
    """
    segments = []
    for tip in tips + rng.normal(0.0, 4.0, tips.shape):
        start, end, radius = np.array(root), np.asarray(root) + 0.55 * (tip - np.array(root)), radius_mm
        segments.append((*start, *end, radius, 0.72 * radius))
        branches = [(end, tip - start, 0.72 * radius)]
        for shrink in (0.52, 0.40):
            grown = []
            for origin, direction, thickness in branches:
                for _ in range(2):
                    bend = rng.normal(0.0, 0.45, 3) * np.linalg.norm(direction)
                    stop = origin + shrink * (direction + bend)
                    segments.append((*origin, *stop, thickness, 0.65 * thickness))
                    grown.append((stop, direction + bend, 0.65 * thickness))
            branches = grown
    return np.array(segments)


def tube_depth_mm(segments: np.ndarray, spacing_mm: float = 2.0, size: int = 62) -> Field:
    """Distance below the surface of tapered tubes, at least `FAR_MM`, as a field. Shape: [S, 8]."""
    depth = np.full((size,) * 3, FAR_MM, dtype=np.float32)
    axis_mm = (np.arange(size, dtype=np.float32) - (size - 1) / 2) * spacing_mm
    for segment in segments:
        start, end, (r_start, r_end) = segment[:3], segment[3:6], segment[6:]
        reach = max(r_start, r_end) + 9.0
        first = np.searchsorted(axis_mm, np.minimum(start, end) - reach)
        last = np.searchsorted(axis_mm, np.maximum(start, end) + reach)
        block = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
        grid = np.meshgrid(*(axis_mm[part] for part in block), indexing="ij", sparse=True)
        gap = [g - s for g, s in zip(grid, start, strict=True)]
        axis = end - start
        along = np.clip(sum(g * a for g, a in zip(gap, axis, strict=True)) / (axis @ axis), 0.0, 1.0)
        square = sum((g - along * a) ** 2 for g, a in zip(gap, axis, strict=True))
        np.maximum(depth[block], r_start + along * (r_end - r_start) - np.sqrt(square), out=depth[block])
    return Field(depth, spacing_mm)


def axis_gap_mm(segments: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Distance from points to the surface of each tube. Shape: [S, 8], [N, 3] -> [N, S]."""
    start, axis = segments[:, :3], segments[:, 3:6] - segments[:, :3]
    gap = points[:, None] - start
    along = np.clip((gap * axis).sum(-1) / (axis * axis).sum(-1), 0.0, 1.0)
    radius = segments[:, 6] + along * (segments[:, 7] - segments[:, 6])
    return np.linalg.norm(gap - along[..., None] * axis, axis=-1) - radius


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient with one lesion inside the liver, clear of its surface; vessels in its way are left out."""
    outline = smooth_noise(rng, 16.0)
    portal_tips = np.array([[22.0, 22.0, 8.0], [24.0, -20.0, -4.0], [-16.0, 34.0, 10.0], [4.0, 2.0, -30.0]])
    hepatic_tips = np.array([[26.0, 4.0, 14.0], [2.0, 36.0, 22.0], [16.0, -24.0, 18.0]])
    portal = grow_vessels(rng, (-27.0, -8.0, -8.0), portal_tips, 5.0)
    hepatic = grow_vessels(rng, (-28.0, -20.0, 38.0), hepatic_tips, 4.5)
    radius = rng.uniform(*LESION_RADIUS_MM)
    candidate = rng.uniform((-16.0, -18.0, -16.0), (18.0, 20.0, 16.0), (80, 3))
    large = [tree[tree[:, 6] > 3.0] for tree in (portal, hepatic)]
    clearance = axis_gap_mm(np.concatenate(large), candidate).min(axis=1) - VESSEL_CLEARANCE_MM
    clearance = np.minimum(clearance, liver_depth_mm(outline, candidate) - SURFACE_CLEARANCE_MM)
    # the first candidate with room for the lesion, else the one with the most room
    centre = candidate[int(np.argmax(np.minimum(clearance, radius)))]
    kept = [tree[axis_gap_mm(tree, centre[None])[0] > radius + VESSEL_CLEARANCE_MM] for tree in (portal, hepatic)]
    direction = rng.normal(0.0, 1.0, (5, 3))
    direction *= rng.uniform(1.0, 4.0, (5, 1)) / np.linalg.norm(direction, axis=1, keepdims=True)
    phase, amplitude = rng.uniform(0, 2 * np.pi, (5, 1)), rng.uniform(0.03, 0.09, (5, 1))
    waves = np.hstack([direction, phase, amplitude]).astype(np.float32)
    lesion = Lesion(centre.astype(np.float32), float(radius), waves)
    return Patient(lesion, tube_depth_mm(kept[0]), tube_depth_mm(kept[1]), smooth_noise(rng, 3.5), outline)
