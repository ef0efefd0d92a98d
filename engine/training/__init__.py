"""The recipe that trains the models this project ships."""
