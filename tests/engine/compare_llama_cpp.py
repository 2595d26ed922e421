#!/usr/bin/env python3
"""Compares greedy continuations with llama.cpp's on the same weights, on the CPU.

Run by hand; the test suite reads only what --write left in tests/engine/golden/. Needs
`pip install llama-cpp-python` (golden made with 0.3.36) and a built sluice:

  python3 tests/engine/compare_llama_cpp.py --model models/smollm2-135m-instruct-q4_1.gguf \
      --sluice build/sluice [--write tests/engine/golden/smollm2_greedy.json]

llama.cpp runs twice. First with the file's weights written out as F32 by its own quantize call,
which changes no weight: at every step it records the token it takes and by how much that logit
leads the second (the margin). Sluice must take the same token wherever the margin exceeds 0.1.
Where it takes another at a smaller margin, it is put back on llama.cpp's tokens and goes on.

Then on the file as it is, along the same tokens. There llama.cpp rounds activations to 8 bits,
which moves this model's margins by 0.12 on average and is chaotic: a change of 1e-6 anywhere gives
other roundings and moves them as much again. So llama.cpp disagrees with itself above a margin of
0.1: with --self it also runs with an F32 KV cache, and of 800 steps 10 differ from its F16 one. For
this run the share of differing steps is bounded instead (at most 1.5 %).

The same file without that rounding: llama.cpp built with OpenBLAS multiplies batches of 32 tokens and
more in F32, whatever the weights' type. --same-file FILE runs such a build (CMAKE_ARGS="-DGGML_BLAS=ON
-DGGML_BLAS_VENDOR=OpenBLAS" pip install llama-cpp-python) over each prompt and its path in one batch
and adds what it takes and by which margins to the golden FILE. There, too, Sluice must take the same
token wherever the margin exceeds 0.1.

Exit status 1 if a token differs in the first sense or too many do in the second.
"""

import argparse
import collections
import ctypes
import hashlib
import json
import os
import subprocess
import sys
import tempfile

MARGIN = 0.1
PROMPTS = [
    ("english", "The capital of France is"),
    ("english story", "Once upon a time, in a small village by the sea, there lived"),
    ("english fact", "Photosynthesis is the process by which"),
    ("english list", "The five largest planets in the solar system are:\n1."),
    ("english letter", "Dear Ms. O'Connor,\n\nThank you for your letter of"),
    ("python", "def fibonacci(n):\n    if n <= 1:\n        return n\n"),
    ("cpp", "#include <iostream>\n\nint main() {\n    for (int i = 0; i < 10; ++i) {\n"),
    ("sql", "SELECT name, COUNT(*) FROM orders WHERE"),
    ("json", '{"name": "Alice", "age": 30, "email":'),
    ("shell", "#!/bin/bash\nset -euo pipefail\nfor f in *.txt; do\n"),
    ("digits", "1, 1, 2, 3, 5, 8, 13, 21,"),
    ("long digits", "3.14159265358979323846 2.71828182845904523536"),
    ("table", "Multiplication table of 7:\n7 x 1 = 7\n7 x 2 = 14\n7 x 3 ="),
    ("emoji", "I love pizza 🍕 and ice cream 🍦! My favourite animals are 🐶"),
    ("emoji joined", "👩‍👩‍👧‍👦 is a family and 👍🏽 means"),
    ("chinese", "中国的首都是北京。日本的首都是"),
    ("japanese", "むかしむかし、あるところに"),
    ("korean", "안녕하세요. 오늘 날씨가"),
    ("mixed", "Naïve café, Straße, Привет мир, مرحبا — translate each word to English:\n"),
    (
        "chat",
        "<|im_start|>user\nWhat is the tallest mountain on Earth, and how high is it?<|im_end|>\n"
        "<|im_start|>assistant\n",
    ),
]


def open_llama(path, threads, **options):
    import llama_cpp

    return llama_cpp.Llama(path, n_ctx=512, n_threads=threads, n_threads_batch=threads,
                           verbose=False, **options)


