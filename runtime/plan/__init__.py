"""Plans: records, their names and blocks, the graph and its operators, checks, older versions, files."""
