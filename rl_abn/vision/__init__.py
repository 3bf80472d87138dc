"""The supervised track: networks that classify pictures and drive, and show where they look."""
