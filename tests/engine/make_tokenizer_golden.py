#!/usr/bin/env python3
"""Makes the tokenizer's golden files with llama.cpp, so that the tests need no llama.cpp.

    pip install llama-cpp-python
    python3 tests/engine/make_tokenizer_golden.py models/smollm2-135m-instruct-q4_1.gguf

Writes beside itself:
  tokenizer_corpus.txt   one string a line: '+' (special tokens are parsed) or '-', then the text,
                         in which \\{HEX} is a code point
  tokenizer_smollm2.txt  its token ids in the given model, one string a line
  tokenizer_words.txt    per pre-tokenizer, a line with its name and then, a string a line, the
                         bytes in each token of a vocabulary that has all bytes and all pairs of
                         bytes: a pair is never merged across a word boundary, so the lengths show
                         where words end without shipping a large vocabulary
"""
import ctypes
import pathlib
import struct
import sys
import tempfile
import unicodedata

PRE_TOKENIZERS = ["gpt-2", "smollm", "qwen2", "llama-bpe"]

PROSE = [
    "", " ", "a", "Hello, world!", "The quick brown fox jumps over the lazy dog.",
    "It's the company's policy that they'll, we've, I'm, you're, she'd and can't stay.",
    "DON'T SHOUT, I'LL GO; WE'VE BEEN, YOU'RE IT, I'M HE, SHE'D SAY 'TIS JOHN'S.",
    "Don'T mIx'Ed cA'Se 'Sample 'reach 'vest 'llama 'many 'door 'tall '' ''s 's's's s' 't'",
    "typographic don\u2019t we\u2019ll 'quoted' \u2018single\u2019 \u201cdouble\u201d \u017fs '\u017f 'K\u212a",
    "don't I'LL 12345 3.14", "1 12 123 1234 12345 1234567890 1,234,567.89 0x1F 1e-9 3rd 4K a1b2",
    "Prices: $1,299.00, \u20ac9,99 \u00a35 \u00a51000 50% (approx.) #1 @home & co. ^_^ ~/.bashrc",
    "\u00bd\u00bc\u00b2\u00b3\u2074 \u2160\u2161\u2162\u216b \u2460\u2461 \u0660\u0661\u0662\u0663 \u0967\u0968\u0969 \uff11\uff12\uff13 \U0001d7ce\U0001d7cf x\u00b2+y\u2083",
    "email: jane.doe+test@example.co.uk, URL https://example.com/a_b/c?d=e&f=%20g#h",
    "na\u00efve caf\u00e9 r\u00e9sum\u00e9 \u00fcber stra\u00dfe \u00c6r\u00f8 \u0141\u00f3d\u017a \u011e\u0130\u015e \u1e9e",
    "nai\u0308ve cafe\u0301 re\u0301sume\u0301 u\u0308ber (decomposed) \u1e9b\u0323 \u212b \ufb01 \u03a9\u2126",
    "\\boxed{42} \\frac{a}{b} $x^2 + y^2 = z^2$ \\alpha \u2211\u222b\u2202\u2207 \u2200x\u2203y: x\u2260y \u2192 \u221e",
    "Reply with one word:yes or no?", "...", "!!!???", "-----", "=====>", "/* c */", "\"\"\"doc\"\"\"",
    "ThisIsCamelCase andThisToo snake_case_name SCREAMING_SNAKE kebab-case-name __init__",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc",
]
CODE = [
    "int main(int argc, char** argv) {\n    std::vector<int> v{1, 2, 3};\n\tfor (auto& x : v) x *= 2;\n    return 0;\n}\n",
    "def f(x, *args, **kwargs):\n    \"\"\"Doc.\"\"\"\n    if x is None:\n        return [i**2 for i in range(10) if i % 2 == 0]\n\n\nclass A(B):\n    pass\n",
    "{\"name\": \"x\", \"list\": [1, 2.5, -3e10, null, true], \"nested\": {\"a\": \"\\u00e9\\n\"}}",
    "SELECT a.id, COUNT(*) AS n\r\nFROM t a JOIN u b ON a.id=b.id\r\nWHERE a.x >= 10 AND b.y LIKE '%z%'\r\nGROUP BY 1;\r\n",
    "<!DOCTYPE html>\n<div class=\"a b\" id='c'>&nbsp;text<br/></div>\n<!-- comment -->",
    "#!/bin/bash\nset -euo pipefail\nfor f in *.txt; do echo \"${f%.txt}\" | sed 's/a/b/g' >> out.log 2>&1; done\n",
    "| a | b |\n|---|:-:|\n| 1 | **x** |\n\n# Title\n\n- item\n  - nested\n1. one\n\n```python\nx = 1\n```\n",
    "\tif (a && !b || c->d[0] != 0xFF) { *p++ = ~q ^ (r << 3); } // end\n\n\n\n\treturn;\n",
]
SCRIPTS = [
    "\u4f60\u597d\u4e16\u754c \u00e9 \u00bd", "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u4eca\u5929\u5929\u6c14\u5f88\u597d\u3002\u6211\u670912345\u4e2a\u82f9\u679c\u3001\u300c\u5f15\u7528\u300d\u3002",
    "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c\u3002\u30ab\u30bf\u30ab\u30ca\u3068\u6f22\u5b57\u304c\u6df7\u3056\u308b\u3002\uff76\uff9e\uff77\uff9e \u30fc\u30fb\u3005",
    "\uc548\ub155\ud558\uc138\uc694 \uc138\uacc4 \u1112\u1161\u11ab\u1100\u1173\u11af \u3131\u314f",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645\u060c \u0643\u064e\u064a\u0652\u0641\u064e \u062d\u064e\u0627\u0644\u064f\u0643\u064e\u061f \u06f1\u06f2\u06f3 \ufdfa",
    "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u200f\u202babc\u202c\u200e \u05f3\u05f4",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0401\u043b\u043a\u0430 \u0414\u043e\u043d'\u0442 \u03b1\u03b2\u03b3 \u0393\u03b5\u03b9\u03ac \u10d2\u10d0\u10db\u10d0\u10e0 \u0532\u0561\u0580\u0565\u0582",
    "\u0928\u092e\u0938\u094d\u0924\u0947 \u0926\u0941\u0928\u093f\u092f\u093e \u0915\u094d\u0937\u0924\u094d\u0930\u093f\u092f \u09ac\u09be\u0982\u09b2\u09be \u0ba4\u0bae\u0bbf\u0bb4\u0bcd \u0c24\u0c46\u0c32\u0c41\u0c17\u0c41",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u1797\u17b6\u179f\u17b6\u1781\u17d2\u1798\u17c2\u179a \u0f56\u0f7c\u0f51\u0f0b\u0f61\u0f72\u0f42 \u1019\u103c\u1014\u103a\u1019\u102c",
    "\u12a0\u121b\u122d\u129b \u13e3\u13b3\u13a9 \u1403\u14c4\u1483\u144e\u1450\u1466 \u16a0\u16a2\u16a6 \u2d30\u2d63\u2d53\u2d4d \u07d2\u07de\u07cf",
    "Z\u0351\u036b\u0343\u036a\u0302\u036ba\u0300\u0301\u0302\u0303l\u0334\u0335g\u0338\u0337o\u0321 e\u0301\u0301\u0301 \u0301 \u0301\u0301x 1\u03012 \u20e3",
    "\U0001d400\U0001d4d0\U0001d504\U0001d538 \U0001d7d8\U0001d7f6 \U00010330\U00010331 \U0001f150\U0001f170 \U00020000\U0002a6d6 \U00030000",
]
EMOJI = [
    "\U0001f600\U0001f602\u2764\ufe0f\u2764 \U0001f44d\U0001f3fd \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
    "\U0001f3f3\ufe0f\u200d\U0001f308\U0001f3f4\u200d\u2620\ufe0f \U0001f1e9\U0001f1ea\U0001f1fa\U0001f1f8\U0001f1ef 1\ufe0f\u20e3#\ufe0f\u20e3*\ufe0f\u20e3",
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f a\U0001f600b 1\U0001f6002 \U0001f600\n\U0001f600\r\n\n\U0001f680\U0001f9d1\U0001f3ff\u200d\U0001f4bb!",
]
ODD = [
    "\x00\x01\x02\x07\x08\x1b[0m\x1c\x1d\x1e\x1f\x7f\x80\x85\x9f", "a\x00b\x00\x00 \x00", "\ufeffBOM \ufeff \ufffe\uffff\ufdd0",
    "zero\u200bwidth\u200cjoin\u200der\u2060word\u00ad soft \u180e \u034f \u061c", "\ue000\uf8ff\U000f0000\U0010fffd\U0010ffff",
    "\u0378\u0380\u2065\U0001fbff\U00040000\U000dffff\U000e0001\U000e01ef",
]
SPECIAL = [
    "<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
    "<|im_start|><|im_start|>x<|im_end|><|im_end|> <|endoftext|><|endoftext|", "<|im_end|", "<|im_end|>", "<<|im_end|>>",
    "<repo_name>a/b<file_sep>main.py\n<issue_start>t<issue_comment>u<issue_closed><jupyter_start><jupyter_text>",
    "<jupyter_code><jupyter_output><jupyter_script><empty_output><gh_stars>10 <filename>f <reponame>r",
    "<think>\nlong\n</think>\n\nANS <tool_call>{}</tool_call> <|eot_id|> <s> </s> [INST]",
]
SPACES = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2003\u200a\u2028\u2029\u202f\u205f\u3000"


