"""What the embedded engine says of itself at start and in its metrics, and what a key and a request
may ask of it. Needs the starter model."""
import unittest

import harness


def with_priority(value):
    return lambda text: text.replace("{id: alpha, ", f"{{id: alpha, priority: {value}, ", 1)


@unittest.skipUnless(harness.model_file(), "no starter model")
class LocalTier(unittest.TestCase):
    def test_it_tells_its_template_and_its_room_and_serves_a_key_with_a_priority(self):
        with harness.Stack(engine=True, edit=with_priority(8)) as stack:
            said = stack.gateway.wait_for(lambda line: line.get("event") == "chat_template")
            self.assertEqual((said["known"], said["known_as"]), (True, "SmolLM2-Instruct"))
            self.assertRegex(said["sha256"], "^872be49dbb63")
            answer = stack.chat("hi", model="local", max_tokens=4)
            self.assertEqual(answer.status, 200, answer.body)
            metrics = stack.get("/metrics").body.decode()
            kv = {state: float(metrics.split(f'sluice_engine_kv_tokens{{state="{state}"}} ')[1]
                               .split("\n")[0]) for state in ("used", "cached", "free", "total")}
            self.assertGreaterEqual(kv["total"], 2048)
            self.assertEqual(kv["used"] + kv["cached"] + kv["free"], kv["total"])

    def test_more_biased_tokens_than_openai_takes_are_refused_with_the_number(self):
        with harness.Stack(engine=True) as stack:
            for count, status in ((1024, 200), (1025, 400)):
                bias = {str(token): 0 for token in range(count)}
                answer = stack.chat("hi", model="local", max_tokens=2, logit_bias=bias)
                self.assertEqual(answer.status, status, answer.body)
            error = answer.json()["error"]
            self.assertEqual((error["type"], error["param"]),
                             ("invalid_request_error", "logit_bias"))
            self.assertIn("at most 1024", error["message"])


if __name__ == "__main__":
    harness.main()
