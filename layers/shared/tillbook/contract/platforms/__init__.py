"""Orders as platforms of shops send them: one module for each platform, and one table of status words."""
