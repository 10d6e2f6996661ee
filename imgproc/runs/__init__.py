"""The life of a run, from upload to record. Nothing here knows of Flask."""
