"""Finding domains by name, alias and file, and a robot of one's own from its TOML to its actions."""

import numpy as np
import pytest

from cosmos_robot.domains import registry
from cosmos_robot.domains.describe import describe
from cosmos_robot.domains.nearest_names import fold
from cosmos_robot.domains.registry import domain_names, get_domain, list_domains, register_domain
from cosmos_robot.errors import InvalidInputError, UnknownDomainError, UnknownFactError

MY_ROBOT = """
name = "my-robot"
robot = "a test bench's arm"
source = "our own recordings"
aliases = ["bench"]
domain_id = 24
raw_action_dim = 10
action_chunk_size = 8
view_point = "third_person_view"
tier = 256

[sampling]
num_steps = 5

[[channels]]
pose = "tool"
convention = "backward_anchored"
frame = [{ rotation = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], translation = [0.0, 0.0, 0.1] }]

[[channels]]
names = ["gripper"]
unit = "open fraction, 0 closed to 1 open"
low = 0
high = 1

[normaliser]
method = "meanstd"
source = "our own recordings"
mean = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0.5]
std = [0.02, 0.02, 0.02, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.5]
"""


@pytest.fixture(autouse=True)
def nothing_stays_registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def my_robot(tmp_path):
    path = tmp_path / "my_robot.toml"
    path.write_text(MY_ROBOT)
    return path


@pytest.mark.parametrize("spelling", ["robomind-franka-dual", "robomind_franka_dual", " RoboMIND-Franka-Dual"])
def test_case_and_hyphens_do_not_matter(spelling):
    assert get_domain(spelling).name == "robomind-franka-dual"


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("embodiment_b", "galbot"),
        ("agibot_gear_gripper_ext", "agibotworld"),
        ("embodiment_c_gripper", "agibotworld"),
        ("molmoact2_yam", "xdof_yam"),
        ("abc_yam", "xdof_yam"),
        ("bridge", "bridge_orig_lerobot"),
    ],
)
def test_aliases(alias, name):
    assert get_domain(alias) is get_domain(name)


def test_a_domain_is_its_own_name():
    assert get_domain(get_domain("umi")) is get_domain("umi")


def test_no_two_domains_answer_to_one_name():
    names = [fold(name) for d in list_domains() for name in (d.name, *d.aliases)]
    assert len(names) == len(set(names))


def test_every_file_is_named_after_its_domain():
    assert {path.stem for path in registry.FOLDER.glob("*.toml")} == set(domain_names())


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(UnknownDomainError, match=r"unknown domain 'bridge_orig_lerobo' \(did you mean 'bridge_orig"):
        get_domain("bridge_orig_lerobo")
    with pytest.raises(UnknownDomainError, match="known are av, camera_pose"):
        get_domain("zzzz")


def test_a_robot_of_one_s_own_by_its_path(my_robot):
    domain = get_domain(my_robot)
    assert get_domain(str(my_robot)) == domain
    assert (domain.name, domain.domain_id, domain.sampling.num_steps, domain.sampling.shift) == (
        "my-robot",
        24,
        5,
        10,
    )
    assert "my-robot" not in domain_names()
    with pytest.raises(UnknownFactError, match="fps of domain 'my-robot'"):
        _ = domain.fps


def test_a_robot_of_one_s_own_end_to_end(my_robot):
    register_domain(my_robot)
    domain = get_domain("BENCH")
    turn = np.array([[0, -1, 0, 0.01], [1, 0, 0, 0.02], [0, 0, 1, 0.03], [0, 0, 0, 1.0]])
    recorded = np.stack([np.eye(4), turn, turn @ turn])
    actions = domain.actions_from_poses({"tool": recorded}, {"gripper": [0.0, 1.0]})
    frame = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0.1], [0, 0, 0, 1.0]])
    seen = np.linalg.inv(frame) @ turn @ turn @ frame  # anchored: from the first pose
    np.testing.assert_allclose(actions.values[1, :3], seen[:3, 3], atol=1e-7)
    np.testing.assert_allclose(actions.values[1, 3:9], [*seen[:3, 0], *seen[:3, 1]], atol=1e-7)
    decoded = domain.decode(domain.encode(actions, action_dim=64))
    np.testing.assert_allclose(decoded.values, actions.values, atol=1e-6)
    np.testing.assert_allclose(domain.poses(decoded, frame)["tool"], recorded @ frame, atol=1e-6)


