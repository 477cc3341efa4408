"""The modes without actions as users call them: defaults, sizes, batches, chains, sound, and bad input."""

import dataclasses
import json
import shutil
import tracemalloc

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler
from distilled import distilled_pipeline
from media_case import pictures
from PIL import Image

import cosmos_robot as cr
from cosmos_robot.datasets.images import read_image
from cosmos_robot.engine.checkpoint import CheckpointFacts, LoadedCheckpoint
from cosmos_robot.engine.media import MediaInput, MediaOutput
from cosmos_robot.errors import InvalidInputError, MediaError, UnsupportedModeError
from cosmos_robot.interface.chain import chunk_seed
from cosmos_robot.interface.media_modes import MediaModes
from cosmos_robot.interface.media_prompt import default_negative_prompt
from cosmos_robot.world_model import LocalWorldModel

FAST = {"num_steps": 1, "guidance": 1.0, "resolution": 256, "negative_prompt": ""}
CLIP = {**FAST, "num_frames": 5}
NATIVE = CheckpointFacts(
    native_canvas=(96, 96), max_action_chunk_size=16, domain_ids=(4,), num_steps=1, guidance=1.0, shift=5.0, fps=10.0
)


@pytest.fixture(scope="module")
def wm(engines):
    return LocalWorldModel(LoadedCheckpoint(engines("sound"), CheckpointFacts(), "random"))


@pytest.fixture(scope="module")
def native(engines):
    return LocalWorldModel(LoadedCheckpoint(engines("nano"), NATIVE, "embedded"))


@pytest.fixture(scope="module")
def small(engines):
    """With sound, and a canvas that is quick."""
    facts = dataclasses.replace(NATIVE, fps=24.0)
    return LocalWorldModel(LoadedCheckpoint(engines("sound"), facts, "small"))


@pytest.fixture
def asked(monkeypatch):
    """Requests that reach the engine, which answers at once with frames that tell them apart."""
    seen: list[MediaInput] = []

    def answer(engine, requests, *, progress=None):
        seen.extend(requests)
        return [
            MediaOutput(np.broadcast_to(np.uint8(len(seen) * 10), (r.num_frames, *r.size, 3)), None) for r in requests
        ]

    monkeypatch.setattr("cosmos_robot.engine.media.generate_media", answer)
    return seen


def test_defaults_are_the_fields(wm, asked):
    picture, clip = pictures(1, (720, 1280))[0], pictures(5, (720, 1280))
    wm.text2image("A cat.")
    wm.text2video("A cat.")
    wm.image2video(picture, "A cat.")
    wm.video2video(clip, "A cat.")
    image, *videos = asked
    assert (image.num_steps, image.guidance, image.shift, image.size) == (50, 4.0, 3.0, (960, 960))
    assert image.prompt == "A cat. This image is of 960x960 resolution."
    assert image.negative_prompt == "This image is not of 960x960 resolution."
    for video in videos:
        assert (video.num_steps, video.guidance, video.shift) == (35, 6.0, 10.0)
        assert (video.num_frames, video.fps, video.size) == (189, 24.0, (720, 1280))
        assert video.prompt.startswith("A cat. The video is 7.9 seconds long and is of 24 FPS.")
        assert video.negative_prompt.startswith(default_negative_prompt())
        assert video.use_system_prompt
    assert [video.clean_frames for video in videos] == [(), (0,), (0, 1)]


PICTURE, MOVIE = pictures(1, (100, 150))[0], pictures(12, (100, 150))
LAST = {"condition_video_keep": "last"}
BRIEF = {"num_steps": 2, "seed": 3, "resolution": 256}


def by_the_pipeline(pipeline, monkeypatch, mode, size, negative, **given):
    """What diffusers' pipeline makes of the same, at the shift and the guidance that NVIDIA advises: `[N, H, W, 3]`."""
    native = pipeline.config.use_native_flow_schedule  # Edge, which keeps its own shift
    count, shift, guidance = (1, 3.0, 4.0) if mode == "text2image" else (9, 10.0, 5.0 if native else 6.0)
    shifted = UniPCMultistepScheduler.from_config(pipeline.scheduler.config, flow_shift=shift)
    if not native:
        monkeypatch.setattr(pipeline, "scheduler", shifted)
    made = pipeline(
        "A cat.",
        negative,
        **given,
        num_frames=count,
        height=size[0],
        width=size[1],
        fps=24.0,
        num_inference_steps=BRIEF["num_steps"],
        guidance_scale=guidance,
        enable_sound=False,
        generator=torch.Generator("cpu").manual_seed(BRIEF["seed"]),
        output_type="np",
    )
    return (made.video * 255).round()


