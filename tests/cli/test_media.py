"""The modes without actions on the command line, on a whole random-weight checkpoint; the field's samples as they are."""

import json
import os
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from cosmos_robot.cli.media_samples import MediaSample, parse_any_sample
from cosmos_robot.cli.sample_files import read_samples
from cosmos_robot.datasets.images import read_image
from cosmos_robot.datasets.sound_track import read_sound
from cosmos_robot.datasets.video import read_video, write_video
from cosmos_robot.errors import InvalidInputError
from cosmos_robot.types import Sound

FACTS = {"native_canvas": [96, 96], "max_action_chunk_size": 16, "num_steps": 1, "guidance": 1.0, "fps": 10}
FIELD = os.environ.get("COSMOS_FRAMEWORK")
SHORT = "--num-frames 9"


@pytest.fixture(scope="module")
def checkpoint(pipelines, tmp_path_factory):
    """With sound, and a canvas that is quick."""
    folder = tmp_path_factory.mktemp("media") / "checkpoint"
    pipelines("sound").save_pretrained(folder)
    (folder / "cosmos_robot.json").write_text(json.dumps(FACTS))
    return folder


@pytest.fixture
def call(cosmos_robot, checkpoint):
    def with_checkpoint(mode, *arguments, flags=""):
        return cosmos_robot(mode, *arguments, *flags.split(), "--checkpoint", checkpoint, "--device", "cpu")

    return with_checkpoint


def outputs(folder):
    return json.loads((folder / "sample_outputs.json").read_text())


@pytest.mark.parametrize("name", ["jpg", "png", "webp"])
def test_text2image(name, call, tmp_path):
    result = call("text2image", "--prompt", "A cat.", "--format", name, "--out", tmp_path / "a")
    assert result.exit_code == 0, result.stderr
    assert read_image(tmp_path / "a" / f"vision.{name}").shape == (96, 96, 3)
    written = outputs(tmp_path / "a")
    assert written["files"] == ["sample_args.json", f"vision.{name}"]
    assert (written["prompt_used"], written["frames_shape"]) == ("A cat.", [1, 96, 96, 3])


def test_text2video_with_sound(call, tmp_path):
    result = call("text2video", "--prompt", "A cat.", "--enable-sound", "--out", tmp_path / "a", flags=SHORT)
    assert result.exit_code == 0, result.stderr
    frames, fps = read_video(tmp_path / "a" / "vision.mp4")
    assert (frames.shape, fps) == ((9, 96, 96, 3), 10.0)
    assert read_sound(tmp_path / "a" / "vision.mp4").sample_rate == 8000
    assert outputs(tmp_path / "a")["sound_shape"] == [2, 7200]
    with av.open(tmp_path / "a" / "vision.mp4") as container:
        assert {stream.codec.canonical_name for stream in container.streams} == {"h264", "aac"}


def test_image2video_and_video2video(call, tmp_path, frame, video):
    assert call("image2video", "--image", frame, "--out", tmp_path / "a", flags=SHORT).exit_code == 0
    note = outputs(tmp_path / "a")["notes"][0]
    assert "native canvas of 96x96, from a picture of 64x96" in note
    result = call("video2video", "--video", video, "--keep", "last", "--out", tmp_path / "b", flags=SHORT)
    assert result.exit_code == 0, result.stderr
    arguments = json.loads((tmp_path / "b" / "sample_args.json").read_text())
    assert (arguments["condition_frame_indexes_vision"], arguments["condition_video_keep"]) == ([0, 1], "last")


def test_extend_video(call, tmp_path, video):
    result = call("extend-video", "--video", video, "--extra-frames", 6, "--out", tmp_path / "a", flags=SHORT)
    assert result.exit_code == 0, result.stderr
    frames, fps = read_video(tmp_path / "a" / "vision.mp4")
    assert (len(frames), fps) == (27, 10.0)
    given = read_video(video)[0]
    assert abs(frames[20].mean() - given[20].mean()) < 3  # the given frames stand first
    assert not any("sound" in note for note in outputs(tmp_path / "a")["notes"])


def test_an_extension_says_that_it_leaves_the_given_sound_out(call, tmp_path):
    heard = Sound(np.zeros((2, 8000), np.float32), 8000)
    write_video(tmp_path / "heard.mp4", np.zeros((10, 96, 96, 3), np.uint8), 10, sound=heard)
    arguments = ("--video", tmp_path / "heard.mp4", "--extra-frames", 4, "--out", tmp_path / "a")
    assert call("extend-video", *arguments, flags=SHORT).exit_code == 0
    assert outputs(tmp_path / "a")["notes"] == ["the sound of the given video is left out."]


