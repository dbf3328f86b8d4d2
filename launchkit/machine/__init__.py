"""Processes of jobs on this machine: started, placed, watched and ended."""
