"""How long a technique will take for images of which only the headers were read: learned from measured runs, and from a
calibration before the first of them."""
