"""Where text for the user goes: standard output, or the logger `graphkeras`."""

from __future__ import annotations

import sys

from graphkeras import config


def print_message(text: object, line_break: bool = True) -> None:
    """Writes `text` to standard output, or logs it where interactive logging is off.

    A terminal that cannot show the bar's line character gets `=` in its place.
    """
    message = str(text)
    if not config.is_interactive_logging_enabled():
        import logging

        logging.getLogger("graphkeras").info(message)
        return
    if line_break:
        message += "\n"
    try:
        sys.stdout.write(message)
    except UnicodeEncodeError:
        encoding = sys.stdout.encoding or "utf-8"
        plain = message.replace("━", "=").encode(encoding, errors="ignore")
        sys.stdout.write(plain.decode(encoding))
    sys.stdout.flush()
