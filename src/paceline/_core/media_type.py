"""Media types: recognises the MIME type of a file by its first bytes.

Suffixes lie: an image that was saved from the web is often a WebP with the suffix `.jpg`, and a provider refuses it by its bytes.
"""

from __future__ import annotations

import re

_MAGIC: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes, type; a longer beginning stands before a shorter one
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypheix", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
"""Types of RIFF files, by the bytes from 8 to 12."""
_SAME = {"audio/x-wav": "audio/wav", "audio/wave": "audio/wav", "audio/x-flac": "audio/flac"}


def mime_type_of(data: bytes, named: str | None) -> str | None:
    """Return the MIME type of a file's content.

    Args:
        data: The content, or its beginning.
        named: Type that the suffix of its name stands for; None: not known.

    Returns:
        The type that the first bytes show, or else `named`. A type of the same container stays as it is named.
    """
    found = _RIFF.get(data[8:12]) if data.startswith(b"RIFF") else None
    if found is None:
        found = next((kind for offset, magic, kind in _MAGIC if data.startswith(magic, offset)), None)
    if found is None or named is None:
        return found or named
    is_same = found == named or found == _SAME.get(named) or (found == "video/mp4" and named in _IN_MP4)
    return named if is_same else found


_IN_MP4 = {"audio/mp4", "audio/x-m4a", "video/quicktime", "video/x-m4v", "video/3gpp"}
"""Types whose files may begin as those of `video/mp4` do."""

ANSWERED_HTML = "the server answered HTML, not JSON"
"""What is wrong with a reply that is a web page."""
_HTML = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_READ = 2_000  # characters of a reply that are read


def is_html(body: str | bytes) -> bool:
    """Whether a reply is a web page, such as that of a login or of a proxy."""
    start = body[:_READ]
    return _HTML.match(start if isinstance(start, str) else start.decode("utf-8", "replace")) is not None
