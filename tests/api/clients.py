"""What clients_test.py runs with the packages openai, anthropic and ollama at hand."""
import json
import pathlib
import shutil
import tempfile

import anthropic
import ollama
import openai

from gguf_file import letter_vocabulary, with_keys
from harness import ApiTest, Server, golden, main

HELLO = [{"role": "user", "content": "Hello"}]
GREEDY = {"temperature": 0, "max_tokens": 12}


class OpenAI(ApiTest):
    def setUp(self):
        self.client = openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)

    def test_chat(self):
        whole = self.client.chat.completions.create(model="tiny", messages=HELLO, **GREEDY)
        self.assertEqual(whole.choices[0].message.role, "assistant")
        self.assertGreater(whole.usage.prompt_tokens, 0)
        stream = self.client.chat.completions.create(model="tiny", messages=HELLO, stream=True,
                                                     stream_options={"include_usage": True}, **GREEDY)
        chunks = list(stream)
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)

    def test_structured(self):
        schema = {"type": "object", "properties": {"yes": {"type": "boolean"}}, "required": ["yes"],
                  "additionalProperties": False}
        answer = self.client.chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=100, seed=1,
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}})
        self.assertIsInstance(json.loads(answer.choices[0].message.content)["yes"], bool)

    def test_logprobs_and_n(self):
        answer = self.client.chat.completions.create(model="tiny", messages=HELLO, n=2, logprobs=True, top_logprobs=2,
                                                     max_tokens=3, seed=1)
        self.assertEqual(len(answer.choices), 2)
        self.assertEqual(len(answer.choices[0].logprobs.content[0].top_logprobs), 2)

    def test_tools_are_offered(self):
        tools = [{"type": "function", "function": {"name": "now", "description": "the time", "parameters": {
            "type": "object", "properties": {}}}}]
        answer = self.client.chat.completions.create(model="tiny", messages=HELLO, tools=tools, **GREEDY)
        self.assertIsNotNone(answer.choices[0].finish_reason)

    def test_a_tool_must_be_called(self):
        parameters = {"type": "object", "properties": {"zone": {"enum": ["UTC"]}}, "required": ["zone"], "additionalProperties": False}
        tools = [{"type": "function", "function": {"name": "now", "parameters": parameters}}]
        options = {"model": "tiny", "messages": HELLO, "tools": tools, "tool_choice": "required", "temperature": 0,
                   "parallel_tool_calls": False, "max_tokens": 300}
        call = self.client.chat.completions.create(**options).choices[0].message.tool_calls[0]
        self.assertEqual((call.function.name, json.loads(call.function.arguments)), ("now", {"zone": "UTC"}))
        arguments, names = "", []
        for chunk in self.client.chat.completions.create(stream=True, **options):
            for delta in chunk.choices[0].delta.tool_calls or []:
                arguments += delta.function.arguments or ""
                names += [delta.function.name] if delta.function.name else []
        self.assertEqual((names, json.loads(arguments)), (["now"], {"zone": "UTC"}))

    def test_completions_and_models(self):
        answer = self.client.completions.create(model="tiny", prompt=["a", "b"], max_tokens=2)
        self.assertEqual(len(answer.choices), 2)
        self.assertEqual([m.id for m in self.client.models.list()], ["tiny"])
        self.assertEqual(self.client.models.retrieve("tiny").id, "tiny")

    def test_responses(self):
        whole = self.client.responses.create(model="tiny", input="Hello", instructions="Be brief.", temperature=0,
                                             max_output_tokens=12)
        events = list(self.client.responses.create(model="tiny", input="Hello", instructions="Be brief.", temperature=0,
                                                   max_output_tokens=12, stream=True))
        self.assertEqual(events[0].type, "response.created")
        self.assertIn(events[-1].type, ("response.completed", "response.incomplete"))
        text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        self.assertEqual(text, whole.output_text)
        self.assertEqual(events[-1].response.output_text, text)

    def test_errors(self):
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(model="gpt-9", messages=HELLO)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.chat.completions.create(model="tiny", messages=HELLO, temperature=-1)
        self.assertEqual(caught.exception.param, "temperature")


