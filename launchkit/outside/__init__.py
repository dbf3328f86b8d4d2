"""What goes along to a container or another machine, and what runs there."""
