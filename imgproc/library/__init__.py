"""What ``import imgproc`` offers: measuring and running one's own functions, and this package's operations.

Loaded when a name of it is asked for: ``import imgproc`` alone loads nothing.
"""
