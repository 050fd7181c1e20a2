"""Sentences of the specifications as HTML.

Source: OC-TEST-7092.
"""

import re
from html import escape

CODE = re.compile(r"`([^`]+)`")


def prose(text: str) -> str:
    """A sentence with what stands between backticks as code, and nothing of it as markup."""
    return CODE.sub(r"<code>\1</code>", escape(text))
