"""Generated videos: those that are true, copies and noise, with figures known in advance; CLIP and FVD of known networks."""

import json
from collections import Counter
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

import torch
from pusht_worlds import CopiedVideos, NoisyVideos, Videos, clips_by_caption, push_shard

from cosmos_robot.benchmarks.generation_suite import (
    BLOCK,
    COPY,
    MOVES,
    NO_PROMPT,
    OTHER,
    OUTLINE,
    PUSHER,
    GenerationSettings,
)
from cosmos_robot.benchmarks.metrics_clip import clip_absent, clip_score
from cosmos_robot.benchmarks.report_figures import compare, read_figures
from cosmos_robot.benchmarks.run_config import RunConfig
from cosmos_robot.benchmarks.run_execution import execute, read_run
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.training.pusht_prompts import DIRECTIONS, push_caption

NAMES = ("true", "copied", "noise")


class _Means(torch.nn.Module):
    """A network whose features are pixels."""

    def forward(self, video: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return video[:, :, ::4, ::24, ::24].flatten(1)


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDL_VIDEODRIVER", "dummy")
        return push_shard(tmp_path_factory.mktemp("generation") / "episodes")


@pytest.fixture(scope="module")
def run_of(shard):
    """Runs of each model in a mode, made once."""
    torch.jit.script(_Means()).save(shard.parent / "i3d.pt")
    clips = clips_by_caption(shard)

    @cache
    def make(mode):
        own, folder = GenerationSettings(mode), shard.parent / mode
        config = RunConfig(suite="generation", domain="pusht", episodes=str(shard), rows=8, batch=3, own=own)
        config = replace(config, fvd_weights=str(shard.parent / "i3d.pt"))
        for name, model in zip(NAMES, (Videos(clips), CopiedVideos(clips), NoisyVideos(clips)), strict=True):
            execute(config, folder / name, load=lambda *_, model=model: model, digest=name)
        return folder

    return make


@cache
def _compared(folder):
    return {(line.metric, line.variant): line for line in compare([read_figures(folder / name) for name in NAMES])}


def _lines(folder):
    return {
        key: [estimate and estimate.value for estimate in line.estimates] for key, line in _compared(folder).items()
    }


@pytest.mark.parametrize("mode", [pytest.param("image2video", marks=pytest.mark.slow), "text2video"])
def test_videos_are_ranked_as_is_known(run_of, mode):
    lines = _lines(run_of(mode))
    assert lines[BLOCK, "model"] == [1.0, 0.0, 0.0]
    assert lines[MOVES, "model"][:2] == [1.0, 0.0]
    assert lines[PUSHER, "model"][:2] == [1.0, 0.0]
    assert lines[PUSHER, "model"][2] <= 0.5  # in noise a pusher is found anywhere: one in four is right
    for metric in (BLOCK, PUSHER):
        assert lines[metric, "true frames"] == [1.0, 1.0, 1.0]
        assert lines[metric, OTHER][1] == 0.0
    good, still, noise = lines[OUTLINE, "model"]
    assert min(good, still) > 0.9 > noise
    good, still, noise = lines["fvd", "model"]
    assert good == pytest.approx(0.0, abs=1e-6)
    assert good < still < noise
    assert lines["fvd", COPY][0] == lines["fvd", COPY][2]
    apart = _compared(run_of(mode))["fvd", "model"].differences
    assert [each.value for each in apart] == pytest.approx([still - good, noise - good])
    assert all(0 < each.low < each.high for each in apart)
    assert ((BLOCK, NO_PROMPT) in lines) == (mode == "image2video")
    if mode == "image2video":
        assert lines[BLOCK, NO_PROMPT] == [0.0, 0.0, 0.0]


def test_images_have_an_outline_and_say_what_they_have_not(run_of):
    lines = _lines(run_of("text2image"))
    good, still, noise = lines[OUTLINE, "model"]
    assert min(good, still) > 0.9 > noise
    absent = read_run(run_of("text2image") / "true")[1][0]["absent"]
    assert absent[BLOCK] == "nothing moves in an image."
    assert absent["fvd"] == "an image is no video."
    assert "--clip-weights" in absent["clip"]


def test_each_direction_is_asked_for_as_often(shard, run_of):
    rows = read_run(run_of("text2video") / "true")[1]
    assert Counter(row["case"] for row in rows) == dict.fromkeys(DIRECTIONS, 1)
    assert [DIRECTIONS[row["episode"]] for row in rows] == [row["case"] for row in rows]
    config = RunConfig(suite="generation", domain="pusht", episodes=str(shard), rows=9)
    with pytest.raises(InvalidInputError, match="at most 8"):
        execute(config, shard.parent / "many", load=lambda *_: None, digest="x")


def test_a_prompt_of_ones_own_names_the_direction(shard, tmp_path):
    asked = []

    class Asked(CopiedVideos):
        def _frames(self, request):
            asked.append(request.prompt)
            return super()._frames(request)

    config = RunConfig(
        suite="generation", domain="pusht", episodes=str(shard), rows=8, own=GenerationSettings("text2video")
    )
    load = Asked(clips_by_caption(shard))
    execute(replace(config, prompt="T, {direction}!"), tmp_path / "own", load=lambda *_: load, digest="x")
    assert sorted(asked) == sorted(f"T, {direction}!" for direction in DIRECTIONS)
    asked.clear()
    execute(config, tmp_path / "plain", load=lambda *_: load, digest="x")
    assert sorted(asked) == sorted(push_caption(direction) for direction in DIRECTIONS)


def test_a_mode_that_is_none():
    with pytest.raises(InvalidInputError, match="text2video"):
        GenerationSettings("forward_dynamics")


def test_clip_is_the_cosine_of_frames_and_words(tmp_path):
    """A small CLIP with random weights, asked by hand."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("torchvision")
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 60, "max_position_embeddings": 20, "bos_token_id": 0, "eos_token_id": 1},
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    torch.manual_seed(0)
    model = transformers.CLIPModel(config).eval()
    model.text_projection.weight.data.neg_()  # these weights happen to say no to everything
    tokens = ["<|startoftext|>", "<|endoftext|>", *"abcdefgh", *(f"{letter}</w>" for letter in "abcdefgh")]
    letters = {token: i for i, token in enumerate(tokens)}
    (tmp_path / "vocab.json").write_text(json.dumps(letters))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    images = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = transformers.CLIPProcessor(images, tokenizer)
    folder = tmp_path / "clip"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    scores = []
    for prompt in ("bad", "fed", "a", "he"):
        words, pixels = tokenizer([prompt], return_tensors="pt"), images(list(frames), return_tensors="pt")
        with torch.no_grad():
            said = model.text_projection(model.text_model(**words).pooler_output)[0]
            seen = model.visual_projection(model.vision_model(**pixels).pooler_output)
        cosine = float((seen @ said / (seen.norm(dim=-1) * said.norm())).mean())
        scores.append(clip_score(str(folder), frames, prompt))
        assert scores[-1] == pytest.approx(max(0.0, 100 * cosine), rel=1e-3, abs=1e-3)
    assert max(scores) > min(scores) >= 0
    assert clip_absent(str(folder)) is None
    assert "no CLIP checkpoint" in clip_absent(str(tmp_path / "nothing"))
