"""The modes: the ways to run the jobs of a sweep, a file each."""
