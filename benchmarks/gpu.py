"""Fitting GraphSAGE on a GPU beside the processor, with nothing but PyTorch, PyTorch Geometric and NumPy.

    benchmarks/gpu.sh [--questions N] [--columns N] [--neighbours N] [--batch N] [--steps N] [--cpu-only]

The network, its batches and its loss are the product's own files (`gnn/sage_network.py`,
`gnn/sage_examples.py`, `gnn/sage_workers.py`), read without the packages that the rest of it needs. Questions
are drawn. Prints the machine, then questions a second of whole training steps: gathered from pinned memory
ahead of time, sent, forward, backward, optimiser. On a machine with several GPUs, one process a GPU under
DistributedDataParallel over NCCL too. Each row is measured in turns with the others; the median is told.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
TYPES = 12
MESSAGE = 148
TURNS = 3


def module(name: str) -> ModuleType:
    """A file of the product by itself: its package would import what this machine may lack."""
    known = f"ringwatch_alone_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, ROOT / "gnn" / f"{name}.py")
        if spec is None or spec.loader is None:
            message = f"gnn/{name}.py is not there; run this from a clone"
            raise SystemExit(message)
        sys.modules[known] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[known])
    return sys.modules[known]


def drawn(options: argparse.Namespace, workers: Any) -> Any:
    """Questions of one worker."""
    rng = np.random.default_rng(workers.rank)
    held = len(range(workers.rank, options.questions, workers.world))
    count = rng.integers(0, 2 * options.neighbours + 1, held)
    total = int(count.sum())
    return module("sage_examples").Examples(
        rows=torch.from_numpy(rng.normal(size=(held, options.columns)).astype(np.float32)),
        messages=torch.from_numpy(rng.normal(size=(total, MESSAGE)).astype(np.float32)),
        side=torch.from_numpy(rng.integers(0, TYPES, total)),
        first=torch.from_numpy(np.cumsum(count) - count),
        count=torch.from_numpy(count),
        target=torch.from_numpy((rng.random(held) < 0.1).astype(np.float32)),
        weight=torch.ones(held),
        workers=workers,
    )


def questions_per_s(options: argparse.Namespace, examples: Any, state: dict[str, Any]) -> float:
    """Whole steps; the first ones warm up and are not counted."""
    workers = examples.workers
    processor = workers.processor
    network = module("sage_network").GraphSage(options.columns, MESSAGE, TYPES)
    network.load_state_dict(state)
    network = network.to(processor.device)
    together = workers.together(network)
    if processor.gpu and processor.compiled:
        together = torch.compile(together, dynamic=True)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)
    warm = 5
    picked = [rng.integers(0, options.questions, options.batch) for _ in range(warm + options.steps)]
    began = 0.0
    for number, batch in enumerate(examples.batches(picked, 0.2)):
        if number == warm:
            settle(processor)
            began = time.perf_counter()
        loss = module("sage_examples").batch_loss(together, batch, options.batch, workers)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    settle(processor)
    return float(options.steps * options.batch / (time.perf_counter() - began))


def settle(processor: Any) -> None:
    """Wait for what was sent to a GPU."""
    if processor.gpu:
        torch.cuda.synchronize()


def agreement(options: argparse.Namespace, state: dict[str, Any]) -> float:
    """Largest difference of log odds on the GPU, in single precision, from those of the processor."""
    found = []
    for gpu in (False, True):
        workers = module("sage_workers").Alone(module("sage_workers").Processor(gpu, half=False))
        examples = drawn(argparse.Namespace(**vars(options) | {"questions": 4096}), workers)
        network = module("sage_network").GraphSage(options.columns, MESSAGE, TYPES)
        network.load_state_dict(state)
        network = network.to(workers.processor.device).eval()
        with torch.no_grad():
            found.append(network(*examples.take(np.arange(4096)).inputs).cpu())
    return float((found[0] - found[1]).abs().max())


class Rank:
    """One process of several, a GPU each."""

    def __init__(self, rank: int, world: int, processor: Any) -> None:
        self.rank, self.world, self.processor = rank, world, processor

    def together(self, network: Any) -> Any:
        """Under DistributedDataParallel."""
        return torch.nn.parallel.DistributedDataParallel(network, device_ids=[self.processor.device])


def beside_others(
    rank: int, world: int, options: argparse.Namespace, state: dict[str, Any], told: Any
) -> None:
    """One of several GPUs."""
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29517")
    torch.cuda.set_device(rank)
    torch.distributed.init_process_group("nccl", rank=rank, world_size=world)
    examples = drawn(options, Rank(rank, world, module("sage_workers").Processor(gpu=True)))
    speed = questions_per_s(options, examples, state)
    if rank == 0:
        told.put(speed)
    torch.distributed.destroy_process_group()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=200_000)
    parser.add_argument("--columns", type=int, default=600)
    parser.add_argument("--neighbours", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--cpu-only", action="store_true", help="only the rows that need no GPU")
    options = parser.parse_args()
    gpus = 0 if options.cpu_only else torch.cuda.device_count()
    print(f"Python {platform.python_version()}, PyTorch {torch.__version__}, {os.cpu_count()} processors")
    for number in range(gpus):
        card = torch.cuda.get_device_properties(number)
        print(f"GPU {number}: {card.name}, {card.total_memory / 2**30:.0f} GiB")
    if not gpus and not options.cpu_only:
        message = "no GPU here: PyTorch sees none; --cpu-only measures the processor alone"
        raise SystemExit(message)
    torch.manual_seed(0)
    state = module("sage_network").GraphSage(options.columns, MESSAGE, TYPES).state_dict()
    workers = module("sage_workers")
    rows = {"processor, 1 thread": (1, workers.Processor())}
    rows["processor, all threads"] = (os.cpu_count() or 1, workers.Processor())
    if gpus:
        rows["GPU, single precision"] = (1, workers.Processor(gpu=True, half=False))
        rows["GPU, bfloat16"] = (1, workers.Processor(gpu=True))
        rows["GPU, bfloat16, compiled"] = (1, workers.Processor(gpu=True, compiled=True))
    speeds: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(TURNS):
        for name, (threads, processor) in rows.items():
            torch.set_num_threads(threads)
            examples = drawn(options, workers.Alone(processor))
            speeds[name].append(questions_per_s(options, examples, state))
    if gpus > 1:
        processes: Any = torch.multiprocessing
        told = processes.get_context("spawn").SimpleQueue()
        name = f"{gpus} GPUs, bfloat16, NCCL"
        speeds[name] = []
        for _ in range(TURNS):
            processes.spawn(beside_others, (gpus, options, state, told), nprocs=gpus)
            speeds[name].append(told.get())
    base = statistics.median(speeds["processor, 1 thread"])
    for name, found in speeds.items():
        middle = statistics.median(found)
        print(f"{name:28} {middle:12,.0f} questions/s {middle / base:7.2f} times one thread")
    if gpus:
        print(f"log odds on GPU and processor differ by {agreement(options, state):.1e} at most")
        print(f"peak memory of the GPU: {torch.cuda.max_memory_allocated() / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
