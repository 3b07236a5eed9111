"""Own images to a chosen network in one command.

`data` looks at the images and their masks.
"""
