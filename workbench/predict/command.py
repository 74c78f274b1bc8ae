# SPDX-License-Identifier: Apache-2.0
"""The command `python -m workbench.predict`: its arguments, its temporary folder and what it prints."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow
from scripts import BUNDLE
from scripts.cases.clinical import check_columns
from scripts.cases.document import name_list
from scripts.cases.new_table import categories_for, numbers_for
from scripts.engines.metadata import outlined_structures
from scripts.files import errors
from scripts.files.atomic import check_writable
from scripts.files.run_folder import record_of, refuse_bundle, run_in, typed_folder
from scripts.files.yaml_files import read_yaml
from workbench.predict.outlines import phases_of_outlines, show_outlines
from workbench.predict.study import read_images, write_case
from workbench.verify.folder import require_verified

PREFIX = "predict-"


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder; those that killed runs of this user left behind are removed, too."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError, ValueError):  # in use, or not ours
            if left.lstat().st_uid == os.getuid() and not left.is_symlink() and "process" in record_of(left):
                with run_in(left, "predicting"):
                    shutil.rmtree(left)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, run_in(folder, "predicting"):
        yield Path(folder)


CONFIGS = BUNDLE / "configs"


def clinical_values(texts: Sequence[str], columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the values of ``column=value`` texts, read as in a table: ``NA`` is missing, ``61,5`` a number.

    >>> clinical_values(["age=61", "sex=F"], [{"name": "age", "kind": "number"}])
    {'age': 61.0, 'sex': 'F'}

    Raises:
        ValueError: a text without '=', no number where one must be, another unit, or an unknown category.
    """
    declared = {column["name"]: column for column in columns}
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--clinical must be column=value, e.g. age=61 sex=F, found {text!r}; correct it")
        column = declared.get(name)
        if column is None:  # the reader of the case names the nearest
            found[name] = value
            continue
        try:
            number = column["kind"] == "number"
            read = (
                numbers_for(column, name, [value], ["given"], custom=",")
                if number
                else categories_for(column, [value], ["given"])
            )
        except ValueError as error:
            why = str(error).replace(" (case given)", "")
            raise ValueError(f"--clinical must be column=value, e.g. age=61 sex=F, found {text!r}: {why}") from None
        found |= {name: read.values[0]} if read.values[0] is not None else {}
    return found


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    given = argparse.ArgumentParser(prog="python -m workbench.predict", description=__doc__.split("\n")[0])
    given.add_argument("--run", type=Path, required=True, help="results folder of the model; . is the shipped one")
    given.add_argument("--input", type=Path, required=True, help="folder of DICOM files, or of <phase>.nii.gz")
    given.add_argument("--output", type=typed_folder, required=True, help="receives prediction.json and prediction.dcm")
    given.add_argument("--rules", type=Path, help="DICOM: which series is which phase, as for `preparing`")
    given.add_argument("--study", help="DICOM of several studies: StudyInstanceUID")
    given.add_argument("--clinical", nargs="+", default=[], metavar="COLUMN=VALUE", help="e.g. age=61 sex=F")
    given.add_argument(
        "--keep_name", action="store_true", help="call the case as the input folder is, not by a pseudonym"
    )
    given.add_argument("--roi", type=Path, help="mask of the region of interest, where the model looks")
    given.add_argument(
        "--point", nargs="+", type=float, metavar="MM", help="where the model looks: X Y Z [SIDE], mm along R, A and S"
    )
    given.add_argument("--trust", action="store_true", help="use a model that verifying refuses")
    return given


def run_configuration(model: Path, settings: dict[str, Any]) -> None:
    """Run the configuration of a model with what predicts one case.

    Raises:
        ValueError: a mistake in it that no check of a key finds, as a step that is missing, with MONAI's words.
    """
    files = [str(model), str(CONFIGS / "predict.yaml")]
    try:
        workflow = ConfigWorkflow(files, workflow_type="infer", logging_file=False, run_id="predicting", **settings)
        workflow.initialize()
        workflow.run()
    except Exception as error:
        root = errors.root_cause(error)
        cause = error if isinstance(error, KeyError) else root  # MONAI's, of a macro that names nothing
        if isinstance(cause, ValueError | OSError) or os.environ.get(errors.TRACEBACK_VARIABLE):
            raise
        raise ValueError(
            f"{model} must be a configuration that runs, found {type(cause).__name__}: {cause}; take the file that "
            f"the training wrote, or set {errors.TRACEBACK_VARIABLE}=1 to see where"
        ) from None