@pytest.mark.slow
@pytest.mark.parametrize("form", ["nano", "edge"])
@pytest.mark.parametrize(
    ("mode", "shown", "options", "size", "negative", "given"),
    [
        ("text2image", (), {}, (256, 256), "", {}),
        ("text2video", (), {"num_frames": 9}, (192, 320), default_negative_prompt(), {}),
        ("text2video", (), {"num_frames": 9, "negative_prompt": "", "aspect_ratio": "9,16"}, (320, 192), "", {}),
        (
            "image2video",
            (PICTURE,),
            {"num_frames": 9, "negative_prompt": "dark", "aspect_ratio": "16,9"},
            (192, 320),
            "dark",
            {"image": Image.fromarray(PICTURE)},
        ),
        (
            "video2video",
            (MOVIE,),
            {"num_frames": 9, "negative_prompt": "", "aspect_ratio": "4,3", **LAST},
            (256, 320),
            "",
            {"video": [Image.fromarray(frame) for frame in MOVIE], **LAST},
        ),
    ],
    ids=["text2image", "text2video", "no negative prompt", "image2video", "video2video"],
)
def test_the_public_calls_give_what_the_pipeline_gives(
    mode, shown, options, size, negative, given, form, engines, pipelines, monkeypatch
):
    """From the prompt to the pixels, with the defaults of guidance, shift, frame rate and negative prompt."""
    monkeypatch.setattr("cosmos_robot.engine.media.MAX_PROMPT_TOKENS", 10**6)  # bytes are tokens here
    model = LocalWorldModel(LoadedCheckpoint(engines(form), CheckpointFacts(), "random"))
    expected = by_the_pipeline(pipelines(form), monkeypatch, mode, size, negative, **given)
    made = getattr(model, mode)(*shown, "A cat.", **options, **BRIEF)
    apart = np.abs(made.frames - expected)
    assert apart.max() <= 1  # a value between two levels may be rounded to either
    assert (apart > 0).mean() < 0.001
    other = getattr(model, mode)(*shown, "A cat.", **options, **BRIEF, guidance=3.0)
    assert (np.abs(other.frames - expected) > 0).mean() > 0.02


def test_edge_has_its_own_defaults(engines, asked):
    edge = LocalWorldModel(LoadedCheckpoint(engines("edge"), CheckpointFacts(), "edge"))
    edge.text2video("A cat.")
    edge.text2image("A cat.")
    video, image = asked
    assert (video.size, video.num_frames, video.guidance, video.shift) == ((480, 832), 121, 5.0, None)
    assert (image.size, image.guidance, image.shift) == ((640, 640), 4.0, None)


def test_an_empty_negative_prompt_turns_it_off(wm, asked):
    wm.text2video("A cat.", negative_prompt="")
    wm.text2video("A cat.", negative_prompt="dark")
    assert asked[0].negative_prompt.startswith("The video is not 7.9 seconds long")
    assert asked[1].negative_prompt.startswith("dark. The video is not 7.9 seconds long")


def test_sizes(wm, asked):
    tall, wide = pictures(1, (1280, 720))[0], pictures(5, (200, 390))
    sizes = [
        wm.text2video("A cat.", resolution="480_4_3"),
        wm.text2video("A cat.", resolution=480, aspect_ratio="9:16"),
        wm.text2video("A cat.", height=500, width=800),
        wm.image2video(tall, resolution=480),
        wm.image2video(tall, resolution=480, aspect_ratio="16,9"),
        wm.video2video(wide, resolution=256),
    ]
    assert [g.frames.shape[1:3] for g in sizes] == [
        (544, 736),
        (832, 480),
        (480, 832),
        (832, 480),
        (480, 832),
        (192, 320),
    ]
    assert [bool(g.notes) for g in sizes] == [False, False, True, False, False, False]
    assert "answered at 480x832, the canvas nearest to 500x800" in sizes[2].notes[0]


