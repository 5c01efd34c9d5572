"""Bytes in the character sets that programs still write; pure.

Docker's json-file driver has put U+FFFD for what is no UTF-8 before anybody can read it: a
character set is for the sources that hand on bytes, such as a program's own files.
"""

import codecs
from collections.abc import Callable
from typing import Final

from wharfinger.errors import Rejected

# In all of them a newline is the byte 0x0A and that byte is nothing else, so that lines can be
# cut before they are decoded. UTF-16, UTF-7 and those with shift states are not among them.
CHARSETS: Final = frozenset(
    {
        "utf-8", "ascii", "gbk", "gb2312", "gb18030", "big5", "big5hkscs", "shift_jis", "cp932",
        "euc_jp", "euc_kr", "cp949", "johab", "iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7",
        "iso8859-9", "iso8859-15", "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1256",
        "cp437", "cp850", "cp866", "koi8-r", "koi8-u", "tis-620",
    }
)  # fmt: skip

MAX_NAME_CHARACTERS: Final = 40

Decode = Callable[[bytes], tuple[str, bool]]


def compile_charset(name: str) -> Decode:
    """Makes what decodes a line: gives the text, and whether every byte of it had a meaning.

    Raises:
        Rejected: it is no character set that lines can be read in.
    """
    try:
        fit = len(name) <= MAX_NAME_CHARACTERS and name.isascii() and "\0" not in name
        known = codecs.lookup(name).name if fit else ""
    except LookupError:
        known = ""
    if known not in CHARSETS:
        usual = "utf-8, gbk, gb18030, big5, shift_jis, euc_jp, euc_kr, iso8859-1, cp1252"
        raise Rejected(f"{name!r:.80} is no character set of lines; such are {usual}")

    def decode(data: bytes) -> tuple[str, bool]:
        try:
            return data.decode(known), True
        except UnicodeDecodeError:
            return data.decode(known, "replace"), False

    return decode
