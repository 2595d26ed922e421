"""Whether a prompt fits the embedded engine is said by the engine's own tokenizer, not by the
estimate that other upstreams are chosen by."""
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


if __name__ == "__main__":
    harness.main()
