"""A distilled checkpoint with random weights, in the modular layout in which the real ones are published."""

from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.modular_pipelines.cosmos import Cosmos3DistilledBlocks

from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint

SIGMAS = [0.999, 0.75, 0.5, 0.25]


def distilled_pipeline(*, stochastic=True):
    base = RandomCheckpoint(seed=9, action_gen=False).pipeline()
    pipe = Cosmos3DistilledBlocks().init_pipeline()
    pipe.update_components(
        transformer=base.transformer,
        vae=base.vae,
        text_tokenizer=base.text_tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(stochastic_sampling=stochastic),
        distilled_sigmas=SIGMAS,
    )
    pipe.disable_safety_checker()
    pipe.set_progress_bar_config(disable=True)
    return pipe
