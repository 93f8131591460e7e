"""Gemini strategies, for the Gemini API and Vertex AI.

GeminiStrategy          calls a model
GeminiCachedStrategy    calls it with one large context, which is sent once and cached
"""

from ..._core.exceptions import MissingExtraError

try:
    import google.auth as _auth  # noqa: F401 - these show whether the extra is installed
    import httpx2 as _httpx2  # noqa: F401
    from google import genai as _genai  # noqa: F401
except ImportError as _error:
    raise MissingExtraError("GeminiStrategy", "gemini") from _error

# isort: split - the extra is checked first
from .cached import GeminiCachedStrategy
from .strategy import GeminiStrategy

__all__ = ["GeminiCachedStrategy", "GeminiStrategy"]
