"""Presets: named, never taken unasked, told in the answer, and their errors are errors of the right size."""

import numpy as np
import pytest
import torch
from action_case import SIZES, model_input, on_canvas, recording
from operator_count import OperatorCount
from step_recorder import Repeater

import cosmos_robot as cr
from cosmos_robot.engine.engine import Engine
from cosmos_robot.engine.exact_steps import ExactSteps
from cosmos_robot.engine.float8 import float8_layers, quantise
from cosmos_robot.engine.presets import PRESETS, Preset, choose_preset
from cosmos_robot.engine.preview_decoder import FILE, PreviewDecoder, component_digest, fit_preview
from cosmos_robot.engine.recorded_loop import RecordedLoops
from cosmos_robot.errors import CheckpointError, DeviceError, InvalidInputError, UnsupportedModeError

FRAME = np.zeros((64, 64, 3), np.uint8)
ACTIONS = np.zeros((8, 10), np.float32)
CALL = {"domain": "bridge_orig_lerobot", "action_space": "model", "action_chunk_size": 4}


def request_of(mode="policy", **options):
    return on_canvas(model_input(mode, *recording(SIZES[0]), **options))


def test_names():
    assert choose_preset("exact") == Preset()
    assert choose_preset("exact").exact
    assert not any(preset.exact for name, preset in PRESETS.items() if name != "exact")
    both = choose_preset("fp8+few-steps")
    assert (both.name, both.float8, both.step_share, both.preview) == ("fp8+few-steps", True, 1 / 3, False)
    with pytest.raises(InvalidInputError, match="'quick'; expected exact, few-steps"):
        choose_preset("quick")


@pytest.mark.parametrize(("default", "fewer"), [(30, 10), (35, 12), (4, 2), (1, 1)])
def test_fewer_steps_than_the_default(default, fewer):
    assert choose_preset("few-steps").num_steps(default) == fewer
    assert Preset().num_steps(default) == default


@pytest.fixture
def loaded(checkpoint_folder):
    return lambda preset, **options: cr.load_world_model(checkpoint_folder, device="cpu", preset=preset, **options)


def test_the_callers_number_of_steps_holds_and_the_notes_tell(loaded):
    steps = []

    def count(done, total):
        steps.append(total)

    world_model = loaded("few-steps")
    rollout = world_model.policy(FRAME, progress=count, num_steps=3, **CALL)
    assert set(steps) == {3}
    assert any("'few-steps', which is quicker and not exact" in note for note in rollout.notes)
    assert not loaded("exact").policy(FRAME, num_steps=1, **CALL).notes
    with pytest.raises(InvalidInputError, match="preset and exact are for checkpoints"):
        cr.load_world_model("nim://localhost:1", preset="few-steps")


class TestStepCache:
    def test_which_steps_are_computed(self, pipelines):
        engine = Engine.from_pipeline(pipelines("nano"), preset=choose_preset("step-cache"))
        computed = [not engine.schedule(10, 5.0).reuses(i) for i in range(10)]
        assert computed == [True, True, False, True, False, True, False, True, False, True]
        assert not any(engine.schedule(2, 5.0).reuses(i) for i in range(2))

    def test_the_work_that_is_saved(self, pipelines):
        products = {}
        for name in ("exact", "step-cache"):
            engine = Engine.from_pipeline(pipelines("nano"), preset=choose_preset(name))
            request = request_of()
            engine.denoise([request])
            with OperatorCount() as count:
                engine.denoise([request])
            products[name] = count.counts["_scaled_dot_product_flash_attention_for_cpu"]
        assert products == {"exact": 13, "step-cache": 10}  # three layers, of four steps one not computed; the encoder

    def test_near_the_exact_answer_and_the_same_where_recorded(self, pipelines):
        request = request_of(guidance=2.0)
        exact = Engine.from_pipeline(pipelines("nano")).generate([request], as_float=True)[0]
        cached = Engine.from_pipeline(pipelines("nano"), preset=choose_preset("step-cache"))
        plain = cached.generate([request], as_float=True)[0]
        assert 1e-4 < np.abs(plain.frames - exact.frames).mean() < 0.1
        recorder = Repeater()
        cached.loops = RecordedLoops(recorder, sightings=1)
        recorded = cached.generate([request], as_float=True)[0]
        np.testing.assert_allclose(recorded.frames, plain.frames, atol=2e-5)
        np.testing.assert_allclose(recorded.actions, plain.actions, atol=2e-5)
        assert recorder.recordings == 2


class TestFloat8:
    def test_what_is_quantised(self, pipelines):
        """Three layers: the middle one, its seven products of the generation tower, nothing else."""
        names = float8_layers(pipelines("nano").transformer)
        assert len(names) == 7
        assert all(name.startswith("layers.1.") for name in names)
        assert not any(name.endswith(("to_q", "to_k", "to_v", "to_out")) or ".mlp." in name for name in names)

    def test_not_here(self, pipelines):
        with pytest.raises(DeviceError, match=r"compute capability 8\.9"):
            quantise(pipelines("nano").transformer)

    @pytest.mark.gpu
    def test_near_bfloat16(self):
        from cosmos_robot.benchmarks.random_checkpoint import RandomCheckpoint

        pytest.importorskip("torchao")
        frames = []
        for name in ("exact", "fp8"):
            pipeline = RandomCheckpoint(layers=4, hidden=128, intermediate=256).pipeline().to("cuda", torch.bfloat16)
            engine = Engine.from_pipeline(pipeline, preset=choose_preset(name))
            frames.append(engine.generate([request_of("forward_dynamics")], as_float=True)[0].frames)
        assert 0 < np.abs(frames[0] - frames[1]).mean() < 0.05


