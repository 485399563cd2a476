"""Trains the package's language model on the King James Bible and writes models/kjv.gguf:

    apt-get install python3-torch libopenblas0-pthread bible-kjv bible-kjv-text
    /usr/bin/python3 scripts/model/train.py --state /tmp/kjv.pt

8.2 M pieces took 50 minutes on two cores that other work shared. Two processes of one thread each take half of a batch: threads inside products
wait for each other hundreds of times a step, which is slow where cores are shared. In the last tenth of the steps the model runs with quantized
weights while the slopes go to the floats behind them (straight-through), so that it learns to be right as the file will hold it. A run that was
stopped goes on from --state. The same steps and workers make the same weights on the same machine.
"""
import argparse
import ctypes
import math
import multiprocessing
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import bpe
import network
import quants
import text
from measure import bits_a_byte, with_ends
from write import write_model

PIECES, BATCH, SEED = 1024, 8, 1611
PEAK, WARMUP, BETAS, DECAY, CLIP = 3e-3, 100, (0.9, 0.98), 0.1, 1.0
TAIL = 0.1  # of the steps, with quantized weights
HALVES = "avx512_bf16" in Path("/proc/cpuinfo").read_text()  # products in bfloat16 where the processor has them: 1.7 times as fast
SEARCH = 8  # steps for which scales of the fake quantization hold; codes are made anew at each


def rate(step: int, steps: int) -> float:
    """Up in WARMUP steps, down to a tenth as a cosine, and to 0 in a line over the tail, where a cosine would be too low to learn anything."""
    tail = steps * (1 - TAIL)
    if step < WARMUP:
        return PEAK * (step + 1) / WARMUP
    if step < tail:
        return PEAK * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - WARMUP) / (tail - WARMUP))))
    return PEAK * 0.1 * (steps - step) / (steps - tail)


def windows(ids: torch.Tensor, step: int) -> torch.Tensor:
    """BATCH windows of CONTEXT + 1 ids: each epoch cuts the text at another place and takes the pieces in another order."""
    size = network.CONTEXT
    count = (len(ids) - 1) // size - 1
    epoch, at = divmod(step * BATCH, count - count % BATCH)
    random = torch.Generator().manual_seed(SEED + epoch)
    shift = int(torch.randint(size, (1,), generator=random))
    chosen = torch.randperm(count, generator=random)[at : at + BATCH]
    return torch.stack([ids[shift + size * int(n) :][: size + 1] for n in chosen])


