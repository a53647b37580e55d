"""Fuzzing: one target a kind of input, a kept corpus, a seeded mutator (run.py) and atheris where it is installed."""
