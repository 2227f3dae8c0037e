"""Configuration: one file and the environment become a guard, and a list of what is wrong or risky with it."""
