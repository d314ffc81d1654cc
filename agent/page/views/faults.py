"""What a view can say instead of its data."""


class NotThereError(Exception):
    """What was asked for is not there, or no longer; says so in a sentence for people."""
