"""Prompts that the context cannot hold: a clear 400 in every API, or a shorter prompt where that is asked for."""
from harness import ApiTest, Server, MODEL, main

CONTEXT = 128
LONG = "word " * 400
SYSTEM = {"role": "system", "content": "be brief"}


def turns(count):
    return [{"role": ("user", "assistant")[i % 2], "content": f"turn {i} " + "word " * 5} for i in range(count)]


# path, a body with `prompt` as its messages or text, the field that is blamed, how shortening is asked for
CHATS = [("/v1/chat/completions", lambda m: {"messages": m, "max_tokens": 8}, "messages", {"truncate_prompt": True}),
         ("/v1/responses", lambda m: {"input": m, "max_output_tokens": 8}, "input", {"truncation": "auto"}),
         ("/v1/messages", lambda m: {"messages": m, "max_tokens": 8}, "messages", {"truncate_prompt": True}),
         ("/api/chat", lambda m: {"messages": m, "options": {"num_predict": 8}, "stream": False}, "messages", {"truncate": True}),
         ("/generate", lambda m: {"messages": m, "max_tokens": 8}, "messages", {"truncate_prompt": True})]
TEXTS = [("/v1/completions", lambda p: {"prompt": p, "max_tokens": 8}, "prompt", {"truncate_prompt": True}),
         ("/api/generate", lambda p: {"prompt": p, "raw": True, "stream": False, "options": {"num_predict": 8}}, "prompt",
          {"truncate": True}),
         ("/generate", lambda p: {"prompt": p, "max_tokens": 8}, "prompt", {"truncate_prompt": True})]


def used(answer):
    """Tokens of the prompt, as any API tells them."""
    usage = answer.get("usage", answer)
    names = ("prompt_tokens", "input_tokens", "prompt_eval_count")
    return next(usage[name] for name in names if name in usage) + usage.get("cache_read_input_tokens", 0)


class Overflow(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--ctx", CONTEXT)

    def test_refused_unless_asked(self):
        for path, body, field, _ in CHATS + TEXTS:
            for off in ({}, {"truncate_prompt": False}):
                with self.subTest(path=path, off=off):
                    chat = (path, field) != ("/generate", "prompt") and field != "prompt"
                    answer = self.refused(path, body(turns(21) if chat else LONG) | off)
                    error = answer["error"]
                    message = error if isinstance(error, str) else error["message"]
                    self.assertRegex(message, rf"^{field}: .* context of {CONTEXT}, found \d+")
                    if isinstance(error, dict) and path != "/v1/messages":
                        self.assertEqual((error["code"], error["param"]), ("context_length_exceeded", field))

    def test_oldest_messages_go(self):
        # What is left must be what the same conversation without the oldest turns would have been.
        for path, body, _, ask in CHATS:
            with self.subTest(path=path):
                system = [] if path == "/v1/messages" else [SYSTEM]
                status, answer, response = self.server.request("POST", path, body(system + turns(21)) | ask)
                self.assertEqual(status, 200, answer)
                expected = None
                for first in range(0, 21, 2):  # those left begin with a user's
                    status, each, _ = self.server.request("POST", path, body(system + turns(21)[first:]))
                    if status == 200 and used(each) <= CONTEXT - 8:
                        expected = used(each)
                        break
                self.assertEqual(used(answer), expected)
                self.assertGreater(int(response.getheader("X-Truncated-Tokens")), CONTEXT)

    def test_oldest_tokens_go(self):
        ids = [7 + i % 200 for i in range(400)]
        options = {"max_tokens": 8, "temperature": 0, "ignore_eos": True}
        for keep in (0, 5, 50):
            body = {"prompt": ids, "truncate_prompt": True, "n_keep": keep} | options
            status, answer, response = self.server.request("POST", "/v1/completions", body)
            self.assertEqual(status, 200, answer)
            short = ids[:keep] + ids[len(ids) - (CONTEXT - 8 - keep):]
            same = self.server.post("/v1/completions", {"prompt": short} | options)
            self.assertEqual(answer["choices"][0]["text"], same["choices"][0]["text"])
            self.assertEqual(int(response.getheader("X-Truncated-Tokens")), len(ids) - len(short))
        begin = self.server.post("/tokenize", {"text": "", "add_special": True})["tokens"]
        body = {"prompt": begin + ids, "truncate_prompt": True} | options
        same = {"prompt": begin + ids[len(ids) - (CONTEXT - 9):]} | options
        self.assertEqual(*(self.server.post("/v1/completions", b)["choices"][0]["text"] for b in (body, same)))
        self.refused("/v1/completions", {"prompt": ids, "truncate_prompt": True, "n_keep": -1})
        self.refused("/v1/completions", {"prompt": ids, "truncate_prompt": True, "n_keep": 127}, param="n_keep")

    def test_texts(self):
        for path, body, _, ask in TEXTS:
            with self.subTest(path=path):
                status, answer, _ = self.server.request("POST", path, body(LONG) | ask)
                self.assertEqual(status, 200, answer)
                self.assertEqual(used(answer), CONTEXT - 8)

    def test_streams_say_it_in_their_head(self):
        body = {"messages": turns(21), "truncate_prompt": True, "stream": True, "max_tokens": 4}
        _, text, response = self.server.request("POST", "/v1/chat/completions", body)
        self.assertIn("[DONE]", text)
        self.assertGreater(int(response.getheader("X-Truncated-Tokens")), 0)

    def test_newest_too_long(self):
        body = {"messages": [SYSTEM, *turns(4), {"role": "user", "content": LONG}], "truncate_prompt": True}
        answer = self.refused("/v1/chat/completions", body, param="messages")
        self.assertEqual(answer["error"]["code"], "context_length_exceeded")
        self.refused("/v1/responses", {"input": "x", "truncation": "yes"}, param="truncation")
        self.refused("/v1/chat/completions", {"messages": turns(1), "truncate_prompt": 1}, param="truncate_prompt")

    def test_what_fits_is_left_alone(self):
        _, _, response = self.server.request("POST", "/v1/chat/completions",
                                             {"messages": turns(3), "max_tokens": 4, "truncate_prompt": True})
        self.assertIsNone(response.getheader("X-Truncated-Tokens"))

    def test_the_end_of_the_context_ends_an_answer(self):
        answer = self.server.post("/v1/completions", {"prompt": "x", "max_tokens": 4000, "ignore_eos": True})
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["usage"]["total_tokens"], CONTEXT)


class ContextShift(ApiTest):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--ctx", CONTEXT, "--context-shift", models=[f"tiny={MODEL}", f"late={MODEL}"])

    def test_for_all_unless_declined(self):
        for model in ("tiny", "late"):  # one is loaded by this very request
            self.server.post("/v1/chat/completions", {"model": model, "messages": turns(21), "max_tokens": 4})
        self.server.post("/v1/completions", {"prompt": LONG, "max_tokens": 4})
        self.refused("/v1/completions", {"prompt": LONG, "truncate_prompt": False}, param="prompt")
        self.refused("/v1/responses", {"input": turns(21), "truncation": "disabled"}, param="input")


if __name__ == "__main__":
    main()