def test_what_is_finished_is_not_generated_again(call, tmp_path):
    arguments = ("text2video", "--prompt", "A cat.", "--out", tmp_path / "a")
    assert call(*arguments, flags=SHORT).exit_code == 0
    again = call(*arguments, flags=SHORT)
    assert "finished already" in again.stdout
    other = call(*arguments, flags=f"{SHORT} --seed 2")
    assert other.exit_code == 2
    assert "seed was 0 and is 2" in other.stderr
    as_image = call("text2image", "--prompt", "A cat.", "--out", tmp_path / "a")
    assert "model_mode was 'text2video' and is 'text2image'" in as_image.stderr
    assert call("text2image", "--prompt", "A cat.", "--overwrite", "--out", tmp_path / "a").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "sample_args.json",
        "sample_outputs.json",
        "vision.jpg",
    ]


def test_an_answer_that_another_safety_checker_looked_at_is_another(call, tmp_path):
    arguments = ("text2image", "--prompt", "porn", "--out", tmp_path / "a")
    assert call(*arguments).exit_code == 0
    checked = call(*arguments, flags="--safety words")
    assert checked.exit_code == 2
    assert "safety_choice was 'off' and is 'words'" in checked.stderr
    assert "finished already" in call(*arguments).stdout


def test_an_answer_that_another_reasoner_helped_with_is_another(call, tmp_path):
    nobody = "--reasoner-url http://127.0.0.1:9/v1 --reasoner-model"
    for options, out in (("--upsample", "a"), ("", "b")):
        arguments = ("text2image", "--prompt", "A cat.", "--out", tmp_path / out)
        first = call(*arguments, flags=f"{options} {nobody} one")
        assert first.exit_code == 0, first.stderr
        assert "finished already" in call(*arguments, flags=f"{options} {nobody} one").stdout
        other = call(*arguments, flags=f"{options} {nobody} two")
        assert ("reasoner_model was 'one' and is 'two'" in other.stderr) == bool(options)
    without = call(*arguments)
    assert "finished already" in without.stdout  # it was not asked


