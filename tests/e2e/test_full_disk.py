"""A disk that is full while the gateway runs: no answer is called complete without its row, no new
work is taken on, and when there is room again every row is there."""
import resource
import unittest

import harness


def fill_disk(gateway):
    """No file of the gateway can grow, as on a full disk."""
    _, hard = resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE, (1, hard))


def make_room(gateway):
    _, hard = resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.child.pid, resource.RLIMIT_FSIZE, (hard, hard))


class FullDisk(unittest.TestCase):
    def setUp(self):
        self.stack = self.enterContext(harness.Stack())
        self.seen = [self.stack.chat("before").headers["x-request-id"]]

    def ask(self, content, **fields):
        answer = self.stack.chat(content, **fields)
        self.seen.append(answer.headers["x-request-id"])
        return answer

    def test_answers_fail_closed_and_no_row_is_lost(self):
        # The ledger learns of it when the stream ends: its request is still taken on.
        fill_disk(self.stack.gateway)
        streamed = self.ask("[[sim tokens=60 reasoning_tokens=0]]", stream=True)
        self.assertEqual(streamed.status, 200)
        events = streamed.events()
        self.assertFalse("[DONE]" in events)
        self.assertIn("the ledger did not take the row", events[-1]["error"]["message"])

        asked = self.stack.sim.stats()["requests"]
        refused = self.stack.chat("one more")
        self.assertEqual(refused.status, 503, refused.body)
        self.assertIn("no new request is taken on", refused.json()["error"]["message"])
        self.assertEqual(self.stack.sim.stats()["requests"], asked)
        self.assertEqual(self.stack.get("/readyz").status, 503)
        self.assertEqual(self.stack.get("/healthz").status, 200)

        make_room(self.stack.gateway)
        self.stack.gateway.wait_for(lambda line: line.get("event") == "ledger_recovered")
        self.assertEqual(self.stack.get("/readyz").status, 200)
        self.assertEqual(self.ask("after").status, 200)
        self.stack.gateway.stop()
        self.assertEqual(sorted(row["request_id"] for row in self.stack.rows()),
                         sorted(self.seen))

    def test_rows_that_cannot_be_written_at_the_end_are_in_the_log(self):
        fill_disk(self.stack.gateway)
        answer = self.ask("while it is full")
        self.assertEqual(answer.status, 503)
        self.assertIn("the ledger did not take the row", answer.json()["error"]["message"])
        self.stack.gateway.stop()
        (row,) = [line for line in self.stack.gateway.lines
                  if line["event"] == "ledger_row_unwritten"]
        self.assertEqual(row["request_id"], self.seen[-1])
        self.assertGreater(row["cost_pico_usd"], 0)
        self.assertEqual([one["request_id"] for one in self.stack.rows()], self.seen[:1])


if __name__ == "__main__":
    harness.main()
