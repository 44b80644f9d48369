"""What becomes of a run: the verdict, and files and pictures for people and machines."""
