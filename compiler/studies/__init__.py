"""Studies: one network on many chips that differ in what a paper's figure is about."""
