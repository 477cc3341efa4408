"""Cosmic's paths begin with a bucket: here a name that keeps media apart, which is there as soon as it is used."""

import re
from typing import Annotated

from fastapi import Depends

from cosmos_robot.serving.cosmic_style import PREFIX
from cosmos_robot.serving.problems import RequestError

PATH = PREFIX + "{bucket}"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


def _bucket(bucket: str) -> str:
    if _NAME.fullmatch(bucket) is None:
        raise RequestError.of_field("bucket", "a bucket's name has 1 to 100 letters, digits, '-' and '_'.")
    return bucket


Bucket = Annotated[str, Depends(_bucket)]
"""The bucket of a request's path."""
