"""Objects of a bucket brought to a folder."""
