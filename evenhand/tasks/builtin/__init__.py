"""The tasks that come with Evenhand."""
