"""Functions of a user's own: how they are found, how they travel to workers, and how one becomes an operation."""
