"""Prompt upsampling by a service that behaves, and by one that does not."""

import json
from dataclasses import replace

import numpy as np
import pytest

from cosmos_robot.errors import InvalidInputError, PromptWarning, UnsafeContentError
from cosmos_robot.interface.media_request import MediaRequest
from cosmos_robot.prompting import upsampler
from cosmos_robot.prompting.caption import IMAGE_FIELDS, VIDEO_FIELDS, caption_schema, read_caption
from cosmos_robot.prompting.facts import CaptionFacts
from cosmos_robot.safety.checker import NoChecker
from cosmos_robot.world_model import load_world_model

SMALL = {"num_steps": 1, "guidance": 1.0}
VIDEO = {**SMALL, "num_frames": 5, "fps": 2.0}
PICTURE = np.random.default_rng(0).integers(0, 255, (192, 320, 3), dtype=np.uint8)


def test_a_video(world_model, service):
    made = world_model("good").text2video("a cup falls", upsample=True, **VIDEO)
    caption = json.loads(made.prompt_used)
    assert made.prompt == "a cup falls"
    assert caption["temporal_caption"].startswith("At 0:00 a cup")
    assert caption["resolution"] == {"H": 48, "W": 80}  # what the service said of these is replaced
    assert (caption["aspect_ratio"], caption["duration"], caption["fps"]) == ("16,9", "2s", 2.0)
    assert "scene_imagination" not in caption
    assert "invented" not in caption
    assert caption["subjects"] == [{"description": "a cup", "number_of_subjects": 1}]
    assert [name for name in VIDEO_FIELDS if name in caption] == list(caption)[:-4]
    [asked] = service.requests
    assert "a cup falls" in asked["messages"][1]["content"]
    assert asked["response_format"]["type"] == "json_schema"
    assert asked["seed"] == 3407


def test_an_image_has_no_length(world_model):
    made = world_model("good").text2image("a cup", upsample=True, **SMALL)
    caption = json.loads(made.prompt_used)
    assert caption == {
        "comprehensive_t2i_caption": "a cup on a table",
        "resolution": {"H": 48, "W": 80},
        "aspect_ratio": "16,9",
    }


def test_a_picture_is_shown_to_the_service(world_model, service):
    made = world_model("good").image2video(PICTURE, "it falls", upsample=True, **VIDEO)
    assert json.loads(made.prompt_used)["duration"] == "2s"
    [asked] = service.requests
    kinds = [part["type"] for part in asked["messages"][1]["content"]]
    assert kinds == ["image_url", "text"]


def test_the_upsampled_prompt_is_what_the_model_is_given(world_model, loaded):
    """The caption as the prompt gives the same frames as through upsampling, without sentences about length."""
    upsampled = world_model("good").text2image("a cup", upsample=True, **SMALL)
    plain = loaded.text2image("a cup", **SMALL)
    assert not np.array_equal(upsampled.frames, plain.frames)
    request = MediaRequest("text2image", "a cup", **SMALL)
    [same] = loaded.generate_media([replace(request, upsampled_prompt=upsampled.prompt_used)])
    assert np.array_equal(upsampled.frames, same.frames)


def test_equal_prompts_of_a_batch_are_asked_once(world_model, service):
    made = world_model("good").text2image(["a cup", "a cup", "a pan"], upsample=True, **SMALL)
    assert len({generation.prompt_used for generation in made}) == 1
    assert len(service.requests) == 2


def test_a_service_that_thinks_in_a_fence(world_model):
    made = world_model("thinks").text2video("a cup falls", upsample=True, **VIDEO)
    assert json.loads(made.prompt_used)["duration"] == "2s"


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("cut", "cannot be reached"),
        ("error", "answered 500"),
        ("busy", "answered 429"),
        ("html", "no JSON"),
        ("empty", "no chat completion"),
        ("refuses", "refuses: I cannot help"),
        ("filtered", "content filter"),
        ("mute", "without text"),
        ("prose", "no whole JSON object"),
        ("truncated", "cut at its longest"),
        ("list", "no object"),
        ("hollow", "comprehensive_t2i_caption"),
        ("wrong kinds", "'subjects' is no list"),
        ("long", "too long: 2"),
        ("digits", "no whole JSON object"),
        ("deep", "no JSON"),
        ("moved", "answered 307"),
        ("huge", "more than 16777216 bytes"),
    ],
)
def test_the_original_prompt_is_used_where_it_fails(world_model, model, why):
    with pytest.warns(PromptWarning, match=why):
        made = world_model(model).text2image("a cup falls", upsample=True, **SMALL)
    assert made.prompt_used == "a cup falls"