class Shared:
    """Weights, slopes and AdamW's means of all parameters, side by side in memory that the workers share."""

    def __init__(self, start: dict[str, torch.Tensor], workers: int):
        self.shapes = {name: tuple(t.shape) for name, t in start.items()}
        self.flat = torch.cat([t.reshape(-1) for t in start.values()]).share_memory_()
        self.slopes = torch.zeros(workers, len(self.flat)).share_memory_()
        self.mean = torch.zeros_like(self.flat).share_memory_()
        self.square = torch.zeros_like(self.flat).share_memory_()
        # Norms are not pulled to 0.
        self.decay = torch.cat([torch.full((t.numel(),), 0.0 if t.dim() == 1 else DECAY) for t in start.values()])

    def views(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = flat.split([math.prod(shape) for shape in self.shapes.values()])
        return {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts)}

    def update(self, worker: int, workers: int, step: int, lr: float) -> None:
        """AdamW for this worker's share of the parameters."""
        total = self.slopes.mean(0)
        scale = min(1.0, CLIP / float(total.norm()))
        own = slice(worker * len(self.flat) // workers, (worker + 1) * len(self.flat) // workers)
        slope, w, mean, square = total[own] * scale, self.flat[own], self.mean[own], self.square[own]
        mean.lerp_(slope, 1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(slope, slope, value=1 - BETAS[1])
        w.mul_(1 - lr * self.decay[own])
        root = (square / (1 - BETAS[1] ** (step + 1))).sqrt_().add_(1e-8)
        w.addcdiv_(mean, root, value=-lr / (1 - BETAS[0] ** (step + 1)))


def run(worker: int, shared: Shared, barrier, ids: torch.Tensor, held: list[tuple[list[int], int]], begin: int, args) -> None:
    torch.set_num_threads(1)
    # Large tensors come from the heap that the process keeps: mapping fresh pages for each costs more than most operations.
    libc = ctypes.CDLL("libc.so.6")
    libc.mallopt(-3, 1 << 30)
    libc.mallopt(-1, (1 << 31) - 1)
    scales: dict = {}
    started = saved = time.time()
    average = 0.0
    for step in range(begin, args.steps):
        flat = shared.flat.detach().requires_grad_()
        w = shared.views(flat)
        tail = step >= args.steps * (1 - TAIL)
        if tail:
            if step % SEARCH == 0 or not scales:
                scales = {name: quants.search(name, t.detach()) for name, t in w.items() if t.dim() == 2}
            w = {name: quants.straight_through(name, t, scales[name]) if t.dim() == 2 else t for name, t in w.items()}
        batch = windows(ids, step)[worker :: args.workers]
        loss = F.cross_entropy(network.logits(w, batch[:, :-1], HALVES and not tail), batch[:, 1:].reshape(-1))
        loss.backward()
        shared.slopes[worker] = flat.grad
        barrier.wait(600)
        shared.update(worker, args.workers, step, rate(step, args.steps))
        barrier.wait(600)
        if worker > 0:
            continue
        average = loss.item() if average == 0 else 0.98 * average + 0.02 * loss.item()
        done = step + 1
        if done % 50 == 0:
            speed = (done - begin) * BATCH * network.CONTEXT / (time.time() - started)
            print(f"{done} loss {average:.4f} nats a piece, {speed:.0f} pieces/s{' (quantized)' if tail else ''}", flush=True)
        if done % 500 == 0:
            judged = bits_a_byte(shared.views(shared.flat), held[::4], network.CONTEXT)
            print(f"{done} held out {judged:.4f} bits a byte (float, every fourth chapter, without overlap)", flush=True)
        if time.time() - saved > 120 or done == args.steps:
            saved = time.time()
            torch.save({"step": done, "flat": shared.flat, "mean": shared.mean, "square": shared.square}, args.state)


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Needs: {text.APT}")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "models" / "kjv.gguf")
    args = parser.parse_args()
    torch.set_num_threads(1)  # threads do not outlive a fork
    learnt, judged = text.split(text.chapters())
    pieces, merges = bpe.learn(learnt, PIECES)
    tokenizer = bpe.Tokenizer(pieces, merges)
    ids = torch.tensor([n for chapter in learnt for n in [tokenizer.end, *tokenizer.encode(chapter)]])
    held = [with_ends(tokenizer, chapter) for chapter in judged]
    shared = Shared(network.initial(PIECES, SEED), args.workers)
    begin = 0
    if args.state.exists():
        state = torch.load(args.state)
        begin = state["step"]
        for key in ("flat", "mean", "square"):
            getattr(shared, key).copy_(state[key])
    epochs = args.steps * BATCH * network.CONTEXT / len(ids)
    print(f"{len(shared.flat)} parameters, {len(ids)} pieces, {epochs:.1f} epochs, from step {begin}", flush=True)

    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(args.workers)
    workers = [context.Process(target=run, args=(n, shared, barrier, ids, held, begin, args)) for n in range(args.workers)]
    for one in workers:
        one.start()
    for one in workers:
        one.join()
    if any(one.exitcode for one in workers):
        raise SystemExit("a worker has failed; --state holds what was reached")

    w = {name: t.clone() for name, t in shared.views(shared.flat).items()}
    args.out.parent.mkdir(exist_ok=True)
    write_model(args.out, w, pieces, merges)
    rounded = {name: quants.quantized(name, t) if t.dim() == 2 else t for name, t in w.items()}
    print(f"float {bits_a_byte(w, held):.4f}, quantized {bits_a_byte(rounded, held):.4f} bits a byte; {args.out.stat().st_size} bytes in {args.out}")


if __name__ == "__main__":
    main()
