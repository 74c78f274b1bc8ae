# SPDX-License-Identifier: Apache-2.0
"""Measures of shapes whose values are known: balls, ellipsoids, boxes, plates and shells, on even and uneven voxels."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from scipy.ndimage import binary_opening, gaussian_filter
from workbench.measure.shape import cropped, largest_diameter, shape_measures
from workbench.measure.thickness import local_thickness, surface_distance, wall_thickness


def distances(radius, spacing, scale=(1, 1, 1)):
    """Distance of voxels from a centre that lies between them, in mm; of an ellipsoid after division by scale."""
    axes = [
        np.arange(-int(radius * s / d) - 2, int(radius * s / d) + 3) * d + 0.3
        for d, s in zip(spacing, scale, strict=True)
    ]
    return np.sqrt(sum((axis / s) ** 2 for axis, s in zip(np.meshgrid(*axes, indexing="ij"), scale, strict=True)))


def ball(radius, spacing, scale=(1, 1, 1)):
    return distances(radius, spacing, scale) < radius


@pytest.mark.parametrize(("radius", "spacing"), [(20, (1, 1, 1)), (12, (0.7, 0.7, 0.7)), (25, (1, 1, 2.5))])
def test_a_ball(radius, spacing):
    found = shape_measures(ball(radius, spacing), spacing)
    assert found["volume"] == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.01)
    assert found["surface"] == pytest.approx(4 * np.pi * radius**2 / 100, rel=0.03)
    assert found["sphericity"] == pytest.approx(1, abs=0.03)
    assert found["elongation"] == pytest.approx(1, abs=0.02)
    assert found["flatness"] == pytest.approx(1, abs=0.02)
    assert found["diameter"] == pytest.approx(2 * radius, abs=max(spacing))


def test_an_ellipsoid_has_the_ratios_of_its_axes():
    found = shape_measures(ball(6, (0.5, 0.5, 0.5), (1, 2, 4)), (0.5, 0.5, 0.5))
    assert (found["elongation"], found["flatness"]) == (pytest.approx(2, rel=0.02), pytest.approx(2, rel=0.02))
    assert found["diameter"] == pytest.approx(48, abs=0.6)
    assert found["sphericity"] < 0.85


@pytest.mark.parametrize(("spacing", "slip"), [((1, 1, 1), 0.02), ((1, 1, 2.5), 0.1), ((1.5, 1.5, 10), 0.2)])
def test_the_surface_of_an_ellipsoid_is_the_worse_the_less_even_voxels_are(spacing, slip):
    """Of a spheroid with the half axes 25, 25 and 37.5 mm."""
    short, long = 25.0, 37.5
    eccentricity = np.sqrt(1 - (short / long) ** 2)
    area = 2 * np.pi * short**2 * (1 + long / (short * eccentricity) * np.arcsin(eccentricity))
    found = shape_measures(ball(short, spacing, (1, 1, 1.5)), spacing)
    assert found["surface"] == pytest.approx(area / 100, rel=slip)
    assert found["volume"] == pytest.approx(4 / 3 * np.pi * short**2 * long / 1000, rel=0.02)


def test_the_order_of_axes_changes_nothing():
    shape, spacing = ball(8, (0.5, 1, 2), (1, 2, 3)), np.array([0.5, 1, 2])
    found = shape_measures(shape, spacing)
    for order in ((1, 2, 0), (2, 1, 0)):
        assert shape_measures(shape.transpose(order), spacing[list(order)]) == pytest.approx(found, rel=1e-5)
    padded = shape_measures(np.pad(shape, 5)[:, ::-1], spacing)
    assert padded == pytest.approx(found, rel=1e-6)


def test_the_diameter_of_a_box_is_that_between_faces():
    """Of 5 x 4 x 5 mm: from the upper face of a voxel in a corner to the lower face of that in the opposite one."""
    across = np.linalg.norm([5.0 - 0.5, 4.0 - 1.0, 5.0])
    assert largest_diameter(np.ones((10, 4, 1), bool), (0.5, 1.0, 5.0)) == pytest.approx(across)
    assert largest_diameter(np.ones((1, 1, 1), bool), (0.5, 1.0, 5.0)) == 5.0


def test_the_diameter_is_simpleitks_but_for_a_voxel():
    rng = np.random.default_rng(0)
    for _ in range(5):
        shape = rng.random((9, 11, 7)) < 0.05
        image = SimpleITK.GetImageFromArray(shape.T.astype(np.uint8))
        image.SetSpacing((1.0, 2.0, 3.0))
        known = SimpleITK.LabelShapeStatisticsImageFilter()
        known.ComputeFeretDiameterOn()
        known.Execute(image)
        between_centres = known.GetFeretDiameter(1)
        assert between_centres <= largest_diameter(shape, (1, 2, 3)) <= between_centres + 3


def test_a_structure_at_the_border_has_a_surface_there():
    inside = np.pad(np.ones((10, 10, 10), bool), 3)
    assert shape_measures(np.ones((10, 10, 10), bool), (1, 1, 1)) == shape_measures(inside, (1, 1, 1))


def test_an_empty_structure_has_a_volume_of_nothing():
    found = shape_measures(np.zeros((3, 3, 3), bool), (1, 1, 1))
    assert found.pop("volume") == 0
    assert set(found.values()) == {None}
    assert wall_thickness(np.zeros((3, 3, 3), bool), (1, 1, 1)) == {"thickness": None, "thickness_max": None}


def test_a_single_voxel_can_be_measured():
    found = shape_measures(np.ones((1, 1, 1), bool), (1, 1, 1))
    assert (found["volume"], found["diameter"]) == (0.001, 1)
    assert 0 < wall_thickness(np.ones((1, 1, 1), bool), (1, 1, 1))["thickness"] <= 1


@pytest.mark.parametrize(("layers", "axis"), [(2, 0), (2, 2), (3, 1), (6, 2)])
def test_a_plate_is_as_thick_as_its_layers(layers, axis):
    spacing = (0.8, 1.2, 2.0)
    shape = [40, 30, 20]
    shape[axis] = layers
    plate = np.ones(shape, bool)
    found = np.zeros(shape)
    found[plate] = local_thickness(plate, spacing)
    middle = tuple(slice(n // 3, n // 3 + 5) if other != axis else slice(None) for other, n in enumerate(shape))
    np.testing.assert_allclose(found[middle], layers * spacing[axis], rtol=1e-3)


@pytest.mark.parametrize(
    ("outer", "wide", "spacing", "slip"),
    [
        (12, 4, (1, 1, 1), 0.03),
        (14, 6, (1, 1, 1), 0.03),
        (24, 10, (1.5, 1.5, 5), 0.05),
        (9, 3, (0.75, 0.75, 0.75), 0.03),
    ],
)
def test_a_shell_is_as_thick_as_its_radii_differ(outer, wide, spacing, slip):
    away = distances(outer, spacing)
    found = wall_thickness((away < outer) & (away >= outer - wide), spacing)
    assert found["thickness"] == pytest.approx(wide, rel=slip)
    assert found["thickness_max"] == pytest.approx(wide, rel=0.1)


def test_a_ball_is_as_thick_as_its_diameter():
    assert wall_thickness(ball(9, (1, 1, 1)), (1, 1, 1))["thickness_max"] == pytest.approx(18, abs=1.5)


def test_each_part_of_a_wall_has_its_own_thickness():
    wall = np.zeros((40, 40, 12), bool)
    wall[:20, :, 4:8] = wall[20:, :, 2:12] = True
    found = np.zeros(wall.shape)
    found[wall] = local_thickness(wall, (1, 1, 1))
    assert found[5, 20, 5] == pytest.approx(4)
    assert found[30, 20, 5] == pytest.approx(10)


def test_no_ball_that_is_left_out_would_count():
    """By the definition: every ball around every point inside."""
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(12, 10, 8)), 1.2)
    wall = binary_opening(noise > 0)
    steps = np.array([1.0, 0.7, 2.0])
    block = np.pad(cropped(wall), 2)
    radius = surface_distance(block, steps)
    centres = np.argwhere(radius > 0)
    radii = radius[tuple(centres.T)]
    expected = []
    for voxel in np.argwhere(block):
        away = np.linalg.norm((centres - 2 * voxel) * steps / 2, axis=1)
        expected.append(2 * radii[away < radii].max())
    found = local_thickness(wall, steps)
    assert (found <= np.array(expected) + 1e-9).all()
    np.testing.assert_allclose(found, expected, atol=2 * 0.1 * 0.35 * 3)
