#!/usr/bin/env python3
"""What deploy/quickstart configures, by the GPU that is there: cmake, nvidia-smi and what fetches
packages and models are stand-ins here."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CMAKE = """#!/bin/bash
echo "$*" >> said
[[ "$1" == -S ]] || exit 0
mkdir -p build && touch build/build.ninja
cuda=OFF; [[ "$*" != *native* || -n "$NO_TOOLKIT" ]] || cuda=ON
echo "SLUICE_CUDA:BOOL=$cuda" > build/CMakeCache.txt
"""
NVIDIA_SMI = """#!/bin/bash
[[ -n "$CAPABILITY" ]] || exit 9
[[ "$1" == -L ]] || echo "$CAPABILITY"
"""


class Quickstart(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="sluice-quickstart-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name, text in (("bin/cmake", CMAKE), ("bin/nvidia-smi", NVIDIA_SMI),
                           ("deploy/install-packages", "#!/bin/sh\n"),
                           ("deploy/get-model", "#!/bin/sh\n"),
                           ("deploy/quickstart", (ROOT / "deploy/quickstart").read_text())):
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def run_with(self, capability="", no_toolkit=""):
        """What cmake was told to configure, "" where it was not, and what was said to the user."""
        (self.folder / "said").unlink(missing_ok=True)
        ran = subprocess.run(
            ["deploy/quickstart", "--no-start"], cwd=self.folder, capture_output=True, text=True,
            env={"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "CAPABILITY": capability,
                 "NO_TOOLKIT": no_toolkit})
        self.assertEqual(ran.returncode, 0, ran.stderr)
        said = (self.folder / "said").read_text().splitlines()
        self.assertTrue(said[-1].startswith("--build build"), said)
        return said[0] if len(said) > 1 else "", ran.stderr

    def test_kernels_are_built_only_where_a_gpu_is_seen(self):
        self.assertIn("-DSLUICE_CUDA=OFF", self.run_with()[0])
        self.assertEqual(self.run_with(), ("", ""))  # a second run configures nothing

    def test_a_gpu_that_has_come_since_is_used(self):
        self.run_with()
        self.assertIn("-USLUICE_CUDA -DCMAKE_CUDA_ARCHITECTURES=native", self.run_with("9.0")[0])
        self.assertEqual(self.run_with("9.0"), ("", ""))
        self.assertEqual(self.run_with(), ("", ""))  # gone again: what is built runs without, too

    def test_newer_gpus_count(self):
        self.assertIn("native", self.run_with("12.0")[0])

    def test_a_gpu_that_cannot_be_used_is_told(self):
        for capability, no_toolkit, why in (("7.5", "", "needs 8.0 or later"),
                                            ("[N/A]", "", "does not say"),
                                            ("9.0", "yes", "no CUDA toolkit")):
            shutil.rmtree(self.folder / "build", ignore_errors=True)
            with self.subTest(capability):
                self.assertIn(why, self.run_with(capability, no_toolkit)[1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])  # the build's folder is for other tests
