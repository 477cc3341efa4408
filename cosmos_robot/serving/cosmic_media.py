"""Cosmic's media library: a row in the database and a file in the data folder for everything that was made."""

import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sql
from sqlalchemy.engine import Engine, Row

from cosmos_robot.serving.job_store import METADATA
from cosmos_robot.serving.middleware import FILES
from cosmos_robot.serving.problems import Kind, RequestError

ADDRESS = f"{FILES}media/{{media_id}}/{{name}}"
"""Where a file is found; it needs no key, because nobody guesses an id."""

_ID = re.compile(r"[0-9a-f]{24}")
_PARTIAL = ".partial-"

_MEDIA = sql.Table(
    "cosmic_media",
    METADATA,
    sql.Column("id", sql.String(24), primary_key=True),
    sql.Column("bucket", sql.String(100), nullable=False, index=True),
    sql.Column("folder", sql.String(100)),
    sql.Column("name", sql.String(200), nullable=False),
    sql.Column("type", sql.String(40), nullable=False),
    sql.Column("created", sql.Float, nullable=False),
    sql.Column("facts", sql.JSON, nullable=False),
)
_COLUMNS = ("id", "bucket", "folder", "name", "type", "created")
QUERIES = ("id", "folder", "name", "type")
"""What media can be found by."""


@dataclass(frozen=True)
class MediaRecord:
    """One piece of media.

    Attributes:
        bucket: that it was made for, as the path of the request had it.
        name: of the file; unique, because there is a random part in it.
        original_name: the name without that.
        type: media type.
        folder: the caller's word for where it belongs; no path.
        alt_text: what it shows or says.
        metadata: the caller's, and what this server tells beside them.
        width: in pixels, or None.
        height: likewise.
        size: bytes of the file.
        id: 24 hexadecimal digits.
        created: seconds of the epoch.
    """

    bucket: str
    name: str
    original_name: str
    type: str
    folder: str | None
    alt_text: str
    metadata: Mapping[str, Any]
    width: int | None = None
    height: int | None = None
    size: int = 0
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: float = field(default_factory=time.time)

    def address(self, base: str) -> str:
        """Where its file is found, on a server that is reached at `base`."""
        return base + ADDRESS.format(media_id=self.id, name=self.name)

    def shown(self, base: str) -> dict[str, Any]:
        """Cosmic's object. No service for pictures stands beside this server: `imgix_url` is the address itself."""
        url, created = self.address(base), _time(self.created)
        shown = {name: getattr(self, name) for name in ("id", "name", "original_name", "size", "type", "bucket")}
        shown |= {"created_at": created, "created_by": None, "modified_at": created, "modified_by": None}
        shown |= {"folder": self.folder, "url": url, "imgix_url": url, "alt_text": self.alt_text}
        shown["metadata"] = dict(self.metadata)
        if self.type == "video/mp4":
            shown["metadata"]["veo_file_uri"] = url  # by which clients tell what can be extended
        if self.width is not None:
            shown |= {"width": self.width, "height": self.height}
        return shown


class MediaLibrary:
    """All media.

    Args:
        engine: of the database.
        folder: for the files; one server at a time uses it.
    """

    def __init__(self, engine: Engine, folder: Path) -> None:
        self._engine, self._folder = engine, folder
        METADATA.create_all(engine, tables=[_MEDIA])
        folder.mkdir(exist_ok=True)
        with engine.connect() as connection:
            known = set(connection.execute(sql.select(_MEDIA.c.id)).scalars())
        for path in folder.iterdir():  # the process ended between a file and its row
            if path.name.startswith(_PARTIAL) or (_ID.fullmatch(path.name) and path.name not in known):
                shutil.rmtree(path)

    @contextmanager
    def partial(self) -> Iterator[Path]:
        """A folder for files on their way into the library, for the time of a block."""
        with tempfile.TemporaryDirectory(dir=self._folder, prefix=_PARTIAL) as folder:
            yield Path(folder)

    def add(self, record: MediaRecord, made: Path) -> MediaRecord:
        """Take a file into the library, by moving it.

        Args:
            record: without its size.
            made: the file, in the same file system.
        """
        own = self._folder / record.id
        own.mkdir()
        added = False
        try:
            path = made.replace(own / record.name)
            values = asdict(record) | {"size": path.stat().st_size}
            row = {name: values.pop(name) for name in _COLUMNS}
            with self._engine.begin() as connection:
                connection.execute(sql.insert(_MEDIA).values(**row, facts=values))
            added = True
        finally:
            if not added:
                shutil.rmtree(own, ignore_errors=True)
        return MediaRecord(**row, **values)

    def get(self, media_id: str, *, bucket: str | None = None) -> MediaRecord:
        """Find one piece of media, in one bucket or in all.

        Raises:
            RequestError: if it is not there.
        """
        query = sql.select(_MEDIA).where(_MEDIA.c.id == media_id)
        if bucket is not None:
            query = query.where(_MEDIA.c.bucket == bucket)
        row = None
        if _ID.fullmatch(media_id):
            with self._engine.connect() as connection:
                row = connection.execute(query).first()
        if row is None:
            raise RequestError(Kind.NOT_FOUND, "there is no media of that id.")
        return _record(row)

    def find(self, bucket: str, wanted: Mapping[str, str], *, skip: int, most: int) -> tuple[list[MediaRecord], int]:
        """A page of a bucket's media that have the wanted values, the newest first, and how many there are in all."""
        clauses = [_MEDIA.c.bucket == bucket, *(_MEDIA.c[name] == value for name, value in wanted.items())]
        rows = sql.select(_MEDIA).where(*clauses).order_by(_MEDIA.c.created.desc(), _MEDIA.c.id)
        count = sql.select(sql.func.count()).select_from(_MEDIA).where(*clauses)
        with self._engine.connect() as connection:
            found = connection.execute(rows.offset(skip).limit(most)).all()
            return [_record(row) for row in found], int(connection.execute(count).scalar_one())

    def path(self, record: MediaRecord) -> Path:
        """The file of a record."""
        return self._folder / record.id / record.name

    def remove(self, record: MediaRecord) -> None:
        """Remove a piece of media."""
        with self._engine.begin() as connection:
            connection.execute(sql.delete(_MEDIA).where(_MEDIA.c.id == record.id))
        shutil.rmtree(self._folder / record.id, ignore_errors=True)


def _record(row: Row[Any]) -> MediaRecord:
    values = row._asdict()
    return MediaRecord(**values.pop("facts"), **values)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