def main(arguments: Sequence[str] | None = None) -> None:
    errors.install()
    given = parser().parse_args(arguments)
    logging.getLogger("monai").setLevel(logging.ERROR)  # its messages on running a bundle would only confuse here
    refuse_bundle(given.output)
    run, output = given.run.resolve(), check_writable(given.output).resolve()
    model = run / "configs" / "inference.yaml"
    if not model.is_file():
        raise FileNotFoundError(f"--run must be the results folder of a training, found no {model}; correct it")
    require_verified(given.run, given.trust)
    config = read_yaml(model)
    structures = outlined_structures(config)
    needed = ("phases", "classes") if structures is None else ("phases", "structures")
    phases, _ = (name_list(config.get(key), f"`{key}` of {model}") for key in needed)
    if structures is not None:
        refuse_unread(given)
    clinical = clinical_values(given.clinical, check_columns(config.get("clinical"), str(model)))
    with scratch_folder() as scratch, run_in(output, "predicting"):
        images = read_images(given.input, phases, given.rules, given.study, scratch, given.keep_name)
        if given.roi is not None or structures is not None:
            images = images.with_roi(given.roi)
        settings: dict[str, Any] = {
            "bundle_root": str(run),
            "dataset_dir": str(write_case(images, clinical, config, scratch)),
            "output_file": str(output / "prediction.json"),
            "positive": config.get("positive"),
            "point": " ".join(f"{value:g}" for value in given.point or ()),
        }
        if structures is not None:  # what `inferring` does
            steps = ["$@evaluator.run()", "$scripts.cases.name_bad(@dataloader, @output_dir)"]
            run_configuration(model, settings | {"output_dir": str(output), "run": steps})
            found = phases_of_outlines(output, images, phases, config["reference_phase"])
            show_outlines(found, images, structures, run)
            from workbench.predict.prediction import USE

            print(USE)
            return
        run_configuration(model, settings)
        prediction = json.loads((output / "prediction.json").read_text(encoding="utf-8"))
        if images.series:
            from workbench.predict.structured_report import write_report  # only here is highdicom needed

            write_report(prediction, images.series, output / "prediction.dcm", images.character_set)
        outline = prediction.get("outline", {})  # of a classifier that a second network tells where to look
        if outline.get("file"):
            show_outlines({output / outline["file"]: outline["phase"]}, images, config["structures"], run)
        elif outline:
            print("nothing was outlined: the model looked at the whole volume")
        show(prediction, output, bool(images.series))


def refuse_unread(given: argparse.Namespace) -> None:
    """Refuse what says where a classifier looks, or what it knows, of a model that outlines images alone."""
    for name in ("roi", "point", "clinical"):
        if getattr(given, name):
            raise ValueError(f"--{name} is read by models that classify, found one that outlines; leave it out")


def show(prediction: dict[str, Any], output: Path, report: bool) -> None:
    """Print the prediction in a few lines."""
    probability = ", ".join(f"{name} {value:.1%}" for name, value in prediction["probabilities"].items())
    print(f"\n{prediction['case']}: {prediction['class']} ({probability})")
    if "positive" in prediction:
        named, threshold = prediction["positive_class"], prediction["threshold"]
        reached = "positive" if prediction["positive"] else "negative"
        print(f"  {reached} for {named}, called so from a probability of {threshold:.1%}")
    if sets := prediction.get("prediction_sets"):
        listed = (f"{at['level']:.0%} {', '.join(at['set']) or 'none'} ({at['decision']})" for at in sets["levels"])
        print(f"  prediction sets: {'; '.join(listed)}; from {sets['from']}")
    steps = [f"{name} {100 * by[prediction['class']]:+.1f}" for name, by in prediction["contributions"].items()]
    steps += [f"{phase} missing" for phase in prediction["missing"]]
    start = prediction["start"][prediction["class"]]
    print(f"  from {start:.1%} without any phase, in points: {', '.join(steps)}")
    if prediction["clinical"] or prediction["clinical_missing"]:
        given = ", ".join(f"{name} {value}" for name, value in prediction["clinical"].items())
        lacking = ", ".join(prediction["clinical_missing"])
        print(f"  clinical values: {given or 'none'}" + (f"; not given: {lacking}" if lacking else ""))
    if prediction["clinical_cut_off"]:
        far = ", ".join(prediction["clinical_cut_off"])
        print(f"warning: far from all training values, and cut off: {far}; check unit and decimal mark")
    print(f"written: {output / 'prediction.json'}" + (f" and {output / 'prediction.dcm'}" if report else ""))
    print(prediction["intended_use"])


if __name__ == "__main__":
    main()
