#!/usr/bin/env python3
"""Writes golden.json and golden_snippets.json: what jinja2 makes of every template and conversation here.

    python3 -m venv /tmp/jinja && /tmp/jinja/bin/pip install jinja2==3.1.6
    /tmp/jinja/bin/python tests/providers/chat_templates/make_golden.py
    # --check FILE.jinja: renders that template only, to stdout (for templates that cannot be kept here)

The environment is Hugging Face's (transformers, utils/chat_template_utils.py): an immutable sandbox with
trim_blocks, lstrip_blocks and loop controls, a tojson without HTML escapes, raise_exception, strftime_now."""
import copy
import datetime
import json
import pathlib
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

from snippets import SNIPPETS, VARIABLES

HERE = pathlib.Path(__file__).parent
NOW = datetime.datetime(2026, 11, 22, 9, 30, 0)  # unix 1795339800
BOS_EOS = {
    "smollm2": ("<|im_start|>", "<|im_end|>"),
    "qwen2_5": ("", "<|im_end|>"),
    "dated_tools": ("<|begin|>", "<|done|>"),
}
R1 = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>")
ARGUMENTS_AS_TEXT = ("r1_",)  # templates that add the JSON text of a call's arguments to other text


def refuse(message):
    raise jinja2.exceptions.TemplateError(message)


def to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = to_json
    env.globals["raise_exception"] = refuse
    env.globals["strftime_now"] = NOW.strftime
    return env


def render(env, source, variables):
    try:
        return {"text": env.from_string(source).render(**variables)}
    except Exception as fault:  # every fault is an answer here
        return {"error": type(fault).__name__ + ": " + str(fault)[:200]}


def conversation_variables(conversation, template):
    messages = copy.deepcopy(conversation["messages"])
    for message in messages:
        for call in message.get("tool_calls", []):
            if not template.startswith(ARGUMENTS_AS_TEXT):
                call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        if message.get("tool_calls") and message["content"] is None and template == "smollm2":
            message["content"] = ""  # a template that cannot do with none
    bos, eos = BOS_EOS.get(template, R1)
    return {"messages": messages, "tools": conversation.get("tools"), "documents": None, "bos_token": bos,
            "eos_token": eos, "add_generation_prompt": conversation.get("generation", True)}


def main():
    env = environment()
    conversations = json.loads((HERE / "conversations.json").read_text())
    if sys.argv[1:2] == ["--check"]:
        source = pathlib.Path(sys.argv[2]).read_text()
        print(json.dumps([{"conversation": c["name"], **render(env, source, conversation_variables(c, "dated_tools"))}
                          for c in conversations], ensure_ascii=False))
        return
    golden = []
    for path in sorted(HERE.glob("*.jinja")):
        for conversation in conversations:
            bos, eos = BOS_EOS.get(path.stem, R1)
            golden.append({"template": path.stem, "conversation": conversation["name"], "bos": bos, "eos": eos,
                           **render(env, path.read_bytes().decode(), conversation_variables(conversation, path.stem))})
    write("golden.json", golden)
    write("golden_snippets.json", {"variables": VARIABLES, "snippets": [
        {"source": source, **render(env, source, copy.deepcopy(VARIABLES))} for source in SNIPPETS]})


def write(name, data):
    rows = data if isinstance(data, list) else data["snippets"]
    lines = ",\n".join(" " + json.dumps(row, ensure_ascii=False) for row in rows)
    if isinstance(data, list):
        text = "[\n" + lines + "\n]\n"
    else:
        text = '{"variables": ' + json.dumps(data["variables"], ensure_ascii=False) + ',\n"snippets": [\n' + lines + "\n]}\n"
    (HERE / name).write_text(text)


main()
