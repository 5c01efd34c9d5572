"""An application's image: built on locked layers, held to the three rules, the same each time."""
