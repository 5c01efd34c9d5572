"""From a tested image to every host that shall run it."""
