"""What each process of a context-parallel generation runs: importable from a process that is started anew."""

import os

import numpy as np
import torch
import torch.distributed as dist
from action_case import SIZES, model_input, on_canvas, recording
from diffusers import ContextParallelConfig
from torch.distributed.device_mesh import init_device_mesh

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.engine.engine import Engine


def requests():
    """Prompts of two lengths, neither of which, nor the tokens, can be divided by the number of processes."""
    return [
        on_canvas(model_input("policy", *recording(SIZES[0], seed=i), guidance=2.0, prompt=prompt, seed=i))
        for i, prompt in enumerate(["short", "a longer one than that"])
    ]


def generated(pipeline):
    return Engine.from_pipeline(pipeline).generate(requests(), as_float=True)


def one_of(rank, world, port, folder):
    """A process, as torchrun starts it."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(world)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=world)
    torch.accelerator.device_count = lambda: 1  # diffusers divides by it, also where there is none
    torch.accelerator.current_accelerator = lambda: torch.device("cpu")
    mesh = init_device_mesh("cpu", (1, world), mesh_dim_names=("ring", "ulysses"))
    pipeline = RandomCheckpoint(layers=2, seed=8).pipeline()
    config = ContextParallelConfig(ulysses_degree=world, ulysses_anything=True, mesh=mesh)
    pipeline.transformer.enable_parallelism(config=config, cp_plan={})
    answers = generated(pipeline)
    np.savez(folder / f"{rank}.npz", *[a.frames for a in answers], *[a.actions for a in answers])
    dist.destroy_process_group()
