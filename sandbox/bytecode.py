"""Our programs as bytecode, for boxes whose Python reads that of ours.

A verdict waits for two of them, and to compile them took longer than to run them. The bytecode goes
into boxes and never comes out of one: what a box says is never read as code.
"""

import marshal
from functools import lru_cache
from importlib.util import MAGIC_NUMBER

KIND = MAGIC_NUMBER.hex()
"""Which bytecode this Python writes, in the words in which a box says which it reads."""
PROGRAMS = 16


@lru_cache(PROGRAMS)
def bytecode(source: str) -> str:
    """A program as its box's `marshal` takes it, in hexadecimal digits.

    Raises:
        SyntaxError: it is no program.
    """
    code = compile(source, "<program>", "exec", dont_inherit=True, optimize=0)
    return marshal.dumps(code).hex()