def test_a_caption_that_is_refused(world_model, loaded, monkeypatch):
    """The checker is shown letters, where the caption has JSON's escapes."""
    monkeypatch.setattr(loaded, "safety", Remembering())
    with pytest.warns(PromptWarning, match="not upsampled.*'p\u00f3rn'"):
        made = world_model("indecent").text2image("a film", upsample=True, **SMALL)
    assert made.prompt_used == "a film"


class Remembering(NoChecker):
    """Refuses one word in one spelling."""

    def check_prompt(self, prompt):
        if "p\u00f3rn" in prompt:
            raise UnsafeContentError("refused because of 'p\u00f3rn'.")


def test_a_service_that_takes_too_long(world_model):
    with pytest.warns(PromptWarning, match=r"within 0\.3 s"):
        made = world_model("slow", timeout=0.3).text2image("a cup", upsample=True, **SMALL)
    assert made.prompt_used == "a cup"


def test_without_a_reasoner(loaded):
    with pytest.warns(PromptWarning, match="has no reasoner"):
        made = loaded.text2image("a cup", upsample=True, **SMALL)
    assert made.prompt_used == "a cup"


def test_by_the_local_reasoner_that_is_cut(reasoner_folder, monkeypatch):
    monkeypatch.setattr(upsampler, "SAMPLING", replace(upsampler.SAMPLING, max_new_tokens=40))
    world_model = load_world_model(reasoner_folder("nano"), device="cpu")
    with pytest.warns(PromptWarning, match="cut at its longest"):
        made = world_model.text2image("a cup", upsample=True, height=192, width=320, **SMALL)
    assert made.prompt_used == "a cup"


@pytest.mark.filterwarnings("error::cosmos_robot.errors.PromptWarning")
@pytest.mark.parametrize(
    ("mode", "shown", "options", "main"),
    [
        ("text2image", (), SMALL, "comprehensive_t2i_caption"),
        ("text2video", (), VIDEO, "temporal_caption"),
        ("image2video", (PICTURE,), VIDEO, "temporal_caption"),
    ],
    ids=["text2image", "text2video", "image2video"],
)
def test_by_the_local_reasoner(self_reasoning, mode, shown, options, main):
    """Held to the schema, even random weights give a caption."""
    made = getattr(self_reasoning, mode)(*shown, "a cup", upsample=True, **options)
    caption = json.loads(made.prompt_used)
    assert made.prompt == "a cup"
    assert list(caption)[:3] == [main, "subjects", "resolution"]
    assert caption[main].strip()
    assert all(set(subject) == {"description", "number_of_subjects"} for subject in caption["subjects"])
    assert caption["resolution"] == {"H": 48, "W": 80}


def test_never_for_actions_and_videos(loaded):
    with pytest.raises(TypeError, match="upsample"):
        loaded.forward_dynamics(PICTURE, np.zeros((4, 2), np.float32), domain="pusht", upsample=True)
    with pytest.raises(InvalidInputError, match="leave upsample and agentic out"):
        loaded.video2video(np.repeat(PICTURE[None], 5, axis=0), "it falls", upsample=True)


@pytest.mark.parametrize(("height", "width", "ratio"), [(960, 960, "1,1"), (832, 480, "9,16"), (544, 736, "4,3")])
def test_aspect_ratios(height, width, ratio):
    assert CaptionFacts("text2image", height, width, 1, 24.0).pins()["aspect_ratio"] == ratio


@pytest.mark.parametrize("mode", ["text2image", "text2video"])
def test_what_fits_the_schema_is_read_whole(mode):
    import xgrammar

    facts = CaptionFacts(mode, 192, 320, 1 if mode == "text2image" else 25, 24.0)
    form = IMAGE_FIELDS if mode == "text2image" else VIDEO_FIELDS
    compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo([bytes([byte]) for byte in range(256)]))
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(caption_schema(facts))))
    assert matcher.accept_string(json.dumps(form))  # the form is its own example
    read = json.loads(read_caption(form, facts))
    assert {name: read[name] for name in form} == form