def expand(model_path, out_path):
    """Writes the model with every weight as F32."""
    import llama_cpp

    how = llama_cpp.llama_model_quantize_default_params()
    how.ftype = llama_cpp.LLAMA_FTYPE_ALL_F32
    how.allow_requantize = True
    if llama_cpp.llama_model_quantize(model_path.encode(), out_path.encode(), ctypes.byref(how)):
        sys.exit("llama.cpp could not write the model as F32")


def best(llm):
    """The next token and its margin."""
    import llama_cpp
    import numpy

    row = llama_cpp.llama_get_logits_ith(llm.ctx, -1)
    logits = numpy.ctypeslib.as_array(row, shape=(llm.n_vocab(),))
    second, first = numpy.partition(logits, -2)[-2:]
    return int(logits.argmax()), round(float(first - second), 4)


def follow(llm, prompt, steps, path=None):
    """Greedy tokens and margins, along `path` if given, else along the tokens themselves."""
    llm.reset()
    llm.eval(prompt)
    tokens, margins = [], []
    for step in range(len(path) if path else steps):
        token, margin = best(llm)
        tokens.append(token)
        margins.append(margin)
        llm.eval([path[step] if path else token])
    return {"tokens": tokens, "margins": margins}


def follow_in_one_batch(llm, prompt, path):
    """Tokens and margins along `path`, from one batch of all tokens."""
    import numpy

    llm.reset()
    llm.eval(prompt + path[:-1])
    tokens, margins = [], []
    for row in llm.scores[len(prompt) - 1 : len(prompt) - 1 + len(path)]:
        second, first = numpy.partition(row, -2)[-2:]
        tokens.append(int(row.argmax()))
        margins.append(round(float(first - second), 4))
    return {"tokens": tokens, "margins": margins}


def add_same_file(golden_path, model_path, threads):
    """Adds llama.cpp's choices on the file as it is, with F32 activations, to the golden file."""
    import llama_cpp

    llama_cpp.llama_backend_init()
    with open("/proc/self/maps", encoding="utf-8") as maps:
        if "ggml-blas" not in maps.read():
            sys.exit("this llama.cpp has no BLAS; see the head of this file")
    with open(golden_path, encoding="utf-8") as file:
        golden = json.load(file)
    llm = open_llama(model_path, threads, logits_all=True, n_batch=512, n_ubatch=512)
    far = total = 0
    for case in golden["cases"]:
        case["same_file"] = follow_in_one_batch(llm, case["prompt"], case["tokens"])
        for token, other, margin in zip(case["tokens"], case["same_file"]["tokens"],
                                        case["same_file"]["margins"]):
            far += token != other and margin > MARGIN
            total += 1
    write(golden, golden_path)
    print(f"llama.cpp on the file as it is, F32 activations, and with F32 weights: {far} of {total} "
          f"steps differ at a margin over {MARGIN}")


def write(golden, path):
    """One case a line keeps the file small and its changes readable."""
    with open(path, "w", encoding="utf-8") as file:
        cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in golden["cases"])
        head = {key: golden[key] for key in ("model_sha256", "made_by")}
        file.write(json.dumps(head)[:-1] + ', "cases": [\n' + cases + "\n]}\n")


