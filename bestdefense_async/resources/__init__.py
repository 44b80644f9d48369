"""What can be done, by API noun: arguments to request to model."""
