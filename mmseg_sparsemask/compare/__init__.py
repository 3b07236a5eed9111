"""Methods side by side: sizes, results and speed in one table.

`table` and `draw` are plain Python; `collect` reads configs and work directories, `measure` runs.
"""