def record(model_path, steps, threads):
    """Every prompt's greedy continuation by llama.cpp, with margins."""
    import llama_cpp

    cases = []
    with tempfile.TemporaryDirectory() as folder:
        expanded = os.path.join(folder, "f32.gguf")
        expand(model_path, expanded)
        llm = open_llama(expanded, threads)
        for name, text in PROMPTS:
            prompt = llm.tokenize(text.encode(), add_bos=True, special=True)
            cases.append({"name": name, "text": text, "prompt": prompt,
                          **follow(llm, prompt, steps)})
            print(f"llama.cpp: {name}", file=sys.stderr)
        del llm
    llm = open_llama(model_path, threads)
    for case in cases:
        case["as_is"] = follow(llm, case["prompt"], steps, case["tokens"])
    with open(model_path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    return {"model_sha256": digest, "made_by": f"llama-cpp-python {llama_cpp.__version__}, CPU",
            "cases": cases}


def compare_with_itself(golden, model_path, threads):
    """How many steps llama.cpp takes otherwise when only its KV cache is F32 instead of F16."""
    llm = open_llama(model_path, threads, type_k=0, type_v=0)
    far = moved = total = 0
    for case in golden["cases"]:
        usual, other = case["as_is"], follow(llm, case["prompt"], 0, case["tokens"])
        for i, margin in enumerate(usual["margins"]):
            differs = usual["tokens"][i] != other["tokens"][i]
            far += differs and margin > MARGIN
            moved += abs(margin - other["margins"][i])
            total += 1
    print(f"llama.cpp with itself, F16 and F32 KV cache: {far} of {total} steps differ at a margin "
          f"over {MARGIN}; margins move by {moved / total:.3f} on average")


def generate(sluice, model_path, text, tokens_max):
    out = subprocess.run(
        [sluice, "generate", "--model", model_path, "--raw", "--json", "--temperature", "0",
         "--max-tokens", str(tokens_max), "--prompt", text],
        stdout=subprocess.PIPE, check=True)
    return json.loads(out.stdout)


def compare(case, sluice, model_path, detokenize):
    """Prints where Sluice's tokens differ, and counts."""
    count = {"steps": 0, "wrong": 0, "near": 0, "as_is": 0}
    at = 0
    while at < len(case["tokens"]):
        text = case["text"] + detokenize(case["tokens"][:at])
        answer = generate(sluice, model_path, text, len(case["tokens"]) - at)
        if answer["prompt_tokens"] != len(case["prompt"]) + at:
            print(f"  {case['name']}: text up to step {at} does not tokenize back; left there")
            break
        same = True
        for ours in answer["tokens"]:
            same = ours == case["tokens"][at]
            margin, usual = case["margins"][at], case["as_is"]
            count["steps"] += 1
            count["as_is"] += ours != usual["tokens"][at] and usual["margins"][at] > MARGIN
            if not same:
                count["wrong" if margin > MARGIN else "near"] += 1
                print(f"  {case['name']}: step {at}: llama.cpp {case['tokens'][at]}, "
                      f"sluice {ours}, margin {margin}")
            at += 1
            if not same:
                break
        if same:  # ended: an end token is not among the tokens
            break
    return count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--sluice", help="the sluice binary to compare; without it only --write")
    parser.add_argument("--write", help="where to put llama.cpp's steps for the test suite")
    parser.add_argument("--same-file", help="a golden file to add the BLAS build's steps to")
    parser.add_argument("--self", action="store_true", help="llama.cpp against itself, too")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    if arguments.same_file:
        add_same_file(arguments.same_file, arguments.model, arguments.threads)
        return 0
    golden = record(arguments.model, arguments.steps, arguments.threads)
    if arguments.self:
        compare_with_itself(golden, arguments.model, arguments.threads)
    if arguments.write:
        write(golden, arguments.write)
    if not arguments.sluice:
        return 0
    import llama_cpp

    words = llama_cpp.Llama(arguments.model, vocab_only=True, verbose=False)

    def text_of(ids):
        return words.detokenize(ids, special=True).decode(errors="ignore")

    total = collections.Counter()
    for case in golden["cases"]:
        total.update(compare(case, arguments.sluice, arguments.model, text_of))
    print(f"{total['steps']} steps: {total['wrong']} differ at a margin over {MARGIN}, "
          f"{total['near']} at a smaller one; from llama.cpp with 8-bit activations "
          f"{total['as_is']} differ at a margin over {MARGIN}")
    return 1 if total["wrong"] or total["as_is"] > 0.015 * total["steps"] else 0


if __name__ == "__main__":
    sys.exit(main())
