"""What a caller can get wrong, each with its status, type, code and words."""
import json
import pathlib
import socket
import subprocess
import tempfile
import unittest

import harness

MESSAGES = [{"role": "user", "content": "hi"}]


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(harness.Stack(
            edit=lambda text: text.replace("    model: sim-reasoner\n",
                                           "    model: sim-reasoner\n    context_tokens: 4000\n")))

    def refused(self, answer, status, kind, words, code=None, param=None):
        self.assertEqual(answer.status, status, answer.body)
        error = answer.json()["error"]
        self.assertEqual(error["type"], kind)
        self.assertIn(words, error["message"])
        self.assertEqual(error["code"], code)
        self.assertEqual(error["param"], param)
        self.assertIn("x-request-id", answer.headers)
        self.assertEqual(self.stack.sim.stats()["requests"], self.calls)

    def setUp(self):
        self.calls = self.stack.sim.stats()["requests"]

    def post(self, **fields):
        return self.stack.post(json.dumps({"model": "open", "messages": MESSAGES, **fields}))

    def test_no_key_and_an_unknown_key_are_401(self):
        for key in (None, "sk-unknown"):
            self.refused(self.stack.chat(key=key), 401, "authentication_error", "key",
                         code="invalid_api_key")

    def test_malformed_json_is_400_with_its_position(self):
        answer = self.stack.post('{"model":"open",\n "messages":[}')
        self.refused(answer, 400, "invalid_request_error", "line 2")

    def test_a_wrong_type_is_400_naming_the_field(self):
        for fields, param in (({"temperature": "hot"}, "temperature"),
                              ({"max_tokens": []}, "max_tokens"),
                              ({"stream": "yes"}, "stream"),
                              ({"messages": "hi"}, "messages"),
                              ({"messages": [{"role": "user", "content": 7}]},
                               "messages[0].content"),
                              ({"messages": [{"role": "narrator", "content": "x"}]},
                               "messages[0].role"),
                              ({"model": 7}, "model")):
            with self.subTest(param=param):
                self.refused(self.post(**fields), 400, "invalid_request_error", param, param=param)

    def test_a_missing_field_is_400_naming_it(self):
        for body, param in (({"messages": MESSAGES}, "model"), ({"model": "open"}, "messages")):
            with self.subTest(param=param):
                self.refused(self.stack.post(json.dumps(body)), 400, "invalid_request_error",
                             param, param=param)

    def test_an_unknown_model_is_404(self):
        self.refused(self.post(model="gpt-none"), 404, "invalid_request_error", "gpt-none",
                     code="model_not_found", param="model")

    def test_a_body_over_the_limit_is_413(self):
        answer = self.post(messages=[{"role": "user", "content": "x" * 1_000_001}])
        self.refused(answer, 413, "invalid_request_error", "1000000", code="request_too_large")

    def test_an_unsupported_parameter_is_400_and_a_harmless_one_is_taken(self):
        answer = self.post(n=3)
        self.refused(answer, 400, "invalid_request_error", "n", code="unsupported_parameter",
                     param="n")
        self.assertEqual(self.post(n=1, user="me", metadata={"a": "b"}, store=False).status, 200)

    def test_a_prompt_beyond_every_context_is_400(self):
        content = "word " * 20_000
        for model in ("open-sim",):
            answer = self.post(model=model, messages=[{"role": "user", "content": content}])
            self.refused(answer, 400, "invalid_request_error", "4000",
                         code="context_length_exceeded", param="messages")

    def test_an_unknown_path_is_404_and_a_wrong_method_405(self):
        self.refused(self.stack.get("/v1/nothing"), 404, "invalid_request_error", "/v1/nothing",
                     code="not_found")
        answer = self.stack.get("/v1/chat/completions")
        self.refused(answer, 405, "invalid_request_error", "POST", code="method_not_allowed")
        self.assertEqual(answer.headers["allow"], "POST")

    def test_a_whole_answer_past_its_deadline_is_504(self):
        with harness.Stack(edit=lambda text: text.replace("total_ms: 300000", "total_ms: 100")
                           ) as stack:
            answer = stack.chat("hi [[sim fault=stall]]", model="open-sim")
            self.assertEqual(answer.status, 504, answer.body)
            error = answer.json()["error"]
            self.assertEqual((error["type"], error["code"]), ("server_error", "timed_out"))
            self.assertIn("total_ms", error["message"])
            stack.sim.wait(open=0)

    def test_an_error_in_the_anthropic_dialect_has_its_form(self):
        answer = self.stack.post('{"model":"open"', path="/v1/messages")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json()["type"], "error")
        self.assertEqual(answer.json()["error"]["type"], "invalid_request_error")

    def test_nonsense_on_the_socket_does_not_disturb_others(self):
        host, port = self.stack.gateway.address.rsplit(":", 1)
        for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n",
                         b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
                         b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                         b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 100_000):
            with socket.create_connection((host, int(port)), harness.WAIT_S) as peer:
                try:
                    peer.sendall(nonsense)
                    answer = peer.recv(65536)
                except ConnectionError:
                    continue  # closed while we were still sending: as good as a refusal
                self.assertTrue(answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer)
        self.assertEqual(self.post().status, 200)

    def test_one_large_body_below_the_limit_is_answered(self):
        content = "[[sim tokens=3]] " + "x" * 900_000
        answer = self.post(model="frontier", messages=[{"role": "user", "content": content}])
        self.assertEqual(answer.status, 200, answer.body)

    def test_expect_100_continue_is_answered(self):
        body = json.dumps({"model": "open", "messages": MESSAGES})
        answer = self.stack.post(body, headers={"Expect": "100-continue"})
        self.assertEqual(answer.status, 200)


class BrokenWeights(unittest.TestCase):
    """Weights that cannot be used are named; bands on the need of reasoning alone serve on."""

    def weights(self, bytes_or_none):
        def edit(text):
            folder = self.enterContext(tempfile.TemporaryDirectory())
            self.path = pathlib.Path(folder) / "own.weights"
            if bytes_or_none is not None:
                self.path.write_bytes(bytes_or_none)
            return text + f"classifier: {self.path}\n"
        return edit

    def test_missing_truncated_or_of_another_version(self):
        good = (harness.ROOT / "policies/weights/router.weights").read_bytes()
        version, rest = good.split(b"\n", 1)
        for broken, said in ((None, "cannot be opened"),
                             (good[:-100], "bytes, the header says"),
                             (b"sluice-router-weights 1\n" + rest, "is of version '1'")):
            with self.subTest(said), harness.Stack(edit=self.weights(broken)) as stack:
                line = stack.gateway.wait_for(lambda line: line["event"] == "classifier_left_out")
                self.assertIn(said, line["message"])
                self.assertIn(str(self.path), line["message"])
                for prompt, tier in (("Please tell me something nice about spring.", "open"),
                                     ("Prove that there are infinitely many primes.", "frontier")):
                    answer = stack.chat(prompt, model="auto")
                    self.assertEqual(answer.status, 200)
                    self.assertEqual(answer.headers["x-sluice-tier"], tier)
                check = subprocess.run([harness.BUILD / "sluice", "check",
                                        stack.folder / "config.yaml"], capture_output=True, text=True)
                self.assertEqual(check.returncode, 1)
                self.assertIn(said, check.stderr)
                self.assertIn("config.yaml:", check.stderr)


if __name__ == "__main__":
    harness.main()
