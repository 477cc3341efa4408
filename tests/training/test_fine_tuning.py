import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.checkpoint import CheckpointFacts, load_checkpoint
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.autoencoder import AutoencoderForm, build_autoencoder
from cosmos_robot.training.fine_tuning import FineTuning, Lora, fine_tune
from cosmos_robot.training.post_training import PostTraining
from cosmos_robot.training.prompt_mix import ModeShare
from cosmos_robot.training.pusht_model import pusht_text
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.training.small_checkpoint import TransformerForm, build_transformer, save_checkpoint
from cosmos_robot.training.window_cutter import TrainingEpisode

FACTS = CheckpointFacts(native_canvas=(32, 32), max_action_chunk_size=8, domain_ids=(4,), num_steps=2, shift=5.0)
CONFIG = FineTuning(
    training=PostTraining(
        budget=Budget(steps=2),
        learning_rate=LearningRate(peak=1e-2, warmup_steps=1, decay_from=1.0),
        modes=(ModeShare("forward_dynamics", 2), ModeShare("policy", 2)),
        autocast=False,
    ),
    chunk=8,
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    text = pusht_text(get_domain("pusht"))
    form = TransformerForm(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        intermediate_size=24,
        latent_channel=4,
        latent_patch_size=1,
        rope_axes_dim=(2, 1, 1),
    )
    save_checkpoint(
        folder,
        transformer=build_transformer(form, vocab_size=len(text.tokenizer)),
        vae=build_autoencoder(AutoencoderForm(base_dim=4, decoder_base_dim=4, z_dim=4, dim_mult=(1, 1, 2, 2))),
        tokenizer=text.tokenizer,
        flow_shift=5.0,
        facts=FACTS,
    )
    return folder


def episodes(count=2, side=32):
    rng = np.random.default_rng(0)
    return [
        TrainingEpisode(
            frames=rng.integers(0, 255, (13, side, side, 3), dtype=np.uint8),
            actions=rng.uniform(0, 512, (12, 2)).astype(np.float32),
            prompt="push the T to the left",
        )
        for _ in range(count)
    ]


def pipeline_of(folder):
    from diffusers import Cosmos3OmniPipeline

    return Cosmos3OmniPipeline.from_pretrained(
        folder, enable_safety_checker=False, safety_checker=None, sound_tokenizer=None
    )


def test_a_checkpoint_is_written_that_the_engine_loads(checkpoint):
    loaded = load_checkpoint(checkpoint, device="cpu")
    assert loaded.facts == FACTS
    assert loaded.engine.action_dim == 64


def test_the_generation_tower_is_trained_and_the_result_is_a_checkpoint(checkpoint, tmp_path):
    pipeline = pipeline_of(checkpoint)
    before = {name: value.clone() for name, value in pipeline.transformer.state_dict().items()}
    result = fine_tune(pipeline, checkpoint, episodes(), domain=get_domain("pusht"), out=tmp_path, config=CONFIG)
    after = pipeline_of(result).transformer.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any("add_q_proj" in name for name in changed)
    assert any("proj_in" in name for name in changed)
    assert not any("self_attn.to_q" in name or "embed_tokens" in name for name in changed)
    configs = list(result.rglob("*.json"))
    assert configs
    assert not any(str(checkpoint) in config.read_text() for config in configs)
    assert len(list((tmp_path / "windows").glob("windows_*.npz"))) == 2


def test_adapters_are_written_alone(checkpoint, tmp_path):
    config = replace(CONFIG, lora=Lora(rank=2, alpha=4))
    pipeline = pipeline_of(checkpoint)
    result = fine_tune(pipeline, checkpoint, episodes(), domain=get_domain("pusht"), out=tmp_path, config=config)
    assert [path.suffix for path in result.iterdir() if path.suffix == ".safetensors"] == [".safetensors"]
    fresh = pipeline_of(checkpoint).transformer
    fresh.load_lora_adapter(result, prefix=None, weight_name="pytorch_lora_weights.safetensors", use_safetensors=True)
    assert any("lora" in name for name, _ in fresh.named_parameters())


def test_episodes_of_two_sizes_are_refused(checkpoint, tmp_path):
    start = shutil.copytree(checkpoint, tmp_path / "start")
    (start / "cosmos_robot.json").unlink()
    mixed = [*episodes(1), *episodes(1, side=48)]
    with pytest.raises(InvalidInputError, match=r"the first is of 32x32 \(HxW\), episode 1 of 48x48"):
        fine_tune(pipeline_of(start), start, mixed, domain=get_domain("pusht"), out=tmp_path, config=CONFIG)


def test_an_episode_has_one_frame_more_than_actions():
    with pytest.raises(InvalidInputError, match="one frame more"):
        TrainingEpisode(np.zeros((4, 16, 16, 3), np.uint8), np.zeros((4, 2), np.float32))
