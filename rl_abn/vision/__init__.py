"""The vision track: attention branch networks that classify pictures and drive."""
