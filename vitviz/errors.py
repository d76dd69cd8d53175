"""The one exception that a user is meant to read."""


class Problem(ValueError):
    """Something a person can put right: what happened to which thing, why, and what to do about it.

    Args:
        what: the thing and what went wrong with it, naming the file or the setting, e.g. ``"cat.png could not be read"``.
        why: the reason, e.g. ``"the file ends after 12 bytes"``.
        hint: what to do, e.g. ``"save it again and retry"``.

    ``str(problem)`` is one sentence: ``what: why; hint.``
    """

    def __init__(self, what: str, why: str = "", hint: str = ""):
        self.what, self.why, self.hint = what, why, hint
        reason = f"{what}: {why}" if why else what
        super().__init__(f"{reason}; {hint}" if hint else reason)
