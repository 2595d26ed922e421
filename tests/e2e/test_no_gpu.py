"""device 'cuda' where no GPU can be used: said at the start, with what would be right. A machine's
GPUs are hidden for it, and a build without CUDA says another thing."""
import os
import subprocess
import unittest

import harness

HIDDEN = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def built_with_cuda():
    cache = (harness.BUILD / "CMakeCache.txt").read_text()
    return "SLUICE_CUDA:BOOL=ON" in cache


class NoGpu(unittest.TestCase):
    def refused(self, *command):
        ran = subprocess.run([harness.BUILD / "sluice", *command], env=HIDDEN, text=True,
                             capture_output=True, timeout=harness.WAIT_S)
        self.assertEqual(ran.returncode, 1, ran.stderr)
        said = ran.stderr + ran.stdout
        self.assertIn("device 'cuda' asked for", said)
        if built_with_cuda():
            for word in ("no GPU can be used", "nvidia-smi", "driver for CUDA",
                         "CUDA_VISIBLE_DEVICES", "'cpu'"):
                self.assertIn(word, said)
        else:
            self.assertIn("this program was built without CUDA; use 'cpu'", said)
        self.assertNotIn("cudaError", said)  # words, not the library's names
        self.assertNotIn(".cc:", said)  # nor a place in the source
        self.assertNotIn(".cu:", said)

    def test_a_bench_that_measures_first_says_so(self):
        self.refused("bench", "engine", "--device", "cuda", "--shape", "r1-distill-qwen-1.5b")

    @unittest.skipUnless(harness.model_file(), "no starter model")
    def test_generate_says_so(self):
        self.refused("generate", "--device", "cuda", "--model", harness.model_file(),
                     "--prompt", "hi")

    @unittest.skipUnless(harness.model_file(), "no starter model")
    def test_a_gateway_says_so_at_its_start(self):
        def on_gpu(text):
            return text.replace("engine:\n", "engine:\n  device: cuda\n")

        with harness.Stack(engine=True) as stack:
            config = stack.folder / "gpu.yaml"
            config.write_text(on_gpu(stack.config_text))
            self.refused("serve", "--config", config, "--listen", "127.0.0.1:0")


if __name__ == "__main__":
    harness.main()
