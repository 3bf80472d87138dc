"""The viewer: a server on this machine, and the page that it serves.

Runs and episodes are found below the folders it is given and go by ids; no request names a path.
"""
