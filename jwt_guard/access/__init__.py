"""Access: whose tokens count, what they must say, who that makes the caller, and whether that is enough."""
