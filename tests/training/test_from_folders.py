"""From a checkpoint and recordings to a result that every loader takes."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers import Cosmos3OmniPipeline
from safetensors import safe_open
from safetensors.torch import load_file
from zarr_v2 import replay_buffer

import cosmos_robot as cr
from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.engine.engine import Engine
from cosmos_robot.errors import (
    CheckpointError,
    DeviceError,
    InvalidInputError,
    MissingDependencyError,
    UnsupportedModeError,
    UntrainedDomainWarning,
)
from cosmos_robot.training.fine_tuning import FineTuning, Lora, published_training
from cosmos_robot.training.from_folders import train_from_folders
from cosmos_robot.training.prompt_mix import ModeShare
from cosmos_robot.training.run_folder import RunFolder
from cosmos_robot.training.schedule import Budget, LearningRate
from cosmos_robot.types import ActionSpace

CONFIG = FineTuning(
    training=published_training(
        Budget(steps=2),
        learning_rate=LearningRate(peak=1e-2, warmup_steps=1),
        modes=(ModeShare("policy", 2), ModeShare("forward_dynamics", 2)),
    ),
    chunk=4,
)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """As published: bfloat16 but for the time embedder, sound, a reasoner's part, facts, a card."""
    folder = tmp_path_factory.mktemp("start") / "checkpoint"
    pipeline = RandomCheckpoint(sound=True).pipeline()
    for name, parameter in pipeline.transformer.named_parameters():
        parameter.data = parameter.data.to(torch.float32 if "time_embedder" in name else torch.bfloat16)
    pipeline.save_pretrained(folder, max_shard_size="400KB")
    (folder / "vision_encoder").mkdir()
    (folder / "vision_encoder" / "config.json").write_text('{"depth": 1}')
    (folder / "README.md").write_text("what the published weights reach")
    facts = {"native_canvas": [32, 32], "domain_ids": [7], "max_action_chunk_size": 2, "shift": 4.0}
    (folder / "cosmos_robot.json").write_text(json.dumps(facts))
    return folder


def demonstrations(folder, side=32, seed=0):
    rng, lengths = np.random.default_rng(seed), (9, 6)
    buffer = replay_buffer(np.cumsum(lengths))
    pictures = rng.integers(0, 255, (sum(lengths), side, side, 3)).astype(np.float32)
    buffer.array("data/img", pictures).array("data/action", rng.uniform(0, 512, (sum(lengths), 2)).astype(np.float32))
    return buffer.folder(folder)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return demonstrations(tmp_path_factory.mktemp("data") / "demos.zarr")


