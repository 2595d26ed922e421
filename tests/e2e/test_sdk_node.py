"""The npm openai package, unmodified, against a running gateway: runs sdk.mjs."""
import os
import shutil
import subprocess
import unittest

import harness

PACKAGES = harness.ROOT / "build/node/node_modules"
if not (PACKAGES / "openai").is_dir() or not shutil.which("node"):
    harness.skip("node or the npm package openai is not installed")


class NodeSdk(unittest.TestCase):
    def test_every_case_of_the_script_passes_and_its_abort_frees_the_upstream(self):
        with harness.Stack() as stack:
            ran = subprocess.run(
                ["node", harness.ROOT / "tests/e2e/sdk.mjs", stack.url, harness.KEY,
                 harness.OTHER_KEY],
                env={**os.environ, "NODE_PATH": str(PACKAGES)}, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=4 * harness.WAIT_S)
            self.assertEqual(ran.returncode, 0, ran.stdout)
            self.assertIn("# fail 0", ran.stdout)
            stack.sim.wait(aborted=1, open=0)


if __name__ == "__main__":
    harness.main()
