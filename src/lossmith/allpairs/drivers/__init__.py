"""What each backend does best: loops over blocks, slopes of a block, a gradient handed on.

The modules define the same functions; `core.backend` chooses one.
"""
