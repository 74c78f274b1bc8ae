# SPDX-License-Identifier: Apache-2.0
"""Convert images and transforms to elastix and back, measure similarity, and bend a volume."""

from __future__ import annotations

from typing import Any

import numpy as np
from scripts.volumes.grid import box_corners
from scripts.volumes.itk import LPS_TO_RAS

BINS = 32
# A larger block is averaged over neighbouring voxels first.
MOST_VOXELS = 2_000_000
# What differs from elastix's defaults for a B-spline; rigid and affine transforms take the defaults.
BSPLINE = {
    "GridSpacingSchedule": "1 1 1",  # the same on each level: coarser splines could not keep the faces in place
    "PassiveEdgeWidth": "3",  # control points of the outer layers stay, so that nothing tears at the faces
    "Metric1Weight": "10",  # of the bending energy; with elastix's default of 1 the phantom's tissue folds
    "MaximumNumberOfIterations": "100",  # elastix's default of 256 is no better and takes twice as long
}
# Distance of control points; larger where more than MOST_CONTROLS would fit along an axis, to bound the time.
CONTROL_MM, MOST_CONTROLS = 10.0, 16


def start_elastix() -> tuple[Any, Any]:
    """Return the modules of itk that hold elastix.

    They are imported directly: the name `itk.ElastixRegistrationMethod` would load half of itk, which takes
    four times as long and 0.6 GB more per worker.
    """
    from itk import elxParameterObjectPython, itkElastixRegistrationMethodPython

    return elxParameterObjectPython, itkElastixRegistrationMethodPython


