"""Zarr format 2 written by hand, file by file, as its specification says; nothing of the zarr package."""

import itertools
import json
import zipfile
from pathlib import Path

import numpy as np


class ZarrV2:
    """The files of a hierarchy, collected and then written as a folder or a zip."""

    def __init__(self):
        self.files = {}

    def group(self, path=""):
        self.files[f"{path}/.zgroup".lstrip("/")] = json.dumps({"zarr_format": 2}).encode()
        return self

    def array(self, path, values, chunks=None, *, compressor=None, encode=bytes):
        """`encode` turns a whole chunk, padded at the array's end, into the bytes that are stored."""
        values = np.asarray(values)
        chunks = tuple(max(1, size) for size in values.shape) if chunks is None else chunks
        self.files[f"{path}/.zarray"] = json.dumps(
            {
                "zarr_format": 2,
                "shape": values.shape,
                "chunks": chunks,
                "dtype": values.dtype.str,
                "compressor": compressor,
                "fill_value": 0,
                "order": "C",
                "filters": None,
            }
        ).encode()
        counts = [-(-size // chunk) for size, chunk in zip(values.shape, chunks, strict=True)]
        for index in itertools.product(*map(range, counts)):
            chunk = np.zeros(chunks, values.dtype)
            place = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))
            inside = values[place]
            chunk[tuple(slice(size) for size in inside.shape)] = inside
            self.files[f"{path}/{'.'.join(map(str, index))}"] = encode(chunk)
        return self

    def folder(self, path):
        for name, content in self.files.items():
            (Path(path) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(path) / name).write_bytes(content)
        return Path(path)

    def zip(self, path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, content in self.files.items():
                archive.writestr(name, content)
        return Path(path)


def replay_buffer(ends):
    """The groups and `meta/episode_ends` of a replay buffer."""
    return ZarrV2().group().group("data").group("meta").array("meta/episode_ends", np.asarray(ends, np.int64))
