"""Make and its steps run: the loop, the socket, the view, run directories."""