@pytest.mark.parametrize(("wanted", "generated"), [(2, 5), (5, 5), (24, 25), (189, 189)])
def test_any_frame_count_is_generated_whole_and_cut(wanted, generated, wm, asked):
    answer = wm.text2video("A cat.", num_frames=wanted)
    assert asked[0].num_frames == generated
    assert len(answer.frames) == wanted


def test_image_and_video(wm):
    image = wm.text2image("A cat.", **FAST)
    assert (image.frames.shape, image.frames.dtype, image.sound) == ((1, 256, 256, 3), np.uint8, None)
    assert image.image.shape == (256, 256, 3)
    video = wm.text2video("A cat.", seed=3, **CLIP)
    assert (video.mode, video.seed, video.prompt, video.prompt_used) == ("text2video", 3, "A cat.", "A cat.")
    assert video.frames.shape == (5, 192, 320, 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        video.seed = 4


def test_frames_kept_on_the_device(wm):
    kept = wm.text2image("A cat.", keep_on_device=True, **FAST)
    assert isinstance(kept.frames, torch.Tensor)
    assert kept.frames.dtype == torch.uint8
    np.testing.assert_array_equal(kept.numpy(), wm.text2image("A cat.", **FAST).frames)


def test_sound_is_as_long_as_the_frames(small):
    video = small.text2video("A cat.", enable_sound=True, num_frames=7)
    assert video.sound.samples.shape == (2, int(7 / 24 * 8000))
    assert video.sound.samples.dtype == np.float32
    assert np.abs(video.sound.samples).max() <= 1
    assert small.text2video("A cat.", num_frames=7).sound is None


def test_batches_equal_their_items(small):
    prompts = ["A cat.", "A dog on a much longer walk."]
    for call, source in (
        (small.text2image, ()),
        (small.image2video, (list(pictures(2)),)),
        (small.video2video, (list(pictures(10).reshape(2, 5, 75, 130, 3)),)),
    ):
        options = {} if call == small.text2image else {"num_frames": 9}
        together = call(*source, prompts, seed=5, **options)
        for i, answer in enumerate(together):
            alone = call(*(part[i] for part in source), prompts[i], seed=5 + i, **options)
            assert (answer.prompt, answer.seed) == (prompts[i], 5 + i)
            assert np.abs(answer.frames.astype(int) - alone.frames).max() <= 1


def test_one_picture_for_many_prompts(wm, asked):
    assert len(wm.image2video(pictures(1)[0], ["A.", "B."], **CLIP)) == 2
    assert len(wm.image2video(list(pictures(3)), "A.", **CLIP)) == 3
    with pytest.raises(InvalidInputError, match="take one prompt or 3; got 2"):
        wm.image2video(list(pictures(3)), ["A.", "B."], **CLIP)
    with pytest.raises(InvalidInputError, match="empty"):
        wm.text2video([], **CLIP)


def test_video_to_video_keeps_an_end(wm, asked):
    clip = pictures(12)
    wm.video2video(clip, **{**CLIP, "num_frames": 9})
    wm.video2video(
        clip, condition_video_keep="last", condition_frame_indexes_vision=(0, 2), **{**CLIP, "num_frames": 13}
    )
    np.testing.assert_array_equal(asked[0].frames, clip[:5])
    np.testing.assert_array_equal(asked[1].frames, clip[-9:])
    assert asked[1].clean_frames == (0, 2)


def test_extension_chains_and_joins_without_a_doubled_frame(wm, asked):
    clip = pictures(8, (192, 320))
    longer = wm.extend_video(clip, "On.", extra_frames=10, **{**FAST, "num_frames": 9}, seed=2)
    assert longer.frames.shape == (18, 192, 320, 3)
    np.testing.assert_array_equal(longer.frames[:8], clip)
    assert [int(frame.mean()) for frame in longer.frames[8:]] == [10] * 4 + [20] * 4 + [30] * 2
    assert [r.seed for r in asked] == [2, chunk_seed(2, 1), chunk_seed(2, 2)]
    assert [r.num_frames for r in asked] == [9, 9, 9]  # the last is generated whole and cut
    np.testing.assert_array_equal(asked[0].frames, clip[-5:])
    assert {int(frame.mean()) for frame in asked[1].frames} == {10}
    assert (longer.seed, longer.notes) == (2, ())


def test_a_small_video_goes_on_at_its_own_size(wm, asked):
    options = {"num_steps": 1, "guidance": 1.0, "num_frames": 9, "extra_frames": 4}
    for size, answered in (((192, 320), (192, 320)), ((470, 800), (480, 832)), ((704, 1280), (720, 1280))):
        longer = wm.extend_video(pictures(5, size), **options)
        assert longer.frames.shape == (9, *answered, 3)
        assert bool(longer.notes) == (size != answered)
    assert wm.extend_video(pictures(5, (192, 320)), resolution=480, **options).frames.shape[1:3] == (480, 832)
    assert wm.extend_video(pictures(5, (192, 320)), aspect_ratio="16,9", **options).frames.shape[1:3] == (720, 1280)


def test_an_extension_at_the_native_canvas_has_nothing_to_note(native):
    assert native.extend_video(pictures(5, (96, 96)), extra_frames=4, num_frames=9).notes == ()


class Grey(MediaModes):
    """Answers with frames of its own memory."""

    def generate_media(self, requests, *, progress=None):
        return [
            cr.Generation(
                mode=r.mode,
                frames=np.full((r.num_frames, 192, 320, 3), 128, np.uint8),
                fps=24.0,
                sound=None,
                seed=r.seed,
                prompt=r.prompt,
                prompt_used=r.prompt,
            )
            for r in requests
        ]


def test_a_long_extension_holds_its_frames_once():
    """What is held beyond the frames of the answer does not grow with their number."""
    clip, beyond = pictures(5, (192, 320)), []
    for extra in (80, 400):
        tracemalloc.start()
        longer = Grey().extend_video(clip, extra_frames=extra, num_frames=45)
        beyond.append(tracemalloc.get_traced_memory()[1] - longer.frames.nbytes)
        tracemalloc.stop()
        assert longer.frames.shape == (5 + extra, 192, 320, 3)
    assert beyond[1] < beyond[0] + longer.frames.nbytes / 10


def test_an_extension_goes_on_from_something(wm):
    for count in (0, -1):
        with pytest.raises(
            InvalidInputError, match=f"condition_latent_frames must be an integer of at least 1; got {count}"
        ):
            wm.extend_video(pictures(9), condition_latent_frames=count, **CLIP)
    with pytest.raises(InvalidInputError, match=r"extra_frames must be an integer of at least 1; got 4.5"):
        wm.extend_video(pictures(9), extra_frames=4.5, **{**CLIP, "num_frames": 9})


def test_extension_of_another_size_with_sound(small):
    clip, steps = pictures(6, (100, 160)), []
    options = {"num_frames": 9, "enable_sound": True, "progress": lambda *done: steps.append(done)}
    longer = small.extend_video(clip, extra_frames=6, **options)
    assert longer.frames.shape == (12, 96, 96, 3)
    assert "from 100x160 to 96x96" in longer.notes[-1]
    assert steps == [(1, 2), (2, 2)]
    silence, rate = int(6 / 24 * 8000), longer.sound.sample_rate
    assert abs(longer.sound.samples.shape[1] - 12 / 24 * rate) <= 3
    assert np.abs(longer.sound.samples[:, :silence]).max() == 0
    assert np.abs(longer.sound.samples[:, silence:]).max() > 0


def test_extension_of_a_batch(small):
    clips = [pictures(6), pictures(9, seed=1)]
    both = small.extend_video(clips, extra_frames=4, num_frames=9)
    assert [len(one.frames) for one in both] == [10, 13]
    alone = small.extend_video(clips[1], extra_frames=4, num_frames=9, seed=1)
    assert np.abs(both[1].frames.astype(int) - alone.frames).max() <= 1
    with pytest.raises(InvalidInputError, match="no new one"):
        small.extend_video(clips, num_frames=5)


def test_native_canvas_is_answered_and_said(native):
    plain = native.text2video("push the T to the left")
    assert (plain.frames.shape, plain.fps, plain.notes) == ((17, 96, 96, 3), 10.0, ())
    other = native.text2video("push the T to the left", resolution=720)
    assert "native canvas of 96x96" in other.notes[0]
    np.testing.assert_array_equal(other.frames, plain.frames)
    video = native.image2video(pictures(1, (64, 80))[0])
    assert video.frames.shape == (17, 96, 96, 3)
    assert "native canvas of 96x96, from a picture of 64x80" in video.notes[0]
    assert native.text2image("a T").notes == ()
    with pytest.raises(InvalidInputError, match="clips of 2 to 17 frames"):
        native.text2video("push", num_frames=18)


def test_native_negative_prompt_is_the_empty_prompt_it_was_trained_with(native, asked):
    native.text2video("push the T to the left", guidance=3.0)
    assert (
        asked[0].negative_prompt == "The video is 1.7 seconds long and is of 10 FPS. This video is of 96x96 resolution."
    )


@pytest.mark.parametrize(
    "setting",
    [{"num_steps": 10}, {"guidance": 4.0}, {"shift": 3.0}, {"negative_prompt": "dark"}, {"guidance_interval": (0, 1)}],
    ids=lambda setting: next(iter(setting)),
)
def test_distilled_settings_are_fixed(setting, distilled_model):
    assert distilled_model.text2image("A cat.", resolution=256).frames.shape == (1, 256, 256, 3)
    with pytest.raises(InvalidInputError, match=f"{next(iter(setting))} cannot be set.*4 steps"):
        distilled_model.text2image("A cat.", resolution=256, **setting)


@pytest.fixture(scope="module")
def distilled_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("distilled")
    distilled_pipeline().save_pretrained(str(folder), overwrite_modular_index=True)
    return cr.load_world_model(folder, device="cpu")


@pytest.mark.parametrize("prompt", ["", "   ", "\n"])
def test_empty_prompt(prompt, wm):
    for call in (wm.text2image, wm.text2video):
        with pytest.raises(InvalidInputError, match="prompt is empty"):
            call(prompt)


@pytest.mark.parametrize("name", ["prompt", "negative prompt"])
def test_over_long_prompt(name, wm):
    prompts = {"prompt": "A cat."} | {name.replace(" ", "_"): "word " * 5000}
    with pytest.raises(InvalidInputError, match=rf"{name} is too long: \d+ tokens, at most 4096"):
        wm.text2video(**prompts, **{k: v for k, v in CLIP.items() if k not in prompts})


def test_sizes_past_the_tables(wm):
    with pytest.raises(InvalidInputError, match=r"3000x4000 .* is past the tables.*720x1280"):
        wm.text2video("A cat.", height=3000, width=4000)
    with pytest.raises(InvalidInputError, match="256, 480, 704, 720"):
        wm.text2video("A cat.", resolution=1080)
    with pytest.raises(InvalidInputError, match="go together"):
        wm.text2video("A cat.", height=480)
    with pytest.raises(InvalidInputError, match="not both"):
        wm.text2video("A cat.", height=480, width=832, resolution=480)


def test_frame_counts_past_the_tables(wm):
    with pytest.raises(InvalidInputError, match="2 to 197 frames"):
        wm.text2video("A cat.", num_frames=198)
    with pytest.raises(InvalidInputError, match=r"2 to 197 frames.*text2image"):
        wm.text2video("A cat.", num_frames=1)
    with pytest.raises(InvalidInputError, match="2 to 397 frames"):
        wm.text2video("A cat.", num_frames=398, resolution=256)
    with pytest.raises(InvalidInputError, match="one frame without sound"):
        wm.text2image("A cat.", num_frames=5)


def test_video_shorter_than_its_conditioning_frames(wm):
    with pytest.raises(MediaError, match=r"\(0, 1\) reach over 5 frames, the video has 4"):
        wm.video2video(pictures(4), **CLIP)
    with pytest.raises(MediaError, match="the video has 4"):
        wm.extend_video(pictures(4), **CLIP)
    with pytest.raises(InvalidInputError, match="5 frames are given already"):
        wm.video2video(pictures(5), **CLIP)
    with pytest.raises(InvalidInputError, match="ascending"):
        wm.video2video(pictures(9), condition_frame_indexes_vision=(1, 0), **CLIP)


def test_sound_of_a_checkpoint_without_it(native, distilled_model):
    with pytest.raises(UnsupportedModeError, match="no sound tokenizer"):
        native.text2video("push", enable_sound=True)
    with pytest.raises(UnsupportedModeError, match="sound"):
        distilled_model.text2video("A cat.", enable_sound=True, resolution=256, num_frames=5)


def test_image_that_does_not_decode_and_decompression_bomb(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError, match="damaged"):
        read_image(tmp_path / "broken.png")
    with pytest.raises(MediaError, match="too large"):
        read_image(tmp_path / "bomb.png")


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": 0.5},
        {"num_steps": 0},
        {"fps": -1.0},
        {"shift": 0.0},
        {"guidance_interval": (900, 100)},
        {"guidance_interval": 400},
        {"guidance_interval": ("400", "900")},
        {"seed": -1},
        {"guidance": "6"},
        {"num_steps": 2.5},
        {"num_frames": 0},
        {"num_frames": 5.0},
        {"num_frames": "5"},
        {"height": 192.0, "width": 320},
        {"aspect_ratio": (16, 9)},
    ],
    ids=str,
)
def test_settings_out_of_their_range(options, wm, asked):
    with pytest.raises(InvalidInputError, match=next(iter(options)).split("_")[0]):
        wm.text2video("A cat.", **options)
    assert not asked


