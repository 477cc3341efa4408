"""What video encoders write to the terminal by themselves, past Python."""

import os


def quiet_encoders() -> None:
    """Ask SVT-AV1, which introduces itself in 25 lines for each video, to write errors only."""
    os.environ.setdefault("SVT_LOG", "1")
