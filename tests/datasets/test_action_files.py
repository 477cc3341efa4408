"""Action files: the same bits out as in, and a sentence for everything that is not a finite [T, D] array."""

import json
from pathlib import Path

import numpy as np
import pytest

from cosmos_robot.datasets.action_files import read_actions, write_actions, write_actions_json
from cosmos_robot.errors import InvalidInputError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture
def actions():
    return np.random.default_rng(3).normal(size=(7, 5)).astype(np.float32) * np.float32(1e-3)


def test_written_json_gives_the_same_bits(tmp_path, actions):
    write_actions_json(tmp_path / "a.json", actions)
    assert read_actions(tmp_path / "a.json").tobytes() == actions.tobytes()
    assert len((tmp_path / "a.json").read_text().splitlines()) == 7 + 2


@pytest.mark.parametrize("key", ["actions", "action", "data"])
def test_json_objects(tmp_path, actions, key):
    (tmp_path / "a.json").write_text(json.dumps({"fps": 10, key: actions.tolist()}))
    assert read_actions(tmp_path / "a.json").tobytes() == actions.tobytes()


def test_npy_and_npz(tmp_path, actions):
    np.save(tmp_path / "a.npy", actions.astype(np.float64))
    np.savez(tmp_path / "one.npz", whatever=actions)
    np.savez_compressed(tmp_path / "two.npz", actions=actions, other=np.zeros(3))
    for name in ("a.npy", "one.npz", "two.npz"):
        read = read_actions(tmp_path / name)
        assert read.dtype == np.float32
        assert read.tobytes() == actions.tobytes()


def test_integers_become_floats(tmp_path):
    (tmp_path / "a.json").write_text("[[1, 2], [3, 4]]")
    assert read_actions(tmp_path / "a.json").tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid json"),
        ("[[1, 2], [3", "not valid json"),
        ("[]", "at least one row"),
        ("[1, 2]", r"a single action is \[\[...\]\]"),
        ("[[1, 2], [3]]", "row 1 has 1"),
        ('[[1, "2"]]', "row 0 holds '2'"),
        ("[[1, true]]", "row 0 holds True"),
        ("[[1, null]]", "row 0 holds None"),
        ("[[1, 2], [3, NaN]]", "row 1, channel 1 is nan"),
        ("[[1, 2], [-Infinity, 3]]", "row 1, channel 0 is -inf"),
        ("[[1e300, 2]]", r"row 0, channel 0 is 1e\+300"),
        ('{"acts": [[1]]}', "one of the keys actions, action, data; it has acts"),
        ('{"actions": [[1]], "data": [[1]]}', "one of the keys"),
        ('"text"', "list of rows"),
    ],
)
def test_bad_json(tmp_path, content, message):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_actions(tmp_path / "a.json")
    assert "a.json" in str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((0, 4)), r"shape \(0, 4\)"),
        (np.array([["a"]]), "must hold numbers"),
        (np.array([[True]]), "must hold numbers"),
        (np.array([[None]], dtype=object), "not a plain numpy file"),
        (np.array([[0.0, np.inf]]), "row 0, channel 1 is inf"),
    ],
)
def test_bad_arrays(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InvalidInputError, match=message):
        read_actions(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04broken", b"\x93NUMPY\x01\x00"])
def test_broken_arrays(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInputError, match=name):
        read_actions(tmp_path / name)


def test_an_archive_of_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", left=np.zeros((2, 2)), right=np.zeros((2, 2)))
    with pytest.raises(InvalidInputError, match="it holds left, right"):
        read_actions(tmp_path / "a.npz")


def test_a_missing_file_and_a_foreign_one(tmp_path):
    with pytest.raises(InvalidInputError, match="there is no action file"):
        read_actions(tmp_path / "a.json")
    with pytest.raises(InvalidInputError, match=r"\.json, \.npy, \.npz, \.csv files; got .*a\.txt"):
        read_actions(tmp_path / "a.txt")


@pytest.mark.parametrize("suffix", ["json", "npy", "csv"])
def test_what_is_written_by_the_file_s_name_comes_back_bit_for_bit(suffix, tmp_path):
    actions = np.array([[1 / 3, -1e-30, 16777217.0], [np.float32(0.1), 3e38, -0.0]], np.float32)
    write_actions(tmp_path / f"a.{suffix}", actions)
    np.testing.assert_array_equal(read_actions(tmp_path / f"a.{suffix}"), actions)
    with pytest.raises(InvalidInputError, match="NaN"):
        write_actions(tmp_path / f"b.{suffix}", np.array([[np.nan]], np.float32))
    assert not (tmp_path / f"b.{suffix}").exists()


def test_a_csv_may_name_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("x, y\n1,2.5\n-3e-1, 4\n\n")
    assert read_actions(tmp_path / "a.csv").tolist() == [[1.0, 2.5], [np.float32(-0.3), 4.0]]
    (tmp_path / "a.csv").write_text("1,2\n3,four\n")
    with pytest.raises(InvalidInputError, match="row 1 is '3,four'"):
        read_actions(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("x,y\n")
    with pytest.raises(InvalidInputError, match="at least one row"):
        read_actions(tmp_path / "a.csv")


def test_actions_are_not_written_to_any_file(tmp_path):
    with pytest.raises(InvalidInputError, match=r"\.json, \.npy, \.csv files; got .*a\.npz"):
        write_actions(tmp_path / "a.npz", np.zeros((1, 1), np.float32))


def test_json_has_no_nan(tmp_path):
    with pytest.raises(InvalidInputError, match="no NaN"):
        write_actions_json(tmp_path / "a.json", np.array([[np.nan]], np.float32))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real recordings are not here")
def test_real_trajectories_survive_a_round_trip(tmp_path):
    for name, shape in (("av/av_traj_left.json", (60, 9)), ("umi/umi.json", (32, 10))):
        actions = read_actions(SHARED / name)
        assert actions.shape == shape
        assert actions.tolist() == json.loads((SHARED / name).read_text())  # the file holds widened float32
        write_actions_json(tmp_path / "again.json", actions)
        assert read_actions(tmp_path / "again.json").tobytes() == actions.tobytes()
