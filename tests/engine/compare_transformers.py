#!/usr/bin/env python3
"""Holds the engine's logprobs against Hugging Face transformers' in float32, on tiny models.

    compare_transformers.py PRINT_LOGPROBS [--device cpu|cuda] [--write-golden FOLDER]

PRINT_LOGPROBS is the build's print_logprobs. Needs torch, transformers, safetensors and numpy.
Each model is saved as transformers saves it (bf16, in shards) and read by the engine; at each depth
from one layer to all, the distributions after every eighth part of three prompts must agree: KL at
most 1e-4, and no logprob further off than 0.05 of the logits' standard deviation. Where a GPU rounds
activations to fp8 (fp8 weights, more than 16 tokens a step) KL is at most 1e-2. With --write-golden
what transformers computes at each depth and place goes to FOLDER, where test_transformers_golden.cc
of both devices reads it, in f32: <model>_<layers>.logits, and <model>_<layers>.hidden, the state
after the final norm.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

# Name, type, layers, hidden, query heads, kv heads, head dim, ffn, tied, Llama 3's rope.
MODELS = [
    ("qwen2_group5", "qwen2", 3, 640, 10, 2, 64, 1792, False, False),
    ("qwen2_group7", "qwen2", 2, 512, 14, 2, 128, 1024, True, False),
    ("llama_scaled", "llama", 3, 640, 10, 2, 64, 1792, False, True),
    ("qwen2_heads128", "qwen2", 2, 640, 10, 2, 128, 1792, False, False),
]
VOCAB = 1024
# Of less than a page of keys, and of more.
PROMPTS = [[(i * i * 7 + i * 31 + 5 + 97 * prompt) % VOCAB for i in range(length)]
           for prompt, length in enumerate((48, 136, 200))]
ROWS_A_PROMPT = 8


def seed_of(name):  # FNV-1a
    hash = 2166136261
    for byte in name.encode():
        hash = (hash ^ byte) * 16777619 & 0xFFFFFFFF
    return hash


def codes(name, count):
    """Integers from -128 to 127, the same as HashedModel::code of hf_folder.h."""
    x = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) + np.uint32(seed_of(name))
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return (x >> np.uint32(24)).astype(np.int32) - 128


def values(name, shape):
    k = codes(name, int(np.prod(shape)))
    if name.endswith("norm.weight"):
        return torch.tensor(1.0 + (k >> 3) / 64.0, dtype=torch.float32).reshape(shape)
    shift = 11
    if name.endswith(".bias"):
        shift = 8
    elif name.endswith("down_proj.weight"):
        shift = 12
    return torch.tensor(k / 2.0**shift, dtype=torch.float32).reshape(shape)


def config_of(spec, layers):
    name, kind, _, hidden, query, kv, dim, ffn, tied, scaled = spec
    rope = {"rope_theta": 10000.0, "rope_type": "default"}
    if scaled:
        rope |= {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                 "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    return AutoConfig.for_model(
        kind, num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=query,
        num_key_value_heads=kv, head_dim=dim, intermediate_size=ffn, vocab_size=VOCAB,
        max_position_embeddings=4096, rms_norm_eps=1e-6, hidden_act="silu",
        rope_parameters=rope, tie_word_embeddings=tied, attention_bias=False)


def model_of(spec, layers):
    model = AutoModelForCausalLM.from_config(config_of(spec, layers), dtype=torch.float32).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(values(name, tuple(parameter.shape)))
    return model


def fp8_of(model, folder, by_row, which):
    """Saves `which` matrices in fp8 as compressed-tensors does; gives them back dequantised."""
    tensors = {}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if which not in name or "proj.weight" not in name:
                tensors[name] = parameter.to(torch.bfloat16)
                continue
            largest = parameter.abs().amax(dim=1, keepdim=True) if by_row else parameter.abs().max()
            scale = (largest / 448).to(torch.bfloat16 if by_row else torch.float32)
            stored = (parameter / scale.float()).to(torch.float8_e4m3fn)
            tensors[name] = stored
            tensors[name + "_scale"] = scale if by_row else scale.reshape(1)
            tensors[name.replace("weight", "input_scale")] = torch.ones(1)
            parameter.copy_(stored.float() * scale.float())
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()},
              folder / "model.safetensors")
    config = json.loads(model.config.to_json_string())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "float-quantized", "ignore": ["lm_head"],
        "config_groups": {"group_0": {"weights": {
            "num_bits": 8, "type": "float", "strategy": "channel" if by_row else "tensor"}}}}
    (folder / "config.json").write_text(json.dumps(config))


def steps_of(tokens):
    return len(tokens) // ROWS_A_PROMPT


def states_of(model):
    """[prompts x ROWS_A_PROMPT, hidden], after the final norm."""
    with torch.no_grad():
        return torch.cat([model.model(torch.tensor([tokens])).last_hidden_state[0]
                          [steps_of(tokens) - 1::steps_of(tokens)] for tokens in PROMPTS])


def reference(model):
    with torch.no_grad():
        return torch.cat([model(torch.tensor([tokens])).logits[0].double()
                          [steps_of(tokens) - 1::steps_of(tokens)] for tokens in PROMPTS])


def write_golden(folder, name, model):
    logits = reference(model)
    logits.numpy().astype("<f4").tofile(folder / f"{name}.logits")
    states_of(model).numpy().astype("<f4").tofile(folder / f"{name}.hidden")
    print(f"{name}: logits' std {logits.std().item():.3f}")


def found_by_engine(program, folder, device, beside):
    out = folder / "logprobs.f32"
    found = []
    for tokens in PROMPTS:
        subprocess.run([program, folder, device, str(beside), str(steps_of(tokens)),
                        ",".join(map(str, tokens)), out], check=True)
        rows = np.fromfile(out, dtype=np.float32).reshape(ROWS_A_PROMPT, VOCAB)
        found.append(torch.tensor(rows).double())
    return torch.cat(found)


def compare(what, logits, found, kl_max=1e-4, share_max=0.05):
    want = torch.log_softmax(logits, dim=-1)
    kl = (want.exp() * (want - found)).sum(dim=-1).max().item()
    off = (want - found).abs().max().item()
    share = off / logits.std().item()
    fine = kl <= kl_max and share <= share_max
    print(f"{'ok  ' if fine else 'FAIL'} {what}: KL {kl:.2e}, largest difference {off:.4f} = "
          f"{share:.4f} std", flush=True)
    return fine


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", nargs="?")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write-golden", type=pathlib.Path)
    arguments = parser.parse_args()
    fine = True
    for spec in MODELS:
        for layers in range(1, spec[2] + 1):
            model = model_of(spec, layers)
            logits = reference(model)
            if arguments.write_golden:
                write_golden(arguments.write_golden, f"{spec[0]}_{layers}", model)
            if not arguments.program:
                continue
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                model.to(torch.bfloat16).save_pretrained(folder, max_shard_size="4MB")
                compare(f"{spec[0]}, {layers} layers, transformers' own bf16", logits,
                        torch.log_softmax(reference(model), dim=-1), 1, 1)
                for beside in (8, 256) if arguments.device == "cuda" else (32,):
                    fine &= compare(f"{spec[0]}, {layers} layers, bf16, {beside} beside", logits,
                                    found_by_engine(arguments.program, folder, arguments.device,
                                                    beside))
            if arguments.device != "cuda" or layers != spec[2]:
                continue
            for by_row, which in ((True, "layers"), (False, "layers"), (True, "mlp")):
                with tempfile.TemporaryDirectory() as name:
                    folder = pathlib.Path(name)
                    model = model_of(spec, layers)
                    fp8_of(model, folder, by_row, which)
                    scales = "a row" if by_row else "a tensor"
                    for beside, kl_max, share_max in ((8, 1e-4, 0.05), (64, 1e-2, 1)):
                        fine &= compare(f"{spec[0]}, fp8 {which} with a scale {scales}, "
                                        f"{beside} beside", reference(model),
                                        found_by_engine(arguments.program, folder, "cuda", beside),
                                        kl_max, share_max)
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
