"""Loading: whole checkpoints load, others are refused by a sentence that says what is missing."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from cosmos_robot.engine import device
from cosmos_robot.engine.checkpoint import (
    CheckpointFacts,
    ModeSampling,
    check_checkpoint,
    find_checkpoint,
    load_checkpoint,
)
from cosmos_robot.engine.weights import INDEX, WEIGHTS
from cosmos_robot.errors import CheckpointError, DeviceError, InvalidInputError


@pytest.fixture
def copy(checkpoint_folder, tmp_path):
    return shutil.copytree(checkpoint_folder, tmp_path / "copy")


def test_loads(checkpoint_folder, pipelines):
    loaded = load_checkpoint(checkpoint_folder, device="cpu")
    assert loaded.facts == CheckpointFacts()
    for name, tensor in pipelines("nano").transformer.state_dict().items():
        assert torch.equal(loaded.engine.transformer.state_dict()[name], tensor), name


def test_loads_shards(copy, pipelines):
    pipelines("nano").transformer.save_pretrained(copy / "transformer", max_shard_size="200KB")
    (copy / "transformer" / WEIGHTS).unlink()
    assert (copy / "transformer" / INDEX).is_file()
    load_checkpoint(copy, device="cpu")
    next((copy / "transformer").glob("*-00002-of-*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="00002-of"):
        check_checkpoint(copy)


def test_published_index_with_components_that_actions_do_not_need(copy):
    """Nano's index names a sound tokenizer and a safety checker; neither is loaded, so neither need be there."""
    index = json.loads((copy / "model_index.json").read_text())
    index["sound_tokenizer"] = ["diffusers", "Cosmos3AVAEAudioTokenizer"]
    index["safety_checker"] = ["cosmos_guardrail", "CosmosSafetyChecker"]
    index["enable_safety_checker"] = True
    (copy / "model_index.json").write_text(json.dumps(index))
    assert load_checkpoint(copy, device="cpu").engine.action_dim == 64


@pytest.mark.parametrize("component", ["transformer", "vae", "scheduler", "text_tokenizer"])
def test_missing_component(copy, component):
    shutil.rmtree(copy / component)
    with pytest.raises(CheckpointError, match=f"no component '{component}'"):
        load_checkpoint(copy, device="cpu")


def test_missing_tensor(copy):
    path = copy / "transformer" / WEIGHTS
    tensors = load_file(path)
    del tensors["layers.1.mlp_moe_gen.down_proj.weight"]
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"layers\.1\.mlp_moe_gen\.down_proj\.weight"):
        load_checkpoint(copy, device="cpu")


def test_tensor_of_another_shape(copy):
    path = copy / "transformer" / WEIGHTS
    tensors = load_file(path)
    tensors["proj_in.bias"] = tensors["proj_in.bias"][:-1].clone()
    save_file(tensors, path)
    with pytest.raises(CheckpointError, match=r"'proj_in\.bias' has shape \[63\]"):
        load_checkpoint(copy, device="cpu")


def test_file_cut_short(copy):
    path = copy / "vae" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        load_checkpoint(copy, device="cpu")
    path.write_bytes(b"not weights")
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_checkpoint(copy, device="cpu")


def test_configuration_that_is_not_json(copy):
    (copy / "transformer" / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="is not JSON"):
        load_checkpoint(copy, device="cpu")


def test_another_family(copy):
    index = json.loads((copy / "model_index.json").read_text())
    index["transformer"] = ["diffusers", "WanTransformer3DModel"]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="Cosmos 3 family"):
        load_checkpoint(copy, device="cpu")


def test_facts_beside_the_checkpoint(copy):
    (copy / "cosmos_robot.json").write_text('{"native_canvas": [96, 96], "domain_ids": [4]}')
    assert CheckpointFacts.read(copy) == CheckpointFacts(native_canvas=(96, 96), domain_ids=(4,))
    (copy / "cosmos_robot.json").write_text('{"native_canvass": [96, 96]}')
    with pytest.raises(CheckpointError, match="native_canvass"):
        CheckpointFacts.read(copy)


