"""Text that others wrote, as Markdown and HTML show it."""

from __future__ import annotations

import html
import re


def one_line(text: str) -> str:
    """A text without line breaks and characters that are not seen."""
    return ''.join(filter(str.isprintable, ' '.join(text.split())))


def plain_text(text: str) -> str:
    """A text in which nothing is markup, a link, or begins a line or cell of its own.

    An underscore within a word is no markup and stays readable.
    """
    found = re.compile(r'[\\`*~\[\]!|$]|\b_+|_+\b|:(?=//)|(?<=www)\.')
    plain = html.escape(one_line(text), quote=False)
    return found.sub(lambda match: ''.join(f'\\{mark}' for mark in match[0]), plain)