class TestPreview:
    @pytest.fixture
    def fitted(self, checkpoint_folder, engines, tmp_path):
        """A copy of the checkpoint with a preview decoder beside it."""
        import shutil

        folder = shutil.copytree(checkpoint_folder, tmp_path / "copy")
        torch.manual_seed(0)
        latents = [torch.randn(6, 16, 3, 6, 6)]
        decoded = [torch.cat(list(engines("nano").autoencoder.stream(clip)), dim=1) for clip in latents]
        preview = fit_preview(latents, decoded, vae=component_digest(folder / "vae"))
        preview.save(folder)
        return folder, preview, latents[0], decoded[0]

    def test_least_squares(self, fitted):
        """It comes nearer to what the decoder shows than the mean picture does; and is exact where all is linear."""
        _, preview, latents, decoded = fitted
        pieces = list(preview.stream(latents))
        assert [piece.shape[1:] for piece in pieces] == [(1, 96, 96, 3), (4, 96, 96, 3), (4, 96, 96, 3)]
        seen = torch.cat(pieces, dim=1)
        assert (seen - decoded).square().mean() < 0.7 * (decoded - decoded.mean((0, 1))).square().mean()
        again = fit_preview([latents], [seen.clamp(0.001, 0.999)])
        torch.testing.assert_close(torch.cat(list(again.stream(latents)), 1), seen, rtol=0, atol=0.05)

    def test_saved_and_loaded(self, fitted):
        folder, preview, latents, _ = fitted
        loaded = PreviewDecoder.load(folder)
        for ours, expected in zip(loaded.stream(latents), preview.stream(latents), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=0.01)

    def test_shown_but_never_gone_on_from(self, fitted):
        folder = fitted[0]
        world_model = cr.load_world_model(folder, device="cpu", preset="preview")
        exact = cr.load_world_model(folder, device="cpu")
        options = {**CALL, "num_steps": 1}
        preview = world_model.policy(FRAME, **options)
        assert preview.preview
        assert preview.frames.shape == exact.policy(FRAME, **options).frames.shape
        world_model.rollout(FRAME, ACTIONS[:4], **options)  # one chunk goes on from nothing
        with pytest.raises(UnsupportedModeError, match="nothing goes on from a preview"):
            world_model.rollout(FRAME, ACTIONS, **options)

    def test_videos_too(self, fitted):
        """Shown in the modes without actions as well, and a video is never extended from them."""
        world_model = cr.load_world_model(fitted[0], device="cpu", preset="preview")
        options = {"height": 64, "width": 96, "num_steps": 1, "guidance": 1.0, "resolution": None}
        options = {**options, "num_frames": 9}
        shown = world_model.text2video("a cup falls", **options)
        exact = cr.load_world_model(fitted[0], device="cpu").text2video("a cup falls", **options)
        assert (shown.preview, exact.preview) == (True, False)
        assert shown.frames.shape == exact.frames.shape
        latents = []
        stream = PreviewDecoder.stream
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PreviewDecoder, "stream", lambda self, x: latents.append(x) or stream(self, x))
            again = world_model.text2video("a cup falls", **options)
        seen = torch.cat(list(stream(fitted[1], latents[0])), dim=1)[0] * 255
        assert np.abs(again.frames - seen.numpy()).max() <= 2  # the saved one is in half precision
        clip = np.zeros((9, 64, 96, 3), np.uint8)
        world_model.extend_video(clip, "it goes on", extra_frames=4, **options)
        with pytest.raises(UnsupportedModeError, match="nothing goes on from a preview"):
            world_model.extend_video(clip, "it goes on", extra_frames=8, **options)

    def test_none_there_and_made_for_another(self, fitted, checkpoint_folder):
        folder = fitted[0]
        with pytest.raises(CheckpointError, match="fit_preview"):
            cr.load_world_model(checkpoint_folder, device="cpu", preset="preview")
        weights = next((folder / "vae").glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
        with pytest.raises(CheckpointError, match=f"{FILE} was made for another autoencoder"):
            PreviewDecoder.load(folder)


def test_exact_steps_through_the_front_door(loaded):
    world_model = loaded("exact", exact=ExactSteps(merged_projections=False))
    assert not world_model.engine.exact.merged_projections


def test_commands_name_a_preset(checkpoint_folder):
    from cosmos_robot.cli.model_choice import ModelChoice

    world_model = ModelChoice(str(checkpoint_folder), "cpu", preset="step-cache").load()
    assert world_model.engine.preset.reuse == 2
