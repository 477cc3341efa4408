"""Where episodes start."""

import json

import numpy as np
import pytest
from PIL import Image
from recorded_episode import RecordedEpisode, RecordedEpisodes, numbered_pictures

from cosmos_robot.datasets.episode import Episode, Episodes
from cosmos_robot.datasets.images import write_png
from cosmos_robot.datasets.windows import windows
from cosmos_robot.domains.registry import get_domain
from cosmos_robot.envs.starts import EpisodeStarts, FrameStarts, ImageStarts, open_starts
from cosmos_robot.envs.world_model_env import WorldModelEnv
from cosmos_robot.errors import EpisodeError, InvalidInputError, MissingDependencyError


class Recorded(Episode):
    where, fps, cameras, columns = "memory", 10.0, ("front", "wrist"), ()

    def __init__(self, index, frames):
        self.index, self.task, self._all = index, f"task {index}", frames

    def __len__(self):
        return len(self._all)

    def _column(self, name, start, stop):
        raise NotImplementedError

    def _frames(self, camera, start, stop):
        frames = self._all[start:stop]
        return frames if camera == "front" else 255 - frames


class Dataset(Episodes):
    source, format, fps, closed = "memory", "memory", 10.0, 0

    def __init__(self, frames):
        self._all = frames

    def __len__(self):
        return len(self._all)

    def _episode(self, position):
        return Recorded(position, self._all[position])

    def close(self):
        self.closed += 1


@pytest.fixture
def dataset():
    return Dataset(np.random.default_rng(0).integers(0, 256, (3, 6, 32, 48, 3), dtype=np.uint8))


def test_a_folder_of_images_by_name(tmp_path, starts):
    for index, name in enumerate(["b.png", "a.png", "notes.txt", "c.PNG"]):
        (tmp_path / name).write_text("no picture") if name.endswith("txt") else Image.fromarray(starts[index]).save(
            tmp_path / name
        )
    opened = open_starts(json.loads(json.dumps(str(tmp_path))))
    assert opened.numbers == range(3)
    assert opened.frame_size() == (32, 32)
    for number, index in enumerate([1, 0, 3]):
        np.testing.assert_array_equal(opened.load(number).frame, starts[index])
    np.testing.assert_array_equal(open_starts(tmp_path / "b.png").load(0).frame, starts[0])


def test_arrays(starts):
    assert open_starts(starts).numbers == range(5)
    assert open_starts(starts[0]).numbers == range(1)
    given = open_starts(starts)
    assert open_starts(given) is given
    kept = starts[0].copy()
    starts[:] = 0
    np.testing.assert_array_equal(given.load(0).frame, kept)
    with pytest.raises(InvalidInputError, match="is empty"):
        open_starts(starts[:0])
    with pytest.raises(InvalidInputError, match="no start number 5; they are 0 to 4"):
        given.load(5)


def test_recorded_episodes_at_any_time_step(dataset):
    opened = open_starts(dataset)
    start = opened.load(2, 4)
    assert (start.number, start.task) == (2, "task 2")
    np.testing.assert_array_equal(start.frame, dataset[2].frames("front", 4, 5)[0])
    assert opened.frame_size() == (32, 48)
    with pytest.raises(InvalidInputError, match="time steps 0 to 5; got step=6"):
        opened.load(2, 6)
    opened.close()
    assert dataset.closed == 1


def test_the_episodes_task_is_the_prompt_unless_there_is_one(dataset, counting):
    front = EpisodeStarts(dataset, "front")
    env = WorldModelEnv(world_model=counting, domain="pusht", starts=front, action_chunk_size=4)
    _, info = env.reset(options={"episode": 1, "step": 3})
    assert info["prompt"] == env.task == "task 1"
    np.testing.assert_array_equal(env.reset(options={"episode": 1, "step": 3})[0]["pixels"].shape, (32, 48, 3))
    env = WorldModelEnv(world_model=counting, domain="pusht", starts=front, action_chunk_size=4, prompt="other")
    assert env.reset(options={"episode": 1})[1]["prompt"] == "other"


