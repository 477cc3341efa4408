"""Cosmic's bucket as a world model: what it has, what it lacks, and what is said about that."""

import numpy as np
import pytest
from service_urls import at

import cosmos_robot as cr
from cosmos_robot.errors import InvalidInputError, UnsupportedModeError
from cosmos_robot.interface.chat import Message
from cosmos_robot.interface.reason import ReasonSampling, Usage


@pytest.fixture
def bucket(server):
    with cr.load_world_model(at("cosmic", server)) as opened:
        yield opened


@pytest.fixture
def nobody():
    return cr.load_world_model("cosmic://127.0.0.1:9/robots", retries=0)


def test_an_image(bucket, model):
    found = bucket.text2image("a cup", aspect_ratio="16,9")
    ((request,),) = model.batches
    assert (request.mode, request.prompt) == ("text2image", "a cup")
    assert request.width / request.height == pytest.approx(16 / 9, rel=0.01)
    assert found.frames.shape == (1, 32, 48, 3)
    assert np.all(found.image == request.seed % 200)  # a png
    assert "no seed" in found.notes[-1]


@pytest.mark.parametrize(("frames", "seconds"), [(96, 4), (144, 6), (192, 8)])
def test_a_video_is_as_long_as_was_asked(frames, seconds, bucket, model):
    found = bucket.text2video("a cup", num_frames=frames, fps=24, resolution=720)
    ((request,),) = model.batches
    assert (request.num_frames, str(request.resolution)) == (seconds * 24, "720")
    assert (len(found.frames), found.sound) == (frames, None)


def test_a_video_of_a_picture(bucket, model, frame):
    found = bucket.image2video(frame, "it falls", num_frames=96)
    ((request,),) = model.batches
    np.testing.assert_array_equal(request.frames, frame[None])
    assert abs(int(found.frames.astype(int).mean()) - request.seed % 200) <= 1


def test_chats(bucket, model, frame):
    found = bucket.reason("a cup", image=frame, max_new_tokens=40)
    assert (found.text, found.usage, found.finish_reason) == ("a cup", Usage(7, 2), "stop")
    (asked,) = model.asked
    assert asked.sampling == ReasonSampling(max_new_tokens=40)
    picture, text = asked.messages[0].parts
    np.testing.assert_array_equal(picture.frame, frame)
    assert text == "a cup"
    bucket.reason([Message.of("user", "a"), Message.of("assistant", "b"), Message.of("user", "c")])
    assert [(turn.role, turn.text) for turn in model.asked[1].messages] == [
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
    ]


def test_a_video_is_looked_at(bucket, model, clip):
    bucket.reason("What is it?", video=clip, fps=10)
    seen = model.asked[0].messages[0].parts[0]
    assert np.abs(seen.frames.astype(int) - clip).max() <= 2
    assert seen.fps == 10.0


@pytest.mark.parametrize(
    ("mode", "words", "said"),
    [
        ("text2image", {"resolution": 480}, "resolution"),
        ("text2image", {"num_steps": 4}, "num_steps"),
        ("text2video", {"num_frames": 97}, "96, 144, 192"),
        ("text2video", {"fps": 10}, "24 frames a second"),
        ("text2video", {"resolution": 480}, "720"),
        ("text2video", {"negative_prompt": "blur"}, "negative_prompt"),
    ],
)
def test_settings_that_would_be_lost(mode, words, said, nobody):
    with pytest.raises(InvalidInputError, match=said):
        getattr(nobody, mode)("a cup", **words)


def test_chats_that_would_lose_something(nobody, frame):
    with pytest.raises(InvalidInputError, match="max_new_tokens alone"):
        nobody.reason("a cup", do_sample=True)
    with pytest.raises(UnsupportedModeError, match="JSON"):
        nobody.reason("a cup", json=True)
    for chat in (
        [Message.of("system", "s"), Message.of("user", "a")],
        [Message.of("user", cr.ImagePart(frame), cr.ImagePart(frame), "a")],
        [Message.of("user", cr.ImagePart(frame), "a"), Message.of("user", "b")],
    ):
        with pytest.raises(InvalidInputError, match="one picture or video in the last"):
            nobody.reason(chat)


def test_modes_that_it_lacks(nobody, frame, clip, actions):
    for call in (
        lambda: nobody.forward_dynamics(frame, actions, domain="pusht"),
        lambda: nobody.inverse_dynamics(clip, domain="pusht"),
        lambda: nobody.policy(frame, domain="pusht"),
        lambda: nobody.video2video(clip, "go"),
        lambda: nobody.extend_video(clip, "go", num_frames=96),
    ):
        with pytest.raises(UnsupportedModeError, match="it has text2image, text2video, image2video, reason"):
            call()
