"""Files of samples: .jsonl with one object a line, .json with one object or a list."""

import json
from collections import Counter
from pathlib import Path

from cosmos_robot.cli.media_samples import AnySample, parse_any_sample
from cosmos_robot.errors import InvalidInputError


def read_samples(path: Path) -> list[AnySample]:
    """Read all samples of a file; relative paths in it are relative to the file.

    Args:
        path: a .jsonl or .json file.

    Raises:
        InvalidInputError: if the file is missing, empty or not json, a sample is wrong, or two have one name;
            the message names the line or the position.
        UnsupportedModeError: if a sample's mode is not one of this command's.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InvalidInputError(f"there is no file {path}; check the path.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"cannot read {path} as text: {error}.") from error
    found = _lines(text, path) if path.suffix.lower() == ".jsonl" else _whole(text, path)
    if not found:
        raise InvalidInputError(f"{path} holds no sample.")
    names = [path.stem] if len(found) == 1 else [f"{path.stem}_{number}" for number in range(1, len(found) + 1)]
    samples = [
        parse_any_sample(raw, place=place, folder=path.parent, name=name)
        for (place, raw), name in zip(found, names, strict=True)
    ]
    for name, count in Counter(sample.name for sample in samples).items():
        if count > 1:
            raise InvalidInputError(
                f"{path}: {count} samples have the name {name!r}; each needs its own, because it names the "
                f"sample's folder."
            )
    return samples


def _lines(text: str, path: Path) -> list[tuple[str, object]]:
    numbered = enumerate(text.splitlines(), start=1)
    return [(place := f"{path}, line {number}", _parse(line, place)) for number, line in numbered if line.strip()]


def _whole(text: str, path: Path) -> list[tuple[str, object]]:
    content = _parse(text, str(path))
    if not isinstance(content, list):
        return [(str(path), content)]
    return [(f"{path}, sample {number}", raw) for number, raw in enumerate(content, start=1)]


def _parse(text: str, place: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInputError(f"{place} is not valid json: {error}.") from error