@pytest.mark.parametrize(
    ("domain", "columns"),
    [
        ("droid_lerobot_joint", {"action": np.zeros((20, 8)), "observation.state": np.zeros((20, 8))}),
        ("libero", {"actions": np.zeros((20, 7))}),
        ("pusht", {"action": np.zeros((20, 2))}),
    ],
)
def test_an_episode_starts_from_the_canvas_of_the_domains_windows(domain, columns, counting):
    robot = get_domain(domain)
    pictures = {
        place.names[-1]: numbered_pictures(20, 64, 96, offset=50 * number)
        for number, place in reversed(list(enumerate(robot.recorded.cameras)))
    }
    recorded = RecordedEpisodes([RecordedEpisode(columns, pictures)])
    window = windows(recorded, robot, chunk=4, fps=10)[3]
    bounds = [-1] * robot.raw_action_dim, [1] * robot.raw_action_dim
    env = WorldModelEnv(world_model=counting, domain=domain, starts=recorded, bounds=bounds)
    env.reset(seed=0, options={"episode": 0, "step": 3})
    np.testing.assert_array_equal(env.snapshot().state.anchor, window.frames[0])
    name = robot.recorded.cameras[0].names[-1]
    alone = EpisodeStarts(recorded, name, robot).load(0, 3).frame
    np.testing.assert_array_equal(alone, pictures[name][3])


def test_cameras_that_the_domain_does_not_know(dataset):
    with pytest.raises(InvalidInputError, match=r'places on the canvas.*It has front, wrist.*"camera": name'):
        open_starts(dataset, get_domain("pusht")).load(0)
    camera_unsaid = open_starts(dataset, get_domain("av")).load(0).frame
    np.testing.assert_array_equal(camera_unsaid, dataset[0].frames("front", 0, 1)[0])


def test_a_picture_beside_a_dataset_is_no_start(tmp_path, starts):
    write_png(tmp_path / "preview.png", starts[0])
    assert isinstance(open_starts(tmp_path), ImageStarts)
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_text("{}")
    with pytest.raises(EpisodeError, match=r"info\.json"):  # the dataset's reader was asked
        open_starts(tmp_path).load(0)


def test_a_dataset_by_its_path_is_opened_when_it_is_asked(tmp_path):
    opened = open_starts({"episodes": str(tmp_path / "nothing"), "camera": "front"})
    opened.close()
    with pytest.raises(InvalidInputError):
        opened.load(0)


def test_a_simulators_reset():
    pytest.importorskip("gym_pusht")
    import gymnasium

    spec = {"env": "gym_pusht:gym_pusht/PushT-v0", "kwargs": {"obs_type": "pixels"}, "seeds": [10, 20]}
    opened = open_starts(json.loads(json.dumps(spec)))
    assert opened.numbers == range(10, 20)
    env = gymnasium.make("gym_pusht:gym_pusht/PushT-v0", obs_type="pixels")
    np.testing.assert_array_equal(opened.load(13).frame, env.reset(seed=13)[0])
    env.close()
    drawn = open_starts({**spec, "kwargs": {"visualization_width": 64, "visualization_height": 64}})
    assert drawn.load(13).frame.shape == (64, 64, 3)  # an observation without pixels: what it renders
    with pytest.raises(InvalidInputError, match="no start number 20; they are 10 to 19"):
        opened.load(20)
    for each in (opened, drawn):
        each.close()
        each.close()


@pytest.mark.parametrize("seeds", [[5, 5], [7, 3], [0, 1000, 7], [9], [0.0, 2.0], [-2, 4]])
def test_a_simulators_seeds_that_cannot_be_used(seeds):
    with pytest.raises(InvalidInputError, match="seeds are two integers"):
        open_starts({"env": "none/None-v0", "seeds": seeds})


def test_a_simulator_that_is_not_installed():
    opened = open_starts({"env": "no_such_simulator:none/None-v0"})
    with pytest.raises(MissingDependencyError, match="not installed here"):
        opened.load(0)


def test_a_thing_that_is_no_start():
    with pytest.raises(InvalidInputError, match="got int"):
        open_starts(3)
    assert isinstance(open_starts(np.zeros((16, 16, 3), np.uint8)), FrameStarts)
