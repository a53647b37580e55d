"""Real peers, each started and stopped by the test that uses it. See the fixtures in ../conftest.py."""
