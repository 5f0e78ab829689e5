"""Speed of sampling crystals: ours beside the published loop, transformers and CTranslate2.

    python benchmarks/crystal_sampling.py --texts 64 --batch 64 --threads 1 2

One network of the published size (25.9 million parameters, random weights), one prompt, top-k 10 at
temperature 1, everybody in float32, all in one run:

- ours, constrained: real grammar of the dialect, so every text is a whole crystal;
- ours, unconstrained: every token is chosen, none is certain; the same work as the others;
- the published loop: one text at a time, all of it read again for every token, its GELU written
  out and its attention dropout active, as in the published script. Timed at every `--every`-th
  token of one text and multiplied;
- the plain loop: the same, through our network;
- transformers' `generate` and CTranslate2's `generate_batch`, each with its own cache, the same
  batch. Both are optional: pip install transformers ctranslate2.

The others write as many tokens as our constrained texts have on average, whatever they are. CPU
seconds are given beside wall seconds because a busy machine spoils the latter; the ratios of CPU
runs are those of CPU seconds.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from bondwright.crystals.checkpoint import LoadedModel
from bondwright.crystals.dialect import Request
from bondwright.crystals.dialects import dialect
from bondwright.crystals.network import Network, NetworkConfig
from bondwright.crystals.sampling import SamplingSettings, sample

DROPOUT = 0.1  # of the published training, left on in its attention while sampling
REQUEST = Request(formula={"Ba": 1, "Ti": 1, "O": 3}, formula_units=2, space_group=26)


@dataclass(frozen=True)
class Speed:
    """What one contender took for one text."""

    name: str
    threads: int
    cpu: float
    wall: float
    tokens: float


def build(name: str, device: str) -> LoadedModel:
    torch.manual_seed(0)
    tokens = len(dialect(name).vocabulary.tokens)
    config = NetworkConfig(tokens, 1024, 8, 8, 512, bias=False, activation="gelu_new")
    network = Network(config).eval().requires_grad_(False).to(device)
    return LoadedModel(network, name, (), {})


def timed(name: str, threads: int, texts: float, work: Callable[[], float]) -> Speed:
    """Time work that returns the tokens of all its texts."""
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Speed(name, threads, cpu / texts, wall / texts, tokens / texts)


def ours(model: LoadedModel, texts: int, settings: SamplingSettings, request: Request) -> float:
    found = list(sample(model, [request] * texts, [{}] * texts, 0, settings))
    return float(sum(len(one.ids) for one in found))


def published_logits(network: Network, ids: torch.Tensor) -> torch.Tensor:
    """Read a whole text (1, T) as the published code does; logits after its last token."""
    config = network.config
    x = network.tokens.weight[ids] + network.positions.weight[: ids.shape[1]]
    for block in network.blocks:
        q, k, v = block.qkv(block.norm_1(x)).split(config.width, dim=2)
        q, k, v = (t.view(1, -1, config.heads, config.width // config.heads) for t in (q, k, v))
        found = functional.scaled_dot_product_attention(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            dropout_p=DROPOUT,
            is_causal=True,
        )
        x = x + block.out(found.transpose(1, 2).reshape(x.shape))
        h = block.up(block.norm_2(x))
        cube = h + 0.044715 * torch.pow(h, 3.0)
        x = x + block.down(0.5 * h * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * cube)))
    return functional.linear(network.norm(x[:, -1:]), network.tokens.weight)[0, -1]


def plain_logits(network: Network, ids: torch.Tensor) -> torch.Tensor:
    return network(ids)[0, -1]


def loop(
    network: Network,
    logits_of: Callable[[Network, torch.Tensor], torch.Tensor],
    prompt: list[int],
    length: int,
    every: int,
) -> float:
    """Write every `every`-th token of one text, the whole text read again for each."""
    device = network.tokens.weight.device
    random = torch.Generator().manual_seed(0)
    text = torch.randint(89, 99, (1, length), generator=random).to(device)
    text[0, : len(prompt)] = torch.tensor(prompt)
    with torch.inference_mode():
        for end in range(len(prompt) + every // 2, length, every):
            logits = logits_of(network, text[:, :end])
            logits[logits < logits.topk(10).values[-1]] = -math.inf
            torch.multinomial(logits.softmax(-1), 1).item()
    return float(length)


def transformers_model(network: Network) -> Any:
    """Put the weights into transformers' GPT-2; its biases are zero."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = network.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocabulary,
            n_positions=config.context,
            n_embd=config.width,
            n_layer=config.layers,
            n_head=config.heads,
            bos_token_id=None,
            eos_token_id=None,
        )
    ).eval()
    names = {
        "norm_1": "ln_1",
        "qkv": "attn.c_attn",
        "out": "attn.c_proj",
        "norm_2": "ln_2",
        "up": "mlp.c_fc",
        "down": "mlp.c_proj",
    }
    single = {"tokens": "wte", "positions": "wpe", "norm": "ln_f"}
    state = {n: torch.zeros_like(t) for n, t in theirs.state_dict().items()}
    for name, tensor in network.state_dict().items():
        parts = name.split(".")
        if parts[0] == "blocks":
            target = f"transformer.h.{parts[1]}.{names[parts[2]]}.{parts[3]}"
        else:
            target = f"transformer.{single[parts[0]]}.{parts[1]}"
        state[target] = tensor.t() if tensor.ndim == 2 and parts[0] == "blocks" else tensor
    state["lm_head.weight"] = state["transformer.wte.weight"]
    theirs.load_state_dict(state)
    return theirs.to(network.tokens.weight.device)


