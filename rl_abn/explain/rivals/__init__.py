"""Maps that any network has without an attention branch, to compare an agent's own with."""
