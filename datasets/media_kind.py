"""What kind of file bytes are, by how they begin."""


def media_suffix(content: bytes) -> str | None:
    """The suffix of a picture or a video by its first bytes, or None where it is of no kind that is read.

    Only these kinds should ever reach a decoder: others (playlists for instance) may name files of this machine.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if content.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if content[:4] == b"RIFF":
        return {b"WEBP": ".webp", b"AVI ": ".avi"}.get(content[8:12])
    if content.startswith(b"\x1aE\xdf\xa3"):
        return ".mkv"
    if content[4:8] in (b"ftyp", b"moov", b"mdat", b"wide"):
        return ".mp4"
    return None
