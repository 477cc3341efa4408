"""A training of a very small transformer, here or in a process of its own."""

import os

from cosmos_robot.training.post_training import PostTrainer, PostTraining
from cosmos_robot.training.prompt_mix import ModeShare
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.small_checkpoint import TransformerForm, build_transformer
from cosmos_robot.training.stop_request import TrainingStopped

FORM = TransformerForm(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=16,
    intermediate_size=48,
    latent_channel=4,
    latent_patch_size=2,
    rope_axes_dim=(4, 2, 2),
)


def trainer(folder, text, windows, steps, **changes):
    settings = {
        "modes": (
            ModeShare("forward_dynamics", 6, told=0.3),
            ModeShare("inverse_dynamics", 4, told=0.3),
            ModeShare("policy", 4),
            ModeShare("image2video", 2, every=2),
            ModeShare("text2video", 2, every=3),
            ModeShare("text2image", 2, every=3),
        ),
        "autocast": False,
        **changes,
    }
    rate = LearningRate(peak=3e-3, warmup_steps=3, decay_from=1.0)
    config = PostTraining(budget=Budget(steps=steps), learning_rate=rate, **settings)
    model = build_transformer(FORM, vocab_size=len(text.tokenizer))
    return PostTrainer(RunFolder(folder), model, text, windows, domain_id=4, fps=10.0, config=config)


def train_and_exit(*arguments, **changes):
    """What a process of its own does: 0 at the end of the training, 130 where it was stopped, as a shell has it."""
    try:
        trainer(*arguments, **changes).run()
    except TrainingStopped as stopped:
        print(stopped, flush=True)
        os._exit(130)
    os._exit(0)