@pytest.fixture(scope="module")
def whole(start, data, tmp_path_factory):
    return train(start, data, tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def adapters(start, data, tmp_path_factory):
    pytest.importorskip("peft", reason="the extra train")
    with pytest.warns(UntrainedDomainWarning, match="adapters leave the action heads as they are"):
        return train(start, data, tmp_path_factory.mktemp("adapters"), lora=Lora(2, 4))


def train(start, data, out, **changes):
    return train_from_folders(
        start, data, domain=get_domain("pusht"), out=out, config=replace(CONFIG, **changes), device="cpu"
    )


def answer(model):
    """What a policy answers, in model space."""
    frame = np.random.default_rng(5).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    options = {"domain": "pusht", "action_chunk_size": 4, "action_space": ActionSpace.MODEL, "num_steps": 2}
    return model.policy(frame, prompt="push", **options).actions


def test_all_but_the_transformer_is_the_old_checkpoints(start, whole):
    def files(folder):
        return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before, after = files(start), files(whole)
    changed = {str(name) for name in before if before[name] != after.get(name)}
    weights = {str(path.relative_to(start)) for path in (start / "transformer").glob("*.safetensors")}
    assert len(weights) > 1
    assert changed == weights | {"README.md", "cosmos_robot.json"}
    assert not (whole / "README.md").exists()
    assert after.keys() <= before.keys()
    for name in weights:
        old, new = load_file(start / name), load_file(whole / name)
        assert {key: (value.dtype, value.shape) for key, value in old.items()} == {
            key: (value.dtype, value.shape) for key, value in new.items()
        }
    assert cr.load_world_model(whole, device="cpu").engine.sound is not None


def test_the_result_knows_the_domain_and_the_chunk_that_it_was_trained_on(whole):
    facts = json.loads((whole / "cosmos_robot.json").read_text())
    assert facts == {"native_canvas": [32, 32], "domain_ids": [4, 7], "max_action_chunk_size": 4, "shift": 4.0}


def test_diffusers_and_this_library_answer_alike(start, whole):
    ours = cr.load_world_model(whole, device="cpu")
    pipeline = Cosmos3OmniPipeline.from_pretrained(whole, enable_safety_checker=False)
    theirs = cr.LocalWorldModel(replace_engine(ours, Engine.from_pipeline(pipeline)))
    np.testing.assert_allclose(answer(ours), answer(theirs), atol=1e-5)
    assert np.abs(answer(ours) - answer(untrained(start, ours))).max() > 1e-3


def untrained(start, model):
    return cr.LocalWorldModel(replace_engine(model, cr.load_world_model(start, device="cpu").engine))


def replace_engine(model, engine):
    from cosmos_robot.engine.checkpoint import LoadedCheckpoint

    return LoadedCheckpoint(engine=engine, facts=model.facts, name="diffusers")


def test_adapters_are_loaded_by_the_name_of_their_folder_and_by_diffusers(start, adapters):
    ours = cr.load_world_model(adapters, device="cpu")
    pipeline = Cosmos3OmniPipeline.from_pretrained(start, enable_safety_checker=False)
    pipeline.transformer.load_lora_adapter(adapters, prefix=None, weight_name="pytorch_lora_weights.safetensors")
    theirs = cr.LocalWorldModel(replace_engine(ours, Engine.from_pipeline(pipeline)))
    np.testing.assert_allclose(answer(ours), answer(theirs), atol=1e-5)
    assert np.abs(answer(ours) - answer(untrained(start, ours))).max() > 1e-3
    assert ours.facts.domain_ids == (4, 7)
    with safe_open(adapters / "pytorch_lora_weights.safetensors", "pt") as file:
        assert {name.rpartition(".lora_")[0].rpartition(".")[2] for name in file.keys()} == {  # noqa: SIM118
            "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"
        }  # fmt: skip


def test_adapters_without_their_checkpoint_say_where_to_name_it(start, adapters, tmp_path):
    lonely, moved = shutil.copytree(adapters, tmp_path / "lora"), shutil.copytree(start, tmp_path / "moved")
    (lonely / "cosmos_robot_adapter.json").write_text(json.dumps({"checkpoint": str(tmp_path / "gone")}))
    with pytest.raises(CheckpointError, match=r"for a checkpoint that cannot be had: .*cosmos_robot_adapter\.json"):
        cr.load_world_model(lonely, device="cpu")
    (lonely / "cosmos_robot_adapter.json").write_text(json.dumps({"checkpoint": str(moved)}))
    assert cr.load_world_model(lonely, device="cpu").facts.domain_ids == (4, 7)


def test_adapters_of_another_form_are_refused(adapters, tmp_path):
    lonely = shutil.copytree(adapters, tmp_path / "lora")
    other = RandomCheckpoint(hidden=32, heads=2, kv_heads=1).save(tmp_path / "other")
    (lonely / "cosmos_robot_adapter.json").write_text(json.dumps({"checkpoint": str(other)}))
    with pytest.raises(CheckpointError, match="do not fit checkpoint"):
        cr.load_world_model(lonely, device="cpu")


def test_adapters_without_peft_name_the_extra(adapters, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "peft" else find(name, *more))
    with pytest.raises(MissingDependencyError, match=r"cosmos-robot\[train\]"):
        cr.load_world_model(adapters, device="cpu")


def test_a_training_does_not_start_from_adapters(adapters, data, tmp_path):
    with pytest.raises(InvalidInputError, match="holds LoRA adapters"):
        train(adapters, data, tmp_path)


def test_several_recordings_are_trained_on_together_and_another_training_is_refused(start, data, tmp_path, monkeypatch):
    other = demonstrations(tmp_path / "other.zarr", side=48, seed=1)  # of another size, on the checkpoint's one canvas
    result = train(start, [data, other], tmp_path / "out")
    assert len(list((tmp_path / "out" / "windows").glob("windows_*.npz"))) == 4
    with pytest.raises(InvalidInputError, match="holds another training: data was"):
        train(start, [data], tmp_path / "out")
    with pytest.raises(InvalidInputError, match="lora was None"):
        train(start, [data, other], tmp_path / "out", lora=Lora(2, 4))
    # The windows are all there: the recordings are not read again.
    monkeypatch.setattr("cosmos_robot.training.from_folders.episodes_in", lambda *_: pytest.fail("read again") and [])
    more = replace(CONFIG.training, budget=Budget(steps=3))
    monkeypatch.setattr("cosmos_robot.training.from_folders._all_episodes", lambda *_: iter(unread()))
    assert train(start, [data, other], tmp_path / "out", training=more) == result
    assert RunFolder(tmp_path / "out").load()["step"] == 3


def unread():
    pytest.fail("the recordings were read again")
    yield


@pytest.mark.parametrize(
    ("form", "changes", "error", "words"),
    [
        ({"action_gen": False}, {}, UnsupportedModeError, "no action heads"),
        ({}, {"domain_id": 32}, InvalidInputError, "has the id 32; this checkpoint has 0 to 31"),
    ],
)
def test_a_checkpoint_that_cannot_learn_the_robot_is_a_sentence(form, changes, error, words, data, tmp_path):
    folder = RandomCheckpoint(**form).save(tmp_path / "start")
    domain = replace(get_domain("pusht"), **changes)
    with pytest.raises(error, match=words):
        train_from_folders(folder, data, domain=domain, out=tmp_path / "out", config=CONFIG, device="cpu")


def test_data_with_no_window_are_a_sentence_before_the_checkpoint_is_loaded(start, data, tmp_path):
    with pytest.raises(InvalidInputError, match="has the 12 actions"):
        train(start, data, tmp_path, chunk=12)


def test_a_device_with_too_little_memory_is_known_before_anything_is_read(start, data, tmp_path, monkeypatch):
    monkeypatch.setattr("cosmos_robot.engine.device.free_memory", lambda device: 1_000_000)
    with pytest.raises(DeviceError, match="the training of"):
        train(start, data, tmp_path)
    assert not any(tmp_path.iterdir())


def test_frozen_weights_stay_as_they_were_loaded_where_bfloat16_pays(start, data, tmp_path, monkeypatch):
    """As on an accelerator: only what an optimiser moves is held in float32."""
    for module in ("from_folders", "precision"):
        monkeypatch.setattr(f"cosmos_robot.training.{module}.bfloat16_pays", lambda device_type: True)
    seen = {}

    def look(pipeline, *arguments, **options):
        result = fine_tune(pipeline, *arguments, **options)
        seen.update({n: (p.requires_grad, p.dtype) for n, p in pipeline.transformer.named_parameters()})
        return result

    from cosmos_robot.training.fine_tuning import fine_tune

    monkeypatch.setattr("cosmos_robot.training.from_folders.fine_tune", look)
    train(start, data, tmp_path)
    assert {dtype for learns, dtype in seen.values() if learns} == {torch.float32}
    frozen = {name: dtype for name, (learns, dtype) in seen.items() if not learns}
    assert set(frozen.values()) == {torch.bfloat16}
    assert any("self_attn.to_q" in name for name in frozen)
