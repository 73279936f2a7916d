"""A small virtual machine monitor that can be read in a sitting, and the course built on it."""
