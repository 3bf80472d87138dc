"""All that wants a GPU, in order of value, in pieces of any time: measure, train, judge, pack."""
