"""A Workday tenant of ours."""
