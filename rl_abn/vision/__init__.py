"""The supervised track: attention branch networks that classify pictures and drive."""
