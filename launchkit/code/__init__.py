"""What a sweep ran: the user's code and its environment, kept, shown and brought back."""
