"""What an operator does with the store's files: look at them, mend them, carry them elsewhere."""
