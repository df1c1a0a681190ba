"""Benchmarks behind schurscope's speed claims: ``python -m benchmarks`` in the project's root.

Every contender's answer is checked before timing. The contenders of a comparison run in turn, round
after round, so that a busy moment of the machine affects all of them, and medians are compared.
"""
