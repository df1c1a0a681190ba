"""What schurscope claims about speed: ``python -m benchmarks`` in the project's root.

Every contender's answer is checked before it is timed. All contenders of a comparison run in turn,
round after round, and medians are compared, so that a busy moment of the machine hits them all.
"""
