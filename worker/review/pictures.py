"""The picture of a result, whole and small, from the spool's results folder."""

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from db.spool import InvalidUid, SeriesKey, results_folder

PICTURE = "sc.png"
THUMBNAIL_PX = 112
THUMBNAILS_KEPT = 4000  # some 3 kB each


def picture_path(spool_dir: Path, study: str, series: str, revision: int) -> Path | None:
    """The file of a revision's picture; None where there is none (any more).

    The path is made of checked UIDs and a number, never of what a browser sent.
    """
    try:
        folder = results_folder(spool_dir, SeriesKey(study, series), revision)
    except InvalidUid:
        return None
    path = folder / PICTURE
    return path if path.is_file() else None


def thumbnail_uri(path: Path) -> str | None:
    """The anatomy of a picture, without the banner below it, as a ``data:`` URI."""
    try:
        return _thumbnail(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError):  # Pillow raises SyntaxError for a broken PNG
        return None


@lru_cache(maxsize=THUMBNAILS_KEPT)
def _thumbnail(path: Path, _mtime_ns: int) -> str:
    with Image.open(path) as picture:
        width, height = picture.size
        # The banner of text stands below the slice, which is about as high as it is wide.
        anatomy = picture.convert("RGB").crop((0, 0, width, min(width, height)))
    anatomy.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR, reducing_gap=2)
    buffer = io.BytesIO()
    anatomy.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
