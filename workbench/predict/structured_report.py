# SPDX-License-Identifier: Apache-2.0
"""A prediction as a DICOM Structured Report, which a PACS stores beside its images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.files.atomic import write_atomically
from workbench.prepare.dicom.headers import read_in_unicode
from workbench.prepare.dicom.stacks import Stack

try:
    import highdicom
    from highdicom import sr as template
    from pydicom.sr.codedict import codes
except ImportError:
    raise ValueError(
        "a DICOM report needs the package highdicom, found none; pip install -r requirements-dicom.txt"
    ) from None

SCHEME = "99MPFC"
"""Private coding scheme for what has no public code: the classes and phases of a model."""
REQUIRED = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber"),
    *("StudyID", "ReferringPhysicianName"),
)
YES = template.CodedConcept("373066001", "SCT", "Yes")
NO = template.CodedConcept("373067005", "SCT", "No")
SERIES_NUMBER = 9901
MANUFACTURER = "multiphase_fusion_classification"


def write_report(
    prediction: Mapping[str, Any], series: Mapping[str, Stack], target: Path, character_set: str = ""
) -> Path:
    """Write a Comprehensive SR with template TID 1500, Measurement Report.

    It holds the predicted class and the probability of each class; with two classes, the positive one, its
    threshold, and whether the case reaches it; prediction sets, where there are any; the clinical values; the
    contribution of each phase to the probability of the predicted class; the name and version of the model; and
    references to every image used.
    Patient and study are those of the images; all texts are UTF-8 (ISO_IR 192), whatever the images'
    character set.

    Args:
        prediction: as `predict_case` returns it.
        series: the DICOM images of each phase.
        target: the file.
        character_set: of texts in images whose header names none or a wrong one; "" is Western European.

    """
    evidence = evidence_of(series.values(), character_set, say=True)
    report = template.ComprehensiveSR(
        evidence=evidence,
        content=_content(prediction, evidence),
        series_instance_uid=highdicom.UID(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        series_description="AI classification, research only",
        is_complete=True,
        is_final=False,
        is_verified=False,
        specific_character_set="ISO_IR 192",  # UTF-8, as the texts of `evidence` now are
    )
    return write_atomically(target, lambda path: report.save_as(path, enforce_file_format=True))


def evidence_of(stacks: Iterable[Stack], character_set: str, say: bool = False) -> list[Any]:
    """Return the headers of the images of some volumes, with texts in UTF-8 and what every image must have.

    Elements that an anonymised image may lack are empty; `say` prints what breaks the standard and was left out.
    """
    files = dict.fromkeys(image.file for stack in stacks for image in stack.slices)
    read = [read_in_unicode(file, character_set) for file in files]
    if say:
        print("".join(f"note: {removed}\n" for removed in sorted({one for _, found in read for one in found})), end="")
    images = [image for image, _ in read]
    for image in images:
        for name in REQUIRED:
            if name not in image:
                setattr(image, name, "")
    return images


def _content(prediction: Mapping[str, Any], evidence: Sequence[Any]) -> Any:
    """Return the tree of the report."""
    model = prediction["model"]
    algorithm = template.AlgorithmIdentification(
        name=short_text(model["name"]), version=str(model["version"]), family=codes.DCM.ArtificialIntelligence
    )
    predicted = prediction["class"]
    probabilities = [
        template.Measurement(
            name=coded(f"Probability of {name}"), value=_number(value), unit=codes.UCUM.NoUnits,
            algorithm_id=algorithm,
        )
        for name, value in prediction["probabilities"].items()
    ]  # fmt: skip
    contributions = [
        template.Measurement(
            name=coded(f"Contribution of {phase}"), value=_number(by_class[predicted]),
            unit=codes.UCUM.NoUnits, algorithm_id=algorithm,
        )
        for phase, by_class in prediction["contributions"].items()
    ]  # fmt: skip
    judged = [template.QualitativeEvaluation(name=coded("Predicted class"), value=coded(predicted))]
    measured = [*probabilities, *contributions]
    if "positive_class" in prediction:
        named = prediction["positive_class"]
        threshold = template.Measurement(
            name=coded(f"Threshold on the probability of {named}"), value=_number(prediction["threshold"]),
            unit=codes.UCUM.NoUnits, algorithm_id=algorithm,
        )  # fmt: skip
        measured.append(threshold)
        judged += [
            template.QualitativeEvaluation(name=coded("Positive class"), value=coded(named)),
            template.QualitativeEvaluation(
                name=coded(f"Positive for {named}"), value=YES if prediction["positive"] else NO
            ),
        ]
    group = template.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=template.TrackingIdentifier(uid=highdicom.UID(), identifier="classification"),
        source_images=None,
        algorithm_id=algorithm,
        measurements=measured,
        qualitative_evaluations=[*judged, *_sets(prediction), *_clinical(prediction)],
    )
    device = template.DeviceObserverIdentifyingAttributes(uid=highdicom.UID(), name=short_text(model["name"]))
    observer = template.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    return template.MeasurementReport(
        observation_context=template.ObservationContext(observer_device_context=observer),
        procedure_reported=template.CodedConcept("18748-4", "LN", "Diagnostic imaging study"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
        referenced_images=evidence,
    )


def _sets(prediction: Mapping[str, Any]) -> list[Any]:
    """Return the prediction sets: an item per level and class in it, whether it is decided, and what they are from."""
    found = prediction.get("prediction_sets")
    if not found:
        return []
    told = [("Prediction sets from", part) for part in str(found["from"]).split("; ")]
    for at in found["levels"]:
        told += [(f"In the prediction set at {at['level']:.0%}", name) for name in at["set"] or ["none"]]
        told.append((f"Decision at {at['level']:.0%}", at["decision"]))
    return [template.QualitativeEvaluation(name=coded(name), value=coded(value)) for name, value in told]


def _clinical(prediction: Mapping[str, Any]) -> list[Any]:
    """Return the clinical values that the model read, and those it lacked."""
    values = {name: f"{value}" for name, value in prediction.get("clinical", {}).items()}
    values |= dict.fromkeys(prediction.get("clinical_missing", []), "not given")
    return [
        template.QualitativeEvaluation(name=coded(f"Clinical value {name}"), value=coded(value))
        for name, value in values.items()
    ]


def coded(meaning: str) -> Any:
    """Return a concept of the private scheme; its code value, at most 16 characters, is a hash of its meaning.

    >>> coded("Predicted class").value
    'C4D5A21A966BD3'
    """
    value = "C" + hashlib.sha256(meaning.encode()).hexdigest()[:13].upper()
    return template.CodedConcept(value, SCHEME, short_text(meaning))


def short_text(name: str) -> str:
    r"""Return a name that fits a DICOM long string: at most 64 characters, no backslash, no line break.

    >>> short_text("low\\high\n")
    'low/high'
    """
    return " ".join(name.replace("\\", "/").split())[:64]


def _number(value: float) -> float:
    """Return a value rounded to fit the 16 characters of a DICOM decimal string."""
    return float(f"{value:.6f}")