def spaces():
    """Every kind of white space: alone, in runs, before and after every kind of word."""
    for space in SPACES:
        for run in (1, 2, 3):
            s = space * run
            yield f"{s}x{s}1{s}.{s}\u00e9{s}'s{s}"
    for left in "\t\n\r \xa0\u3000":
        for right in "\t\n\r \xa0\u3000":
            yield f"a{left}{right}b{left}{right}{left}1{right}{left}{left}!{left}{right}"
    for run in (4, 7, 8, 16, 33, 100):
        yield " " * run + "x" + "\t" * run + "y" + "\n" * run + "z" + " " * run
        yield "x" + " " * run + "1" + " \n" * run + "." + "\r\n" * run


def planes():
    """Three characters of each category in every 256 code points, between others."""
    state = 1
    for page in range(0, 0x110000, 256):
        codes = [c for c in range(page, page + 256) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
        if not codes:
            codes = [page + 0x42] if page % 0x8000 == 0x4000 else []
        kinds = {}
        for code in codes:
            kinds.setdefault(unicodedata.category(chr(code)), []).append(code)
        sample = []
        for category in sorted(kinds):
            for _ in range(3):
                state = (state * 1103515245 + 12345) % (1 << 31)
                sample.append(kinds[category][state // 65536 % len(kinds[category])])
        for at in range(0, len(sample), 4):
            yield " ".join(f"a{c} {c}1{c}{c}" for c in map(chr, sample[at:at + 4]))


def corpus():
    """(parse special tokens, text) pairs."""
    plain = PROSE + CODE + SCRIPTS + EMOJI + ODD + list(spaces()) + list(planes())
    return [(True, text) for text in plain] + [(flag, text) for text in SPECIAL for flag in (True, False)]


def escaped(text):
    shown = []
    for char in text:
        plain = unicodedata.category(char)[0] in "LNPS" and char != "\\" or char == " "
        shown.append(char if plain else "\\{%X}" % ord(char))
    return "".join(shown)


class LlamaCpp:
    """A vocabulary loaded by llama.cpp."""

    def __init__(self, path):
        import llama_cpp
        self.lib = llama_cpp.llama_cpp
        self.lib.llama_backend_init()
        params = self.lib.llama_model_default_params()
        params.vocab_only = True
        self.model = self.lib.llama_model_load_from_file(str(path).encode(), params)
        if not self.model:
            sys.exit(f"llama.cpp cannot load {path}")
        self.vocab = self.lib.llama_model_get_vocab(self.model)

    def ids(self, text, parse_special):
        data = text.encode()
        out = (self.lib.llama_token * (len(data) + 8))()
        count = self.lib.llama_tokenize(self.vocab, data, len(data), out, len(out), False, parse_special)
        return list(out[:count])


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def pair_vocabulary(pre):
    """A GGUF file with a token for every byte and every pair of bytes; its merges' ranks are
    scattered by an odd multiplier. tests/engine/test_pretokenizer.cc builds the same one."""
    own = [b for b in range(256) if 0x21 <= b <= 0x7E or 0xA1 <= b <= 0xAC or b >= 0xAE]
    rest = [b for b in range(256) if b not in own]
    spelled = {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(rest)}
    pairs = [divmod((i * 40503 + 12345) % 65536, 256) for i in range(65536)]
    tokens = [spelled[b] for b in range(256)] + [spelled[a] + spelled[b] for a, b in pairs]
    merges = [spelled[a] + " " + spelled[b] for a, b in pairs]
    entries = []

    def text(key, value):
        entries.append(gguf_text(key) + struct.pack("<I", 8) + gguf_text(value))

    def texts(key, values):
        entries.append(gguf_text(key) + struct.pack("<IIQ", 9, 8, len(values)) + b"".join(map(gguf_text, values)))

    def number(key, value):
        kind, form = (6, "f") if isinstance(value, float) else (4, "I")
        entries.append(gguf_text(key) + struct.pack("<I" + form, kind, value))

    text("general.architecture", "llama")
    for key in ("context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"):
        number("llama." + key, 64)
    number("llama.attention.layer_norm_rms_epsilon", 1e-5)
    text("tokenizer.ggml.model", "gpt2")
    text("tokenizer.ggml.pre", pre)
    texts("tokenizer.ggml.tokens", tokens)
    texts("tokenizer.ggml.merges", merges)
    data = b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)
    return data + bytes(-len(data) % 32)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    here = pathlib.Path(__file__).parent
    strings = corpus()
    lines = [("+" if special else "-") + escaped(text) for special, text in strings]
    (here / "tokenizer_corpus.txt").write_text("\n".join(lines) + "\n")
    model = LlamaCpp(sys.argv[1])
    lines = [" ".join(map(str, model.ids(text, special))) for special, text in strings]
    (here / "tokenizer_smollm2.txt").write_text("\n".join(lines) + "\n")
    lines = []
    for pre in PRE_TOKENIZERS:
        lines.append(pre)
        with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
            file.write(pair_vocabulary(pre))
            file.flush()
            pairs = LlamaCpp(file.name)
        for _, text in strings:
            lines.append("".join("1" if i < 256 else "2" for i in pairs.ids(text, True)))
    (here / "tokenizer_words.txt").write_text("\n".join(lines) + "\n")
    print(f"{len(strings)} strings, {sum(len(text.encode()) for _, text in strings)} bytes")


if __name__ == "__main__":
    main()
