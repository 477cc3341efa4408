"""The caption is byte-equal to diffusers' for the view points that it knows, and has the facts' sentence for others."""

import json

from diffusers import Cosmos3OmniPipeline
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_robot.domains.caption import action_caption
from cosmos_robot.domains.view_points import VIEW_SENTENCES

KNOWN_TO_DIFFUSERS = ["ego_view", "third_person_view", "wrist_view", "concat_view"]


@settings(max_examples=200, deadline=None)
@given(
    description=st.text(max_size=40),
    view=st.sampled_from([*KNOWN_TO_DIFFUSERS, None]),
    chunk=st.integers(1, 40).map(lambda k: 4 * k),
    fps=st.sampled_from([1, 3.0, 5, 10, 15.0, 20, 29.97, 59.94]),
    size=st.tuples(st.integers(1, 90).map(lambda k: 16 * k), st.integers(1, 90).map(lambda k: 16 * k)),
)
def test_byte_equal_to_diffusers(description, view, chunk, fps, size):
    ours = action_caption(
        description,
        view_sentence=VIEW_SENTENCES[view] if view else None,
        action_chunk_size=chunk,
        fps=fps,
        height=size[0],
        width=size[1],
    )
    theirs = Cosmos3OmniPipeline._build_action_json_prompt(
        description, view_point=view, num_frames=chunk + 1, fps=fps, height=size[0], width=size[1]
    )
    assert ours == theirs


def test_the_other_view_points_have_their_sentences():
    for view in ("top_down_2d_view", "video_game_view"):
        caption = json.loads(
            action_caption(
                "go", view_sentence=VIEW_SENTENCES[view], action_chunk_size=16, fps=10, height=256, width=256
            )
        )
        assert caption["cinematography"]["framing"] == VIEW_SENTENCES[view]
    assert VIEW_SENTENCES["top_down_2d_view"] == "This video is captured from a top-down view of a flat 2D scene."


def test_no_view_point_no_framing():
    caption = action_caption("go", view_sentence=None, action_chunk_size=16, fps=5, height=480, width=832)
    assert caption == (
        '{"actions": [{"time": "0:00-0:03", "description": "go."}], "duration": "3s", "fps": 5.0, '
        '"resolution": {"H": 480, "W": 832}, "aspect_ratio": "16,9"}'
    )
