"""The supervised track: classification and driving."""
