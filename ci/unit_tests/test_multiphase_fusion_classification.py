# SPDX-License-Identifier: Apache-2.0
"""Runs every configuration of the bundle on made-up data, in the form of the model zoo's `ci/unit_tests`.

The file works as it is in the zoo, where the bundle lies in ``models/multiphase_fusion_classification``, and
in the bundle's own repository:

    python -m unittest ci/unit_tests/test_multiphase_fusion_classification.py
"""

import json
import os
import shutil
import sys
import tempfile
import unittest

import nibabel
import numpy as np
from monai.bundle import ConfigWorkflow

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IN_ZOO = os.path.join(ROOT, "models", "multiphase_fusion_classification")
BUNDLE_ROOT = IN_ZOO if os.path.isdir(IN_ZOO) else ROOT
PHASES, CLASSES = ["pre", "arterial", "portal"], ["low", "high"]
SPLITS = {"training": 4, "validation": 4, "test": 4}
SUFFIXES = [".yaml", ".json"]  # the zoo's tools read either


def make_dataset(folder):
    """Write a dataset.json with noise for images, and for each case a mask of its lesion."""
    generator = np.random.default_rng(0)
    dataset = {"name": "made_up", "phases": PHASES, "classes": CLASSES}
    for split, count in SPLITS.items():
        dataset[split] = [make_case(folder, f"{split}_{number}", generator) for number in range(count)]
        for number, case in enumerate(dataset[split]):
            case["label"] = CLASSES[number % 2]
    with open(os.path.join(folder, "dataset.json"), "w") as stream:
        json.dump(dataset, stream)


def make_case(folder, name, generator):
    """Write the phases of one case, and a mask of its lesion."""
    files = {}
    for part in (*PHASES, "roi"):
        volume = generator.uniform(-100, 300, (40, 40, 20)).astype(np.int16)
        if part == "roi":
            volume = np.zeros((40, 40, 20), np.uint8)
            volume[15:25, 15:25, 8:12] = 1
        files[part] = f"{name}_{part}.nii.gz"
        affine = np.diag([2.0, 2.0, 3.0, 1.0])
        nibabel.save(nibabel.Nifti1Image(volume, affine), os.path.join(folder, files[part]))
    return {"case": name, "patient": name, "roi": files.pop("roi"), "image": files}


class TestMultiphaseFusionClassification(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sys.path.insert(0, BUNDLE_ROOT)

    @classmethod
    def tearDownClass(cls):
        sys.path.remove(BUNDLE_ROOT)

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        make_dataset(self.folder)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def run_workflow(self, workflow_type, files, output, **override):
        """Initialize, check the properties, run, finalize; return the folder of the results."""
        configs = os.path.join(BUNDLE_ROOT, "configs")
        output_dir = os.path.join(self.folder, output)
        workflow = ConfigWorkflow(
            workflow_type=workflow_type,
            config_file=[os.path.join(configs, file) for file in files],
            logging_file=os.path.join(configs, "logging.conf"),
            meta_file=os.path.join(configs, "metadata.json"),
            bundle_root=BUNDLE_ROOT,
            dataset_dir=self.folder,
            output_dir=output_dir,
            **override,
        )
        workflow.initialize()
        self.assertEqual(workflow.check_properties(), [])
        workflow.run()
        workflow.finalize()
        return output_dir

    def count_predictions(self, folder):
        with open(os.path.join(folder, "predictions.csv")) as stream:
            return len(stream.read().splitlines()) - 1

    def test_train_config(self):
        output = self.run_workflow("train", ["train.json"], "trained", **{"train#trainer#max_epochs": 1})
        self.assertTrue(os.path.isfile(os.path.join(output, "models", "model.pt")))
        self.assertEqual(self.count_predictions(output), SPLITS["test"])

    def test_evaluate_config(self):
        for suffix in SUFFIXES:
            with self.subTest(suffix=suffix):
                output = self.run_workflow("train", [f"train{suffix}", "evaluate.yaml"], f"tested{suffix}")
                self.assertEqual(self.count_predictions(output), SPLITS["test"])

    def test_infer_config(self):
        for suffix in SUFFIXES:
            with self.subTest(suffix=suffix):
                output = self.run_workflow("infer", [f"inference{suffix}"], f"inferred{suffix}")
                self.assertEqual(self.count_predictions(output), sum(SPLITS.values()))


if __name__ == "__main__":
    unittest.main()