def by_transformers(theirs: Any, prompt: list[int], texts: int, batch: int, length: int) -> float:
    new = length - len(prompt)
    for start in range(0, texts, batch):
        rows = min(batch, texts - start)
        ids = torch.tensor([prompt] * rows, device=theirs.device)
        found = theirs.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=new,
            max_new_tokens=new,
            do_sample=True,
            top_k=10,
            pad_token_id=0,
        )
        assert found.shape == (rows, length)
    return float(texts * length)


def ctranslate2_folder(network: Network, folder: Path) -> None:
    """Write the weights in CTranslate2's format."""
    import ctranslate2
    from ctranslate2.specs import TransformerDecoderModelSpec, common_spec

    config = network.config
    spec = TransformerDecoderModelSpec.from_config(
        config.layers, config.heads, pre_norm=True, activation=common_spec.Activation.GELUTanh
    )

    def array(tensor: torch.Tensor) -> Any:
        return np.ascontiguousarray(tensor.cpu().numpy())

    def norm(target: Any, module: Any) -> None:
        target.gamma, target.beta = array(module.weight), np.zeros(config.width, dtype=np.float32)

    decoder = spec.decoder
    decoder.scale_embeddings = False
    decoder.embeddings.weight = array(network.tokens.weight)
    decoder.position_encodings.encodings = array(network.positions.weight)
    norm(decoder.layer_norm, network.norm)
    decoder.projection.weight = array(network.tokens.weight)
    for target, block in zip(decoder.layer, network.blocks, strict=True):
        norm(target.self_attention.layer_norm, block.norm_1)
        target.self_attention.linear[0].weight = array(block.qkv.weight)
        target.self_attention.linear[1].weight = array(block.out.weight)
        norm(target.ffn.layer_norm, block.norm_2)
        target.ffn.linear_0.weight = array(block.up.weight)
        target.ffn.linear_1.weight = array(block.down.weight)
    spec.register_vocabulary([f"t{i}" for i in range(config.vocabulary)])
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = "t0", "t1", "t2"
    spec.validate()
    spec.optimize(quantization="float32")
    spec.save(str(folder))
    assert ctranslate2.contains_model(str(folder))


def by_ctranslate2(engine: Any, prompt: list[int], texts: int, batch: int, length: int) -> float:
    start, new = [f"t{i}" for i in prompt], length - len(prompt)
    found = engine.generate_batch(
        [start] * texts,
        max_batch_size=batch,
        min_length=new,
        max_length=new,
        sampling_topk=10,
        include_prompt_in_result=False,
    )
    assert all(len(one.sequences_ids[0]) == new for one in found)
    return float(texts * length)


def contenders(arguments: argparse.Namespace, model: LoadedModel, threads: int) -> list[Speed]:
    texts, batch, network = arguments.texts, arguments.batch, model.network
    torch.set_num_threads(threads)
    prompt = dialect(model.dialect).prompt(REQUEST)
    dialect(model.dialect).grammar(REQUEST)  # its tables are made once for all samples
    settings = SamplingSettings(top_k=10, batch=batch, attempts=1)
    ours(model, 2, settings, REQUEST)  # warm
    done = [
        timed("ours, constrained", threads, texts, lambda: ours(model, texts, settings, REQUEST))
    ]
    length = round(done[0].tokens)
    free = SamplingSettings(top_k=10, batch=batch, constrained=False, max_tokens=length)
    done.append(
        timed("ours, unconstrained", threads, texts, lambda: ours(model, texts, free, REQUEST))
    )
    every = arguments.every
    for name, logits_of in (("published loop", published_logits), ("plain loop", plain_logits)):
        share = len(range(len(prompt) + every // 2, length, every)) / (length - len(prompt))
        speed = timed(
            name, threads, share, lambda of=logits_of: loop(network, of, prompt, length, every)
        )
        done.append(Speed(name, threads, speed.cpu, speed.wall, length))
    if importlib.util.find_spec("transformers"):
        theirs = transformers_model(network)
        by_transformers(theirs, prompt, 2, 2, len(prompt) + 4)
        done.append(
            timed(
                "transformers generate",
                threads,
                texts,
                lambda: by_transformers(theirs, prompt, texts, batch, length),
            )
        )
    if importlib.util.find_spec("ctranslate2"):
        import ctranslate2

        with tempfile.TemporaryDirectory() as folder:
            ctranslate2_folder(network, Path(folder))
            engine = ctranslate2.Generator(
                folder, device=arguments.device, compute_type="float32", intra_threads=threads
            )
            by_ctranslate2(engine, prompt, 2, 2, len(prompt) + 4)
            done.append(
                timed(
                    "CTranslate2",
                    threads,
                    texts,
                    lambda: by_ctranslate2(engine, prompt, texts, batch, length),
                )
            )
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--every", type=int, default=16, help="the loops time one token in so many")
    parser.add_argument("--dialect", default="crystallm")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    model = build(arguments.dialect, arguments.device)
    cpu = arguments.device == "cpu"
    print(
        "contender               threads  CPU s/text  wall s/text  tokens/s  texts/s  ours faster"
    )
    for threads in arguments.threads:
        done = contenders(arguments, model, threads)
        best = done[0].cpu if cpu else done[0].wall
        for one in done:
            wall = one.wall
            ratio = (one.cpu if cpu else one.wall) / best
            print(
                f"{one.name:<24}{threads:>7}{one.cpu:>12.4f}{wall:>13.4f}"
                f"{one.tokens / wall:>10.0f}{1 / wall:>9.3f}{ratio:>14.1f} x",
                flush=True,
            )
        print(f"mean length of a text: {done[0].tokens:.0f} tokens")


if __name__ == "__main__":
    main()