def block_within(affine: np.ndarray, shape: Any, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return first and last + 1 voxel of a volume, along its own axes, that cover a box in mm (R, A, S)."""
    to_voxel = np.linalg.inv(affine)
    points = box_corners(box) @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    low = np.maximum(np.floor(points.min(axis=0)), 0).astype(int)
    return low, np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, shape)


def make_image(block: np.ndarray, affine: np.ndarray, low: np.ndarray) -> Any:
    """Return a block of a volume, whose first voxel is `low`, as a SimpleITK image."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(block.T))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    affine = LPS_TO_RAS @ affine
    image.SetSpacing(spacing.tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin((affine[:3, :3] @ low + affine[:3, 3]).tolist())
    return image


def shrink(image: Any) -> Any:
    """Return an image of at most MOST_VOXELS, averaged over neighbouring voxels where it has more."""
    import SimpleITK

    factors = np.ones(3, dtype=int)
    while np.prod(np.array(image.GetSize()) // factors) > MOST_VOXELS:
        factors[np.argmin(np.array(image.GetSpacing()) * factors)] += 1
    return SimpleITK.BinShrink(image, factors.tolist()) if factors.max() > 1 else image


def place(image: Any, matrix: np.ndarray) -> Any:
    """Return an image moved by a rigid `matrix` (mm, R, A, S), in its header."""
    import SimpleITK

    move, moved = LPS_TO_RAS @ matrix @ LPS_TO_RAS, SimpleITK.Image(image)
    moved.SetDirection((move[:3, :3] @ np.reshape(image.GetDirection(), (3, 3))).ravel().tolist())
    moved.SetOrigin((move[:3, :3] @ image.GetOrigin() + move[:3, 3]).tolist())
    return moved


def search(still: Any, moved: Any, kind: str) -> Any:
    """Return the SimpleITK transform (positions in `still` -> in `moved`) that elastix finds.

    Args:
        still, moved: SimpleITK images.
        kind: rigid, affine or bspline, a default parameter map of elastix.

    Raises:
        ValueError: the search lost the image.
    """
    import SimpleITK

    parameters, methods = start_elastix()
    chosen = parameters.elastixParameterObject.New()
    defaults = dict(chosen.GetDefaultParameterMap(kind, 3)) | {"WriteResultImage": ["false"]}
    own = {}
    if kind == "bspline":
        apart = max(CONTROL_MM, max(np.multiply(still.GetSize(), still.GetSpacing())) / MOST_CONTROLS)
        own = BSPLINE | {"FinalGridSpacingInPhysicalUnits": f"{apart:.6f}"}
    chosen.AddParameterMap(defaults | {name: text.split() for name, text in own.items()})
    method = methods.itkElastixRegistrationMethodIF3IF3.New()
    method.SetFixedImage(_of_itk(still))
    method.SetMovingImage(_of_itk(moved))
    method.SetParameterObject(chosen)
    method.SetNumberOfThreads(1)
    try:
        method.UpdateLargestPossibleRegion()
    except RuntimeError:  # raised by elastix when all samples have left the image
        raise ValueError("the search lost the phase") from None
    found = method.GetTransformParameterObject().GetParameterMap(0)

    def numbers(name: str) -> list[float]:
        return [float(text) for text in found[name]]

    transform: Any
    if kind == "bspline":
        transform = SimpleITK.BSplineTransform(3, 3)
        rows = np.reshape(numbers("GridDirection"), (3, 3)).T.ravel()  # elastix writes column after column
        grid = [value for name in ("GridSize", "GridOrigin", "GridSpacing") for value in numbers(name)]
        transform.SetFixedParameters([*grid, *rows.tolist()])
    else:
        transform = SimpleITK.Euler3DTransform() if kind == "rigid" else SimpleITK.AffineTransform(3)
        transform.SetCenter(numbers("CenterOfRotationPoint"))
    transform.SetParameters(numbers("TransformParameters"))
    return transform


def _of_itk(image: Any) -> Any:
    import itk
    import SimpleITK

    made = itk.image_from_array(SimpleITK.GetArrayViewFromImage(image))
    made.SetSpacing(image.GetSpacing())
    made.SetOrigin(image.GetOrigin())
    made.SetDirection(np.reshape(image.GetDirection(), (3, 3)))
    return made


def likeness(still: Any, moved: Any, transform: Any | None = None) -> float:
    """Return Mattes' mutual information in nats over all voxels, with `moved` sampled through a transform.

    Reference:
        Mattes et al., PET-CT image registration in the chest using free-form deformations, IEEE Transactions
        on Medical Imaging 22 (2003), equations 3 to 8.
    """
    import SimpleITK

    method = SimpleITK.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetInterpolator(SimpleITK.sitkLinear)
    method.SetInitialTransform(SimpleITK.TranslationTransform(3))
    if transform is not None:
        method.SetMovingInitialTransform(transform)
    return -float(method.MetricEvaluate(still, moved))


def linear(transform: Any) -> np.ndarray:
    """Return a SimpleITK transform with a centre as a matrix in R, A, S."""
    matrix, centre = np.eye(4), np.array(transform.GetCenter())
    matrix[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    # x -> M (x - c) + c + t
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return LPS_TO_RAS @ matrix @ LPS_TO_RAS


def volume_changes(still: Any, warp: Any) -> tuple[float, float]:
    """Return the least and the largest Jacobian determinant of a transform over an image's voxels."""
    import SimpleITK

    grid = (still.GetSize(), still.GetOrigin(), still.GetSpacing(), still.GetDirection())
    field = SimpleITK.TransformToDisplacementField(warp, SimpleITK.sitkVectorFloat64, *grid)
    changes = SimpleITK.GetArrayFromImage(SimpleITK.DisplacementFieldJacobianDeterminant(field))
    inner = changes[1:-1, 1:-1, 1:-1]  # the filter's finite differences are not valid at the faces
    return float(inner.min()), float(inner.max())


def bend(voxels: np.ndarray, affine: np.ndarray, box: np.ndarray, warp: Any, nearest: bool = False) -> np.ndarray:
    """Return a volume whose voxels within a box are taken from where `warp` says, by linear interpolation.

    Args:
        voxels: float32 [X, Y, Z], moved but not bent.
        affine: voxel index -> mm (R, A, S), [4, 4].
        box: corners in mm (R, A, S), [2, 3]; all other voxels stay as they are.
        warp: of SimpleITK, position -> where its value lies.
        nearest: take the nearest voxel, as of a mask.
    """
    import SimpleITK

    low, high = block_within(affine, voxels.shape, box)
    whole = make_image(voxels, affine, np.zeros(3))
    method = SimpleITK.ResampleImageFilter()
    method.SetNumberOfThreads(1)
    method.SetReferenceImage(whole[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))])
    method.SetTransform(warp)
    method.SetInterpolator(SimpleITK.sitkNearestNeighbor if nearest else SimpleITK.sitkLinear)
    method.SetUseNearestNeighborExtrapolator(True)  # no value that the file does not have
    bent = voxels.copy()
    bent[tuple(map(slice, low, high))] = SimpleITK.GetArrayFromImage(method.Execute(whole)).T
    return bent
