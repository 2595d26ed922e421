"""The Python openai package, unmodified, against a running gateway."""
import unittest
from decimal import Decimal

import harness

try:
    import openai
except ImportError:
    harness.skip("the Python package openai is not installed")


class PythonSdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(harness.Stack())
        cls.client = cls.make_client()

    @classmethod
    def make_client(cls, key=harness.KEY):
        client = openai.OpenAI(base_url=cls.stack.url, api_key=key, max_retries=0,
                               timeout=harness.WAIT_S)
        cls.addClassCleanup(client.close)
        return client

    def create(self, content="hello", model="open", **fields):
        return self.client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": content}], **fields)

    def test_a_chat_is_answered_with_thought_text_and_exact_usage(self):
        answer = self.create("hello [[sim tokens=9 reasoning_tokens=4 input_tokens=33]]")
        self.assertEqual(answer.object, "chat.completion")
        self.assertIn("simulated", answer.choices[0].message.content)
        self.assertIn("thought", answer.choices[0].message.reasoning_content)
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.prompt_tokens, 33)
        self.assertEqual(answer.usage.completion_tokens, 13)
        self.assertEqual(answer.usage.total_tokens, 46)
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, 4)

    def test_the_anthropic_upstream_answers_the_same_way(self):
        answer = self.create("hi [[sim tokens=5 reasoning_tokens=3 input_tokens=70 "
                             "cached_tokens=50]]", model="frontier")
        self.assertIn("simulated", answer.choices[0].message.content)
        self.assertEqual(answer.usage.prompt_tokens, 70)
        self.assertEqual(answer.usage.prompt_tokens_details.cached_tokens, 50)
        self.assertEqual(answer.usage.completion_tokens, 8)

    def test_a_stream_gives_thought_then_text_token_by_token(self):
        for model in ("open", "frontier"):
            stream = self.create("hi [[sim tokens=6 reasoning_tokens=3]]", model=model,
                                 stream=True)
            kinds = []
            finish = None
            for chunk in stream:
                self.assertEqual(chunk.object, "chat.completion.chunk")
                self.assertIsNone(chunk.usage)  # not asked for
                delta = chunk.choices[0].delta
                if getattr(delta, "reasoning_content", None):
                    kinds.append("thought")
                if delta.content:
                    kinds.append("text")
                finish = chunk.choices[0].finish_reason or finish
            self.assertEqual(kinds, ["thought"] * 3 + ["text"] * 6, model)
            self.assertEqual(finish, "stop")

    def test_a_stream_ends_with_its_usage_and_cost_when_asked(self):
        for model in ("open", "frontier"):
            stream = self.create("hi [[sim tokens=6 reasoning_tokens=2 input_tokens=40]]",
                                 model=model, stream=True,
                                 stream_options={"include_usage": True})
            chunks = list(stream)
            self.assertEqual(chunks[-1].choices, [])
            usage = chunks[-1].usage
            self.assertEqual((usage.prompt_tokens, usage.completion_tokens), (40, 8))
            self.assertGreater(Decimal(str(usage.cost_usd)), 0)
            self.assertEqual(usage.tier, model)
            self.assertTrue(usage.upstream.endswith("-sim"))
            self.assertTrue(all(chunk.usage is None for chunk in chunks[:-1]))

    def test_max_tokens_ends_an_answer_with_length(self):
        for model in ("open", "frontier"):
            answer = self.create(model=model, max_tokens=7)
            self.assertEqual(answer.choices[0].finish_reason, "length")
            self.assertEqual(answer.usage.completion_tokens, 7)

    def test_tool_calls_come_back_whole_and_streamed(self):
        tools = [{"type": "function", "function": {"name": "get_time", "parameters": {
            "type": "object", "properties": {}}}}]
        for model in ("open", "frontier"):
            content = "time? [[sim tool=get_time reasoning_tokens=0]]"
            answer = self.create(content, model=model, tools=tools)
            call = answer.choices[0].message.tool_calls[0]
            self.assertEqual((call.function.name, call.function.arguments.replace(" ", "")),
                             ("get_time", '{"simulated":true}'))
            self.assertEqual(answer.choices[0].finish_reason, "tool_calls")
            name, arguments = "", ""
            for chunk in self.create(content, model=model, tools=tools, stream=True):
                for part in chunk.choices[0].delta.tool_calls or []:
                    name += part.function.name or ""
                    arguments += part.function.arguments or ""
            self.assertEqual((name, arguments.replace(" ", "")),
                             ("get_time", '{"simulated":true}'))

    def test_the_models_are_listed(self):
        names = [model.id for model in self.client.models.list()]
        for name in ("auto", "open", "frontier", "open-sim", "frontier-sim"):
            self.assertIn(name, names)

    def test_auto_is_answered(self):
        self.assertIn("simulated", self.create(model="auto").choices[0].message.content)

    def test_a_wrong_key_is_an_authentication_error(self):
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.make_client("sk-wrong-one").models.list()
        self.assertNotIn("sk-wrong-one", str(caught.exception))
        self.assertEqual(caught.exception.code, "invalid_api_key")

    def test_an_unknown_model_is_a_not_found_error(self):
        with self.assertRaises(openai.NotFoundError) as caught:
            self.create(model="gpt-nonexistent")
        self.assertEqual(caught.exception.code, "model_not_found")
        self.assertIn("gpt-nonexistent", str(caught.exception))

    def test_a_wrong_type_is_a_bad_request_error_naming_the_field(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create(extra_body={"temperature": "hot"})
        self.assertEqual(caught.exception.param, "temperature")
        self.assertEqual(caught.exception.type, "invalid_request_error")

    def test_a_refused_team_is_a_permission_error(self):
        client = self.make_client(harness.OTHER_KEY)
        with self.assertRaises(openai.PermissionDeniedError) as caught:
            client.chat.completions.create(model="frontier",
                                           messages=[{"role": "user", "content": "hi"}])
        self.assertIn("may not use the frontier tier", str(caught.exception))

    def test_an_error_in_a_stream_is_raised(self):
        stream = self.create("hi [[sim tokens=9 reasoning_tokens=0 reset_after=4]]", stream=True)
        texts = []
        with self.assertRaises(openai.APIError):
            for chunk in stream:
                texts.append(chunk.choices[0].delta.content or "")
        self.assertIn("simulated", "".join(texts))

    def test_closing_a_stream_frees_the_upstream(self):
        aborted = self.stack.sim.stats()["aborted"]
        stream = self.create("hi [[sim tokens=100000 inter_token_ms=5]]", stream=True)
        for _, chunk in zip(range(5), stream):
            self.assertTrue(chunk.choices)
        stream.close()
        self.stack.sim.wait(aborted=aborted + 1, open=0)


if __name__ == "__main__":
    harness.main()
