"""The front of a supernet: for each cost, the part of it that scores best without any training.

`images` holds the encoder's features of training images, `scorer` scores parts of a supernet on
them, `descent` looks for good ones, `points` writes what was found.
"""
