# SPDX-License-Identifier: Apache-2.0
"""Trains by two processes on made-up data, in the form of the model zoo's `ci/unit_tests`."""

import os
import shutil
import subprocess
import tempfile
import unittest

import torch
from test_multiphase_fusion_classification import BUNDLE_ROOT, SPLITS, make_dataset


class TestMultiphaseFusionClassificationMGPU(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        make_dataset(self.folder)

    def tearDown(self):
        shutil.rmtree(self.folder)

    def test_train_mgpu_config(self):
        output = os.path.join(self.folder, "trained")
        files = "['configs/train.yaml','configs/multi_gpu_train.yaml']"
        processes = max(2, torch.cuda.device_count())
        command = ["torchrun", "--standalone", f"--nproc_per_node={processes}", "-m", "monai.bundle", "run", "training"]
        command += ["--config_file", files, "--dataset_dir", self.folder, "--output_dir", output, "--max_epochs", "1"]
        subprocess.run(command, cwd=BUNDLE_ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        with open(os.path.join(output, "predictions.csv")) as stream:
            self.assertEqual(len(stream.read().splitlines()) - 1, SPLITS["test"])


if __name__ == "__main__":
    unittest.main()
