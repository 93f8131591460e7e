"""What may come in: prompts from lines of five kinds, from CSV and from Parquet.

`open_input` opens an input and checks all of it; its `Input` hands the prompts over, as often as is asked for.
"""

from .again import InputAgain as InputAgain
from .again import open_again as open_again
from .bytes import digest_of as digest_of
from .input import Input as Input
from .input import open_input as open_input
from .kinds import BadLine as BadLine
from .kinds import InputError as InputError
from .kinds import Kind as Kind
from .kinds import Prompt as Prompt

__all__ = ["BadLine", "Input", "InputAgain", "InputError", "Kind", "Prompt", "digest_of", "open_again", "open_input"]
