"""Where an exchange may begin: references to start from, and how each of them is found."""
