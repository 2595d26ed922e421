#!/usr/bin/env python3
"""`sluice tokenize`: text to ids and back, on a vocabulary of bytes and pairs of bytes."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

BUILD = pathlib.Path(sys.argv.pop(1)) if len(sys.argv) > 1 else pathlib.Path("build")
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "engine"))
from make_tokenizer_golden import pair_vocabulary  # noqa: E402


class Tokenize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.file = tempfile.NamedTemporaryFile(suffix=".gguf")
        cls.file.write(pair_vocabulary("qwen2"))
        cls.file.flush()

    @classmethod
    def tearDownClass(cls):
        cls.file.close()

    def sluice(self, text, *options, model=None):
        command = [BUILD / "sluice", "tokenize", "--model", model or self.file.name, *options]
        return subprocess.run(command, input=text, capture_output=True, timeout=600)

    def test_text_becomes_ids_and_ids_become_the_text(self):
        for text in (b"", b"Hello, world!\n", "é 你好\r\n\U0001f600".encode(), bytes(range(256))):
            ids = self.sluice(text)
            self.assertEqual((ids.returncode, ids.stderr), (0, b""))
            self.assertTrue(all(0 <= int(i) < 256 + 65536 for i in ids.stdout.split()))
            self.assertEqual(self.sluice(ids.stdout, "--detokenize").stdout, text)

    def test_json_is_one_object_and_goes_both_ways(self):
        ids = self.sluice("héllo".encode(), "--json")
        self.assertEqual(ids.stdout.count(b"\n"), 1)
        answer = json.loads(ids.stdout)
        self.assertEqual(answer["count"], len(answer["tokens"]))
        text = self.sluice(ids.stdout, "--detokenize", "--json")
        self.assertEqual(json.loads(text.stdout), {"text": "héllo"})

    def test_what_is_no_id_is_named_by_its_byte(self):
        for ids, byte in ((b"1 x", 2), (b"1 65792", 2), (b"-1", 0), (b"99999999999", 0)):
            refused = self.sluice(ids, "--detokenize")
            self.assertEqual((refused.returncode, refused.stdout), (1, b""))
            self.assertIn(b"byte %d of stdin: expected a token id from 0 to 65791" % byte,
                          refused.stderr)

    def test_a_model_that_cannot_be_read_is_named(self):
        refused = self.sluice(b"a", model="/nonexistent.gguf")
        self.assertEqual(refused.returncode, 1)
        self.assertIn(b"/nonexistent.gguf: cannot open", refused.stderr)

    def test_without_a_model_the_usage_is_wrong(self):
        command = [BUILD / "sluice", "tokenize"]
        self.assertEqual(subprocess.run(command, input=b"", capture_output=True).returncode, 2)


if __name__ == "__main__":
    unittest.main()
