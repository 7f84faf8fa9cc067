"""How large a zip's table of contents is: zipfile reads it whole, however large a stranger has made it."""

import os
import struct
import zipfile
import zlib
from pathlib import Path

# Some 100,000 files.
LARGEST = 16 << 20
# What zipfile raises for a file that is cut, changed, encrypted or packed in a way that it does not know.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError, OverflowError, NotImplementedError)
_END, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_END64_PLACE = struct.Struct("<4sLQL")


def size(file: Path) -> int:
    """Bytes of the table, by the record at the file's end. Raises OSError, or one of BROKEN."""
    with file.open("rb") as stream:
        length = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, length - (_END.size + (1 << 16))))
        tail = stream.read()
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            raise zipfile.BadZipFile("no end")
        table = int(_END.unpack_from(tail, at)[5])
        place = at - _END64_PLACE.size
        if place >= 0 and tail[place:place + 4] == b"PK\6\7":
            stream.seek(int(_END64_PLACE.unpack_from(tail, place)[2]))
            table = max(table if table != 0xFFFFFFFF else 0, int(_END64.unpack(stream.read(_END64.size))[8]))
        return table
