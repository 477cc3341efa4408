"""The `[source]` table: what it says, and what it cannot say."""

import pytest

from cosmos_robot.domains.describe import describe
from cosmos_robot.domains.domain_file import load_domain_file
from cosmos_robot.domains.registry import get_domain, list_domains
from cosmos_robot.domains.rotation_forms import RotationForm
from cosmos_robot.domains.source import CameraPlace, ColumnPart, PoseColumns, SingleColumns
from cosmos_robot.errors import InvalidInputError

HEAD = """
name = "bench"
robot = "an arm on a bench"
domain_id = 24
raw_action_dim = 11
STATE_ROW

[[channels]]
pose = "arm"
convention = "backward_framewise"
frame = []

[[channels]]
names = ["grip", "lift"]
unit = "share"

[source]
facts = "ours"
"""
POSE = '{ pose = "arm", position = "p[0:3]", axis_angle = "p[3:6]" }'
SINGLES = '{ names = ["grip", "lift"], column = "g" }'


def load(folder, source, *, state_row=False):
    path = folder / "bench.toml"
    path.write_text(HEAD.replace("STATE_ROW", "state_row = true" if state_row else "") + source)
    return load_domain_file(path)


def layout(channels, more=""):
    return f'[[source.layouts]]\nname = "ours"\nchannels = [{channels}]\n{more}'


def test_what_it_says(tmp_path):
    source = f"""
arrangement = "side_by_side"
tile = [64, 48]
cameras = [{{ place = "left", names = ["l", "L"] }}, {{ place = "right", names = ["r"] }}]
{layout(f'{POSE}, {{ names = ["lift"], column = "g[1]", at = "next", scale = 2.0 }}, {{ names = ["grip"], column = "h" }}')}
only_with = ["l"]
"""
    recorded = load(tmp_path, source).recorded
    assert (recorded.arrangement, recorded.tile) == ("side_by_side", (64, 48))
    assert recorded.cameras == (CameraPlace("left", ("l", "L")), CameraPlace("right", ("r",)))
    pose, lift, grip = recorded.layouts[0].channels
    assert pose == PoseColumns("arm", ColumnPart("p", 0, 3), ColumnPart("p", 3, 6), RotationForm.AXIS_ANGLE)
    assert lift == SingleColumns(("lift",), ColumnPart("g", 1, 2), 2.0, 0.0, "next")
    assert grip == SingleColumns(("grip",), ColumnPart("h"))
    assert recorded.layouts[0].only_with == ("l",)


@pytest.mark.parametrize(
    ("text", "part"),
    [("a.b", ColumnPart("a.b")), ("obs/x[2]", ColumnPart("obs/x", 2, 3)), ("x[10:14]", ColumnPart("x", 10, 14))],
)
def test_parts_of_columns(text, part):
    assert ColumnPart.parse(text) == part
    assert str(part) == text


@pytest.mark.parametrize(
    ("source", "match"),
    [
        (layout(POSE), "must give every channel once .*'grip' 0 times"),
        (layout(f"{POSE}, {SINGLES}, {SINGLES}"), "'grip' 2 times"),
        (layout(f'{POSE}, {SINGLES}, {{ names = ["z"], column = "g" }}'), "'z' 1 times"),
        (layout(f"{POSE.replace('arm', 'leg')}, {SINGLES}"), "has a pose 'leg', the domain none"),
        (layout(f"{POSE.replace('axis_angle', 'rot6d')}, {SINGLES}"), "unknown key 'rot6d'"),
        (layout(f'{{ pose = "arm", position = "p" }}, {SINGLES}'), "rotation from one of .* got none"),
        (layout(f'{POSE[:-1]}, matrix = "m" }}, {SINGLES}'), "got axis_angle and matrix"),
        (layout(f"{POSE.replace('[3:6]', '[6:3]')}, {SINGLES}"), "takes no number of 'p'"),
        (layout(f"{POSE}, {SINGLES}", f"state = [{SINGLES}]"), "the domain has no state row"),
        ('arrangement = "stacked"\ncameras = [{ place = "a", names = ["a"] }]', "'stacked' has 3 to 3 places; got 1"),
        ('arrangement = "mosaic"', "arrangement"),
        ('camera = ["a"]', "unknown key 'camera' .did you mean 'cameras'"),
    ],
)
def test_what_it_cannot_say(tmp_path, source, match):
    with pytest.raises(InvalidInputError, match=rf"bench\.toml: .*{match}"):
        load(tmp_path, source)


def test_a_state_row_needs_all_channels(tmp_path):
    with pytest.raises(InvalidInputError, match="must give every number of the state once"):
        load(tmp_path, layout(f"{POSE}, {SINGLES}", f"state = [{SINGLES}]"), state_row=True)


def test_facts_alone_are_a_sentence(tmp_path):
    path = tmp_path / "bench.toml"
    path.write_text(HEAD.replace("STATE_ROW", 'source = "ours"').partition("[source]")[0])
    assert (load_domain_file(path).source, load_domain_file(path).recorded.layouts) == ("ours", ())


def test_the_built_in_domains_say_where_their_data_are():
    with_layouts = {domain.name for domain in list_domains() if domain.recorded.layouts}
    assert with_layouts == {
        "bridge_orig_lerobot",
        "droid_lerobot",
        "droid_lerobot_joint",
        "fractal",
        "libero",
        "pusht",
        "robomind-franka",
        "robomind-franka-dual",
        "robotwin",
        "umi",
    }
    text = describe(get_domain("droid_lerobot"))
    assert "recorded in       nvidia/Cosmos3-DROID, lerobot/droid_1.0.1, robomimic, one simulated Panda" in text
    assert "cameras           stacked: wrist, left, right" in text
