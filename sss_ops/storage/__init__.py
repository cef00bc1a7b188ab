"""Object stores and web servers: downloads, and the state of unfinished trainings."""