@pytest.fixture
def samples(tmp_path, frame, video, normalised):
    lines = [
        {"model_mode": "text2image", "prompt": "A cat.", "name": "image"},
        {"model_mode": "text2image", "prompt": "A dog.", "name": "drawing", "seed": 4, "image_format": "png"},
        {"model_mode": "text2video", "prompt": "A cat.", "name": "first", "num_frames": 9},
        {"model_mode": "text2video", "prompt": "A dog.", "name": "second", "num_frames": 9, "seed": 4},
        {"model_mode": "image2video", "vision_path": frame.name, "num_frames": 9, "enable_sound": True},
        {"model_mode": "video2video", "vision_path": video.name, "num_frames": 9, "extra": {"golden": 1}},
        {
            "name": "actions",
            "model_mode": "forward_dynamics",
            "domain_name": "pusht",
            "vision_path": frame.name,
            "action_path": normalised.name,
        },
    ]
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_run_mixes_all_modes(call, tmp_path, samples):
    result = call("run", samples, "--out", tmp_path / "out", flags="--batch-size 4")
    assert result.exit_code == 0, result.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["actions", "drawing", "first", "image", "samples_5", "samples_6", "second"]
    assert outputs(tmp_path / "out" / "first")["seconds"] == outputs(tmp_path / "out" / "second")["seconds"]
    assert outputs(tmp_path / "out" / "image")["seconds"] == outputs(tmp_path / "out" / "drawing")["seconds"]
    alone = call("run", tmp_path / "out" / "drawing" / "sample_args.json", "--out", tmp_path / "alone")
    assert alone.exit_code == 0, alone.stderr
    batched, single = (read_image(tmp_path / f / "drawing" / "vision.png").astype(int) for f in ("out", "alone"))
    assert np.abs(batched - single).max() <= 1
    assert read_sound(tmp_path / "out" / "samples_5" / "vision.mp4") is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": ""}, "the prompt is empty"),
        ({"num_frames": 500}, "clips of 2 to 17 frames"),
        ({"resolution": 1080}, "256, 480, 704, 720"),
        ({"promt": "x"}, "did you mean 'prompt'"),
        ({"model_mode": "image2video"}, "needs vision_path, the image"),
        ({"vision_path": "a.png"}, "takes no vision_path"),
        ({"model_mode": "image2video", "vision_path": "broken.png"}, "damaged"),
        ({"model_mode": "image2video", "vision_path": "bomb.png"}, "too large"),
        ({"model_mode": "image2video", "vision_path": "text.txt"}, "starts from one of .png"),
        ({"model_mode": "video2video", "vision_path": "short.mp4"}, "shorter than its conditioning frames"),
        ({"condition_frame_indexes_vision": [-1]}, "condition_frame_indexes_vision"),
        ({"guidance_interval": [1]}, "guidance_interval"),
        ({"extra_frames": 4}, "extra_frames is for extend_video"),
        ({"fps": 1e10}, "fps is 10000000000.0, which is wrong: input should be less than or equal to 1000"),
        ({"fps": 1e-10}, "fps is 1e-10, which is wrong: input should be greater than or equal to 0.01"),
        ({"model_mode": "video2video", "vision_path": "~nouser/x.mp4"}, "cannot be read as a path"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_input_is_one_sentence(change, message, call, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    (tmp_path / "text.txt").write_text("text")
    if "bomb.png" in change.values():
        Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")
    write_video(tmp_path / "short.mp4", np.zeros((4, 64, 64, 3), np.uint8), 10)
    path = tmp_path / "sample.json"
    path.write_text(json.dumps({"model_mode": "text2video", "prompt": "A cat.", **change}))
    result = call("run", path, "--out", tmp_path / "out")
    assert result.exit_code in (1, 2)
    assert re.search(message, result.stderr), result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out" / "sample").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("text2image --prompt {empty}", "the prompt is empty"),
        ("text2video --prompt {long}", r"the prompt is too long: \d+ tokens, at most 4096"),
        (
            "text2image --prompt a --negative-prompt {long}",
            r"the negative prompt is too long: \d+ tokens, at most 4096",
        ),
        ("text2video --prompt a --height 3000 --width 4000", "past the tables: .* 720x1280"),
        ("text2image --prompt a --resolution 1080", "256, 480, 704, 720, 768"),
        ("text2video --prompt a --aspect-ratio 21,9", "1,1; 4,3; 3,4; 16,9; 9,16"),
        ("text2video --prompt a --num-frames 198", "2 to 197 frames .at most 397 at 256"),
        ("text2video --prompt a --num-frames 1", "For an image use text2image"),
        ("image2video --image broken.png", "damaged"),
        ("image2video --image bomb.png", "too large"),
        ("image2video --image http://127.0.0.1:1/a.png", "cannot fetch http://127.0.0.1:1/a.png "),
        ("image2video --image clip.mp4 --resolution 1080", "unknown resolution"),
        ("video2video --video short.mp4", "shorter than its conditioning frames: .* 5 frames, the video has 4"),
        ("extend-video --video short.mp4", "shorter than its conditioning frames"),
        ("extend-video --video clip.mp4 --num-frames 5", "no new one"),
        ("video2video --video broken.mp4", "does not decode"),
        ("text2video --prompt a --enable-sound", "no sound tokenizer"),
    ],
)
def test_bad_input_of_a_command_is_one_sentence_and_nothing_is_written(
    arguments, message, cosmos_robot, checkpoint_folder, tmp_path
):
    for name in ("broken.png", "broken.mp4"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n broken")
    Image.new("1", (8000, 8000)).save(tmp_path / "bomb.png")
    for name, count in (("short", 4), ("clip", 9)):
        write_video(tmp_path / f"{name}.mp4", np.zeros((count, 64, 64, 3), np.uint8), 10)
    words = {"{empty}": " ", "{long}": "word " * 5000}
    there = sorted(tmp_path.rglob("*"))
    result = cosmos_robot(
        *(words.get(word, word) for word in arguments.split()), "--checkpoint", checkpoint_folder, "--device", "cpu"
    )
    assert result.exit_code == 2
    lines = [line for line in result.stderr.splitlines() if not line.startswith("loading ")]
    assert len(lines) == 1
    assert re.match(f"error: .*{message}", lines[0])
    assert sorted(tmp_path.rglob("*")) == there


def test_a_url_on_the_command_line_is_fetched(call, frame, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "cosmos_robot.cli.downloads.Downloads.local", lambda self, location: asked.append(location) or frame
    )
    url = "https://example.org/a.png?raw=1"
    assert call("image2video", "--image", url, "--out", tmp_path / "a", flags=SHORT).exit_code == 0
    assert set(asked) == {url}
    assert json.loads((tmp_path / "a" / "sample_args.json").read_text())["vision_path"] == url


def test_sound_of_a_checkpoint_without_it(cosmos_robot, checkpoint_folder, tmp_path):
    copy = shutil.copytree(checkpoint_folder, tmp_path / "silent")
    (copy / "cosmos_robot.json").write_text(json.dumps(FACTS))
    result = cosmos_robot("text2video", "--prompt", "A cat.", "--enable-sound", "--checkpoint", copy, "--device", "cpu")
    assert result.exit_code == 2
    assert "no sound tokenizer" in result.stderr


def test_every_key_is_explained():
    for key in MediaSample.model_fields:
        assert f"\n        {key}: " in MediaSample.__doc__


def test_a_sample_without_a_name_takes_its_files(tmp_path):
    (tmp_path / "t2v.json").write_text('{"model_mode": "text2video", "prompt": "A cat."}')
    assert [sample.name for sample in read_samples(tmp_path / "t2v.json")] == ["t2v"]
    with pytest.raises(InvalidInputError, match="'name' is missing"):
        parse_any_sample({"model_mode": "text2video", "prompt": "A cat."}, place="here", folder=tmp_path)


def run_as_it_is(text, name, call, tmp_path, frame, video, monkeypatch):
    """Run a published sample; only what lies behind its URL is one of ours."""
    (tmp_path / f"{name}.json").write_text(text)
    local = {".mp4": video}
    monkeypatch.setattr(
        "cosmos_robot.cli.downloads.Downloads.local", lambda self, location: local.get(Path(location).suffix, frame)
    )
    monkeypatch.setattr("cosmos_robot.engine.media.MAX_PROMPT_TOKENS", 10**6)  # bytes are tokens here
    result = call("run", tmp_path / f"{name}.json", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    written = outputs(tmp_path / "out" / name)
    assert written["prompt_used"] == json.loads(text)["prompt"]
    assert (written["sound_shape"] is not None) == name.endswith("s")


# The keys and values of the published examples, `inputs/omni/*.json` of cosmos-framework; their prompts are longer.
VISION = (
    "https://github.com/nvidia-cosmos/cosmos-dependencies/raw/2b17a2413bd86b2cf9b03823637108851e4ddf2d/inputs/vision"
)
CAPTION = json.dumps({"subjects": [{"description": "A robot arm", "number_of_subjects": 1}], "fps": 24})
PUBLISHED = {
    "t2i": {"extra": {"prompt": "A robot."}, "model_mode": "text2image", "name": "t2i", "prompt": CAPTION},
    "t2v": {"model_mode": "text2video", "name": "t2v", "prompt": CAPTION},
    "t2vs": {"enable_sound": True, "model_mode": "text2video", "prompt": CAPTION},
    "i2v": {
        "extra": {"prompt": "A robot."},
        "model_mode": "image2video",
        "prompt": CAPTION,
        "vision_path": f"{VISION}/robot_153.jpg",
    },
    "i2vs": {
        "enable_sound": True,
        "model_mode": "image2video",
        "name": "i2vs",
        "prompt": CAPTION,
        "vision_path": f"{VISION}/01_hammer_nail.png",
    },
    "v2v": {
        "model_mode": "video2video",
        "prompt": "A robotic arm, primarily white with black joints and cables.",
        "vision_path": f"{VISION}/robot_pouring.mp4",
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_fields_samples_run(name, call, tmp_path, frame, video, monkeypatch):
    run_as_it_is(json.dumps(PUBLISHED[name]), name, call, tmp_path, frame, video, monkeypatch)


@pytest.mark.slow
@pytest.mark.skipif(FIELD is None, reason="COSMOS_FRAMEWORK names no clone of NVIDIA/cosmos-framework")
@pytest.mark.parametrize("name", PUBLISHED)
def test_the_fields_files_run_as_they_are(name, call, tmp_path, frame, video, monkeypatch):
    text = (Path(FIELD) / "inputs" / "omni" / f"{name}.json").read_text()
    run_as_it_is(text, name, call, tmp_path, frame, video, monkeypatch)
