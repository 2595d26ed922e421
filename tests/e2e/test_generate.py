"""sluice generate as a user meets it. Needs the starter model ($SLUICE_MODEL or models/) for all
but the errors."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

BUILD = sys.argv.pop(1) if len(sys.argv) > 1 else "build"
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODEL = os.environ.get("SLUICE_MODEL") or os.path.join(
    SOURCE, "models", "smollm2-135m-instruct-q4_1.gguf")


def generate(*arguments):
    return subprocess.run([os.path.join(BUILD, "sluice"), "generate", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=600)


class Errors(unittest.TestCase):
    def test_wrong_usage_is_2(self):
        self.assertEqual(generate("--model", "x.gguf").returncode, 2)
        wrong = generate("--model", "x.gguf", "--prompt", "Hi", "--device", "tpu")
        self.assertEqual(wrong.returncode, 2)
        wrong = generate("--model", "x.gguf", "--prompt", "Hi", "--max-tokens", "0")
        self.assertEqual(wrong.returncode, 2)

    def test_a_file_that_is_no_model_is_1_and_named(self):
        missing = generate("--model", "/no/such/file.gguf", "--prompt", "Hi")
        self.assertEqual(missing.returncode, 1)
        self.assertIn("/no/such/file.gguf", missing.stderr)
        wrong = generate("--model", os.path.abspath(__file__), "--prompt", "Hi")
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("test_generate.py", wrong.stderr)
        self.assertEqual(wrong.stdout, "")


@unittest.skipUnless(os.path.exists(MODEL), f"no model at {MODEL}")
class Answers(unittest.TestCase):
    def ask(self, *arguments):
        answer = generate("--model", MODEL, "--max-tokens", "24", *arguments)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        return answer

    def test_the_text_streamed_is_the_text_in_json(self):
        prompt = ["--prompt", "What is the capital of France?"]
        text = self.ask(*prompt).stdout
        self.assertIn("Paris", text)
        whole = json.loads(self.ask(*prompt, "--json").stdout)
        self.assertEqual(text, whole["text"] + "\n")
        self.assertEqual(sorted(whole), ["decode_tok_s", "first_token_seconds", "open_seconds",
                                         "prefill_tok_s", "prompt_tokens", "text",
                                         "tokens"])

    def test_raw_takes_the_prompt_as_it_is(self):
        prompt = ["--prompt", "The capital of France is", "--json"]
        raw = json.loads(self.ask(*prompt, "--raw").stdout)
        self.assertEqual(raw["prompt_tokens"], 5)
        self.assertTrue(raw["text"].startswith(" Paris"))
        self.assertGreater(json.loads(self.ask(*prompt).stdout)["prompt_tokens"], 20)

    def test_a_seed_fixes_a_hot_answer(self):
        def tokens(seed):
            answer = self.ask("--prompt", "Tell me a story.", "--json", "--temperature", "1",
                              "--seed", seed)
            return json.loads(answer.stdout)["tokens"]

        self.assertEqual(tokens("7"), tokens("7"))
        self.assertNotEqual(tokens("7"), tokens("8"))

    def test_memory_stays_under_1_3_times_the_file(self):
        program = os.path.join(BUILD, "sluice")
        # Not read here: what this process ever held counts as the child's, up to its exec.
        if subprocess.run(["grep", "-qE", "__[at]san_init", program]).returncode == 0:
            self.skipTest("a sanitizer takes memory of its own")
        prompt = "The quick brown fox jumps over the lazy dog. " * 22
        with tempfile.NamedTemporaryFile() as model:
            # Of a file that has lain in the page cache for long the kernel maps more than is read.
            with open(MODEL, "rb") as kept:
                while piece := kept.read(1 << 16):
                    model.write(piece)
            model.flush()
            child = subprocess.Popen([program, "generate", "--model", model.name, "--prompt", prompt,
                                      "--max-tokens", "48"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.PIPE, text=True)
            errors = child.stderr.read()
            child.stderr.close()
            _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(child.returncode, 0, errors)
        self.assertIn("251 prompt tokens", errors)
        self.assertLess(usage.ru_maxrss * 1024, 1.3 * os.path.getsize(MODEL))

    def test_an_empty_raw_prompt_is_refused(self):
        empty = generate("--model", MODEL, "--raw", "--prompt", "")
        self.assertEqual(empty.returncode, 1)
        self.assertIn("no tokens", empty.stderr)


if __name__ == "__main__":
    unittest.main()
