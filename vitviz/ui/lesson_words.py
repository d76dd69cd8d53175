"""What the panel of a lesson and the list of lessons say besides the lessons' own texts."""

INTRO = (
    "Guided tours on real runs. Each drives the pages themselves: predict, then look. A lesson takes its own time; leave it "
    "whenever something else catches your eye, and come back to the step by its link."
)
AWAY = "You went to look at something else. *Back to this step* brings the lesson's page back."
PREDICT = "Choose one before you look: a wrong guess teaches more than none."
RIGHT = "Yes."
NOT_QUITE = "Not quite."
OWN = (
    "A lesson is a plain text file; your own go into the folder `lessons` beside your runs. The file of any lesson here is a "
    "pattern to start from: docs/lessons.md says how."
)
NONE = "There is no lesson yet."


def place(number: int, last: int) -> str:
    """Where in the lesson one is."""
    return f"step {number} of {last}"


def length(number: int, minutes: int) -> str:
    """How long a lesson is."""
    return f"{number} steps, about {minutes} minutes"