def test_a_mode_may_be_sampled_in_a_way_of_its_own(copy):
    facts = {"num_steps": 4, "guidance": 1.0, "by_mode": {"policy": {"guidance": 2.5}, "image2video": {"num_steps": 9}}}
    (copy / "cosmos_robot.json").write_text(json.dumps(facts))
    read = CheckpointFacts.read(copy)
    assert read.sampling_of("policy") == ModeSampling(4, 2.5)
    assert read.sampling_of("image2video") == ModeSampling(9, 1.0)
    assert read.sampling_of("inverse_dynamics") == ModeSampling(4, 1.0)
    assert CheckpointFacts().sampling_of("policy") == ModeSampling()
    (copy / "cosmos_robot.json").write_text(json.dumps(facts | {"by_mode": {"policy": {"num_steps": 0}}}))
    with pytest.raises(CheckpointError, match=r"by_mode\.policy\.num_steps"):
        CheckpointFacts.read(copy)


def test_not_a_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"no model_index\.json"):
        find_checkpoint(tmp_path)
    with pytest.raises(CheckpointError, match="neither a folder nor a Hub id"):
        find_checkpoint("no such folder")


def test_hub_without_network(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="cannot be reached"):
        find_checkpoint("nvidia/Cosmos3-Nano")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_where_there_is_none(checkpoint_folder):
    with pytest.raises(DeviceError, match="no CUDA device"):
        load_checkpoint(checkpoint_folder, device="cuda")


def test_unknown_device_and_dtype(checkpoint_folder):
    with pytest.raises(InvalidInputError, match="warp"):
        load_checkpoint(checkpoint_folder, device="warp")
    with pytest.raises(InvalidInputError, match="float16"):
        load_checkpoint(checkpoint_folder, device="cpu", dtype="float16")


def test_too_little_memory_is_said_before_loading(checkpoint_folder, monkeypatch):
    monkeypatch.setattr(device, "free_memory", lambda where: 1000)
    with pytest.raises(DeviceError, match=r"takes \d+\.\d MB on cpu, where 0\.0 MB are free"):
        load_checkpoint(checkpoint_folder, device="cpu")


def test_memory_is_what_the_weights_take(checkpoint_folder, pipelines):
    headers = check_checkpoint(checkpoint_folder)
    pipeline = pipelines("nano")
    numbers = sum(p.numel() for part in (pipeline.transformer, pipeline.vae) for p in part.parameters())
    assert sum(header.bytes_at(torch.bfloat16) for header in headers) == 2 * numbers


@pytest.mark.parametrize(
    ("error", "message"), [("GatedRepoError", "accept its licence"), ("RepositoryNotFoundError", "check the name")]
)
def test_hub_refuses(monkeypatch, error, message):
    """What the Hub answers cannot be had here; how its refusals are told can."""
    import httpx
    import huggingface_hub
    from huggingface_hub import errors

    def refuse(*args, **options):
        response = httpx.Response(403, request=httpx.Request("GET", "https://hub.example/nvidia/Cosmos3-Nano"))
        raise getattr(errors, error)("refused", response=response)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint("nvidia/Cosmos3-Nano")


@pytest.fixture(scope="module")
def with_sound(pipelines, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    pipelines("sound").save_pretrained(folder)
    return folder


def test_sound_tokenizer_is_loaded(with_sound, pipelines):
    loaded = load_checkpoint(with_sound, device="cpu").engine
    ours, theirs = loaded.sound._tokenizer.state_dict(), pipelines("sound").sound_tokenizer.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert (loaded.sound.sample_rate, loaded.sound.hop) == (8000, 320)


def test_sound_tokenizer_may_lack_its_encoder_but_nothing_else(with_sound, tmp_path):
    copy = shutil.copytree(with_sound, tmp_path / "copy")
    path = copy / "sound_tokenizer" / WEIGHTS
    decoder = {key: tensor for key, tensor in load_file(path).items() if key.startswith("decoder.")}
    save_file(decoder, path)
    assert load_checkpoint(copy, device="cpu").engine.sound is not None
    decoder.pop("decoder.conv1.bias")
    save_file(decoder, path)
    with pytest.raises(CheckpointError, match=r"decoder\.conv1\.bias"):
        load_checkpoint(copy, device="cpu")


def test_memory_that_torch_holds_without_using_it_can_be_had(monkeypatch):
    """After a few answers little is free on a device, because torch keeps what it had; it has it to give."""
    figures = {"mem_get_info": (2000, 10_000), "memory_reserved": 7000, "memory_allocated": 3000}
    for name, value in figures.items():
        monkeypatch.setattr(torch.cuda, name, lambda where, value=value: value)
    assert device.free_memory(torch.device("cuda:1")) == 2000 + 4000
