"""The one family of errors that mepipe raises on purpose.

A message has three parts: what happened, where and with what values, what to do next. The command line
prints it as it is and exits; anything else that escapes is a defect and keeps its traceback.
"""


class MepipeError(Exception):
    """Something a person can mend: the message says what, where, and what to do."""


class UsageError(MepipeError):
    """The request itself is wrong (a name that does not exist, options that exclude each other): exit status 2."""


class SampleError(MepipeError):
    """One sample cannot be computed, and never will be from this input: recorded in the ledger, others go on."""
