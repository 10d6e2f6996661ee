"""What is done to pixels. Nothing here knows of backends, clocks beyond a stage's, runs or Flask."""
