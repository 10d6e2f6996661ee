"""The twelve rows of what the app holds against: hostile files, faults, load, weeks."""
