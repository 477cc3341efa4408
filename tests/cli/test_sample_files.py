"""Files of samples: one a line, one alone, a list."""

import json

import pytest

from cosmos_robot.cli.sample_files import read_samples
from cosmos_robot.errors import InvalidInputError

SAMPLE = {"model_mode": "wam", "domain_name": "av", "vision_path": "sub/av.mp4"}


def write(path, content):
    path.write_text(content)
    return path


def test_lines(tmp_path):
    lines = [json.dumps({"name": "a", **SAMPLE}), "", json.dumps({"name": "b", **SAMPLE})]
    samples = read_samples(write(tmp_path / "s.jsonl", "\n".join(lines)))
    assert [sample.name for sample in samples] == ["a", "b"]
    assert samples[0].vision_path == str(tmp_path / "sub" / "av.mp4")


def test_one_object_and_a_list(tmp_path):
    one = write(tmp_path / "one.json", json.dumps({"name": "a", **SAMPLE}, indent=2))
    assert [sample.name for sample in read_samples(one)] == ["a"]
    two = write(tmp_path / "two.json", json.dumps([{"name": "a", **SAMPLE}, {"name": "b", **SAMPLE}]))
    assert [sample.name for sample in read_samples(two)] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("s.jsonl", "", "holds no sample"),
        ("s.json", "[]", "holds no sample"),
        ("s.json", "", "s.json is not valid json"),
        ("s.jsonl", '{"name": "a"', "s.jsonl, line 1 is not valid json"),
        ("s.jsonl", json.dumps({"name": "a", **SAMPLE}) + "\n{}", "s.jsonl, line 2: model_mode is missing"),
        ("s.json", json.dumps([{"name": "a", **SAMPLE}, 4]), "s.json, sample 2: a sample must be a json object"),
        ("s.jsonl", (json.dumps({"name": "a", **SAMPLE}) + "\n") * 2, "2 samples have the name 'a'"),
        ("s.json", "\xff", "not valid json"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    with pytest.raises(InvalidInputError, match=message):
        read_samples(write(tmp_path / name, content))


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "s.json").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "s.json", tmp_path):
        with pytest.raises(InvalidInputError, match="cannot read"):
            read_samples(path)
    with pytest.raises(InvalidInputError, match="there is no file"):
        read_samples(tmp_path / "none.json")
