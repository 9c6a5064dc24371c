"""Picture of a result and its thumbnail, read from the results folder of the spool."""

import base64
import io
from functools import lru_cache
from pathlib import Path

from PIL import Image

from common.dicom.uids import InvalidUid
from common.spool.layout import SeriesKey, results_folder
from db.models import Series

PICTURE_NAME = "sc.png"
THUMBNAIL_PX = 112
CACHED_THUMBNAILS = 4000  # about 3 kB each


def picture_path(
    spool_dir: Path, series: Series, revision: int, folder_name: str | None = None
) -> Path | None:
    """Return the file of a revision's picture, or None if there is none.

    The path is made of validated UIDs and a number, or of ``folder_name`` on record, never of
    text that a browser sent.
    """
    try:
        key = SeriesKey(series.study_instance_uid, series.series_instance_uid)
        folder = results_folder(spool_dir, key, revision)
    except InvalidUid:
        return None
    if folder_name is not None:
        folder = spool_dir / folder_name
    path = folder / PICTURE_NAME
    return path if path.is_file() else None


def thumbnail_uri(path: Path) -> str | None:
    """Return the anatomy of a picture, without its banner, as a ``data:`` URI."""
    try:
        return _thumbnail(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError):  # Pillow raises SyntaxError for a broken PNG
        return None


@lru_cache(maxsize=CACHED_THUMBNAILS)
def _thumbnail(path: Path, _mtime_ns: int) -> str:
    with Image.open(path) as picture:
        width, height = picture.size
        # The slice is about as high as wide; the text banner is below it.
        anatomy = picture.convert("RGB").crop((0, 0, width, min(width, height)))
    anatomy.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.BILINEAR, reducing_gap=2)
    buffer = io.BytesIO()
    anatomy.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
