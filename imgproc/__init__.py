"""Process images in parallel, measure it honestly, prove that every technique made the same pixels."""

__version__ = "0.1.0"
