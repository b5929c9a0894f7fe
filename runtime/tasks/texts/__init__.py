"""Tasks of texts: how they are read and encoded, and what is read off the network."""
