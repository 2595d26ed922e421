"""Every dollar counted: one request by each tier, and the bill equals what callers were told."""
import json
import tempfile
import unittest
from decimal import Decimal

import harness

PRICES = """version: 1
prices:
  - vendor: simulated-openai
    model: sim-reasoner
    input: "2.00"
    output: "10.00"
    long_prompts:
      - above_input_tokens: 1000
        input: "6.00"
        cached_input: "1.00"
        output: "15.00"
    input_tokens_max: 5000
    source: made up
    checked: 2026-08-21
  - {vendor: simulated-openai, model: sim-frontier, input: "1", output: "1", source: x,
     checked: 2026-08-21}
  - {vendor: simulated-anthropic, model: sim-frontier, input: "1", output: "1", source: x,
     checked: 2026-08-21}
"""


class Money(unittest.TestCase):
    def test_the_bill_is_the_sum_of_what_answers_said_to_the_pico_dollar(self):
        local = harness.model_file() is not None
        if not local:
            print("without the local tier: the starter model is not there")
        with harness.Stack(engine=local) as stack:
            tiers = ["open", "frontier"] + (["local"] if local else [])
            told = {tier: Decimal(0) for tier in tiers}
            for tier in tiers:
                told[tier] += self.ask_whole(stack, tier)
                told[tier] += self.ask_streamed(stack, tier)
            # The open tier's cheaper upstream fails; the spare answers, and both are on the bill.
            stack.sim.plan("fault=500", model="sim-reasoner")
            told["open"] += self.ask_whole(stack, "open")
            self.assertTrue(all(cost > 0 for cost in told.values()), told)

            stack.gateway.stop()
            bill = stack.spend("--by", "tier")
            by_tier = {row["tier"]: row["cost_usd"] for row in bill["rows"]}
            self.assertEqual(by_tier, told)
            self.assertEqual(bill["total"]["cost_usd"], sum(told.values()))
            self.assertEqual(bill["total"]["requests"], 2 * len(tiers) + 1)
            self.assertEqual(bill["total"]["attempts"], 2 * len(tiers) + 2)
            self.check_against_rows(stack, sum(told.values()))

    def ask_whole(self, stack, tier):
        answer = stack.chat("What is 2+2? [[sim input_tokens=1234 cached_tokens=1000 "
                            "cache_write_tokens=100 tokens=77]]", tier, max_tokens=100)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["x-sluice-tier"], tier)
        cost = Decimal(answer.headers["x-sluice-cost-usd"])
        usage = answer.json()["usage"]
        self.assertEqual(Decimal(usage.get("cost_usd", cost)), cost)
        return cost

    def ask_streamed(self, stack, tier):
        answer = stack.chat("Say hi.", tier, stream=True, max_tokens=20,
                            stream_options={"include_usage": True})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.events()[-1], "[DONE]")
        self.assertIn("x-sluice-estimated-cost-usd", answer.headers)
        usage = answer.events()[-2]["usage"]
        self.assertEqual(usage["tier"], tier)
        return Decimal(usage["cost_usd"])

    def check_against_rows(self, stack, total):
        rows = stack.rows()
        self.assertEqual(sum(row["cost_pico_usd"] for row in rows), int(total * 10**12))
        for row in rows:
            self.assertEqual(row["team"], "alpha")
            self.assertEqual(row["simulated"], 0 if row["tier"] == "local" else 1)

    def test_an_exact_bill_from_the_price_book(self):
        with harness.Stack() as stack:
            answer = stack.chat("[[sim input_tokens=1000000 tokens=1000 reasoning_tokens=500]]")
            # prices.yaml: simulated-openai sim-reasoner costs $0.55 in, $2.19 out a million.
            self.assertEqual(Decimal(answer.headers["x-sluice-cost-usd"]),
                             Decimal("0.55") + Decimal("2.19") * 1500 / 10**6)

    def test_a_long_prompt_costs_its_own_price_and_one_of_unknown_price_is_refused(self):
        def own_prices(text):
            return text.replace("policy: policy.yaml\n", f"policy: policy.yaml\nprices: {book}\n")

        with tempfile.TemporaryDirectory() as folder:
            book = f"{folder}/prices.yaml"
            with open(book, "w", encoding="utf-8") as file:
                file.write(PRICES)
            with harness.Stack(edit=own_prices) as stack:
                total = Decimal(0)
                for tokens, cost in ((1000, "0.003"), (1001, "0.007006"), (5001, "0.031006")):
                    answer = stack.chat(f"[[sim input_tokens={tokens} cached_tokens=100 tokens=100 "
                                        "reasoning_tokens=0]]")
                    self.assertEqual(answer.status, 200, answer.body)
                    self.assertEqual(Decimal(answer.headers["x-sluice-cost-usd"]), Decimal(cost))
                    total += Decimal(cost)
                metrics = stack.get("/metrics").body.decode()
                self.assertIn('sluice_price_unknown_total{upstream="open-sim"} 1', metrics)
                refused = stack.chat("word " * 4000, "open-sim")
                self.assertEqual(refused.status, 503, refused.body)
                self.assertIn("its price is unknown above 5000 input tokens", str(refused.body))
                stack.gateway.stop()
                self.check_against_rows(stack, total)

    def test_usage_that_the_vendor_does_not_give_is_counted_and_said(self):
        with harness.Stack() as stack:
            for stream in (False, True):
                answer = stack.chat("[[sim no_usage tokens=40 reasoning_tokens=0]]", stream=stream)
                self.assertEqual(answer.status, 200)
            metrics = stack.get("/metrics").body.decode()
            self.assertIn('sluice_usage_missing_total{upstream="open-sim"} 2', metrics)
            stack.gateway.stop()
            for row in stack.rows():
                self.assertGreaterEqual(row["out_text"], 40)
                self.assertGreater(row["in_uncached"], 0)
                self.assertEqual(row["usage_estimated"], 1)

    def test_usage_is_hidden_from_a_caller_who_did_not_ask_and_billed_all_the_same(self):
        with harness.Stack() as stack:
            answer = stack.chat("[[sim tokens=5 reasoning_tokens=0 input_tokens=11]]", stream=True)
            for event in answer.events()[:-1]:
                self.assertFalse(event.get("usage"), json.dumps(event, default=str))
                self.assertTrue(event["choices"])
            stack.gateway.stop()
            (row,) = stack.rows()
            self.assertEqual((row["in_uncached"], row["out_text"]), (11, 5))
            self.assertEqual(row["usage_estimated"], 0)


if __name__ == "__main__":
    harness.main()
