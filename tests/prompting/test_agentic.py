"""Candidates in rounds, judged by a real service: which is kept, when it ends, and how many are rendered."""

import shutil

import numpy as np
import pytest

from cosmos_robot.errors import InvalidInputError, PromptWarning, ServiceError, UnsupportedModeError
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.prompting.critic import CRITERIA, sampled
from cosmos_robot.safety.words import WordChecker
from cosmos_robot.world_model import LocalWorldModel, load_world_model

SMALL = {"num_steps": 1, "guidance": 1.0}


@pytest.fixture
def renders(loaded, monkeypatch):
    """Every request that was rendered."""
    seen = []
    real = LocalWorldModel._render

    def counted(self, requests, **options):
        seen.extend(requests)
        return real(self, requests, **options)

    monkeypatch.setattr(LocalWorldModel, "_render", counted)
    return seen


def agentic(world_model, rounds, samples, **options):
    return world_model.text2image(
        "a cup",
        agentic=True,
        agentic_max_iterations=rounds,
        agentic_samples_per_iteration=samples,
        seed=5,
        **SMALL,
        **options,
    )


def test_the_best_is_kept(world_model, renders):
    made = agentic(world_model("scores 2 5 4 7 6 3"), 3, 2)
    record = made.agentic
    assert [candidate.score for candidate in record.candidates] == [2, 5, 4, 7, 6, 3]
    assert [candidate.iteration for candidate in record.candidates] == [0, 0, 1, 1, 2, 2]
    assert [candidate.generation.seed for candidate in record.candidates] == [5, 6, 7, 8, 9, 10]
    prompts = [candidate.generation.prompt for candidate in record.candidates]
    assert prompts == ["a cup", "a cup", "rewritten 1", "rewritten 1", "rewritten 2", "rewritten 2"]
    assert record.chosen == 3
    assert not record.stopped_early
    assert np.array_equal(made.frames, record.candidates[3].generation.frames)
    assert (made.seed, made.prompt, made.prompt_used) == (8, "a cup", "rewritten 1")
    assert record.candidates[3].problems == "problem 4"
    assert len(renders) == 6


def test_a_candidate_is_what_its_seed_and_prompt_give(world_model, loaded):
    made = agentic(world_model("scores 2 5"), 1, 2)
    assert np.array_equal(made.frames, loaded.text2image("a cup", seed=6, **SMALL).frames)


@pytest.mark.parametrize(("early", "count"), [(True, 2), (False, 4)])
def test_a_very_good_candidate_ends_it(world_model, renders, early, count):
    made = agentic(world_model("scores 3 9 4 5"), 2, 2, agentic_early_stop=early)
    assert len(renders) == count
    assert len(made.agentic.candidates) == count
    assert made.agentic.stopped_early is early
    assert made.agentic.chosen == 1


@pytest.mark.parametrize(("rounds", "samples"), [(1, 1), (1, 3), (3, 1), (3, 3)])
def test_never_more_renders_than_asked_for(world_model, renders, rounds, samples):
    made = agentic(world_model("strict"), rounds, samples)
    assert len(renders) == len(made.agentic.candidates) == rounds * samples


def test_a_candidate_that_was_not_judged_loses(world_model, renders):
    with pytest.warns(PromptWarning, match="not judged"):
        made = agentic(world_model("sees every second"), 2, 2)
    assert [candidate.score for candidate in made.agentic.candidates] == [3, None, 3, None]
    assert made.agentic.chosen == 0
    assert len(renders) == 4


@pytest.mark.parametrize("model", ["quality good", "error", "refuses", "prose", "html", "cut", "slow"])
def test_a_critic_that_fails_throughout(world_model, renders, model):
    with pytest.warns(PromptWarning, match="not judged|not rewritten") as warned:
        made = agentic(world_model(model, timeout=0.3 if model == "slow" else 5.0), 2, 1)
    assert [candidate.score for candidate in made.agentic.candidates] == [None, None]
    assert made.agentic.chosen == 0
    assert len(renders) == 2
    if model == "slow":
        assert all("within 0.3 s" in str(warning.message) for warning in warned)


@pytest.mark.parametrize(
    "quality", ["11", "-1", "NaN", "Infinity", "1e999", '"9/10"', "true", "null", "[9]", "1" + "0" * 400, "9" * 5000]
)
def test_scores_that_are_none(world_model, quality):
    with pytest.warns(PromptWarning, match="not judged"):
        made = agentic(world_model(f"quality {quality}"), 1, 1)
    [candidate] = made.agentic.candidates
    assert (candidate.score, candidate.scores) == (None, {})


def test_a_score_may_be_a_fraction(world_model):
    assert agentic(world_model("quality 8.5"), 1, 1).agentic.candidates[0].scores["visual_quality"] == 8.5


def test_ctrl_c_between_candidates(world_model, loaded, renders):
    """Nothing is kept of what was begun, and the world model goes on."""
    told = []

    def progress(done, total):
        told.append((done, total))
        if len(told) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        agentic(world_model("strict"), 3, 1, progress=progress)
    assert len(renders) == 3
    assert loaded.text2image("a cup", seed=5, **SMALL).prompt_used == "a cup"


def test_seeds_go_around(world_model):
    made = world_model("strict").text2image(
        "a cup", agentic=True, agentic_max_iterations=1, agentic_samples_per_iteration=2, seed=2**63 - 1, **SMALL
    )
    assert [candidate.generation.seed for candidate in made.agentic.candidates] == [2**63 - 1, 0]


