"""Whether a prompt fits the embedded engine is said by the engine's own tokenizer, not by the
estimate that other upstreams are chosen by."""
import re
import signal
import unittest

import harness

WINDOW = 2048  # the harness's engine


class ContextWindow(unittest.TestCase):
    @unittest.skipUnless(harness.model_file(), "the starter model is not there")
    def test_a_prompt_near_the_window_is_counted(self):
        with harness.Stack(engine=True) as stack:
            def ask(text):
                return stack.chat(text, model="local", max_tokens=1)
            rule = ask("-" * 9000)  # estimated at 2,250 tokens; it has 151 and the template's
            self.assertEqual(rule.status, 200, rule.body)
            self.assertLess(rule.json()["usage"]["prompt_tokens"], WINDOW / 8)

            signs = ask("\u9f98" * 1500)  # estimated at 1,800; of this vocabulary three each
            self.assertEqual(signs.status, 400, signs.body)
            error = signs.json()["error"]
            self.assertEqual(error["code"], "context_length_exceeded")
            self.assertRegex(error["message"], r"\(\d+ in the prompt by its own tokenizer\), its "
                                               r"window has 2048")
            stack.gateway.stop()
            self.assertEqual([row["upstream"] for row in stack.rows()], ["local-starter"])  # the other never came there

    @unittest.skipUnless(harness.model_file(), "the starter model is not there")
    def test_by_value_dollars_are_of_the_counted_prompt(self):
        with harness.Stack(engine=True) as stack:
            policy = stack.folder / "policy.yaml"
            policy.write_text(policy.read_text() + "scoring: {mode: value, value_usd: '0.001'}\n")
            stack.gateway.child.send_signal(signal.SIGHUP)
            stack.gateway.wait_for(lambda line: line["event"] == "reloaded")

            def dollars(text):
                answer = stack.chat(text, model="auto", max_tokens=1,
                                    headers={"x-sluice-explain": "1"})
                said = answer.headers["x-sluice-explain"]
                return float(re.search(r"frontier is worth [^(]*\(p [0-9.]+, \$([0-9.]+)", said)[1])
            # Estimated at 750 and 2,250 tokens; they have 51 and 151 besides the template's.
            self.assertLess(dollars("-" * 9000), 2.5 * dollars("-" * 3000))


if __name__ == "__main__":
    harness.main()
