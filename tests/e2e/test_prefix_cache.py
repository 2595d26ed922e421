"""The local tier begins with what it has computed before: told in the usage, booked in the ledger,
and nothing but time differs. Needs the starter model."""
import unittest

import harness

RULES = " ".join(f"Rule {i}: answer question {i} with care." for i in range(20))


@unittest.skipUnless(harness.model_file(), "no starter model")
class PrefixCache(unittest.TestCase):
    def ask(self, stack, key, question="What is a cat?"):
        answer = stack.chat(f"{RULES} {question}", model="local", key=key, temperature=0,
                            max_tokens=12)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.text(), answer.json()["usage"]

    def test_a_team_reads_its_own_beginnings_and_no_other_does(self):
        with harness.Stack(engine=True) as stack:
            cold, first = self.ask(stack, harness.KEY)
            warm, again = self.ask(stack, harness.KEY)
            _, other_question = self.ask(stack, harness.KEY, "And a dog?")
            other, stranger = self.ask(stack, harness.OTHER_KEY)
            stack.gateway.stop()
            rows = stack.rows()
        self.assertEqual((cold, cold), (warm, other))
        cached = [usage["prompt_tokens_details"]["cached_tokens"]
                  for usage in (first, again, other_question, stranger)]
        self.assertEqual((cached[0], cached[3]), (0, 0))
        self.assertGreater(cached[1], first["prompt_tokens"] - 64)
        self.assertGreater(cached[2], 100)
        self.assertEqual(first["prompt_tokens"], again["prompt_tokens"])
        self.assertEqual([row["in_cache_read"] for row in rows], cached)
        self.assertEqual({row["in_uncached"] + row["in_cache_read"] for row in (rows[0], rows[1])},
                         {first["prompt_tokens"]})

    def test_off_is_off(self):
        def off(text):
            return text.replace("  max_tokens_default", "  prefix_cache: off\n  max_tokens_default")
        with harness.Stack(engine=True, edit=off) as stack:
            self.ask(stack, harness.KEY)
            _, usage = self.ask(stack, harness.KEY)
        self.assertEqual(usage["prompt_tokens_details"]["cached_tokens"], 0)


if __name__ == "__main__":
    harness.main()