def test_a_critic_that_sees_nothing(reasoner_folder, tmp_path):
    """A checkpoint's reasoner without a vision encoder: what was rendered is given, unjudged."""
    folder = tmp_path / "checkpoint"
    shutil.copytree(reasoner_folder("nano"), folder)
    shutil.rmtree(folder / "vision_encoder")
    world_model = load_world_model(folder, device="cpu")
    with pytest.warns(PromptWarning, match="vision encoder"):
        made = agentic(world_model, 1, 1, height=192, width=320)
    assert made.agentic.candidates[0].score is None


@pytest.mark.parametrize("model", ["rewrites nothing", "rewrites badly", "rewrites at length", "rewrites half a pair"])
def test_the_prompt_stays_where_it_cannot_be_rewritten(world_model, loaded, monkeypatch, model):
    monkeypatch.setattr(loaded, "safety", WordChecker())
    with pytest.warns(PromptWarning, match="not rewritten"):
        made = agentic(world_model(model), 2, 1)
    assert {candidate.generation.prompt for candidate in made.agentic.candidates} == {"a cup"}
    assert made.safety == "words"


def test_each_round_is_upsampled(world_model, service):
    made = agentic(world_model("strict"), 2, 1, upsample=True)
    assert all(candidate.generation.prompt_used.startswith("{") for candidate in made.agentic.candidates)
    asked = [str(request["messages"][-1]["content"]) for request in service.requests]
    assert sum("Describe an image" in text for text in asked) == 2
    assert any("rewritten 1" in text for text in asked)


def test_a_video_is_judged_by_frames_of_it(world_model, service):
    made = world_model("strict").text2video(
        "a cup", agentic=True, agentic_max_iterations=1, agentic_samples_per_iteration=1, num_frames=13, **SMALL
    )
    [asked] = service.requests
    assert sum(part["type"] == "image_url" for part in asked["messages"][-1]["content"]) == 6
    assert made.frames.shape[0] == 13


def test_every_candidate_starts_from_the_picture(world_model, service, renders):
    picture = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    made = world_model("scores 4 2 5").image2video(
        picture,
        "it falls",
        agentic=True,
        agentic_max_iterations=3,
        agentic_samples_per_iteration=1,
        num_frames=5,
        **SMALL,
    )
    assert made.agentic.chosen == 2
    assert (made.mode, made.prompt, made.prompt_used) == ("image2video", "it falls", "rewritten 2")
    assert [request.prompt for request in renders] == ["it falls", "rewritten 1", "rewritten 2"]
    assert all(np.array_equal(request.frames[0], picture) for request in renders)
    assert np.array_equal(made.frames, made.agentic.candidates[2].generation.frames)
    shown = [request["messages"][-1]["content"] for request in service.requests]
    assert [sum(part["type"] == "image_url" for part in parts) for parts in shown] == [5] * 5


@pytest.mark.filterwarnings("error::cosmos_robot.errors.PromptWarning")
def test_by_the_local_reasoner(self_reasoning):
    """Held to the schemas, random weights judge and rewrite."""
    made = agentic(self_reasoning, 2, 2, agentic_early_stop=False)
    candidates = made.agentic.candidates
    assert all(set(candidate.scores) == set(CRITERIA) for candidate in candidates)
    assert all(0 <= score <= 10 for candidate in candidates for score in candidate.scores.values())
    assert candidates[made.agentic.chosen].score == max(candidate.score for candidate in candidates)
    assert all(candidate.problems.isalpha() for candidate in candidates)
    first, second = [candidate.generation.prompt for candidate in candidates[1:3]]
    assert first == "a cup"
    assert second.isalpha()


def test_a_batch_of_both_keeps_its_order(world_model, loaded):
    world_model("scores 4 5")
    requests = [
        MediaRequest("text2image", "a pan", **SMALL),
        MediaRequest("text2image", "a cup", agentic=True, agentic_max_iterations=1, **SMALL),
        MediaRequest("text2image", "a pot", **SMALL),
    ]
    steps = []
    made = loaded.generate_media(requests, progress=lambda done, total: steps.append(done / total))
    assert [generation.prompt for generation in made] == ["a pan", "a cup", "a pot"]
    assert [generation.agentic is None for generation in made] == [True, False, True]
    assert steps == sorted(steps)
    assert steps[-1] == 1.0


def test_without_a_reasoner(loaded, renders):
    with pytest.raises(UnsupportedModeError, match="has no reasoner"):
        agentic(loaded, 2, 2)
    assert not renders


@pytest.mark.parametrize("name", ["agentic_max_iterations", "agentic_samples_per_iteration"])
@pytest.mark.parametrize("value", [0, 4])
def test_more_than_three_are_refused(loaded, name, value):
    with pytest.raises(InvalidInputError, match="integer from 1 to 3"):
        loaded.text2image("a cup", agentic=True, **{name: value}, **SMALL)


def test_sampled_frames_are_spread_evenly():
    frames = np.arange(101, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)
    assert sampled(frames)[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80, 100]
    assert len(sampled(frames[:2])) == 2


def test_what_is_not_the_critics_fault_is_raised(world_model, loaded, monkeypatch):
    """A render that fails ends the loop; no other render takes its place."""
    calls = []

    def fails(self, requests, **_):
        calls.append(requests)
        raise ServiceError("the device is gone")

    monkeypatch.setattr(LocalWorldModel, "_render", fails)
    with pytest.raises(ServiceError, match="device is gone"):
        agentic(world_model("strict"), 3, 3)
    assert len(calls) == 1
