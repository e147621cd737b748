"""A plug-in for Evenhand; each module holds one kind of what can be plugged in."""
