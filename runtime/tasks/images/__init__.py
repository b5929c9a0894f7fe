"""Tasks of images: how they are stored, how they are prepared, and what is read off the network."""