def test_a_guidance_interval_may_be_a_list(wm, asked):
    wm.text2video("A cat.", guidance_interval=[400, 1000.0])
    assert asked[0].guidance_interval == (400, 1000.0)


def test_a_batch_says_which_item_is_wrong(wm, native):
    long = "word " * 5000
    with pytest.raises(InvalidInputError, match=r"^item 2 of 3: the prompt is empty"):
        wm.text2video(["A cat.", "", "A dog."], **CLIP)
    with pytest.raises(InvalidInputError, match=r"^item 3 of 3: the prompt is too long"):
        wm.text2video(["A cat.", "A dog.", long], **CLIP)
    with pytest.raises(InvalidInputError, match=r"^item 2 of 2: the negative prompt is too long"):
        wm.text2image(["A cat.", "A dog."], negative_prompt=["dark", long], resolution=256)
    with pytest.raises(MediaError, match=r"^item 2 of 2: an image must be RGB"):
        wm.image2video([pictures(1)[0], pictures(1)[0, :, :, 0]], **CLIP)
    with pytest.raises(MediaError, match=r"^item 2 of 2: the video is shorter"):
        wm.extend_video([pictures(9), pictures(4)], **CLIP)
    with pytest.raises(InvalidInputError, match=r"^item 1 of 2: num_frames is 18"):
        native.text2video(["push", "pull"], num_frames=18)
    with pytest.raises(InvalidInputError, match=r"^the prompt is empty"):
        wm.text2video([""], **CLIP)


def test_a_prompt_that_is_no_text(wm):
    with pytest.raises(InvalidInputError, match="character 7 is half of a surrogate pair"):
        wm.text2image(json.loads(r'"A robot\ud83e."'), resolution=256)


def test_unknown_keyword(wm):
    with pytest.raises(TypeError, match="steps"):
        wm.text2video("A cat.", steps=3)


def test_a_model_with_actions_alone_says_so():
    class Actions(cr.WorldModel):
        def generate(self, requests, *, progress=None):
            raise NotImplementedError

    with pytest.raises(UnsupportedModeError, match="cannot do text2image"):
        Actions().text2image("A cat.")


def test_facts_file_may_name_the_frame_rate(checkpoint_folder, tmp_path):
    copy = shutil.copytree(checkpoint_folder, tmp_path / "copy")
    (copy / "cosmos_robot.json").write_text(json.dumps({"native_canvas": [96, 96], "fps": 10}))
    assert CheckpointFacts.read(copy).fps == 10.0
