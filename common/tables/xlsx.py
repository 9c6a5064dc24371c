"""Cells of the first sheet of an XLSX file, as text."""

import io
import zipfile
from collections.abc import Iterator
from datetime import date, datetime

from common.tables.errors import TableError

ZIP_MAGIC = b"PK\x03\x04"
# 20,000 rows of ten columns have about 10 MB of XML. zipfile reads no more than the sizes here.
MAX_INFLATED = 64 * 2**20
MAX_PARTS = 1000
CHUNK = 2**20
DOCUMENT_TYPE = b"<!DOCTYPE"
MAX_BLANK_ROWS = 100_000


def is_xlsx(data: bytes) -> bool:
    """Return whether a file is a ZIP, which XLSX is and a CSV is not."""
    return data.startswith(ZIP_MAGIC)


def read_xlsx(data: bytes, max_columns: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the cells of each row, without empty cells at its end.

    Raises TableError for a file that is no XLSX, is too large or has a document type, which
    XLSX never has and which may define entities that expand.
    """
    _check_parts(data)
    import openpyxl  # the Storage SCP, which reads no tables, does not have it

    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        rows = sheet.iter_rows(values_only=True, max_col=max_columns + 1)
        for number, cells in enumerate(rows, start=1):
            texts = [_text(cell) for cell in cells]
            while texts and not texts[-1]:
                texts.pop()
            if number > MAX_BLANK_ROWS and not texts:
                return
            yield number, texts
    except TableError:
        raise
    except Exception as error:  # openpyxl lets errors of zipfile, XML and its own classes out
        problem = f"The file cannot be read as XLSX ({type(error).__name__}); save it again."
        raise TableError([problem]) from None


def _check_parts(data: bytes) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if len(parts) > MAX_PARTS or sum(p.file_size for p in parts) > MAX_INFLATED:
                limit = MAX_INFLATED // 2**20
                raise TableError([f"The XLSX file holds more than {limit} MB; save a CSV."])
            if any(_has_document_type(archive, part) for part in parts):
                raise TableError(["The XLSX file has a document type; save it again."])
    except TableError:
        raise
    except Exception:  # zipfile lets errors of zlib, of passwords and of methods out
        raise TableError(["The file is a ZIP but no XLSX file; save it again."]) from None


def _has_document_type(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bool:
    """Return whether a part has ``<!DOCTYPE``, which in XML text is ``&lt;!DOCTYPE``."""
    before = b""
    with archive.open(part) as file:
        while block := file.read(CHUNK):
            block = before + block.replace(b"\0", b"")  # UTF-16
            if DOCUMENT_TYPE in block:
                return True
            before = block[-len(DOCUMENT_TYPE) :]
    return False


def _text(cell: object) -> str:
    """Return a cell as text; whole numbers without a decimal point, dates as ISO 8601."""
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() else repr(cell)
    return str(cell).strip()
