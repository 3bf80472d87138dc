"""The actor-critic policy with an attention branch, and what it puts out."""
