"""A disk that is full while the gateway runs: no answer is called complete without its row, no new
work is taken on, and when there is room again every row is there."""
import resource
import threading
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

    def ask_at_once(self, *kinds):
        answers = {}

        def ask(stream):
            answers[stream] = self.stack.chat("while it fills", stream=stream)

        threads = [threading.Thread(target=ask, args=(kind,)) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(harness.WAIT_S)
        self.seen += [answer.headers["x-request-id"] for answer in answers.values()]
        return answers

    def test_answers_fail_closed_and_no_row_is_lost(self):
        fill_disk(self.stack.gateway)
        answers = self.ask_at_once(False, True)
        whole = answers[False]
        self.assertEqual(whole.status, 503, whole.body)
        self.assertIn("the ledger did not take the row", whole.json()["error"]["message"])
        events = answers[True].events()
        self.assertEqual(answers[True].status, 200)
        self.assertNotIn("[DONE]", events)
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
        after = self.stack.chat("after")
        self.assertEqual(after.status, 200, after.body)
        self.seen.append(after.headers["x-request-id"])
        self.stack.gateway.stop()
        self.assertEqual(sorted(row["request_id"] for row in self.stack.rows()),
                         sorted(self.seen))

    def test_rows_that_cannot_be_written_at_the_end_are_in_the_log(self):
        fill_disk(self.stack.gateway)
        answers = self.ask_at_once(False)
        self.assertEqual(answers[False].status, 503)
        self.stack.gateway.stop()
        (row,) = [line for line in self.stack.gateway.lines
                  if line["event"] == "ledger_row_unwritten"]
        self.assertEqual(row["request_id"], answers[False].headers["x-request-id"])
        self.assertGreater(row["cost_pico_usd"], 0)
        self.assertEqual([one["request_id"] for one in self.stack.rows()], self.seen[:1])


if __name__ == "__main__":
    harness.main()
