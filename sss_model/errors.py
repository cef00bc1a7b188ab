"""The one exception that carries a sentence for a person."""


class InputError(Exception):
    """Something the user gave can't be used.

    The message is one sentence: what was found, where, and what was expected. Command lines print
    it without a traceback and exit with code 2.
    """