class Embeddings(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        keys = letter_vocabulary(96) | {"bert.pooling_type": 1}
        cls.server = Server(models=[f"bert={with_keys(golden('arch/bert-rank/model.gguf'), cls.folder / 'bert.gguf', keys)}"])

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        shutil.rmtree(cls.folder)

    def test_openai_and_ollama_agree(self):
        texts = ["hello", "an old tree"]
        openai_client = openai.OpenAI(base_url=self.server.url + "/v1", api_key="none", max_retries=0)
        coded = openai_client.embeddings.create(model="bert", input=texts)  # base64 on the way
        floats = openai_client.embeddings.create(model="bert", input=texts, encoding_format="float")
        client = ollama.Client(host=self.server.url)
        answer = client.embed(model="bert", input=texts)
        for one, two, three in zip(coded.data, floats.data, answer.embeddings):
            self.assertEqual(list(one.embedding), list(two.embedding))
            self.assertEqual(list(one.embedding), list(three))
        self.assertEqual(answer.prompt_eval_count, floats.usage.total_tokens)
        self.assertEqual(list(client.embed(model="bert", input="hello").embeddings[0]), list(answer.embeddings[0]))
        self.assertEqual(list(client.embeddings(model="bert", prompt="hello").embedding), list(answer.embeddings[0]))
        short = openai_client.embeddings.create(model="bert", input="hello", dimensions=4, encoding_format="float")
        self.assertEqual(len(short.data[0].embedding), 4)
        self.assertAlmostEqual(sum(x * x for x in short.data[0].embedding), 1, places=5)
        with self.assertRaises(ollama.ResponseError):
            client.embed(model="bert", input="x" * 5000 + " y" * 500)


class Anthropic(ApiTest):
    def setUp(self):
        self.client = anthropic.Anthropic(base_url=self.server.url, api_key="none", max_retries=0)

    def test_messages(self):
        options = {"model": "tiny", "max_tokens": 12, "messages": HELLO, "extra_body": {"temperature": 0},
                   "system": "Be brief."}
        whole = self.client.messages.create(**options)
        self.assertEqual(whole.role, "assistant")
        self.assertIn(whole.stop_reason, ("end_turn", "max_tokens"))
        with self.client.messages.stream(**options) as stream:
            text = "".join(stream.text_stream)
            final = stream.get_final_message()
        self.assertEqual(text, whole.content[0].text)
        self.assertEqual(final.usage.output_tokens, whole.usage.output_tokens)

    def test_tools_and_their_results(self):
        tools = [{"name": "now", "description": "the time", "input_schema": {"type": "object", "properties": {}}}]
        answer = self.client.messages.create(model="tiny", max_tokens=5, tools=tools, messages=HELLO)
        self.assertEqual(answer.type, "message")

    def test_count_and_errors(self):
        self.assertGreater(self.client.messages.count_tokens(model="tiny", messages=HELLO).input_tokens, 1)
        with self.assertRaises(anthropic.BadRequestError):
            self.client.messages.create(model="tiny", max_tokens=0, messages=HELLO)


class Ollama(ApiTest):
    def setUp(self):
        self.client = ollama.Client(host=self.server.url)

    def test_chat_and_generate(self):
        options = {"temperature": 0, "num_predict": 12}
        whole = self.client.chat(model="tiny", messages=HELLO, options=options)
        pieces = list(self.client.chat(model="tiny", messages=HELLO, options=options, stream=True))
        self.assertEqual("".join(p.message.content for p in pieces), whole.message.content)
        self.assertTrue(pieces[-1].done)
        self.assertEqual(self.client.generate(model="tiny", prompt="Hello", options=options).done_reason, whole.done_reason)
        self.assertTrue(self.client.generate(model="tiny:latest").done)

    def test_models(self):
        self.assertEqual([m.model for m in self.client.list().models], ["tiny"])
        self.assertEqual([m.model for m in self.client.ps().models], ["tiny"])
        shown = self.client.show("tiny")
        self.assertEqual(shown.details.format, "gguf")
        self.assertEqual(shown.modelinfo["general.architecture"], "llama")
        self.assertIn("completion", shown.capabilities)
        running = self.client.ps().models[0]
        self.assertGreater(running.size, 0)
        self.assertEqual(running.context_length, 4096)

    def test_errors(self):
        with self.assertRaises(ollama.ResponseError):
            self.client.chat(model="nobody", messages=HELLO)


if __name__ == "__main__":
    main()