def test_registering_twice_is_registering_once(my_robot):
    register_domain(my_robot)
    register_domain(my_robot)
    assert domain_names().count("my-robot") == 1


def test_a_taken_name_is_said(my_robot, tmp_path):
    register_domain(my_robot)
    other = tmp_path / "other.toml"
    other.write_text(MY_ROBOT.replace("domain_id = 24", "domain_id = 25"))
    with pytest.raises(InvalidInputError, match="the name 'my-robot' is taken by the domain 'my-robot'"):
        register_domain(other)
    other.write_text(MY_ROBOT.replace('"my-robot"', '"mine"').replace('"bench"', '"DROID"'))
    with pytest.raises(InvalidInputError, match="the name 'DROID' is taken by the domain 'droid_lerobot'"):
        register_domain(other)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "action_chunk_size = 8",
            "action_chunk_sise = 8",
            "unknown key 'action_chunk_sise' .did you mean 'action_chunk",
        ),
        ("domain_id = 24", "", "domain_id: Field required"),
        ("domain_id = 24", 'domain_id = "24"', "domain_id: Input should be a valid integer"),
        ("raw_action_dim = 10", "raw_action_dim = 11", "raw_action_dim: is 11, but the channels are 10"),
        ("action_chunk_size = 8", "action_chunk_size = 10", "action_chunk_size: .*multiple of 4"),
        ("third_person_view", "side_view", "view_point: unknown view point 'side_view'"),
        ("tier = 256", "tier = 300", "tier: no such resolution tier; they are 256, 480"),
        ("mean = [0,", "mean = [", "normaliser must have one figure for each channel"),
        ("std = [0.02,", "std = [-0.02,", r"std of a meanstd normaliser must not be negative; got -0.02\.$"),
        (
            "mean = [",
            "median = [",
            "normaliser.*unknown key 'median'.*the keys here are method, source, mean, std",
        ),
        ('"meanstd"', '"zscore"', "normaliser: .*'zscore'"),
        ('"backward_anchored"', '"forward"', "channels.*convention: Input should be"),
        ("[[0, -1, 0], [1, 0, 0]", "[[0, -1, 0], [1, 1, 0]", "channels.*rotation: not a rotation matrix"),
        ("[[0, -1, 0], [1, 0, 0]", "[[0, 1, 0], [1, 0, 0]", "channels.*rotation: .*reflection"),
        ('names = ["gripper"]', 'names = ["tool_x"]', "the name 'tool_x' stands there twice"),
        ("high = 1", "high = 0", "channels.*low must be less than high"),
        ("high = 1", "high = [1, 2]", "channels.*high has 2 figures for 1 names"),
        ('name = "my-robot"', "name = my-robot", "is not a TOML file"),
    ],
)
def test_a_faulty_file_is_said_with_its_place(my_robot, old, new, sentence):
    assert old in MY_ROBOT
    my_robot.write_text(MY_ROBOT.replace(old, new, 1))
    with pytest.raises(InvalidInputError, match=f"my_robot.toml.*{sentence}"):
        get_domain(my_robot)


@pytest.mark.parametrize("figures", ["3", "null", "[0.1, null]", '["0.1"]', "[true]"])
def test_statistics_that_are_no_lists_of_numbers_are_said(my_robot, figures):
    own = MY_ROBOT[: MY_ROBOT.index("[normaliser]")] + '[normaliser]\nmethod = "meanstd"\nfile = "figures.json"\n'
    my_robot.write_text(own)
    my_robot.with_name("figures.json").write_text(f'{{"mean": {figures}, "std": {[1.0] * 10}}}')
    with pytest.raises(InvalidInputError, match=r"my_robot.toml: .*mean in .*figures.json must be a list of numbers"):
        get_domain(my_robot)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(InvalidInputError, match=r"cannot read the domain file .*nowhere.toml: No such file"):
        get_domain(tmp_path / "nowhere.toml")


@pytest.mark.parametrize("name", domain_names())
def test_every_domain_can_be_explained(name):
    domain = get_domain(name)
    text = describe(domain)
    assert text.startswith(f"{name}: ")
    for channel in domain.channels:
        assert channel.name in text
    assert (f"{'normaliser':<18}not published" in text) == (domain.published.normaliser is None)
